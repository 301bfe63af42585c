"""H0, the cheap Hamiltonian that a model corrects: one kind per file, found by scanning this folder."""

from __future__ import annotations

from .base import H0, GaussianH0, H0Section, H0Settings, NumericalH0, h0_class, h0_kinds

__all__ = ["H0", "GaussianH0", "H0Section", "H0Settings", "NumericalH0", "h0_class", "h0_kinds"]

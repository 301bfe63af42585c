"""Pictures: level diagrams, bands, and orbitals as shaded surfaces."""

from __future__ import annotations

from .bands import BandCurves, plot_bands
from .levels import LevelColumn, plot_levels
from .picture import orbital_picture

__all__ = ["BandCurves", "LevelColumn", "orbital_picture", "plot_bands", "plot_levels"]

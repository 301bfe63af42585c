"""Pictures: level diagrams, bands, and orbitals as shaded surfaces."""

from __future__ import annotations

from .bands import plot_bands
from .levels import LevelColumn, plot_levels
from .picture import draw_orbital

__all__ = ["LevelColumn", "draw_orbital", "plot_bands", "plot_levels"]

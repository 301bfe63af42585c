"""Two-centre integrals of atomic orbitals from their radial functions: overlap, kinetic energy, position, gradient."""

from __future__ import annotations

from .neighbours import neighbour_pairs, orbital_cutoffs
from .twocentre import gradient, kinetic, overlap, position

__all__ = ["gradient", "kinetic", "neighbour_pairs", "orbital_cutoffs", "overlap", "position"]

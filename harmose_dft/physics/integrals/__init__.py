"""Integrals of atomic orbitals.

Two-centre integrals come from the radial functions alone (overlap, kinetic energy, position, gradient), the attraction
by Gaussian charges from libcint (:mod:`harmose_dft.physics.integrals.charges`).
"""

from __future__ import annotations

from .neighbours import neighbour_pairs, orbital_cutoffs, overlapping_pairs
from .twocentre import gradient, kinetic, overlap, position, zero_matrix

__all__ = [
    "gradient",
    "kinetic",
    "neighbour_pairs",
    "orbital_cutoffs",
    "overlap",
    "overlapping_pairs",
    "position",
    "zero_matrix",
]

"""Waves of a crystal's reciprocal lattice that carry the potential of smeared charges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CHARGE_WIDTH = 1.5
"""Bohr; standard deviation of the Gaussian that a charge is smeared to. What it leaves out near the atoms the network
learns from its pairs."""

SMALLEST = 1e-5
"""Waves of which smearing leaves less are left out."""


def reciprocal_waves(cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Waves and what a charge density of unit amplitude of each contributes to the potential.

    The potential of Gaussian charges of width w, P. P. Ewald, Ann. Phys. 369, 253 (1921): 4 pi / (V G^2) times
    exp(-G^2 w^2 / 2); twice that, as only one of G and -G is kept. The mean potential of the cell is zero.

    Args:
        cell: Lattice vectors in rows, Bohr.

    Returns:
        Vectors of the reciprocal lattice, 2 pi included, 1/Bohr, (wave, 3), and weights, 1/Bohr, (wave,).
    """
    reciprocal = 2.0 * math.pi * np.linalg.inv(cell).T
    longest = math.sqrt(-2.0 * math.log(SMALLEST)) / CHARGE_WIDTH
    # |n_k| <= |G| |a_k| / (2 pi), as n_k is the component of G along the lattice vector a_k.
    most = np.floor(longest * np.linalg.norm(cell, axis=1) / (2.0 * math.pi)).astype(int)
    counts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    first = np.where(counts[:, 0] != 0, counts[:, 0], np.where(counts[:, 1] != 0, counts[:, 1], counts[:, 2]))
    waves = counts[first > 0] @ reciprocal
    squares = np.square(waves).sum(axis=1)
    waves, squares = waves[squares <= longest**2], squares[squares <= longest**2]
    volume = abs(np.linalg.det(cell))
    return waves, 8.0 * math.pi / volume * np.exp(-0.5 * squares * CHARGE_WIDTH**2) / squares

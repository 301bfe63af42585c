"""Waves of a crystal's reciprocal lattice that carry the potential of smeared charges."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CHARGE_WIDTH = 1.5
"""Bohr; standard deviation of the Gaussian that a charge is smeared to, about an atom's radius (chosen, not tuned).
What it leaves out near the atoms the network learns from its pairs. Like :data:`SMALLEST` and the scales of
:mod:`harmose_dft.nn.potential` it is part of every trained model: another value needs a new format version."""

SMALLEST = 1e-5
"""Waves of which smearing leaves less are left out."""

LONGEST = math.sqrt(-2.0 * math.log(SMALLEST)) / CHARGE_WIDTH
"""1/Bohr; longer vectors of the reciprocal lattice are left out."""


def most_counts(cell: NDArray[np.float64]) -> NDArray[np.int64]:
    """Largest counts of waves along the reciprocal lattice vectors, (3,): 2 pi n_k is G's component along a_k.

    Args:
        cell: Lattice vectors in rows, Bohr.
    """
    most: NDArray[np.int64] = np.floor(LONGEST * np.linalg.norm(cell, axis=1) / (2.0 * math.pi)).astype(np.int64)
    return most


def wave_weights(waves: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a charge density of unit amplitude of a wave and its opposite contributes to the potential, 1/Bohr.

    The potential of Gaussian charges of width w, P. P. Ewald, Ann. Phys. 369, 253 (1921): 4 pi / (V G^2) times
    exp(-G^2 w^2 / 2), twice. Zero for G = 0, so that the mean potential of the cell is zero, and beyond ``LONGEST``.

    Args:
        waves: G, (..., 3).
        cell: Lattice vectors in rows, Bohr.
    """
    squares = np.square(waves).sum(axis=-1)
    counts = (squares > 0.0) & (squares <= LONGEST**2)
    safe = np.where(counts, squares, 1.0)
    weights = 8.0 * math.pi / abs(np.linalg.det(cell)) * np.exp(-0.5 * safe * CHARGE_WIDTH**2) / safe
    return np.where(counts, weights, 0.0)


def reciprocal_waves(cell: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The waves of a crystal, one of G and -G, and their weights.

    Args:
        cell: Lattice vectors in rows, Bohr.

    Returns:
        Vectors of the reciprocal lattice, 2 pi included, 1/Bohr, (wave, 3), and weights, 1/Bohr, (wave,).
    """
    most = most_counts(cell)
    counts = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    first = np.where(counts[:, 0] != 0, counts[:, 0], np.where(counts[:, 1] != 0, counts[:, 1], counts[:, 2]))
    waves = counts[first > 0] @ (2.0 * math.pi * np.linalg.inv(cell).T)
    weights = wave_weights(waves, cell)
    return waves[weights > 0.0], weights[weights > 0.0]

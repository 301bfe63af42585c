"""Directions in which chains of overlapping atoms lead on for ever."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order


def dispersive_axes(pairs: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Lattice vectors along which a chain of pairs leads from an atom to one of its images, (3,).

    Bands disperse along these only. A layer does not along the vector across its vacuum, even where it lies on both
    sides of the cell's border, so that some of its pairs cross it.

    Args:
        pairs: Atoms of each pair, (edge, 2).
        shifts: Lattice shift of the second atom, (edge, 3).
    """
    if not shifts.any():
        return np.zeros(3, dtype=np.bool_)
    places = _unfold(pairs, shifts)
    return np.asarray((places[pairs[:, 0]] + shifts != places[pairs[:, 1]]).any(axis=0))


def _unfold(pairs: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cell (atom, 3) into which each atom moves when it follows one chain of pairs from the first atom of its group."""
    n_atoms = int(pairs.max()) + 1
    links, first = np.unique(pairs[:, 0] * n_atoms + pairs[:, 1], return_index=True)
    graph = csr_array((np.ones(len(links)), (links // n_atoms, links % n_atoms)), shape=(n_atoms, n_atoms))
    places, is_placed = np.zeros((n_atoms, 3), dtype=np.int64), np.zeros(n_atoms, dtype=np.bool_)
    for start in range(n_atoms):
        if is_placed[start]:
            continue
        order, before = breadth_first_order(graph, start)
        is_placed[order] = True
        atoms, origins = order[1:], before[order[1:]]
        steps = shifts[first[np.searchsorted(links, origins.astype(np.int64) * n_atoms + atoms)]]
        for atom, origin, step in zip(atoms.tolist(), origins.tolist(), steps, strict=True):
            places[atom] = places[origin] + step
    return places

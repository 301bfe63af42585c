"""Blocks of all pairs of elements on common orbital slots, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.arrays import running_sum
from ..core.basis import OrbitalBasis
from ..core.matrix import BlockMatrix
from ..nn.axis import MatrixAxis
from ..nn.blocks import Blocks
from ..nn.layout import OrbitalLayout
from .pairs import PairList

Indices = NDArray[np.int64]


def pad(
    matrices: Sequence[BlockMatrix],
    pairs: PairList,
    species: Indices,
    layout: OrbitalLayout,
    axis: MatrixAxis | None = None,
) -> Blocks:
    """Spread the blocks of matrices over the orbital slots; pairs that a matrix does not store are zero.

    Args:
        matrices: One for each place of the matrix axis.
        pairs: Pairs of the structure.
        species: Species index of each atom, (atom,).
        layout: Orbital slots.
        axis: The matrix axis; by default all matrices are scalar operators.

    Returns:
        Blocks in float64.
    """
    atoms, n = len(species), layout.size
    ends, shifts = pairs.with_atoms(atoms)
    out = np.zeros((len(ends), len(matrices), n, n))
    groups = list(_groups(species, ends, layout))
    for k, matrix in enumerate(matrices):
        stored = matrix.find(ends, shifts)
        start = np.where(stored >= 0, matrix.pointers[stored], -1)
        for members, rows, columns in groups:
            chosen = members[start[members] >= 0]
            values = matrix.values[start[chosen][:, None] + np.arange(len(rows) * len(columns))]
            out[chosen[:, None, None], k, rows[:, None], columns] = values.reshape(-1, len(rows), len(columns))
    blocks = torch.from_numpy(out)
    return Blocks(blocks[:atoms], blocks[atoms:], axis or MatrixAxis.scalars(len(matrices)))


def unpad(
    blocks: Blocks, pairs: PairList, numbers: Indices, basis: OrbitalBasis, layout: OrbitalLayout
) -> list[BlockMatrix]:
    """The inverse of :func:`pad` on the same pairs: one matrix for each place of the matrix axis.

    Args:
        blocks: Padded blocks of one structure, on the CPU.
        pairs: Pairs of the structure.
        numbers: Atomic numbers, (atom,).
        basis: Shells per element.
        layout: Orbital slots.
    """
    ends, shifts = pairs.with_atoms(len(numbers))
    padded = np.concatenate([x.numpy() for x in blocks])
    orbitals = basis.orbitals_per_atom(numbers)
    starts = running_sum(orbitals[ends[:, 0]] * orbitals[ends[:, 1]])
    values = np.empty((blocks.axis.size, starts[-1]))
    for members, rows, columns in _groups(layout.species(numbers), ends, layout):
        inside = starts[members][:, None] + np.arange(len(rows) * len(columns))
        # (pair, row, column) of all matrices: advanced indices around the slice put the matrix axis last
        picked = padded[members[:, None, None], :, rows[:, None], columns]
        values[:, inside] = np.moveaxis(picked, -1, 0).reshape(len(values), *inside.shape)
    return [BlockMatrix(orbitals, ends, shifts, matrix) for matrix in values]


def _groups(species: Indices, ends: Indices, layout: OrbitalLayout) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Pairs of equal elements with the slots of their rows and columns.

    Args:
        species: Species index of each atom, (atom,).
        ends: Both atoms of each pair, (pair, 2).
        layout: Orbital slots.

    Yields:
        Positions of the pairs, slots of the orbitals of the first atom, slots of those of the second one.
    """
    kinds = species[ends[:, 0]] * len(layout.elements) + species[ends[:, 1]]
    for kind in np.unique(kinds):
        first, second = divmod(int(kind), len(layout.elements))
        yield np.flatnonzero(kinds == kind), layout.orbital_index[first], layout.orbital_index[second]

"""Spinor matrices from their four spin components, and back."""

from __future__ import annotations

import numpy as np

from ..matrix import BlockMatrix


def spinor_matrix(uu: BlockMatrix, ud: BlockMatrix, du: BlockMatrix, dd: BlockMatrix) -> BlockMatrix:
    """The spinor matrix [[uu, ud], [du, dd]] of four matrices on the same pairs."""
    pointers = 4 * uu.pointers
    values = np.zeros(pointers[-1], dtype=np.result_type(*(m.values for m in (uu, ud, du, dd))))
    for edges, index in uu.groups(uu.orbitals):
        _, n, m = index.shape
        block = np.empty((len(edges), 2, n, 2, m), dtype=values.dtype)
        for row, column, part in ((0, 0, uu), (0, 1, ud), (1, 0, du), (1, 1, dd)):
            block[:, row, :, column] = part.values[index]
        values[pointers[edges][:, None] + np.arange(4 * n * m)] = block.reshape(len(edges), -1)
    return BlockMatrix(uu.orbitals, uu.pairs, uu.shifts, values, True)


def spin_block(matrix: BlockMatrix, row: int, column: int) -> BlockMatrix:
    """One spin component of a spinor matrix, as a spatial matrix."""
    pointers = matrix.pointers // 4
    values = np.zeros(pointers[-1], dtype=matrix.values.dtype)
    for edges, index in matrix.groups(matrix.orbitals):
        n, m = index.shape[1] // 2, index.shape[2] // 2
        part = matrix.values[index].reshape(-1, 2, n, 2, m)[:, row, :, column]
        values[pointers[edges][:, None] + np.arange(n * m)] = part.reshape(len(edges), -1)
    return BlockMatrix(matrix.orbitals, matrix.pairs, matrix.shifts, values)

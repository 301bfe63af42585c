"""Spinor matrices and their spin components, and the real matrices that stand for a Hamiltonian with spin.

* closed shell: H itself;
* collinear: the mean (H_up + H_down) / 2 and half the difference (H_up - H_down) / 2;
* spin-orbit, with time-reversal symmetry: H = H_0 x 1 + i sum_k A_k x sigma_k with real H_0 = H_0^T and A_k = -A_k^T
  (pair by pair A_k,ij(R) = -A_k,ji(-R)^T). A is an axial vector; its components are kept in the order y, z, x of l = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from .errors import DataError
from .matrix import BlockMatrix

Spin = Literal["none", "collinear", "spin-orbit"]
"""Closed shell, spin up and down, or spinors with time-reversal symmetry."""

SPIN_OF_NSPIN: dict[int, Spin] = {1: "none", 2: "collinear", 4: "spin-orbit"}
"""``Record.nspin`` -> spin."""

SPIN_OF_PARTS: dict[int, Spin] = {0: "none", 1: "collinear", 3: "spin-orbit"}
"""Number of real matrices beside the spin-independent one, see :func:`decompose` -> spin."""

MAGNETIC = 1e-4
"""Largest part of a spinor Hamiltonian that time reversal turns around, relative to its largest element, that counts as
zero."""


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


def electrons_per_orbital(matrices: Sequence[BlockMatrix]) -> int:
    """Two for a closed shell, one for spinors and for separate spin directions."""
    return 2 if len(matrices) == 1 and not matrices[0].spinor else 1


def decompose(hamiltonian: Sequence[BlockMatrix]) -> tuple[BlockMatrix, ...]:
    """The real matrices of a Hamiltonian: (H,), (mean, half the difference) or (H_0, A_y, A_z, A_x).

    Args:
        hamiltonian: One matrix, of spinors or not, or two (up, down).

    Raises:
        DataError: A spinor Hamiltonian is magnetic.
    """
    matrix = hamiltonian[0]
    if len(hamiltonian) == 2:
        total, difference = matrix + hamiltonian[1], matrix - hamiltonian[1]
        return total.with_values(0.5 * total.values), difference.with_values(0.5 * difference.values)
    return _spinor_parts(matrix) if matrix.spinor else (matrix,)


def _spinor_parts(matrix: BlockMatrix) -> tuple[BlockMatrix, ...]:
    even, odd = time_reversal_parts(matrix)
    magnetic = max(float(np.abs(a.values).max(initial=0.0)) for a in odd)
    largest = float(np.abs(matrix.values).max(initial=0.0))
    if magnetic > MAGNETIC * largest:
        raise DataError(
            "This spinor Hamiltonian is magnetic: the part that time reversal turns around reaches "
            f"{magnetic:.1e} Hartree, {magnetic / largest:.1e} of the largest element (expected at most "
            f"{MAGNETIC:g}). Models describe spin-orbit coupling with time-reversal symmetry: leave this calculation "
            "out, or converge it without magnetic moments."
        )
    return even


def time_reversal_parts(matrix: BlockMatrix) -> tuple[tuple[BlockMatrix, ...], tuple[BlockMatrix, ...]]:
    """What time reversal leaves of a spinor matrix, and what it turns around.

    Returns:
        (M_0, A_y, A_z, A_x) of M_0 x 1 + i sum_k A_k x sigma_k, and (B_0, B_y, B_z, B_x) of the rest,
        i B_0 x 1 + sum_k B_k x sigma_k, but B_y with the opposite sign; all real.
    """
    uu, ud, du, dd = (spin_block(matrix, row, column) for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)))
    scalar, z = 0.5 * (uu.values + dd.values), 0.5 * (uu.values - dd.values)
    x, y = 0.5 * (ud.values + du.values), 0.5 * (ud.values - du.values)
    even, odd = (scalar.real, y.real, z.imag, x.imag), (scalar.imag, y.imag, z.real, x.real)
    return tuple(uu.with_values(a) for a in even), tuple(uu.with_values(a) for a in odd)


def recombine(matrices: Sequence[BlockMatrix]) -> tuple[BlockMatrix, ...]:
    """Inverse of :func:`decompose`; the matrices must be on the same pairs."""
    if len(matrices) == 1:
        return (matrices[0],)
    if len(matrices) == 2:
        return matrices[0] + matrices[1], matrices[0] - matrices[1]
    scalar, y, z, x = (p.values for p in matrices)
    blocks = (scalar + 1j * z, y + 1j * x, -y + 1j * x, scalar - 1j * z)
    return (spinor_matrix(*(matrices[0].with_values(b) for b in blocks)),)

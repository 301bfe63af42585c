"""Between ABACUS's CSR elements and our pair blocks.

ABACUS: orbitals atom by atom, then l, zeta, m = 0, +1, -1, ... with the sign (-1)^m; with nspin 4 spin is the fastest
index, row = 2 * orbital + spin. Ours: m = -l..l, and [[uu, ud], [du, dd]] inside each block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import running_sum
from ...core.basis import OrbitalBasis
from ...core.conventions import ABACUS
from ...core.errors import FileFormatError
from ...core.matrix import BlockMatrix
from .csr import CsrSection


@dataclass(frozen=True)
class OrbitalMap:
    """Where ABACUS's matrix rows lie in our pair blocks.

    Args:
        orbitals: Spatial orbitals of each atom, (atom,).
        atom: Atom of each row, (row,).
        local: Row inside the atom's block, spin included and slow, (row,).
        sign: Sign of our orbital with respect to ABACUS's, (row,).
        spinor: Whether rows carry spin.
    """

    orbitals: NDArray[np.int64]
    atom: NDArray[np.int64]
    local: NDArray[np.int64]
    sign: NDArray[np.float64]
    spinor: bool

    @classmethod
    def of(cls, numbers: Iterable[int], basis: OrbitalBasis, spinor: bool) -> OrbitalMap:
        """The map of a structure's atoms in a basis."""
        numbers = list(numbers)
        orbitals = basis.orbitals_per_atom(numbers)
        index, sign = ABACUS.from_ours(basis.shell_sequence(numbers))
        atom = np.repeat(np.arange(len(orbitals)), orbitals)
        local = index - (np.cumsum(orbitals) - orbitals)[atom]
        if spinor:
            width = np.repeat(orbitals[atom], 2)
            spin = np.tile([0, 1], len(atom))
            atom, sign = np.repeat(atom, 2), np.repeat(sign, 2)
            local = np.repeat(local, 2) + spin * width
        return cls(orbitals, atom, local, sign, spinor)

    @property
    def widths(self) -> NDArray[np.int64]:
        """Rows of each atom, spin included, (atom,)."""
        return self.orbitals * (2 if self.spinor else 1)


def to_blocks(section: CsrSection, orbitals: OrbitalMap, factor: float) -> BlockMatrix:
    """Pair blocks of a CSR section.

    Args:
        section: The elements.
        orbitals: Map of its rows; ``len(orbitals.atom)`` equals ``section.size``.
        factor: Multiplies every element (Rydberg to Hartree for H, 1 for S).

    Returns:
        One block per pair of atoms that has an element, sorted by (i, j, shift).
    """
    order = np.lexsort(section.shifts.T[::-1])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    atoms, shifts = len(orbitals.orbitals), len(section.shifts)
    i, j = orbitals.atom[section.rows], orbitals.atom[section.columns]
    code = (i * atoms + j) * shifts + np.repeat(rank, section.counts)
    codes, edge = np.unique(code, return_inverse=True)
    pairs = np.stack([codes // shifts // atoms, codes // shifts % atoms], axis=1)
    widths = orbitals.widths
    pointers = running_sum(widths[pairs[:, 0]] * widths[pairs[:, 1]])
    values = np.zeros(pointers[-1], dtype=section.values.dtype)
    position = pointers[edge] + orbitals.local[section.rows] * widths[j] + orbitals.local[section.columns]
    values[position] = section.values * (orbitals.sign[section.rows] * orbitals.sign[section.columns] * factor)
    return BlockMatrix(orbitals.orbitals, pairs, section.shifts[order][codes % shifts], values, orbitals.spinor)


def from_blocks(matrix: BlockMatrix, orbitals: OrbitalMap, label: str, factor: float, drop: float) -> CsrSection:
    """CSR elements of a block matrix; the inverse of :func:`to_blocks`.

    Args:
        matrix: The blocks.
        orbitals: Map of the rows to write.
        label: "H" or "S".
        factor: Multiplies every element (Hartree to Rydberg for H).
        drop: Elements whose absolute value (after ``factor``) does not exceed this are left out.

    Returns:
        Elements sorted by lattice vector, row and column; lattice vectors without elements are left out.
    """
    widths, size = orbitals.widths, len(orbitals.atom)
    starts = np.cumsum(widths) - widths
    position = np.empty(size, dtype=np.int64)
    position[starts[orbitals.atom] + orbitals.local] = np.arange(size)
    counts = np.diff(matrix.pointers)
    edge = np.repeat(np.arange(len(matrix)), counts)
    offset = np.arange(len(matrix.values)) - matrix.pointers[edge]
    i, j = matrix.pairs[edge, 0], matrix.pairs[edge, 1]
    rows, columns = position[starts[i] + offset // widths[j]], position[starts[j] + offset % widths[j]]
    values = matrix.values * (orbitals.sign[rows] * orbitals.sign[columns] * factor)
    large = np.abs(values) > drop
    rows, columns, values, edge = rows[large], columns[large], values[large], edge[large]
    shifts, rank = np.unique(matrix.shifts[edge], axis=0, return_inverse=True)
    rank = rank.reshape(-1)
    order = np.lexsort((columns, rows, rank))
    per_shift = np.bincount(rank, minlength=len(shifts))
    return CsrSection(label, 0, size, shifts, per_shift, rows[order], columns[order], values[order], 1)


def spatial_part(section: CsrSection, path: object) -> CsrSection:
    """The spatial overlap of a spinor overlap S x 1_2, whose rows are 2 * orbital + spin.

    Raises:
        FileFormatError: The matrix couples spin up to spin down, or the two spins differ.
    """
    up = (section.rows % 2 == 0) & (section.columns % 2 == 0)
    down = (section.rows % 2 == 1) & (section.columns % 2 == 1)
    block = np.repeat(np.arange(len(section.counts)), section.counts)
    spin_flip, values = ~(up | down), section.values
    balanced = up.sum() == down.sum() and np.array_equal(values[up], values[down])
    if not balanced or np.abs(values[spin_flip]).max(initial=0.0) > 0 or np.abs(values.imag).max(initial=0.0) > 0:
        raise FileFormatError(
            "This spinor overlap is not the spatial overlap times the 2x2 unit matrix. Is it an overlap?",
            path=str(path), line=section.line,
        )  # fmt: skip
    counts = np.bincount(block[up], minlength=len(section.counts))
    return CsrSection(
        section.label, section.step, section.size // 2, section.shifts, counts, section.rows[up] // 2,
        section.columns[up] // 2, np.ascontiguousarray(values[up].real), section.line, section.cell_text,
        section.gamma_only,
    )  # fmt: skip

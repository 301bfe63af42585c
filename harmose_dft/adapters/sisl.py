"""Hamiltonian and overlap as ``sisl.Hamiltonian``, so that sisl's post-processing works on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix

from ..core.errors import HarmoseError, StructureError
from ..core.matrix import BlockMatrix
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    import sisl

SPINOR_PARTS = (
    (0, 0, "real"), (1, 1, "real"), (0, 1, "real"), (0, 1, "imag"),
    (0, 0, "imag"), (1, 1, "imag"), (1, 0, "real"), (1, 0, "imag"),
)  # fmt: skip
"""sisl's order of the eight real matrices of a spin-orbit Hamiltonian: (row spin, column spin, part)."""


def to_sisl(
    hamiltonian: BlockMatrix | Sequence[BlockMatrix], structure: Structure, overlap: BlockMatrix | None = None
) -> sisl.Hamiltonian:
    """A ``sisl.Hamiltonian`` in eV and Angstrom: unpolarised, polarised (two matrices) or spin-orbit (spinors).

    Orbitals keep our order; sisl is told their number only, not their shapes.

    Args:
        hamiltonian: H(R) in Hartree, or spin up and spin down.
        structure: A crystal (a molecule in a box).
        overlap: S(R), spatial; an orthogonal basis where it is not given.

    Raises:
        StructureError: The structure has no cell.
        HarmoseError: sisl is not installed, or the matrices do not belong to the structure.
    """
    try:
        import sisl
    except ImportError as error:
        raise HarmoseError('This needs sisl: pip install "harmose-dft[periodic]".') from error

    if structure.cell is None:
        raise StructureError("sisl needs a cell; this structure has none. Give the molecule a box first.")
    spins = (hamiltonian,) if isinstance(hamiltonian, BlockMatrix) else tuple(hamiltonian)
    matrices = (*spins, *(() if overlap is None else (overlap,)))
    if any(len(m.orbitals) != len(structure) or not np.array_equal(m.orbitals, spins[0].orbitals) for m in matrices):
        raise HarmoseError(f"These matrices do not all belong to a structure of {len(structure)} atoms.")
    span = np.max([np.abs(m.shifts).max(axis=0, initial=0) for m in matrices], axis=0)
    lattice = sisl.Lattice(structure.cell * BOHR_IN_ANGSTROM, nsc=2 * span + 1)
    atoms = [
        sisl.Atom(int(z), [sisl.Orbital(-1.0)] * int(n))
        for z, n in zip(structure.numbers, spins[0].orbitals, strict=True)
    ]
    geometry = sisl.Geometry(structure.positions * BOHR_IN_ANGSTROM, atoms=atoms, lattice=lattice)
    if spins[0].spinor:
        flat = [_supercell(spins[0], lattice, a, b) for a in range(2) for b in range(2)]
        spin_parts = [getattr(flat[2 * a + b], part) for a, b, part in SPINOR_PARTS]
        kind = "spin-orbit"
    else:
        spin_parts = [_supercell(m, lattice) for m in spins]
        kind = "polarized" if len(spins) == 2 else "unpolarized"
    s = None if overlap is None else _supercell(overlap, lattice)
    return sisl.Hamiltonian.fromsp(geometry, [HARTREE_IN_EV * p for p in spin_parts], s, spin=sisl.Spin(kind))


def _supercell(
    matrix: BlockMatrix, lattice: sisl.Lattice, row_spin: int = 0, column_spin: int = 0
) -> csr_matrix:
    """One spin block as sisl stores it: a row per orbital, columns by lattice cell, then orbital."""
    n = int(matrix.orbitals.sum())
    row, column = matrix.coordinates()
    cells = lattice.sc_index(matrix.shifts) if len(matrix) else np.zeros(0, dtype=np.int64)
    selected = (row // n == row_spin) & (column // n == column_spin)
    wide = np.repeat(cells, np.diff(matrix.pointers)) * n + column % n
    coordinates = (row[selected] % n, wide[selected])
    return csr_matrix((matrix.values[selected], coordinates), shape=(n, n * lattice.n_s))

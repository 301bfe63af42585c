"""Writing H(R) and S(R) as ABACUS's CSR text, so that ABACUS starts from them (``init_chg hr``) or others read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import running_sum
from ...core.basis import OrbitalBasis
from ...core.errors import HarmoseError, StructureError
from ...core.files import atomic_path
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.structure import SYMBOLS, Structure
from ...core.units import RYDBERG_IN_HARTREE
from .blocks import OrbitalMap, from_blocks
from .constants import ABACUS_BOHR_IN_ANGSTROM, DROPPED_BELOW
from .csr import BASIS_SIZE, R_COUNT, SPIN_COUNT, SPIN_INDEX, CsrSection
from .matrices import HERMITIAN_WITHIN
from .structure import fold_into_cell

VALUES_PER_LINE, INTEGERS_PER_LINE = 6, 16
"""Line lengths of the newer layout."""


class Layout(Enum):
    """File layouts: that of ABACUS 3.x up to 3.8 (``data-HR-sparse_SPIN0.csr``), and the newer ``hrs1_nao.csr``."""

    SPARSE = "sparse"
    NAO = "nao"

    def file_name(self, label: str, spin: int) -> str:
        """Name of the file of a matrix ("H" or "S") and spin (0 or 1) in this layout."""
        if self is Layout.SPARSE:
            return f"data-{label}R-sparse_SPIN{spin}.csr"
        return f"hrs{spin + 1}_nao.csr" if label == "H" else "srs1_nao.csr"


def write_hr(
    source: Record | BlockMatrix, path: Path, *, structure: Structure | None = None, basis: OrbitalBasis | None = None,
    layout: Layout = Layout.NAO, decimals: int = 8, force: bool = False,
) -> list[Path]:  # fmt: skip
    """Write H(R).

    Atoms are regrouped by species in the order of their first appearance, and folded into the cell, as ABACUS does
    with a STRU of the same atoms; lattice vectors are shifted accordingly.

    Args:
        source: A record (all its spin directions), or one Hamiltonian in Hartree.
        path: An existing folder (files get the layout's names), or the file for a single spin direction.
        structure: The atoms, for a bare matrix.
        basis: Its basis, for a bare matrix.
        layout: ``Layout.NAO`` is what ``init_chg hr`` reads.
        decimals: Digits behind the point of the mantissa (ABACUS: 8).
        force: Whether existing files may be replaced.

    Returns:
        The files written.

    Raises:
        HarmoseError: The matrix is not Hermitian, or structure and basis of a bare matrix are missing.
        StructureError: The structure has no cell.
        OutputExistsError: A file exists and ``force`` is false.
    """
    matrices, structure, basis = _parts(source, structure, basis)
    if not matrices:
        raise HarmoseError("This record holds no Hamiltonian (it is an overlap-only calculation).")
    target = Path(path)
    if not target.is_dir() and len(matrices) > 1:
        raise HarmoseError(f"There are {len(matrices)} spin directions; give an existing folder, not a file ({path}).")
    written_paths = []
    for spin, matrix in enumerate(matrices):
        file = target / layout.file_name("H", spin) if target.is_dir() else target
        _write(matrix, structure, basis, file, ("H", spin, len(matrices)), layout, decimals, force)
        written_paths.append(file)
    return written_paths


def write_sr(
    record: Record, path: Path, *, layout: Layout = Layout.NAO, decimals: int = 8, force: bool = False
) -> Path:
    """Write S(R) of a record; arguments and errors as for :func:`write_hr`."""
    target = Path(path)
    file = target / layout.file_name("S", 0) if target.is_dir() else target
    overlap = record.overlap
    if record.spinor:
        overlap = overlap.with_spin()
        overlap = overlap.with_values(overlap.values.astype(np.complex128))
    _write(overlap, record.structure, record.basis, file, ("S", 0, 1), layout, decimals, force)
    return file


def _parts(
    source: Record | BlockMatrix, structure: Structure | None, basis: OrbitalBasis | None
) -> tuple[tuple[BlockMatrix, ...], Structure, OrbitalBasis]:
    if isinstance(source, Record):
        return source.hamiltonian, source.structure, source.basis
    if structure is None or basis is None:
        raise HarmoseError("A bare matrix does not know its atoms and orbitals: give structure= and basis= as well.")
    if not np.array_equal(basis.orbitals_per_atom(structure.numbers), source.orbitals):
        raise HarmoseError(f"The matrix is not one of {structure.formula} in the basis {basis.name}.")
    return (source,), structure, basis


def _write(
    matrix: BlockMatrix, structure: Structure, basis: OrbitalBasis, path: Path, heading: tuple[str, int, int],
    layout: Layout, decimals: int, force: bool,
) -> None:  # fmt: skip
    error = matrix.hermiticity_error()
    if error > HERMITIAN_WITHIN:
        raise HarmoseError(
            f"The matrix is not Hermitian (blocks at R and -R differ by {error:.1e}); take its symmetrize() first."
        )
    label, spin, spins = heading
    ordered, atoms = to_abacus_order(matrix, structure)
    rows = OrbitalMap.of(atoms.numbers.tolist(), basis, matrix.spinor)
    section = from_blocks(ordered, rows, label, 1.0 / RYDBERG_IN_HARTREE if label == "H" else 1.0, DROPPED_BELOW)
    if layout is Layout.SPARSE:
        lines = _sparse_lines(section, decimals)
    else:
        lines = _nao_lines(section, atoms, spins, spin, decimals)
    with atomic_path(path, force) as temporary, temporary.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(line + "\n" for line in lines)


def to_abacus_order(matrix: BlockMatrix, structure: Structure) -> tuple[BlockMatrix, Structure]:
    """A matrix and its structure with atoms grouped by species and folded into the cell.

    If atom i moves by the lattice vector n_i, the block at R belongs to R + n_i - n_j afterwards.

    Raises:
        StructureError: The structure has no cell.
    """
    if structure.cell is None:
        raise StructureError(f"ABACUS needs a cell; {structure.formula} has none. Put the molecule into a box.")
    species = list(dict.fromkeys(structure.numbers.tolist()))
    order = np.argsort([species.index(z) for z in structure.numbers.tolist()], kind="stable")
    fractional = structure.positions @ np.linalg.inv(structure.cell)
    cell_shifts = np.round(fold_into_cell(fractional, None, Path()) - fractional).astype(np.int64)
    if not cell_shifts.any() and np.array_equal(order, np.arange(len(order))):
        return matrix, structure
    shifts = matrix.shifts + cell_shifts[matrix.pairs[:, 0]] - cell_shifts[matrix.pairs[:, 1]]
    rank = np.argsort(order)
    ordered = BlockMatrix(matrix.orbitals[order], rank[matrix.pairs], shifts, matrix.values, matrix.spinor)
    positions = (structure.positions + cell_shifts @ structure.cell)[order]
    return ordered, Structure(structure.numbers[order], positions, structure.cell, structure.charge, structure.spin)


def _blocks(section: CsrSection) -> Iterator[tuple[str, NDArray[Any], NDArray[np.int64], NDArray[np.int64]]]:
    """For every R: the line ``Rx Ry Rz nnz``, values, columns and row pointers."""
    ends = np.cumsum(section.counts)
    for shift, begin, end in zip(section.shifts.tolist(), ends - section.counts, ends, strict=True):
        per_row = np.bincount(section.rows[begin:end], minlength=section.size)
        pointers = running_sum(per_row)
        yield " ".join(map(str, [*shift, end - begin])), section.values[begin:end], section.columns[begin:end], pointers


def _sparse_lines(section: CsrSection, decimals: int) -> Iterator[str]:
    yield "STEP: 0"
    yield f"Matrix Dimension of {section.label}(R): {section.size}"
    yield f"Matrix number of {section.label}(R): {len(section.shifts)}"
    for head, values, columns, pointers in _blocks(section):
        yield head
        yield from _wrap(_words(values, decimals), len(values))
        yield from _wrap([str(n) for n in columns.tolist()], len(columns))
        yield from _wrap([str(n) for n in pointers.tolist()], len(pointers))


def _nao_lines(section: CsrSection, structure: Structure, spins: int, spin: int, decimals: int) -> Iterator[str]:
    yield " --- Ionic Step 1 ---"
    yield f" # print {section.label} matrix in real space {section.label}(R)"
    counts = (spins, spin + 1, section.size, len(section.shifts))
    for count, name in zip(counts, (SPIN_COUNT, SPIN_INDEX, BASIS_SIZE, R_COUNT), strict=True):
        yield f" {count} # {name}"
    yield ""
    yield from _cell_lines(structure)
    yield ""
    yield from CSR_BANNER
    yield ""
    for head, values, columns, pointers in _blocks(section):
        yield f" {head}"
        yield " # CSR values"
        yield from _wrap(_words(values, decimals), VALUES_PER_LINE)
        yield " # CSR column indices"
        yield from _wrap([str(n) for n in columns.tolist()], INTEGERS_PER_LINE)
        yield " # CSR row pointers"
        yield from _wrap([str(n) for n in pointers.tolist()], INTEGERS_PER_LINE)
        yield ""


CSR_BANNER = (
    " #----------------------------------------------------------------------#",
    " #                               CSR Format                             #",
    " # For every Bravais lattice vector: Rx Ry Rz and the number of         #",
    " # elements, then the values, the column indices and the row pointers.  #",
    " # Rows are orbitals in cell 0, columns orbitals in cell R. H is in Ry. #",
    " #                                                                      #",
    " # Written by harmose_dft.                                              #",
    " #----------------------------------------------------------------------#",
)
"""Comment lines before the blocks; ABACUS's reader skips exactly this many."""


def _cell_lines(structure: Structure) -> Iterator[str]:
    """The unit cell: lattice constant (1 Angstrom), vectors, species, atoms of each, fractional positions."""
    if structure.cell is None:
        raise StructureError("ABACUS needs a cell.")
    numbers = structure.numbers.tolist()
    species = list(dict.fromkeys(numbers))
    yield " user_defined_lattice"
    yield " 1"
    for vector in (structure.cell * ABACUS_BOHR_IN_ANGSTROM).tolist():
        yield " " + " ".join(f"{x:.15g}" for x in vector)
    yield " " + " ".join(SYMBOLS[z] for z in species)
    yield " " + " ".join(str(numbers.count(z)) for z in species)
    yield " Direct"
    for position in (structure.positions @ np.linalg.inv(structure.cell)).tolist():
        yield " " + " ".join(f"{x:.15g}" for x in position)


def _words(values: NDArray[Any], decimals: int) -> list[str]:
    """Numbers as C++ streams print them in scientific notation."""
    if values.dtype.kind == "c":
        return [f"({v.real:.{decimals}e},{v.imag:.{decimals}e})" for v in (values + 0.0).tolist()]
    return [f"{v:.{decimals}e}" for v in values.tolist()]


def _wrap(words: Sequence[str], per_line: int) -> Iterator[str]:
    for start in range(0, len(words), max(per_line, 1)):
        yield " " + " ".join(words[start : start + per_line])

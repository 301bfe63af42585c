"""Records as columns: the layout of the package's HDF5 data sets.

A data set is a tree of levels. A record has atoms, matrices and printed spectra; a matrix has edges and values; a
spectrum has k-points and energies. Each level is a group of equally long columns, with ``pointers`` into it from its
parent: child rows ``pointers[p]:pointers[p + 1]`` belong to parent row p.

Matrices that are Hermitian keep one block of every pair (i, j, shift) / (j, i, -shift). Complex values are stored as
consecutive real and imaginary parts. Hartree, Bohr, our orbital convention.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import running_sum
from ..core.basis import OrbitalBasis
from ..core.matrix import BlockMatrix
from ..core.record import Eigenvalues, Record, read_provenance
from ..core.structure import Structure
from .identity import structure_id

Array = NDArray[Any]

FORMAT = "harmose_dft data set"
"""Attribute ``format`` of the files."""

VERSION = 1
"""Format version; a reader refuses newer ones."""

HERMITIAN_TOLERANCE = 1e-10
"""Hartree; a matrix that is Hermitian to this is stored by halves, one that is not as it is."""

STRING = "string"
"""Column type of variable-length text."""


@dataclass(frozen=True)
class Level:
    """A group of columns.

    Args:
        parent: The level its pointers start from; None for the records.
        columns: Name -> (type, shape of one row).
    """

    parent: str | None
    columns: dict[str, tuple[str, tuple[int, ...]]]


LEVELS = {
    "records": Level(
        None,
        {
            "id": (STRING, ()),
            "name": (STRING, ()),
            "provenance": (STRING, ()),
            "basis": ("i4", ()),
            "charge": ("i4", ()),
            "spin": ("i4", ()),
            "cell": ("f8", (3, 3)),
            "n_electrons": ("f8", ()),
            "fermi": ("f8", ()),
            "energy": ("f8", ()),
        },
    ),
    "atoms": Level("records", {"numbers": ("u1", ()), "positions": ("f8", (3,))}),
    "matrices": Level("records", dict.fromkeys(("role", "spinor", "complex", "half"), ("u1", ()))),
    "edges": Level("matrices", {"pairs": ("i4", (2,)), "shifts": ("i2", (3,))}),
    "values": Level("matrices", {"values": ("f8", ())}),
    "spectra": Level("records", {"source": (STRING, ()), "precision": ("f8", ()), "spins": ("i4", ())}),
    "kpoints": Level("spectra", {"kpoints": ("f8", (3,))}),
    "energies": Level("spectra", {"energies": ("f8", ())}),
}
"""Every level of the format, parents first. A missing number is NaN, a molecule's cell NaN throughout."""

OVERLAP, HAMILTONIAN, HAMILTONIAN_DOWN = 0, 1, 2
"""Roles of matrices."""


@dataclass(frozen=True)
class Failure:
    """A structure that could not be calculated.

    Args:
        id: :func:`structure_id` of the structure.
        name: Its name.
        reason: One sentence.
    """

    id: str
    name: str
    reason: str


@dataclass(frozen=True)
class Rows:
    """Some consecutive records as columns.

    Args:
        columns: (level, name) -> rows.
        counts: Level -> number of rows of each parent row.
    """

    columns: dict[tuple[str, str], Array]
    counts: dict[str, NDArray[np.int64]]


def encode(record: Record, basis: int) -> Rows:
    """One record as columns.

    Args:
        record: The record.
        basis: Number of its basis in the file.
    """
    s, c, counts = record.structure, {}, {}
    record_row: dict[str, Any] = {
        "id": structure_id(s),
        "name": s.name,
        "provenance": json.dumps(dict(record.provenance), sort_keys=True),
        "basis": basis,
        "charge": s.charge,
        "spin": s.spin,
        "cell": np.full((3, 3), np.nan) if s.cell is None else s.cell,
        "n_electrons": record.n_electrons,
        "fermi": np.nan if record.fermi is None else record.fermi,
        "energy": np.nan if record.energy is None else record.energy,
    }
    for name, value in record_row.items():
        c["records", name] = np.array([value], dtype=object if isinstance(value, str) else None)
    c["atoms", "numbers"], c["atoms", "positions"] = s.numbers, s.positions
    counts["atoms"] = np.array([len(s)])
    _encode_matrices(record, c, counts)
    _encode_spectra(record, c, counts)
    return Rows(c, counts)


def decode(rows: Rows, basis: OrbitalBasis) -> Record:
    """The record of one row; inverse of :func:`encode`.

    Args:
        rows: Columns of one record.
        basis: Its basis.
    """
    c = rows.columns
    structure = decode_structure(rows)
    orbitals = basis.orbitals_per_atom(structure.numbers)
    matrices = _decode_matrices(rows, orbitals)
    record_row = {name: c["records", name][0] for name in LEVELS["records"].columns}
    return Record(
        structure,
        basis,
        tuple(matrices[role] for role in (HAMILTONIAN, HAMILTONIAN_DOWN) if role in matrices),
        matrices[OVERLAP],
        n_electrons=float(record_row["n_electrons"]),
        fermi=_optional(record_row["fermi"]),
        energy=_optional(record_row["energy"]),
        eigenvalues=_decode_spectra(rows),
        provenance=read_provenance(record_row["provenance"]),
    )


def decode_structure(rows: Rows) -> Structure:
    """The structure of one row; needs the levels records and atoms only."""
    c = rows.columns
    cell = c["records", "cell"][0]
    return Structure(
        c["atoms", "numbers"],
        c["atoms", "positions"],
        None if np.isnan(cell).all() else cell,
        int(c["records", "charge"][0]),
        int(c["records", "spin"][0]),
        str(c["records", "name"][0]),
    )


def _encode_matrices(record: Record, c: dict[tuple[str, str], Array], counts: dict[str, NDArray[np.int64]]) -> None:
    matrices = (record.overlap, *record.hamiltonian)
    halves = [_halve(m) for m in matrices]
    c["matrices", "role"] = np.arange(len(matrices))
    c["matrices", "spinor"] = np.array([m.spinor for m in matrices])
    c["matrices", "complex"] = np.array([m.values.dtype.kind == "c" for m in matrices])
    c["matrices", "half"] = np.array([len(h) < len(m) for m, h in zip(matrices, halves, strict=True)])
    values = [h.values.astype(np.complex128 if h.values.dtype.kind == "c" else np.float64) for h in halves]
    flat = [v.view(np.float64) for v in values]
    c["edges", "pairs"] = np.concatenate([h.pairs for h in halves])
    c["edges", "shifts"] = np.concatenate([h.shifts for h in halves])
    c["values", "values"] = np.concatenate(flat)
    counts["matrices"] = np.array([len(matrices)])
    counts["edges"] = np.array([len(h) for h in halves])
    counts["values"] = np.array([len(v) for v in flat])


def _encode_spectra(record: Record, c: dict[tuple[str, str], Array], counts: dict[str, NDArray[np.int64]]) -> None:
    spectra = record.eigenvalues
    c["spectra", "source"] = np.array([e.source for e in spectra], dtype=object)
    c["spectra", "precision"] = np.array([e.precision for e in spectra], dtype=np.float64)
    c["spectra", "spins"] = np.array([len(e.energies) for e in spectra], dtype=np.int64)
    c["kpoints", "kpoints"] = np.concatenate([np.zeros((0, 3)), *(e.kpoints for e in spectra)])
    c["energies", "energies"] = np.concatenate([np.zeros(0), *(e.energies.ravel() for e in spectra)])
    counts["spectra"] = np.array([len(spectra)])
    counts["kpoints"] = np.array([len(e.kpoints) for e in spectra], dtype=np.int64)
    counts["energies"] = np.array([e.energies.size for e in spectra], dtype=np.int64)


def _decode_matrices(rows: Rows, orbitals: NDArray[np.int64]) -> dict[int, BlockMatrix]:
    c, out = rows.columns, {}
    edges = running_sum(rows.counts["edges"])
    values = running_sum(rows.counts["values"])
    for m, role in enumerate(c["matrices", "role"].tolist()):
        e, v = slice(edges[m], edges[m + 1]), slice(values[m], values[m + 1])
        numbers = np.ascontiguousarray(c["values", "values"][v], dtype=np.float64)
        if c["matrices", "complex"][m]:
            numbers = numbers.view(np.complex128)
        pairs, shifts = c["edges", "pairs"][e].astype(np.int64), c["edges", "shifts"][e].astype(np.int64)
        matrix = BlockMatrix(orbitals, pairs, shifts, numbers, bool(c["matrices", "spinor"][m]))
        out[role] = _complete(matrix) if c["matrices", "half"][m] else matrix
    return out


def _decode_spectra(rows: Rows) -> tuple[Eigenvalues, ...]:
    c, out = rows.columns, []
    k = running_sum(rows.counts["kpoints"])
    n = running_sum(rows.counts["energies"])
    for e, source in enumerate(c["spectra", "source"]):
        kpoints = c["kpoints", "kpoints"][k[e] : k[e + 1]]
        energies = c["energies", "energies"][n[e] : n[e + 1]].reshape(int(c["spectra", "spins"][e]), len(kpoints), -1)
        out.append(Eigenvalues(kpoints, energies, str(source), float(c["spectra", "precision"][e])))
    return tuple(out)


def _halve(matrix: BlockMatrix) -> BlockMatrix:
    """One block of every pair of a Hermitian matrix; the matrix itself where it is not Hermitian."""
    if (matrix.reverse_edges() < 0).any() or matrix.hermiticity_error() > HERMITIAN_TOLERANCE:
        return matrix
    i, j = matrix.pairs.T
    x, y, z = matrix.shifts.T
    forward = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z >= 0))))
    keep = (i < j) | ((i == j) & forward)
    values = matrix.values[np.repeat(keep, np.diff(matrix.pointers))]
    return BlockMatrix(matrix.orbitals, matrix.pairs[keep], matrix.shifts[keep], values, matrix.spinor)


def _complete(half: BlockMatrix) -> BlockMatrix:
    """The Hermitian matrix of which one block of every pair is given."""
    reverse = half.adjoint()
    diagonal = (half.pairs[:, 0] == half.pairs[:, 1]) & ~half.shifts.any(axis=1)
    values = np.where(np.repeat(diagonal, np.diff(reverse.pointers)), 0.0, reverse.values)
    return half + reverse.with_values(values)


def _optional(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

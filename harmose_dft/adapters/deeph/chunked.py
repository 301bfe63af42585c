"""The folders of DeepH-dock and the newer DeepH-pack: POSCAR, info.json, and HDF5 files of concatenated blocks.

``overlap.h5`` and ``hamiltonian.h5`` (eV) hold ``atom_pairs`` (edge, 5: Rx, Ry, Rz, i, j, atoms from 0 in the order of
the POSCAR), ``chunk_shapes`` (edge, 2), ``chunk_boundaries`` (edge + 1) and ``entries`` (all blocks, row by row). All
files of a folder list the same pairs. Orbitals are in the order m = -l..l of each shell, spinor blocks
[[uu, ud], [du, dd]]. With ``split_hkb`` H is 1_2 kron ``hamiltonian.h5`` + ``hkb.h5``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.conventions import OURS
from ...core.errors import FileFormatError, HarmoseError, printable
from ...core.hdf5 import open_hdf5
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.spin import spin_block
from ...core.structure import SYMBOLS, Structure
from .common import (
    DEEPH_BOHR_IN_ANGSTROM,
    DEEPH_HARTREE_IN_EV,
    ELECTRONS,
    basis_of,
    make_record,
    put_in_box,
    read_info,
    single_hamiltonian,
    to_our_order,
    to_their_order,
)

LAYOUT = "chunked"
CONVENTION = OURS
"""DeepH-dock's order is ours: m = -l..l with positive signs (it calls it Wikipedia's)."""

MAP = "elements_orbital_map"
"""Key of info.json: element symbol -> angular momenta of its shells."""


def recognise(folder: Path) -> bool:
    """Whether a folder has this layout."""
    files = ("overlap.h5", "hamiltonian.h5")
    return all((folder / n).is_file() for n in ("POSCAR", "info.json")) and any((folder / n).is_file() for n in files)


def read(folder: Path) -> Record:
    """The calculation in a folder.

    Raises:
        FileFormatError: A file is missing, damaged, or does not fit the others.
    """
    info = read_info(folder / "info.json")
    structure = _structure(folder / "POSCAR")
    basis = _basis(info, structure, folder / "info.json")
    orbitals = basis.orbitals_per_atom(structure.numbers)
    hamiltonian = _hamiltonian(folder, orbitals, info)
    file = folder / "overlap.h5"
    if file.is_file():
        overlap = read_chunks(file, orbitals)
        overlap = spin_block(overlap, 0, 0) if overlap.spinor else overlap
    elif info.get("orthogonal_basis", False):
        atoms = np.stack([np.arange(len(orbitals))] * 2, axis=1)
        ones = np.concatenate([np.eye(n).ravel() for n in orbitals])
        overlap = BlockMatrix(orbitals, atoms, np.zeros((len(orbitals), 3), dtype=np.int64), ones)
    else:
        raise FileFormatError("The folder has no overlap.h5, without which H has no eigenvalues.", path=folder)
    if hamiltonian is not None:
        hamiltonian = to_our_order(hamiltonian, CONVENTION, basis, structure)
    overlap = to_our_order(overlap, CONVENTION, basis, structure)
    return make_record(structure, basis, hamiltonian, overlap, info, "fermi_energy_eV", LAYOUT, folder)


def write(record: Record, folder: Path) -> None:
    """Write a record into an existing, empty folder.

    Atoms are grouped by element, as DeepH-dock expects of a POSCAR. Collinear spin is written as a spinor matrix
    without up-down blocks, a molecule in a cube with vacuum.
    """
    structure, basis = put_in_box(record.structure), record.basis
    assert structure.cell is not None
    first_atom = {z: i for i, z in reversed(list(enumerate(structure.numbers.tolist())))}
    order = np.array(sorted(range(len(structure)), key=lambda a: (first_atom[int(structure.numbers[a])], a)))
    structure = replace(structure, numbers=structure.numbers[order], positions=structure.positions[order])
    hamiltonian, overlap = single_hamiltonian(record), record.overlap
    if hamiltonian is not None:
        hamiltonian, overlap = hamiltonian.unite_with(overlap)
        _write_matrix(folder / "hamiltonian.h5", hamiltonian, order, basis, structure, DEEPH_HARTREE_IN_EV)
    _write_matrix(folder / "overlap.h5", overlap, order, basis, structure, 1.0)
    (folder / "POSCAR").write_text(_poscar(structure))
    info: dict[str, Any] = {
        "atoms_quantity": len(structure),
        "orbits_quantity": int(basis.orbitals_per_atom(structure.numbers).sum()),
        "orthogonal_basis": False,
        "spinful": hamiltonian is not None and hamiltonian.spinor,
        "fermi_energy_eV": None if record.fermi is None else record.fermi * DEEPH_HARTREE_IN_EV,
        MAP: {SYMBOLS[z]: list(basis.angular_momenta(z)) for z in first_atom},
    }
    if np.isfinite(record.n_electrons):
        info[ELECTRONS] = record.n_electrons
    (folder / "info.json").write_text(json.dumps(info, indent=4) + "\n")


def read_chunks(path: Path, orbitals: NDArray[np.int64]) -> BlockMatrix:
    """A matrix file, as it is; whether it carries spin follows from the shapes of its blocks.

    Raises:
        FileFormatError: The file is damaged or does not fit the basis.
    """
    names = ("atom_pairs", "chunk_shapes", "chunk_boundaries", "entries")
    try:
        with open_hdf5(path) as file:
            missing = [n for n in names if n not in file]
            if missing:
                raise FileFormatError(f"The file has no {', '.join(missing)}.", path=path)
            pairs, shapes, boundaries, entries = (file[n][()] for n in names)
    except OSError as error:
        raise FileFormatError(f"This is not a readable HDF5 file ({error}). Copy it again.", path=path) from error
    edges = len(pairs)
    if pairs.shape != (edges, 5) or shapes.shape != (edges, 2) or boundaries.shape != (edges + 1,) or not edges:
        raise FileFormatError(
            f"Expected atom_pairs (n, 5), chunk_shapes (n, 2), chunk_boundaries (n + 1) with n > 0; got {pairs.shape}, "
            f"{shapes.shape}, {boundaries.shape}.", path=path,
        )  # fmt: skip
    atoms = pairs[:, 3:]
    if atoms.min() < 0 or atoms.max() >= len(orbitals):
        raise FileFormatError(f"A pair names an atom outside 0..{len(orbitals) - 1}.", path=path)
    widths = orbitals[atoms]
    spinor = bool((shapes == 2 * widths).all())
    if not spinor and not (shapes == widths).all():
        bad = int(np.flatnonzero((shapes != widths).any(axis=1))[0])
        raise FileFormatError(
            f"The block of pair {pairs[bad].tolist()} has shape {shapes[bad].tolist()}; the basis in info.json needs "
            f"{widths[bad].tolist()}.", path=path,
        )  # fmt: skip
    if (np.diff(boundaries) != shapes.prod(axis=1)).any() or boundaries[0] != 0 or boundaries[-1] != len(entries):
        raise FileFormatError("chunk_boundaries do not fit chunk_shapes and the length of entries.", path=path)
    try:
        return BlockMatrix(orbitals, atoms, pairs[:, :3], entries, spinor)
    except HarmoseError as error:
        raise FileFormatError(str(error), path=path) from error


def _hamiltonian(folder: Path, orbitals: NDArray[np.int64], info: dict[str, Any]) -> BlockMatrix | None:
    """H in Hartree, or None where there is none."""
    file = folder / "hamiltonian.h5"
    if not file.is_file():
        return None
    h = read_chunks(file, orbitals)
    if info.get("split_hkb", False):
        h = h.with_spin() + read_chunks(folder / "hkb.h5", orbitals)
    if h.spinor != bool(info.get("spinful", False)):
        raise FileFormatError(
            f"info.json says spinful = {bool(info.get('spinful', False))}, but the blocks have the shapes of "
            f"{'spinors' if h.spinor else 'spatial orbitals'}.", path=file,
        )  # fmt: skip
    return h.with_values(h.values / DEEPH_HARTREE_IN_EV)


def _structure(path: Path) -> Structure:
    """The structure of a POSCAR, not folded."""
    from ase.io import read as ase_read

    try:
        atoms = ase_read(path, format="vasp")
    except Exception as error:
        raise FileFormatError(f"The POSCAR cannot be read ({type(error).__name__}: {error}).", path=path) from error
    positions, cell = (np.asarray(a) / DEEPH_BOHR_IN_ANGSTROM for a in (atoms.get_positions(), atoms.get_cell()))
    return Structure(np.asarray(atoms.get_atomic_numbers()), positions, cell, name=path.parent.name)


def _basis(info: dict[str, Any], structure: Structure, path: Path) -> OrbitalBasis:
    orbital_map = info.get(MAP)
    symbols = set(structure.symbols)
    if not isinstance(orbital_map, dict) or not symbols <= set(orbital_map):
        raise FileFormatError(f"It needs {MAP} with the shells of {', '.join(sorted(symbols))}.", path=path)
    basis = basis_of({SYMBOLS.index(s): orbital_map[s] for s in symbols})
    for key, count in (("atoms_quantity", len(structure)),
                       ("orbits_quantity", int(basis.orbitals_per_atom(structure.numbers).sum()))):
        if info.get(key, count) != count:
            raise FileFormatError(f"{key} is {info[key]}, but POSCAR and {MAP} give {count}.", path=path)
    return basis


def _write_matrix(
    path: Path, matrix: BlockMatrix, order: NDArray[np.int64], basis: OrbitalBasis, structure: Structure, scale: float
) -> None:
    """Write a matrix with its atoms renumbered: new atom a was atom order[a]."""
    import h5py

    rank = np.argsort(order)
    sorted_matrix = BlockMatrix(matrix.orbitals[order], rank[matrix.pairs], matrix.shifts, matrix.values, matrix.spinor)
    deeph_matrix = to_their_order(sorted_matrix, CONVENTION, basis, structure)
    shapes = deeph_matrix.orbitals[deeph_matrix.pairs] * (2 if deeph_matrix.spinor else 1)
    with h5py.File(path, "w") as file:
        file["atom_pairs"] = np.concatenate([deeph_matrix.shifts, deeph_matrix.pairs], axis=1)
        file["chunk_shapes"] = shapes
        file["chunk_boundaries"] = deeph_matrix.pointers
        file["entries"] = scale * deeph_matrix.values


def _poscar(structure: Structure) -> str:
    """A POSCAR (Cartesian, Angstrom) of a structure whose atoms are grouped by element."""
    assert structure.cell is not None
    elements = list(dict.fromkeys(structure.symbols))

    def rows(array: NDArray[np.float64]) -> list[str]:
        return [" ".join(f"{x:.16f}" for x in row * DEEPH_BOHR_IN_ANGSTROM) for row in array]

    counts = " ".join(str(structure.symbols.count(s)) for s in elements)
    title = printable(" ".join(structure.name.split())) or structure.formula
    head = [title, "1.0", *rows(structure.cell), " ".join(elements), counts, "Cartesian"]
    return "\n".join([*head, *rows(structure.positions)]) + "\n"

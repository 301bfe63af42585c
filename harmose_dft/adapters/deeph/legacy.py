"""DeepH-pack's folders: text files, and HDF5 files with keys "[Rx, Ry, Rz, i, j]".

``lat.dat`` and ``site_positions.dat`` hold vectors as columns (Angstrom), ``element.dat`` atomic numbers,
``orbital_types.dat`` the angular momenta of every atom's shells, ``info.json`` the Fermi level (eV) and whether H
carries spin; ``hamiltonians.h5`` (eV) and ``overlaps.h5`` one matrix per pair, atoms from 1. Orbitals are in OpenMX's
order (DeepH-pack converts the other codes to it), spinor blocks [[uu, ud], [du, dd]].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.conventions import OPENMX
from ...core.errors import FileFormatError
from ...core.record import Record
from ...core.structure import SYMBOLS, Structure
from ..keyed_blocks import assemble_matrix, read_keyed_blocks
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

LAYOUT = "legacy"
FILES = ("element.dat", "lat.dat", "site_positions.dat", "orbital_types.dat")
"""Text files of every folder."""


def recognise(folder: Path) -> bool:
    """Whether a folder has this layout."""
    return all((folder / name).is_file() for name in FILES)


def read(folder: Path) -> Record:
    """The calculation in a folder.

    Raises:
        FileFormatError: A file is missing, damaged, or does not fit the others.
    """
    structure = _structure(folder)
    basis = _basis(folder, structure)
    info = read_info(folder / "info.json")
    orbitals = basis.orbitals_per_atom(structure.numbers)
    file = folder / "overlaps.h5"
    if not file.is_file():
        raise FileFormatError(
            "The folder has no overlaps.h5, without which H has no eigenvalues. Write it too (DeepH-pack's "
            "preprocessing: save_overlap).", path=folder,
        )  # fmt: skip
    overlap = assemble_matrix(read_keyed_blocks(file), orbitals, file)
    hamiltonian = None
    file = folder / "hamiltonians.h5"
    if file.is_file():
        spinor = bool(info.get("isspinful", False))
        matrix = assemble_matrix(read_keyed_blocks(file), orbitals, file, spinor=spinor)
        matrix = matrix.with_values(matrix.values / DEEPH_HARTREE_IN_EV)
        hamiltonian = to_our_order(matrix, OPENMX, basis, structure)
    overlap = to_our_order(overlap, OPENMX, basis, structure)
    return make_record(structure, basis, hamiltonian, overlap, info, "fermi_level", LAYOUT, folder)


def write(record: Record, folder: Path) -> None:
    """Write a record into an existing, empty folder.

    Collinear spin is written as a spinor matrix without up-down blocks, a molecule in a cube with vacuum. Local
    coordinates (``rc.h5``) are not written; DeepH-pack makes them.
    """
    import h5py

    structure, basis = put_in_box(record.structure), record.basis
    assert structure.cell is not None
    matrix = single_hamiltonian(record)
    lattice = structure.cell * DEEPH_BOHR_IN_ANGSTROM
    _save(folder / "lat.dat", lattice.T)
    _save(folder / "rlat.dat", np.asarray(2 * np.pi * np.linalg.inv(lattice), dtype=np.float64))
    _save(folder / "site_positions.dat", structure.positions.T * DEEPH_BOHR_IN_ANGSTROM)
    (folder / "element.dat").write_text("".join(f"{z}\n" for z in structure.numbers.tolist()))
    momenta = (basis.angular_momenta(int(z)) for z in structure.numbers)
    (folder / "orbital_types.dat").write_text("".join(" ".join(map(str, m)) + "\n" for m in momenta))
    info: dict[str, Any] = {"isspinful": matrix is not None and matrix.spinor}
    if record.fermi is not None:
        info["fermi_level"] = record.fermi * DEEPH_HARTREE_IN_EV
    if np.isfinite(record.n_electrons):
        info[ELECTRONS] = record.n_electrons
    (folder / "info.json").write_text(json.dumps(info, indent=4) + "\n")
    for name, m, scale in (("overlaps", record.overlap, 1.0), ("hamiltonians", matrix, DEEPH_HARTREE_IN_EV)):
        if m is not None:
            with h5py.File(folder / f"{name}.h5", "w") as file:
                for i, j, shift, block in to_their_order(m, OPENMX, basis, structure).blocks():
                    file[str([*shift, i + 1, j + 1])] = scale * block
    shifts = np.unique((record.overlap if matrix is None else matrix).shifts, axis=0)
    np.savetxt(folder / "R_list.dat", shifts, fmt="%d")


def _save(path: Path, array: NDArray[np.float64]) -> None:
    np.savetxt(path, array, fmt="%.17g")


def _load(path: Path) -> NDArray[np.float64]:
    """Numbers of a text file, two-dimensional."""
    try:
        return np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"Expected a table of numbers ({error}).", path=path) from error


def _structure(folder: Path) -> Structure:
    lattice, positions, numbers = (_load(folder / name) for name in ("lat.dat", "site_positions.dat", "element.dat"))
    if lattice.shape != (3, 3):
        raise FileFormatError(f"Expected a 3 x 3 table, got {lattice.shape}.", path=folder / "lat.dat")
    if positions.shape != (3, numbers.size):
        raise FileFormatError(
            f"Expected 3 rows and {numbers.size} columns (one per atom of element.dat), got {positions.shape}.",
            path=folder / "site_positions.dat",
        )
    return Structure(
        numbers.ravel().astype(np.int64),
        positions.T / DEEPH_BOHR_IN_ANGSTROM,
        lattice.T / DEEPH_BOHR_IN_ANGSTROM,
        name=folder.name,
    )


def _basis(folder: Path, structure: Structure) -> OrbitalBasis:
    path = folder / "orbital_types.dat"
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) != len(structure) or not all(w.isdigit() for line in lines for w in line):
        raise FileFormatError(f"Expected the angular momenta of {len(structure)} atoms, one line each.", path=path)
    orbitals: dict[int, list[int]] = {}
    for number, (z, words) in enumerate(zip(structure.numbers.tolist(), lines, strict=True), start=1):
        momenta = [int(w) for w in words]
        if orbitals.setdefault(z, momenta) != momenta:
            raise FileFormatError(
                f"{SYMBOLS[z]} has the shells {momenta} here and {orbitals[z]} before; one basis per element is "
                "supported.", path=path, line=number,
            )  # fmt: skip
    return basis_of(orbitals)



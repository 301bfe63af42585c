"""The result file: everything a prediction consists of, in HDF5, Hartree atomic units and our orbital order.

Layout (version 1)::

    /                    attributes: format, version, units; data set basis (JSON of OrbitalBasis)
    /0000, /0001, ...    one group per structure; attributes: formula, charge, spin, n_electrons, provenance (JSON), ...
        numbers          (atom,)
        positions        (atom, 3) Bohr
        cell             (3, 3) Bohr, rows; crystals only
        orbitals         (ao, 3) atom index, l, m of every orbital
        hamiltonian      molecules: (ao, ao) or, with two spins, (2, ao, ao); crystals: group per spin, see below
        overlap          molecules: (ao, ao); crystals: group
        stage1           as hamiltonian: the baseline before the second stage's correction, where there is one
        energies         (..., mo) Hartree
        coefficients     (..., ao, mo), orbitals as columns
        occupations      (..., mo) electrons
        kpoints, weights (k, 3), (k,); crystals only

A crystal's matrix is a group with ``pairs`` (edge, 2), ``shifts`` (edge, 3) and ``values``: block e is
<phi_i,0|A|phi_j,shift>, row by row, one block after the other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis, Shell
from ..core.errors import FileFormatError, HarmoseError
from ..core.files import atomic_path
from ..core.hdf5 import open_hdf5
from ..core.matrix import BlockMatrix
from ..core.record import Record, read_provenance
from ..core.spectrum import Spectrum
from ..core.structure import SYMBOLS, Structure

if TYPE_CHECKING:
    import h5py

FORMAT = "harmose_dft result"
VERSION = 1


@dataclass(frozen=True, eq=False)
class Result:
    """A Hamiltonian with its spectrum.

    Args:
        record: Structure, basis, matrices and provenance.
        spectrum: Solution of the eigenproblem.
        stage1: The first stage's baseline Hamiltonian, as many matrices as the record's; empty where there is none.
    """

    record: Record
    spectrum: Spectrum
    stage1: tuple[BlockMatrix, ...] = ()


def write_results(path: str | Path, results: Sequence[Result], *, force: bool = False) -> None:
    """Write a result file.

    Args:
        path: The file.
        results: One per structure, with the same orbitals for the same element.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
        HarmoseError: There is nothing to write, the bases differ, or the disk is full.
    """
    import h5py

    if not results:
        raise HarmoseError("There are no results to write.")
    basis = _common_basis(results)
    with atomic_path(path, force) as temporary:
        # Built in memory: HDF5 crashes the process when a disk runs full under an open file.
        with h5py.File(temporary.name, "w", driver="core", backing_store=False) as file:
            file.attrs.update({"format": FORMAT, "version": VERSION, "units": "Hartree, Bohr"})
            file["basis"] = json.dumps(basis.to_dict())
            for index, result in enumerate(results):
                _write_one(file.create_group(f"{index:04d}"), result)
            file.flush()
            image = file.id.get_file_image()
        temporary.write_bytes(image)


def _common_basis(results: Sequence[Result]) -> OrbitalBasis:
    """The union of the results' bases, which must agree on common elements."""
    shells: dict[int, tuple[Shell, ...]] = {}
    for basis in (result.record.basis for result in results):
        common_basis = OrbitalBasis(basis.name, shells)
        for z in basis.elements:
            if z in shells and common_basis.element_fingerprint(z) != basis.element_fingerprint(z):
                raise HarmoseError(
                    f"The results have different orbitals for {SYMBOLS[z]}; one file holds one basis. "
                    "Write them to several files."
                )
            shells[z] = basis.shells[z]
    return OrbitalBasis(results[0].record.basis.name, shells)


def _write_one(group: h5py.Group, result: Result) -> None:
    record, structure, spectrum = result.record, result.record.structure, result.spectrum
    group.attrs["formula"] = structure.formula
    group.attrs["name"] = structure.name
    group.attrs["charge"] = structure.charge
    group.attrs["spin"] = structure.spin
    group.attrs["n_electrons"] = record.n_electrons
    for name, value in (("energy", record.energy), ("fermi", record.fermi), ("spectrum_fermi", spectrum.fermi)):
        if value is not None:
            group.attrs[name] = value
    group.attrs["provenance"] = json.dumps(dict(record.provenance))
    group["numbers"] = structure.numbers
    group["positions"] = structure.positions
    if structure.cell is not None:
        group["cell"] = structure.cell
    group["orbitals"] = orbital_labels(structure, record.basis)
    _write_matrices(group, "hamiltonian", record.hamiltonian, structure.periodic)
    _write_matrices(group, "overlap", (record.overlap,), structure.periodic)
    _write_matrices(group, "stage1", result.stage1, structure.periodic)
    for name in ("energies", "coefficients", "occupations", "kpoints", "weights"):
        if (array := getattr(spectrum, name)) is not None:
            group[name] = array


def orbital_labels(structure: Structure, basis: OrbitalBasis) -> NDArray[np.int64]:
    """Atom index, l and m of every orbital, (ao, 3)."""
    rows = [
        (atom, l, m)
        for atom, z in enumerate(structure.numbers)
        for l in basis.angular_momenta(int(z))
        for m in range(-l, l + 1)
    ]
    return np.array(rows, dtype=np.int64)


def _write_matrices(group: h5py.Group, name: str, matrices: tuple[BlockMatrix, ...], periodic: bool) -> None:
    """Matrices of one or two spins: dense for a molecule, blocks for a crystal."""
    if not matrices:
        return
    if not periodic:
        dense = np.stack([m.to_dense() for m in matrices])
        group[name] = dense[0] if len(matrices) == 1 else dense
        group[name].attrs["spinor"] = matrices[0].spinor
        return
    holder = group.create_group(name)
    for spin, matrix in enumerate(matrices):
        group_of_spin = holder.create_group(str(spin))
        group_of_spin.attrs["spinor"] = matrix.spinor
        for part in ("pairs", "shifts", "values"):
            group_of_spin[part] = getattr(matrix, part)


def is_result(path: str | Path) -> bool:
    """Whether a file is a result file."""
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with open_hdf5(path) as file:
        return bool(file.attrs.get("format") == FORMAT)


def read_results(path: str | Path) -> list[Result]:
    """Read a result file.

    Raises:
        FileFormatError: The file is missing, damaged, or not a result file.
    """
    try:
        with open_hdf5(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise FileFormatError("This HDF5 file is not a result of harmose-dft predict.", path=path)
            if file.attrs["version"] > VERSION:
                raise FileFormatError(
                    f"The file has version {file.attrs['version']}; this program reads up to {VERSION}. Update it.",
                    path=path,
                )
            basis = OrbitalBasis.from_dict(json.loads(file["basis"].asstr()[()]))
            return [_read_one(file[name], basis) for name in sorted(set(file) - {"basis"}, key=int)]
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise FileFormatError(f"The result file cannot be read ({error}). Write it again.", path=path) from error


def read_result(path: str | Path) -> Result:
    """Read a result file that holds one structure.

    Raises:
        FileFormatError: The file is damaged, or holds several structures.
    """
    results = read_results(path)
    if len(results) != 1:
        raise FileFormatError(f"The file holds {len(results)} structures; use read_results.", path=path)
    return results[0]


def _read_one(group: h5py.Group, basis: OrbitalBasis) -> Result:
    attributes = group.attrs
    cell = group["cell"][()] if "cell" in group else None
    structure = Structure(
        group["numbers"][()], group["positions"][()], cell, int(attributes["charge"]), int(attributes["spin"]),
        str(attributes["name"]),
    )
    orbitals = basis.orbitals_per_atom(structure.numbers)
    record = Record(
        structure,
        basis,
        _read_matrices(group, "hamiltonian", orbitals),
        _read_matrices(group, "overlap", orbitals)[0],
        float(attributes["n_electrons"]),
        fermi=_number(attributes.get("fermi")),
        energy=_number(attributes.get("energy")),
        provenance=read_provenance(attributes["provenance"]),
    )
    arrays = {n: group[n][()] if n in group else None for n in ("weights", "kpoints")}
    spectrum = Spectrum(
        group["energies"][()], group["coefficients"][()], group["occupations"][()], arrays["weights"],
        _number(attributes.get("spectrum_fermi")), arrays["kpoints"],
    )
    return Result(record, spectrum, _read_matrices(group, "stage1", orbitals))


def _read_matrices(group: h5py.Group, name: str, orbitals: NDArray[np.int64]) -> tuple[BlockMatrix, ...]:
    """Inverse of :func:`_write_matrices`."""
    if name not in group:
        return ()
    subgroup = group[name]
    if not hasattr(subgroup, "keys"):
        dense, spinor = subgroup[()], bool(subgroup.attrs["spinor"])
        dense = dense[None] if dense.ndim == 2 else dense
        return tuple(BlockMatrix.from_dense(d, orbitals, spinor=spinor) for d in dense)
    return tuple(
        BlockMatrix(orbitals, s["pairs"][()], s["shifts"][()], s["values"][()], bool(s.attrs["spinor"]))
        for s in (subgroup[k] for k in sorted(subgroup))
    )


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]

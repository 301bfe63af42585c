"""The result file: everything a prediction consists of, in HDF5, Hartree atomic units and our orbital order.

Layout (version 1)::

    /                    attributes: format, version, units; data set basis (JSON of OrbitalBasis)
    /0001, /0002, ...    one group per structure; attributes: formula, charge, spin, n_electrons, provenance (JSON), ...
        numbers          (atom,)
        positions        (atom, 3) Bohr
        cell             (3, 3) Bohr, rows; crystals only
        orbitals         (ao, 3) atom index, l, m of every orbital
        hamiltonian      molecules: (ao, ao) or, with two spins, (2, ao, ao); crystals: group per spin, see below
        overlap          molecules: (ao, ao); crystals: group
        stage1           as hamiltonian: the baseline before the second stage's correction, where there is one
        network          as hamiltonian: the network's own, where Fock builds have refined it to hamiltonian
        energies         (..., mo) Hartree
        coefficients     (..., ao, mo), orbitals as columns
        occupations      (..., mo) electrons
        kpoints, weights (k, 3), (k,); crystals only

A crystal's matrix is a group with ``pairs`` (edge, 2), ``shifts`` (edge, 3) and ``values``: block e is
<phi_i,0|A|phi_j,shift>, row by row, one block after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis, Shell
from ..core.errors import FileFormatError, HarmoseError
from ..core.files import require_space
from ..core.guard import name_damage
from ..core.hdf5 import Shape, check_arrays, open_hdf5
from ..core.hdf5_writer import SPARE_BYTES, HDF5Writer
from ..core.matrix import BlockMatrix
from ..core.record import Record, read_provenance
from ..core.soundness import require_sound, require_sound_spectrum
from ..core.spectrum import Spectrum
from ..core.spin import electrons_per_orbital
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
        network: The network's own Hamiltonian, where the record's was refined; otherwise empty.
    """

    record: Record
    spectrum: Spectrum
    stage1: tuple[BlockMatrix, ...] = ()
    network: tuple[BlockMatrix, ...] = ()


class ResultWriter(HDF5Writer):
    """A result file being written, one structure after the other."""

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        super().__init__(path, force=force)
        self._name, self._shells, self._count = "", dict[int, tuple[Shell, ...]](), 0

    def _begin(self, file: h5py.File) -> None:
        file.attrs.update({"format": FORMAT, "version": VERSION, "units": "Hartree, Bohr"})

    def add(self, result: Result) -> None:
        """Write one structure; groups are numbered from one.

        Raises:
            HarmoseError: Its orbitals are not those of the results before it, or the disk is full.
        """
        self._join(result.record.basis)
        require_space(self.path.parent, _count_bytes(result) + SPARE_BYTES)
        self._count += 1
        _write_one(self._open.create_group(f"{self._count:04d}"), result)
        self._open.flush()

    def _join(self, basis: OrbitalBasis) -> None:
        """Add the elements of a basis, which must agree on common ones."""
        self._name = self._name or basis.name
        common_basis = OrbitalBasis(self._name, self._shells)
        for z in basis.elements:
            if z in self._shells and common_basis.element_fingerprint(z) != basis.element_fingerprint(z):
                raise HarmoseError(
                    f"The results have different orbitals for {SYMBOLS[z]}; one file holds one basis. "
                    "Write them to several files."
                )
            self._shells[z] = basis.shells[z]

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            if not self._count:
                raise HarmoseError("There are no results to write.")
            self._open["basis"] = json.dumps(OrbitalBasis(self._name, self._shells).to_dict())


def write_results(path: str | Path, results: Iterable[Result], *, force: bool = False) -> None:
    """Write a result file.

    Args:
        path: The file.
        results: One per structure, with the same orbitals for the same element.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
        HarmoseError: There is nothing to write, the bases differ, or the disk is full.
    """
    with ResultWriter(path, force=force) as writer:
        for result in results:
            writer.add(result)


def _count_bytes(result: Result) -> int:
    """Bytes that a result takes in a file, as dense matrices of molecules do."""
    matrices = (*result.record.hamiltonian, result.record.overlap, *result.stage1, *result.network)
    periodic = result.record.structure.periodic
    stored = sum(m.values.nbytes + m.pairs.nbytes + m.shifts.nbytes if periodic else 8 * m.size**2 for m in matrices)
    return int(stored) + result.spectrum.coefficients.nbytes


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
    _write_matrices(group, "network", result.network, structure.periodic)
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
    with name_damage(path), open_hdf5(path) as file:
        return bool(str(file.attrs.get("format")) == FORMAT)


def read_results(path: str | Path) -> list[Result]:
    """Read a result file.

    Raises:
        FileFormatError: The file is missing, damaged, or not a result file.
    """
    return list(iterate_results(path))


def iterate_results(path: str | Path) -> Iterator[Result]:
    """The structures of a result file one by one, so that only one is in memory.

    Raises:
        FileFormatError: The file is missing, damaged, or not a result file.
    """
    with name_damage(path, "The result file"), open_hdf5(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise FileFormatError("This HDF5 file is not a result of harmose-dft predict.", path=path)
        if int(file.attrs["version"]) > VERSION:
            raise FileFormatError(
                f"The file has version {file.attrs['version']}; this program reads up to {VERSION}. Update it.",
                path=path,
            )
        check_arrays(file, {"basis": ("O", ())}, path)
        basis = OrbitalBasis.from_dict(json.loads(file["basis"].asstr()[()]))
        for name in sorted(set(file) - {"basis"}, key=int):
            yield _read_one(file[name], basis, path)


def read_result(path: str | Path) -> Result:
    """Read a result file that holds one structure.

    Raises:
        FileFormatError: The file is damaged, or holds several structures.
    """
    results = read_results(path)
    if len(results) != 1:
        raise FileFormatError(f"The file holds {len(results)} structures; use read_results.", path=path)
    return results[0]


STORED: dict[str, tuple[str, Shape]] = {"numbers": ("iu", (None,)), "positions": ("f", (None, 3))}
OPTIONAL: dict[str, tuple[str, Shape]] = {
    "cell": ("f", (3, 3)), "kpoints": ("f", (None, 3)), "weights": ("f", (None,)), "orbitals": ("iu", (None, 3)),
}
"""Arrays of a structure's group: name -> kind of the numbers, and shape."""


def _read_one(group: h5py.Group, basis: OrbitalBasis, path: str | Path) -> Result:
    """One structure.

    Raises:
        FileFormatError: An array is of another type or shape.
        DataError: The numbers are damaged.
    """
    check_arrays(group, STORED | {name: kind for name, kind in OPTIONAL.items() if name in group}, path)
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
        _number(attributes.get("spectrum_fermi")), arrays["kpoints"], electrons_per_orbital(record.hamiltonian),
    )
    stage1, network = (_read_matrices(group, name, orbitals) for name in ("stage1", "network"))
    require_sound(record, str(path))
    require_sound_spectrum(record, spectrum)
    for matrices, name in ((stage1, "stage 1"), (network, "the network's H")):
        if matrices:
            require_sound(replace(record, hamiltonian=matrices), f"{path}, {name}")
    if "orbitals" in group and not np.array_equal(group["orbitals"][()], orbital_labels(structure, basis)):
        raise FileFormatError(f"The orbitals of {structure.formula} are not those of the basis.", path=path)
    return Result(record, spectrum, stage1, network)


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

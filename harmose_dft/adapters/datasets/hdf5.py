"""HDF5 files of PySCF matrices: frames of one molecule, ragged files, and one group per molecule.

All three keep Hartree, Angstrom and PySCF's spherical orbital order, and say ``xc``, ``basis`` and ``units`` in their
attributes:

* frames: ``numbers (atom,)``, ``positions (frame, atom, 3)``, ``fock (frame, ao, ao)``, ``energy``, ``mo_energy``;
* ragged: ``atom_ptr``, ``ao_ptr``, ``fock_ptr`` into ``numbers``, ``positions``, ``mo_energy`` and ``fock_tril``, the
  lower triangles row by row; per molecule ``energy`` and, where they are, ``smiles``, ``temperature``, ``charge``;
* groups: one group per molecule with ``numbers``, ``positions``, ``fock_tril``, ``mo_energy`` and attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.guard import name_damage
from ...core.hdf5 import Shape, check_arrays, open_hdf5
from ...core.structure import Structure
from ..pyscf.known_names import require_known_basis
from .base import Entry, GaussianDataset, from_triangle

if TYPE_CHECKING:
    import h5py

UNITS = "hartree,angstrom"
"""Attribute ``units`` of these files."""

ANY: Shape = (None,)
POINTERS = dict.fromkeys(("atom_ptr", "ao_ptr", "fock_ptr"), ("iu", ANY))
RAGGED: dict[str, tuple[str, Shape]] = {
    **POINTERS, "numbers": ("iu", ANY), "positions": ("f", (None, 3)), "fock_tril": ("f", ANY), "mo_energy": ("f", ANY),
    "energy": ("f", ANY),
}
FRAMES: dict[str, tuple[str, Shape]] = {
    "numbers": ("iu", ANY), "positions": ("f", (None, None, 3)), "fock": ("f", (None, None, None)),
    "energy": ("f", ANY), "mo_energy": ("f", (None, None)),
}
GROUP: dict[str, tuple[str, Shape]] = {
    "numbers": ("iu", ANY), "positions": ("f", (None, 3)), "fock_tril": ("f", ANY), "mo_energy": ("f", ANY),
}
"""The layouts: name -> kind of the numbers, and shape."""


def open_pyscf_file(path: Path) -> GaussianDataset | None:
    """The data set in a file of one of the three layouts; None for an HDF5 file of another kind.

    Raises:
        FileFormatError: The file is damaged, or lacks its attributes.
    """
    import h5py

    try:
        with open_hdf5(path) as file, name_damage(path):
            names = set(file)
            first_item = file[min(names)] if names else None
            is_grouped = isinstance(first_item, h5py.Group) and set(GROUP) <= set(first_item)
    except OSError as error:
        raise FileFormatError("The HDF5 file is truncated or damaged; copy or create it again.", path=path) from error
    if set(RAGGED) <= names:
        return RaggedFile(path)
    if set(FRAMES) <= names:
        return FramesFile(path)
    return GroupedFile(path) if is_grouped else None


class _PyscfFile(GaussianDataset):
    """An open HDF5 file with the attributes that the three layouts share."""

    def __init__(self, path: Path) -> None:
        import pyscf.lib.parameters

        self._file = open_hdf5(path)
        self._bohr = pyscf.lib.parameters.BOHR
        attrs = self._file.attrs
        missing = [name for name in ("basis", "xc", "units") if name not in attrs]
        if missing or attrs["units"] != UNITS:
            raise FileFormatError(
                f"The file needs the attributes basis, xc and units = {UNITS!r}; "
                + (f"{', '.join(missing)} is missing." if missing else f"got units = {attrs['units']!r}."),
                path=path,
            )
        super().__init__(path, require_known_basis(str(attrs["basis"]), path))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _common(self, **extra: str) -> dict[str, str]:
        """Metadata that all records share, with that of one record."""
        attrs = self._file.attrs
        common = {"code": "PySCF", "functional": str(attrs["xc"]), "basis": self.basis_name, "source": self.path.name}
        optional_keys = {"version": "pyscf", "grid_level": "grid_level"}
        return common | {k: str(attrs[name]) for k, name in optional_keys.items() if name in attrs} | extra

    def _structure(
        self, numbers: NDArray[Any], positions: NDArray[Any], name: str = "", charge: float = 0
    ) -> Structure:
        if charge != int(charge):
            raise FileFormatError(f"The molecule {name} has the charge {charge}; expected an integer.", path=self.path)
        return Structure(numbers, positions / self._bohr, charge=int(charge), name=name)

    def _read(self, name: str, begin: int, end: int) -> NDArray[Any]:
        with name_damage(self.path, f"The array {name}"):
            return np.asarray(self._file[name][begin:end])


class FramesFile(_PyscfFile):
    """Frames of one molecule."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_arrays(self._file, FRAMES, path)
        atoms, frames = len(self._file["numbers"]), len(self._file["positions"])
        orbitals = self._file["fock"].shape[-1]
        shapes: dict[str, tuple[str, Shape]] = {
            "positions": ("f", (frames, atoms, 3)), "fock": ("f", (frames, orbitals, orbitals)),
            "energy": ("f", (frames,)), "mo_energy": ("f", (frames, None)),
        }  # fmt: skip
        check_arrays(self._file, shapes, path)

    def __len__(self) -> int:
        return int(self._file["positions"].shape[0])

    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur."""
        return tuple(np.unique(self._file["numbers"][()]).tolist())

    def structure(self, index: int) -> Structure:
        """Structure of a frame."""
        i = self._check_index(index)
        return self._structure(self._file["numbers"][()], self._read("positions", i, i + 1)[0], f"frame {i}")

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a frame."""
        attrs = self._file.attrs
        extra = {k: str(attrs[k]) for k in ("smiles", "temperature") if k in attrs}
        return self._common(frame=str(self._check_index(index)), **extra)

    def entry(self, index: int) -> Entry:
        """A frame with its matrix."""
        fock, levels, energy = (self._read(n, index, index + 1)[0] for n in ("fock", "mo_energy", "energy"))
        return Entry(self.structure(index), fock, energy=float(energy), levels=levels)


class RaggedFile(_PyscfFile):
    """Different molecules in flat arrays with pointers."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_arrays(self._file, RAGGED, path)
        if "charge" in self._file:
            check_arrays(self._file, {"charge": ("iu", (len(self._file["energy"]),))}, path)
        self._pointers = {name: self._file[f"{name}_ptr"][()].astype(np.int64) for name in ("atom", "ao", "fock")}
        count = len(self._file["energy"])
        for name, pointers in self._pointers.items():
            if len(pointers) != count + 1 or pointers[0] != 0 or (np.diff(pointers) < 0).any():
                raise FileFormatError(f"{name}_ptr does not rise from 0, one for each of {count} molecules.", path=path)
        ends = {"atom": "numbers", "ao": "mo_energy", "fock": "fock_tril"}
        for name, target in ends.items():
            if len(self._file[target]) != self._pointers[name][-1]:
                raise FileFormatError(f"{name}_ptr does not fit {target}; the file is incomplete.", path=path)

    def __len__(self) -> int:
        return len(self._pointers["atom"]) - 1

    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur."""
        return tuple(np.unique(self._file["numbers"][()]).tolist())

    def _slice(self, kind: str, dataset: str, index: int) -> NDArray[Any]:
        begin, end = self._pointers[kind][index : index + 2]
        return self._read(dataset, int(begin), int(end))

    def structure(self, index: int) -> Structure:
        """Structure of a molecule."""
        i = self._check_index(index)
        name = self.metadata(i).get("smiles", "")
        charge = int(self._file["charge"][i]) if "charge" in self._file else 0
        return self._structure(self._slice("atom", "numbers", i), self._slice("atom", "positions", i), name, charge)

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a molecule."""
        i = self._check_index(index)
        extra = {}
        if "smiles" in self._file:
            extra["smiles"] = self._file["smiles"].asstr()[i]
        if "temperature" in self._file:
            extra["temperature"] = str(self._file["temperature"][i])
        return self._common(**extra)

    def entry(self, index: int) -> Entry:
        """A molecule with its matrix."""
        return Entry(
            self.structure(index),
            from_triangle(self._slice("fock", "fock_tril", index)),
            energy=float(self._file["energy"][index]),
            levels=self._slice("ao", "mo_energy", index),
        )


class GroupedFile(_PyscfFile):
    """One HDF5 group per molecule."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        groups = ((name, item) for name, item in self._file.items() if hasattr(item, "keys"))
        self._names = sorted(name for name, group in groups if set(GROUP) <= set(group))

    def __len__(self) -> int:
        return len(self._names)

    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur."""
        return tuple(sorted({int(z) for name in self._names for z in self._file[name]["numbers"][()]}))

    def _group(self, index: int) -> h5py.Group:
        """The group of a molecule, with the arrays it must have."""
        group = self._file[self._names[self._check_index(index)]]
        check_arrays(group, GROUP, self.path)
        return group

    def structure(self, index: int) -> Structure:
        """Structure of a molecule."""
        group = self._file[self._names[self._check_index(index)]]
        smiles, charge = str(group.attrs.get("smiles", "")), group.attrs.get("charge", 0)
        if np.ndim(charge) or np.asarray(charge).dtype.kind not in "iuf":
            raise FileFormatError(f"The charge of the molecule {smiles} is no number.", path=self.path)
        return self._structure(group["numbers"][()], group["positions"][()], smiles, float(charge))

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a molecule."""
        name = self._names[self._check_index(index)]
        attrs = self._file[name].attrs
        return self._common(group=name, **{k: str(attrs[k]) for k in ("smiles", "temperature") if k in attrs})

    def entry(self, index: int) -> Entry:
        """A molecule with its matrix."""
        group = self._group(index)
        energy = group.attrs.get("energy")
        return Entry(
            self.structure(index),
            from_triangle(group["fock_tril"][()]),
            energy=None if energy is None else float(energy),
            levels=group["mo_energy"][()],
        )

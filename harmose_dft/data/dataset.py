"""Reading data sets: a common interface, and the package's own HDF5 format."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import BasisMismatchError, DataError, FileFormatError
from ..core.guard import OutOfRangeError, name_damage
from ..core.hdf5 import HDF5_SIGNATURE, check_arrays, open_hdf5
from ..core.record import Record, read_provenance
from ..core.soundness import require_sound
from ..core.structure import Structure
from .columns import FORMAT, LEVELS, STRING, VERSION, Failure, Rows, decode, decode_structure
from .identity import structure_id

if TYPE_CHECKING:
    import h5py

KINDS = {"O": "O", "i": "iu", "u": "iub", "f": "f"}
"""Kind of a column's type in the layout -> kinds that are read."""

LIGHT = ("records", "atoms")
"""Levels that a structure needs."""


class Dataset(ABC):
    """A sequence of records, read when asked for. Records carry the basis restricted to their elements."""

    path: Path

    @abstractmethod
    def __len__(self) -> int:
        """Number of records."""

    @abstractmethod
    def __getitem__(self, index: int) -> Record:
        """A record; raises IndexError outside 0..len-1 (negative numbers count from the end)."""

    @abstractmethod
    def structure(self, index: int) -> Structure:
        """Structure of a record, without reading its matrices."""

    @abstractmethod
    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a record, without reading its matrices."""

    @property
    @abstractmethod
    def basis(self) -> OrbitalBasis:
        """The one basis of all records, over all elements that occur; raises DataError where there are several."""

    @property
    def ids(self) -> list[str]:
        """:func:`structure_id` of every record."""
        return [structure_id(self.structure(i)) for i in range(len(self))]

    def __iter__(self) -> Iterator[Record]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path.name!r}, {len(self)} records)"

    def _check_index(self, index: int) -> int:
        """A non-negative index."""
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"{self.path.name} has {len(self)} records; there is no record {index}.")
        return int(index) % len(self)


class HDF5Dataset(Dataset):
    """A file in the package's own format (see :mod:`harmose_dft.data.columns`).

    The file is opened on first use in each process, so that a data set can be handed to worker processes.

    Args:
        path: The file.

    Raises:
        FileFormatError: The file is not such a data set, is truncated, or of a newer version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._handle: h5py.File | None = None
        self._process = 0
        with name_damage(self.path):
            self._check_layout()

    def _check_layout(self) -> None:
        """Open the file and check its layout."""
        attrs = self._file.attrs
        if attrs.get("format") != FORMAT:
            raise FileFormatError(
                "This HDF5 file is not a data set of harmose_dft. Make one by harmose-dft convert or label.",
                path=self.path,
            )
        if int(attrs.get("version", 0)) > VERSION:
            raise FileFormatError(
                f"The data set has format version {attrs['version']}; this program reads up to {VERSION}. Update "
                "harmose_dft.",
                path=self.path,
            )
        self._check_lengths()

    def __enter__(self) -> HDF5Dataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    @property
    def _file(self) -> h5py.File:
        if self._handle is None or self._process != os.getpid():
            self._handle, self._process = _open_hdf5(self.path), os.getpid()
        return self._handle

    def _check_lengths(self) -> None:
        """Compare the file with the layout: names, types, shapes, lengths of columns, and pointers."""
        for name, level in LEVELS.items():
            group = self._file.get(name)
            if group is None or not hasattr(group, "keys"):
                raise FileFormatError(f"The data set is damaged: the group {name} is missing.", path=self.path)
            columns = {c: (KINDS[np.dtype("O" if kind == STRING else kind).kind], (None, *shape))
                       for c, (kind, shape) in level.columns.items()}
            check_arrays(group, columns, self.path)
            rows = {group[column].shape[0] for column in columns}
            if level.parent is not None:
                check_arrays(group, {"pointers": ("iu", (None,))}, self.path)
                pointers = self._pointers[name]
                parent_column = next(iter(LEVELS[level.parent].columns))
                parents = self._file[f"{level.parent}/{parent_column}"].shape[0]
                if len(pointers) != parents + 1 or pointers[0] != 0 or (np.diff(pointers) < 0).any():
                    raise FileFormatError(
                        f"The pointers of '{name}' do not rise from 0, one for each of {parents} rows.", path=self.path
                    )
                rows.add(int(pointers[-1]))
            if len(rows) != 1:
                raise FileFormatError(f"The columns of '{name}' have different lengths: {rows}.", path=self.path)

    @cached_property
    def _pointers(self) -> dict[str, NDArray[np.int64]]:
        return {n: self._file[f"{n}/pointers"][()] for n, level in LEVELS.items() if level.parent is not None}

    @cached_property
    def _record_columns(self) -> dict[str, NDArray[Any]]:
        return {name: self._read("records", name, slice(None)) for name in LEVELS["records"].columns}

    @cached_property
    def bases(self) -> tuple[OrbitalBasis, ...]:
        """The bases of the file; a record names one of them."""
        with name_damage(self.path, "The list of bases"):
            check_arrays(self._file, {"bases": ("u", (None,))}, self.path)
            return tuple(OrbitalBasis.from_dict(d) for d in json.loads(self._file["bases"][()].tobytes()))

    @property
    def basis(self) -> OrbitalBasis:
        """The one basis of all records."""
        try:
            return OrbitalBasis.union(self.bases)
        except BasisMismatchError as error:
            names = ", ".join(repr(b) for b in self.bases)
            raise DataError(
                f"{self.path} mixes orbital bases ({names}); elements need the same orbitals throughout. {error}"
            ) from error

    @property
    def ids(self) -> list[str]:
        """:func:`structure_id` of every record."""
        return [str(key) for key in self._record_columns["id"]]

    @property
    def attributes(self) -> dict[str, str]:
        """Provenance of the file as a whole."""
        prefix = "provenance "
        return {k.removeprefix(prefix): str(v) for k, v in self._file.attrs.items() if k.startswith(prefix)}

    @property
    def failures(self) -> list[Failure]:
        """Structures that could not be calculated."""
        names = ("id", "name", "reason")
        with name_damage(self.path, "The list of failures"):
            check_arrays(self._file["failed"], dict.fromkeys(names, ("O", (None,))), self.path)
            columns = [self._file[f"failed/{name}"].asstr()[()] for name in names]
            return [Failure(*map(str, row)) for row in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return int(self._file["records/id"].shape[0])

    def __getitem__(self, index: int) -> Record:
        i = self._check_index(index)
        with name_damage(self.path, f"Record {i}"):
            rows = self.rows(i)
            number = int(rows.columns["records", "basis"][0])
            if not 0 <= number < len(self.bases):
                raise FileFormatError(f"Record {i} names basis {number} of {len(self.bases)}.", path=self.path)
            record = decode(rows, _restrict(self.bases[number], rows.columns["atoms", "numbers"]))
            return require_sound(record, f"{self.path}, record {i}")

    def structure(self, index: int) -> Structure:
        """Structure of a record, without reading its matrices."""
        i = self._check_index(index)
        with name_damage(self.path, f"Record {i}"):
            return decode_structure(self.rows(i, LIGHT))

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a record, without reading its matrices."""
        i = self._check_index(index)
        with name_damage(self.path, f"Record {i}"):
            return read_provenance(self._record_columns["provenance"][i])

    def array(self, level: str, column: str) -> NDArray[Any]:
        """A whole column, such as ("atoms", "positions") or ("records", "energy"), in one read."""
        return self._read(level, column, slice(None))

    def pointers(self, level: str) -> NDArray[np.int64]:
        """Start of the rows of each parent row in a level, (parent + 1,)."""
        return self._pointers[level]

    def rows(self, index: int, levels: tuple[str, ...] = tuple(LEVELS)) -> Rows:
        """Columns of one record.

        Args:
            index: Number of the record.
            levels: Levels to read, parents first.
        """
        spans: dict[str | None, tuple[int, int]] = {"records": (index, index + 1)}
        columns: dict[tuple[str, str], NDArray[Any]] = {}
        counts: dict[str, NDArray[np.int64]] = {}
        for name in levels:
            level = LEVELS[name]
            if level.parent is None:
                columns.update({(name, c): self._record_columns[c][index : index + 1] for c in level.columns})
                continue
            begin, end = spans[level.parent]
            pointers = self._pointers[name][begin : end + 1]
            spans[name] = int(pointers[0]), int(pointers[-1])
            counts[name] = np.diff(pointers)
            for column in level.columns:
                columns[name, column] = self._read(name, column, slice(*spans[name]))
        return Rows(columns, counts)

    def _read(self, level: str, column: str, selection: slice) -> NDArray[Any]:
        with name_damage(self.path, f"The column {level}/{column}"):
            data = self._file[f"{level}/{column}"]
            return np.asarray(
                data.asstr()[selection] if LEVELS[level].columns[column][0] == STRING else data[selection]
            )


def open_dataset(path: str | Path) -> HDF5Dataset:
    """Open a data set in the package's own format.

    ``harmose_dft.adapters.datasets.open_dataset`` opens foreign formats as well.

    Args:
        path: The file.

    Raises:
        FileFormatError: The file is missing, truncated, or not such a data set.
        DataError: It holds no records.
    """
    dataset = HDF5Dataset(path)
    if len(dataset) == 0:
        content = "only failures" if dataset.failures else "nothing"
        raise DataError(f"{path} holds no records, {content}. Convert or label calculations first.")
    return dataset


def _open_hdf5(path: Path) -> h5py.File:
    try:
        return open_hdf5(path, rdcc_nbytes=1 << 24)
    except OSError as error:
        with path.open("rb") as file:
            start = file.read(8)
        if start != HDF5_SIGNATURE:
            raise FileFormatError(
                "This is not an HDF5 file, as data sets and results are. Give one, or make a data set by harmose-dft "
                "convert or label.", path=path,
            ) from error
        raise FileFormatError("The HDF5 file is truncated or damaged; copy or create it again.", path=path) from error


def _restrict(basis: OrbitalBasis, numbers: NDArray[Any]) -> OrbitalBasis:
    return basis.restrict(np.unique(numbers).tolist())

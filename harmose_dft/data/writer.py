"""Writing data sets: whole files, atomically; and joining files without decoding their records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.basis import OrbitalBasis
from ..core.conventions import OURS
from ..core.files import require_space
from ..core.hdf5_writer import SPARE_BYTES, HDF5Writer
from ..core.record import Record
from ..core.soundness import require_sound
from ..core.version import __version__
from .columns import FORMAT, LEVELS, STRING, VERSION, Failure, Rows, encode
from .dataset import HDF5Dataset

if TYPE_CHECKING:
    import h5py

CHUNK_BYTES = 1 << 18
"""Size of the compressed chunks of a column."""

BUFFERED_VALUES = 1 << 21
"""Matrix elements held in memory before they are written (16 MB); small appends are slow in HDF5."""

BUFFERED_RECORDS = 256
"""Records held in memory before they are written."""


class DatasetWriter(HDF5Writer):
    """A data set being written.

    Args:
        path: The file.
        force: Whether an existing file may be replaced.
        attributes: Provenance of the file as a whole, kept as HDF5 attributes.
        quantum: Matrix elements are rounded to a multiple of the largest power of two not above this, which lets
            them compress; None keeps them exact.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        force: bool = False,
        attributes: Mapping[str, str] | None = None,
        quantum: float | None = None,
    ) -> None:
        super().__init__(path, force=force)
        self._attributes = dict(attributes or {})
        self._step = None if quantum is None else 2.0 ** np.floor(np.log2(quantum))
        self._bases: list[OrbitalBasis] = []
        self._failures: list[Failure] = []
        self._ids: set[str] = set()
        self._waiting: list[Rows] = []
        self._count = 0

    def _begin(self, file: h5py.File) -> None:
        _create(file)

    def __len__(self) -> int:
        return self._count

    def add(self, record: Record) -> None:
        """Append a record.

        Raises:
            DataError: It cannot be a calculation, see :func:`harmose_dft.core.soundness.require_sound`.
        """
        require_sound(record, str(self.path))
        self._append(encode(record, self._basis_number(record.basis.restrict(record.structure.numbers.tolist()))))

    def add_failure(self, failure: Failure) -> None:
        """Note a structure that could not be calculated."""
        self._failures.append(failure)

    def copy(self, source: HDF5Dataset, index: int) -> None:
        """Append a record of another data set as it is, without decoding it."""
        rows = source.rows(index)
        number = self._basis_number(source.bases[int(rows.columns["records", "basis"][0])])
        rows.columns["records", "basis"] = np.array([number])
        self._append(rows)

    def add_dataset(self, path: str | Path) -> None:
        """Append all records and failures of another data set whose structures are not here yet.

        Raises:
            FileFormatError: The other file is not a data set or is damaged.
        """
        with HDF5Dataset(path) as source:
            for i, key in enumerate(source.ids):
                if key not in self._ids:
                    self.copy(source, i)
            failed_ids = {f.id for f in self._failures}
            self._failures += [f for f in source.failures if f.id not in failed_ids]

    def _append(self, rows: Rows) -> None:
        self._waiting.append(rows)
        self._count += 1
        self._ids.update(rows.columns["records", "id"].tolist())
        buffered = sum(int(r.counts["values"].sum()) for r in self._waiting)
        if buffered > BUFFERED_VALUES or len(self._waiting) == BUFFERED_RECORDS:
            self._flush()

    def _flush(self) -> None:
        """Write the records that wait in memory."""
        if not self._waiting:
            return
        columns = (column for rows in self._waiting for column in rows.columns.values())
        require_space(self.path.parent, sum(c.nbytes for c in columns) + SPARE_BYTES)
        for level, definition in LEVELS.items():
            for name in definition.columns:
                added = np.concatenate([r.columns[level, name] for r in self._waiting])
                if name == "values" and self._step is not None:
                    added = np.round(added / self._step) * self._step
                _extend(self._open[f"{level}/{name}"], added)
            if definition.parent is not None:
                pointers = self._open[f"{level}/pointers"]
                _extend(pointers, pointers[-1] + np.cumsum(np.concatenate([r.counts[level] for r in self._waiting])))
        self._waiting.clear()

    def _basis_number(self, basis: OrbitalBasis) -> int:
        """Number of the file's basis that covers this one; bases of one name that agree are joined."""
        for number, basis_seen in enumerate(self._bases):
            common = set(basis_seen.elements) & set(basis.elements)
            if basis_seen.name == basis.name and basis_seen.restrict(common) == basis.restrict(common):
                if not set(basis.elements) <= set(basis_seen.elements):
                    self._bases[number] = OrbitalBasis(basis.name, {**basis_seen.shells, **basis.shells})
                return number
        self._bases.append(basis)
        return len(self._bases) - 1

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is known at the end only, unless the block failed."""
        if kind is not None:
            return
        self._flush()
        file = self._open
        text = json.dumps([b.to_dict() for b in self._bases]).encode()
        file.create_dataset("bases", data=np.frombuffer(text, dtype=np.uint8), compression="gzip")
        failed_group = file.create_group("failed")
        lasting = [f for f in self._failures if f.id not in self._ids]
        for name in ("id", "name", "reason"):
            _extend(
                _column(failed_group, name, STRING, ()), np.array([getattr(f, name) for f in lasting], dtype=object)
            )
        file.attrs.update(
            format=FORMAT, version=VERSION, harmose_dft=__version__, units="Hartree, Bohr", orbitals=OURS.name
        )
        for key, value in self._attributes.items():
            file.attrs[f"provenance {key}"] = value


def merge(
    path: str | Path,
    sources: Iterable[str | Path],
    *,
    force: bool = False,
    attributes: Mapping[str, str] | None = None,
) -> int:
    """Join data sets into one; a structure that occurs twice is kept once.

    Args:
        path: The file to be written; it may be one of the sources.
        sources: Data sets.
        force: Whether an existing file may be replaced.
        attributes: Provenance of the file as a whole.

    Returns:
        Number of records.

    Raises:
        FileFormatError: A source is not a data set or is damaged.
    """
    with DatasetWriter(path, force=force, attributes=attributes) as writer:
        for source in sources:
            writer.add_dataset(source)
        return len(writer)


def _create(file: h5py.File) -> None:
    for name, level in LEVELS.items():
        group = file.create_group(name)
        if level.parent is not None:
            _extend(_column(group, "pointers", "i8", ()), np.zeros(1, dtype=np.int64))
        for column, (kind, shape) in level.columns.items():
            _column(group, column, kind, shape)


def _column(group: h5py.Group, name: str, kind: str, shape: tuple[int, ...]) -> h5py.Dataset:
    import h5py

    text = kind == STRING
    width = 16 if text else np.dtype(kind).itemsize * int(np.prod(shape))
    options: dict[str, Any] = {} if text else {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    return group.create_dataset(
        name,
        shape=(0, *shape),
        maxshape=(None, *shape),
        chunks=(max(CHUNK_BYTES // width // (1 if name == "values" else 8), 1), *shape),
        dtype=h5py.string_dtype() if text else kind,
        **options,
    )


def _extend(dataset: h5py.Dataset, rows: Any) -> None:
    if len(rows):
        length = dataset.shape[0]
        dataset.resize(length + len(rows), axis=0)
        dataset[length:] = rows

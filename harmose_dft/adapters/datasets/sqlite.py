"""Public databases in SQLite files: QH9 (stable and dynamic), SchNOrb's MD17 Hamiltonians, and PhiSNet's form of them.

* QH9 (Yu et al., NeurIPS 2023): table ``data``; raw little-endian numbers ``Z`` and ``Ham`` and ``pos``. B3LYP with
  VWN5 correlation (``b3lyp5`` today)/def2-SVP by PySCF, in PySCF's order. ``QH9Stable.db`` has positions in Angstrom,
  ``QH9Dynamic_*.db`` (columns ``geo_id``, ``epot``) in Bohr.
* SchNOrb (Schuett et al., Nat. Commun. 10, 5024 (2019)): an ASE database, ``schnorb_hamiltonian_*.db``; ``hamiltonian``
  and ``overlap`` in each row's data, as arrays or as base64 text with ``_shape_*`` and ``_dtype_*`` beside it. PBE/
  def2-SVP by ORCA, in ORCA's order, Angstrom and Hartree.
* PhiSNet (Unke et al., NeurIPS 2021): tables ``data`` (single-precision ``R`` in Bohr, ``E``, ``H``, ``S``),
  ``nuclear_charges``, ``basisset``, ``metadata``; PBE/def2-SVP, components m = -l..l as ours.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.conventions import ORCA, OURS, PYSCF, OrbitalConvention
from ...core.errors import FileFormatError, shorten
from ...core.structure import Structure
from ...core.units import BOHR_IN_ANGSTROM
from .base import Entry, GaussianDataset

QH9_COLUMNS = {"N", "Z", "pos", "Ham"}
PHISNET_COLUMNS = {"R", "E", "F", "H", "S"}

INTEGERS = {1: "<u1", 2: "<i2", 4: "<i4", 8: "<i8"}
FLOATS = {4: "<f4", 8: "<f8"}
"""Type of a raw number by its width in bytes."""

NUMBERS = ("float32", "float64", "<f4", "<f8")
"""Types that base64 text may have."""

STEPS_A_CALL, MOST_STEPS = 1_000_000, 20_000_000_000
"""Instructions of SQLite's machine between two looks at their sum, and most of one connection: hours of reading."""


def open_sqlite(path: Path) -> GaussianDataset:
    """The data set in an SQLite database.

    Raises:
        FileFormatError: The database is damaged or of none of the three kinds.
    """
    try:
        with closing(connect_read_only(path)) as connection:
            tables = _plain_tables(connection, path)
            columns = {row[1] for row in connection.execute("PRAGMA table_info(data)")}
    except sqlite3.DatabaseError as error:
        raise FileFormatError(f"The database cannot be read ({error}).", path=path) from error
    if columns >= QH9_COLUMNS:
        return QH9Database(path)
    if columns >= PHISNET_COLUMNS and "nuclear_charges" in tables:
        return PhiSNetDatabase(path)
    if "systems" in tables:
        return SchNOrbDatabase(path)
    raise FileFormatError(
        f"The tables {', '.join(sorted(tables)) or '(none)'} are not those of a QH9, SchNOrb or PhiSNet database.",
        path=path,
    )


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, loads no extension, and gives up a query that does not end."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    calls = itertools.count(1)
    connection.set_progress_handler(lambda: next(calls) * STEPS_A_CALL > MOST_STEPS, STEPS_A_CALL)
    return connection


def _plain_tables(connection: sqlite3.Connection, path: Path) -> set[str]:
    """Names of the tables of a database that has nothing but tables and indices.

    Raises:
        FileFormatError: It has views, triggers, virtual tables or computed columns, which run when they are read.
    """
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    computed = "SELECT 1 FROM pragma_table_xinfo(?) WHERE hidden > 0"
    for kind, name, sql in rows:
        virtual = str(sql).lstrip().upper().startswith("CREATE VIRTUAL")
        if kind not in ("table", "index") or virtual or connection.execute(computed, (name,)).fetchone():
            raise FileFormatError(
                f"The database has {shorten(str(name))!r}, a view, trigger, virtual table or computed column; it may "
                "hold tables and indices only. Copy the tables into a new database.",
                path=path,
            )
    return {str(name) for kind, name, _ in rows if kind == "table"}


class _Database(GaussianDataset):
    """Rows of a table, found by their number; one connection per process."""

    table = "data"

    def __init__(self, path: Path, convention: OrbitalConvention = PYSCF) -> None:
        super().__init__(path, "def2-svp", convention)
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def __len__(self) -> int:
        return len(self._rows)

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._process != os.getpid():
            self._connection = connect_read_only(self.path)
            self._process = os.getpid()
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise FileFormatError(f"The database is damaged ({error}).", path=self.path) from error

    @cached_property
    def _rows(self) -> list[int]:
        """Internal number of each row, in order."""
        return [row[0] for row in self._query(f"SELECT rowid FROM {self.table} ORDER BY rowid")]

    def _columns(self, index: int, *names: str) -> tuple[Any, ...]:
        row = self._rows[self._check_index(index)]
        return self._query(f"SELECT {', '.join(names)} FROM {self.table} WHERE rowid = ?", row)[0]

    def _numbers(self, blob: Any, count: int, kinds: Mapping[int, str], quantity: str) -> NDArray[Any]:
        """Raw numbers of which the count is known and the width is not."""
        width = len(blob) / count if isinstance(blob, bytes) else 0
        if width not in kinds:
            size = f"{len(blob)} bytes" if isinstance(blob, bytes) else type(blob).__name__
            raise FileFormatError(f"{quantity} of a record has {size}; {count} numbers are expected.", path=self.path)
        return np.frombuffer(blob, kinds[int(width)])


class QH9Database(_Database):
    """QH9Stable.db or QH9Dynamic_*.db."""

    def __init__(self, path: Path) -> None:
        import pyscf.lib.parameters

        super().__init__(path)
        self._dynamic = "geo_id" in {row[1] for row in self._query("PRAGMA table_info(data)")}
        self._length = 1.0 if self._dynamic else pyscf.lib.parameters.BOHR

    def elements(self) -> tuple[int, ...]:
        """Elements of the QM9 molecules."""
        return (1, 6, 7, 8, 9)

    def structure(self, index: int) -> Structure:
        """Structure of a molecule."""
        count, z, positions = self._columns(index, "N", "Z", "pos")
        xyz = self._numbers(positions, 3 * count, FLOATS, "pos").reshape(count, 3).astype(np.float64)
        return Structure(self._numbers(z, count, INTEGERS, "Z"), xyz / self._length, name=f"record {index}")

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a molecule; ``molecule`` is its number in QM9."""
        out = {"code": "PySCF", "functional": "b3lyp5", "basis": self.basis_name, "source": self.path.name}
        names = ("id", "geo_id", "time", "converged") if self._dynamic else ("id",)
        row = dict(zip(names, self._columns(index, *names), strict=True))
        key = row.pop("id")
        number = int.from_bytes(key, "little") if isinstance(key, bytes) else int(key)
        return out | {"molecule": str(number)} | {name: str(value) for name, value in row.items()}

    def entry(self, index: int) -> Entry:
        """A molecule with its matrix."""
        structure = self.structure(index)
        n = int(self.basis.orbitals_per_atom(structure.numbers).sum())
        fock = self._numbers(self._columns(index, "Ham")[0], n * n, FLOATS, "Ham").reshape(n, n)
        energy = float(self._columns(index, "epot")[0]) if self._dynamic else None
        return Entry(structure, fock, energy=energy)


class PhiSNetDatabase(_Database):
    """PhiSNet's database of one molecule's frames."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, OURS)

    @cached_property
    def _atoms(self) -> NDArray[Any]:
        count, z = self._query("SELECT N, Z FROM nuclear_charges WHERE id = 0")[0]
        return self._numbers(z, count, INTEGERS, "Z")

    def elements(self) -> tuple[int, ...]:
        """Elements of the molecule."""
        return tuple(np.unique(self._atoms).tolist())

    def structure(self, index: int) -> Structure:
        """Structure of a frame."""
        positions = self._numbers(self._columns(index, "R")[0], 3 * len(self._atoms), FLOATS, "R")
        return Structure(self._atoms, positions.reshape(-1, 3).astype(np.float64), name=f"frame {index}")

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a frame."""
        return _orca_metadata(self.path, self._check_index(index))

    def entry(self, index: int) -> Entry:
        """A frame with its matrices."""
        structure = self.structure(index)
        n = int(self.basis.orbitals_per_atom(structure.numbers).sum())
        h, s, energy = self._columns(index, "H", "S", "E")
        fock = self._numbers(h, n * n, FLOATS, "H").reshape(n, n)
        overlap = None if s is None else self._numbers(s, n * n, FLOATS, "S").reshape(n, n)
        return Entry(structure, fock, overlap, None if energy is None else float(energy))


class SchNOrbDatabase(_Database):
    """SchNOrb's ASE database of one molecule's frames."""

    table = "systems"

    def __init__(self, path: Path) -> None:
        super().__init__(path, ORCA)

    @cached_property
    def _database(self) -> Any:
        from ase.db import connect

        database = connect(str(self.path), type="db")
        database._connect = lambda: connect_read_only(self.path)  # ASE's own may write
        return database

    def _row(self, index: int) -> Any:
        return self._database.get(id=self._rows[self._check_index(index)])

    def elements(self) -> tuple[int, ...]:
        """Elements of the first frame's molecule."""
        return tuple(np.unique(self._row(0).numbers).tolist())

    def structure(self, index: int) -> Structure:
        """Structure of a frame."""
        row = self._row(index)
        return Structure(row.numbers, row.positions / BOHR_IN_ANGSTROM, name=f"frame {index}")

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a frame."""
        return _orca_metadata(self.path, self._check_index(index))

    def entry(self, index: int) -> Entry:
        """A frame with its matrices. Energies are stored minus their mean, which the database's metadata may give."""
        data = self._row(index).data
        fock, overlap = self._matrix(data, "hamiltonian"), self._matrix(data, "overlap")
        if fock is None:
            raise FileFormatError(f"Record {index} has no 'hamiltonian' in its data.", path=self.path)
        energy, mean = self._matrix(data, "energy"), self._database.metadata.get("mean_energy")
        total = None if energy is None or mean is None else float(np.ravel(energy)[0]) + float(mean)
        return Entry(self.structure(index), fock, overlap, total)

    def _matrix(self, data: Mapping[str, Any], name: str) -> NDArray[Any] | None:
        """An array of a row's data: an array, or base64 text with its type and shape beside it."""
        value = data.get(name)
        if not isinstance(value, str | bytes):
            return None if value is None else np.asarray(value)
        try:
            raw, kind = b64decode(value, validate=True), data[f"_dtype_{name}"]
            if kind not in NUMBERS:
                raise ValueError(f"its type is none of {', '.join(NUMBERS)}")
            return np.frombuffer(raw, np.dtype(kind)).reshape(data[f"_shape_{name}"])
        except (Base64Error, KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"'{name}' of a record cannot be decoded ({error}).", path=self.path) from error


def _orca_metadata(path: Path, index: int) -> dict[str, str]:
    return {"code": "ORCA", "functional": "pbe", "basis": "def2-svp", "source": path.name, "frame": str(index)}

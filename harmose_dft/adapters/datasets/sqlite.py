"""SQLite databases as data sets: reading that runs and writes nothing, and rows of raw numbers."""

from __future__ import annotations

import itertools
import os
import sqlite3
from abc import abstractmethod
from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...core.conventions import PYSCF, OrbitalConvention
from ...core.errors import FileFormatError, shorten
from .base import GaussianDataset

MOST_ATOMS = 100_000
"""Atoms of a molecule, at most."""

INTEGERS = {1: "<u1", 2: "<i2", 4: "<i4", 8: "<i8"}
FLOATS = {4: "<f4", 8: "<f8"}
"""Type of a raw number by its width in bytes."""

STEPS_A_CALL, MOST_STEPS = 1_000_000, 20_000_000_000
"""Instructions of SQLite's machine between two looks at their sum, and most of one connection: hours of reading."""


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, loads no extension, and gives up a query that does not end."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    calls = itertools.count(1)
    connection.set_progress_handler(lambda: next(calls) * STEPS_A_CALL > MOST_STEPS, STEPS_A_CALL)
    return connection


def list_plain_tables(connection: sqlite3.Connection, path: Path) -> set[str]:
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


class SQLiteDataset(GaussianDataset):
    """Rows of a table, found by their number; one connection per process.

    A new kind of database is one subclass in a file of its own, and a place in
    :data:`harmose_dft.adapters.datasets.databases.DATABASES`.

    Args:
        path: The file.
        convention: Orbital order of its matrices.

    Attributes:
        table: Name of the table.
    """

    table: ClassVar[str] = "data"

    @classmethod
    @abstractmethod
    def fits(cls, tables: Set[str], columns: Set[str]) -> bool:
        """Whether a database has this layout.

        Args:
            tables: Names of its tables.
            columns: Names of the columns of its table ``data``, if there is one.
        """

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
        except (sqlite3.Error, UnicodeError) as error:
            reason = " ".join(str(error).split())
            raise FileFormatError(f"The database is damaged ({reason}).", path=self.path) from error

    def _count(self, value: object, quantity: str) -> int:
        """A stored number of atoms."""
        if not isinstance(value, int) or not 0 < value <= MOST_ATOMS:
            raise FileFormatError(
                f"{quantity} of a record is {shorten(str(value))}; expected a number of atoms.", path=self.path
            )
        return value

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


def orca_metadata(path: Path, index: int) -> dict[str, str]:
    """Provenance of a frame of the MD17 Hamiltonians, which ORCA has calculated."""
    return {"code": "ORCA", "functional": "pbe", "basis": "def2-svp", "source": path.name, "frame": str(index)}

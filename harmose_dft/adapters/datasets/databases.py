"""The SQLite databases that are read, recognised by their tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from ...core.errors import FileFormatError, shorten
from .base import GaussianDataset
from .nabladft import NablaDatabase
from .phisnet import PhiSNetDatabase
from .qh9 import QH9Database
from .schnorb import SchNOrbDatabase
from .sqlite import SQLiteDataset, connect_read_only, list_plain_tables

DATABASES: tuple[type[SQLiteDataset], ...] = (QH9Database, NablaDatabase, PhiSNetDatabase, SchNOrbDatabase)
"""Every kind, in the order in which they are tried."""


def open_database(path: Path) -> GaussianDataset:
    """The data set in an SQLite database.

    Raises:
        FileFormatError: The database is damaged or of none of these kinds.
    """
    try:
        with closing(connect_read_only(path)) as connection:
            tables = list_plain_tables(connection, path)
            columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(data)")}
    except (sqlite3.Error, UnicodeError) as error:
        raise FileFormatError(f"The database cannot be read ({' '.join(str(error).split())}).", path=path) from error
    for kind in DATABASES:
        if kind.fits(tables, columns):
            return kind(path)
    raise FileFormatError(
        f"The tables {shorten(', '.join(sorted(tables))) or '(none)'} are not those of a QH9, SchNOrb, PhiSNet or "
        "nablaDFT database.",
        path=path,
    )

"""SchNOrb's MD17 Hamiltonians (Schuett et al., Nat. Commun. 10, 5024 (2019)).

An ASE database, ``schnorb_hamiltonian_*.db``; ``hamiltonian`` and ``overlap`` in each row's data, as arrays or as
base64 text with ``_shape_*`` and ``_dtype_*`` beside it. PBE/def2-SVP by ORCA, in ORCA's order, Angstrom and Hartree.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...core.conventions import ORCA
from ...core.errors import FileFormatError
from ...core.structure import Structure
from ...core.units import BOHR_IN_ANGSTROM
from .base import Entry
from .sqlite import SQLiteDataset, connect_read_only, orca_metadata

NUMBERS = ("float32", "float64", "<f4", "<f8")
"""Types that base64 text may have."""


class SchNOrbDatabase(SQLiteDataset):
    """SchNOrb's ASE database of one molecule's frames."""

    table: ClassVar[str] = "systems"

    @classmethod
    def fits(cls, tables: Set[str], columns: Set[str]) -> bool:
        """By ASE's table of structures."""
        return cls.table in tables

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
        return orca_metadata(self.path, self._check_index(index))

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

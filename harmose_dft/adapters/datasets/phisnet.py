"""PhiSNet's form of the MD17 Hamiltonians (Unke et al., NeurIPS 2021).

Tables ``data`` (single-precision ``R`` in Bohr, ``E``, ``H``, ``S``), ``nuclear_charges``, ``basisset``, ``metadata``;
PBE/def2-SVP by ORCA, components m = -l..l as ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.conventions import OURS
from ...core.errors import FileFormatError
from ...core.structure import Structure
from .base import Entry
from .sqlite import FLOATS, INTEGERS, SQLiteDataset, orca_metadata

COLUMNS = frozenset({"R", "E", "F", "H", "S"})
"""Columns of the table ``data``."""


class PhiSNetDatabase(SQLiteDataset):
    """PhiSNet's database of one molecule's frames."""

    @classmethod
    def fits(cls, tables: Set[str], columns: Set[str]) -> bool:
        """By the columns and the table of the atoms."""
        return columns >= COLUMNS and "nuclear_charges" in tables

    def __init__(self, path: Path) -> None:
        super().__init__(path, OURS)

    @cached_property
    def _atoms(self) -> NDArray[Any]:
        rows = self._query("SELECT N, Z FROM nuclear_charges WHERE id = 0")
        if len(rows) != 1:
            raise FileFormatError("The table nuclear_charges has no row 0 with the molecule's atoms.", path=self.path)
        return self._numbers(rows[0][1], self._count(rows[0][0], "N"), INTEGERS, "Z")

    def elements(self) -> tuple[int, ...]:
        """Elements of the molecule."""
        return tuple(np.unique(self._atoms).tolist())

    def structure(self, index: int) -> Structure:
        """Structure of a frame."""
        positions = self._numbers(self._columns(index, "R")[0], 3 * len(self._atoms), FLOATS, "R")
        return Structure(self._atoms, positions.reshape(-1, 3).astype(np.float64), name=f"frame {index}")

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a frame."""
        return orca_metadata(self.path, self._check_index(index))

    def entry(self, index: int) -> Entry:
        """A frame with its matrices."""
        structure = self.structure(index)
        n = int(self.basis.orbitals_per_atom(structure.numbers).sum())
        h, s, energy = self._columns(index, "H", "S", "E")
        fock = self._numbers(h, n * n, FLOATS, "H").reshape(n, n)
        overlap = None if s is None else self._numbers(s, n * n, FLOATS, "S").reshape(n, n)
        return Entry(structure, fock, overlap, None if energy is None else float(energy))

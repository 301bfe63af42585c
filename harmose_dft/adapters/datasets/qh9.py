"""QH9, stable and dynamic (Yu et al., NeurIPS 2023).

Table ``data``: raw little-endian numbers ``Z`` and ``Ham`` and ``pos``. B3LYP with VWN5 correlation (``b3lyp5`` today)/
def2-SVP by PySCF, in PySCF's order. ``QH9Stable.db`` has positions in Angstrom, ``QH9Dynamic_*.db`` (columns
``geo_id``, ``epot``) in Bohr.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path

import numpy as np

from ...core.structure import Structure
from .base import Entry
from .sqlite import FLOATS, INTEGERS, SQLiteDataset


class QH9Database(SQLiteDataset):
    """QH9Stable.db or QH9Dynamic_*.db."""

    @classmethod
    def fits(cls, tables: Set[str], columns: Set[str]) -> bool:
        """By the columns of its table."""
        return columns >= {"N", "Z", "pos", "Ham"}

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
        number, z, positions = self._columns(index, "N", "Z", "pos")
        count = self._count(number, "N")
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

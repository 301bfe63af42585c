"""nablaDFT's Hamiltonians (Khrabrov et al., Phys. Chem. Chem. Phys. 24, 25853 (2022)).

As PhiSNet's databases, but each row of ``data`` has its own ``Z``; wB97X-D/def2-SVP by Psi4. The stored overlap tells
the order of the orbitals and the unit of length.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.conventions import ORCA, OURS, PYSCF, OrbitalConvention
from ...core.errors import FileFormatError
from ...core.structure import Structure
from ...core.units import BOHR_IN_ANGSTROM
from ..pyscf import overlap
from .base import OVERLAP_TOLERANCE, Entry
from .phisnet import COLUMNS
from .sqlite import FLOATS, MOST_ATOMS, SQLiteDataset


class NablaDatabase(SQLiteDataset):
    """nablaDFT's database of Hamiltonians of different molecules."""

    @classmethod
    def fits(cls, tables: Set[str], columns: Set[str]) -> bool:
        """PhiSNet's columns, with atoms of their own in every row."""
        return columns >= COLUMNS | {"Z"}

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._scale: float | None = None

    def elements(self) -> tuple[int, ...]:
        """Elements of the MOSES molecules."""
        return (1, 6, 7, 8, 9, 16, 17, 35)

    def _raw(self, index: int) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Atomic numbers, and positions in the file's unit."""
        z, positions = self._columns(index, "Z", "R")
        if not isinstance(z, bytes) or not z or len(z) % 4 or len(z) > 4 * MOST_ATOMS:
            raise FileFormatError(f"Z of record {index} is no list of four-byte numbers.", path=self.path)
        numbers = np.frombuffer(z, "<i4")
        return numbers, self._numbers(positions, 3 * len(numbers), FLOATS, "R").reshape(-1, 3).astype(np.float64)

    def structure(self, index: int) -> Structure:
        """Structure of a molecule."""
        numbers, positions = self._raw(index)
        return Structure(numbers, positions * self._unit, name=f"record {self._check_index(index)}")

    @property
    def _unit(self) -> float:
        """Bohr per unit of length of the file; sets the order of the orbitals, too."""
        if self._scale is None:
            self._scale, self.convention = self._recognise_overlap()
        return self._scale

    def _recognise_overlap(self) -> tuple[float, OrbitalConvention]:
        """Unit of length and order of orbitals in which the first stored overlap is that of the basis."""
        numbers, positions = self._raw(0)
        for scale in (1.0, 1 / BOHR_IN_ANGSTROM):
            structure = Structure(numbers, positions * scale)
            basis = self.basis.restrict(numbers.tolist())
            n = int(basis.orbitals_per_atom(numbers).sum())
            stored = self._numbers(self._columns(0, "S")[0], n * n, FLOATS, "S").reshape(n, n)
            exact = overlap(structure, basis).to_dense()
            for convention in (ORCA, PYSCF, OURS):  # up to d orbitals Psi4's order is ORCA's
                order, sign = convention.to_ours(basis.shell_sequence(numbers.tolist()))
                if np.abs(stored[np.ix_(order, order)] * np.outer(sign, sign) - exact).max() < OVERLAP_TOLERANCE:
                    return scale, convention
        raise FileFormatError(
            "This database has the tables of nablaDFT, but its overlap is not that of def2-SVP in any known order of "
            "orbitals and unit of length.", path=self.path,
        )  # fmt: skip

    def metadata(self, index: int) -> Mapping[str, str]:
        """Provenance of a molecule."""
        i = self._check_index(index)
        return {"code": "Psi4", "functional": "wb97x-d", "basis": self.basis_name, "source": self.path.name,
                "molecule": str(self._rows[i])}

    def entry(self, index: int) -> Entry:
        """A molecule with its matrices."""
        structure = self.structure(index)
        n = int(self.basis.restrict(structure.numbers.tolist()).orbitals_per_atom(structure.numbers).sum())
        h, s, energy = self._columns(index, "H", "S", "E")
        fock, stored = (self._numbers(m, n * n, FLOATS, name).reshape(n, n) for m, name in ((h, "H"), (s, "S")))
        return Entry(structure, fock, stored, None if energy is None else float(energy))

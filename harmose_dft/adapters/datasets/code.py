"""Data sets among the formats that are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..code import About, Code, Options

if TYPE_CHECKING:
    from ...core.record import Record


class DataSets(Code):
    """The package's own HDF5 data sets, QH9, MD17 and other files of molecules in PySCF's or ORCA's orbitals."""

    name = "data set"
    recognises = "an HDF5 or SQLite data set"
    priority = 40
    about = About(
        reads="own HDF5; ragged and fixed-molecule HDF5; QH9, PhiSNet and SchNOrb (MD17) databases",
        writes="own HDF5",
        units="Hartree, Bohr or Angstrom, as the layout prescribes",
        orbitals="PySCF's or ORCA's, as the layout prescribes",
        tested="layouts as published",
    )

    def recognise(self, path: Path) -> bool:
        """Whether a file may be a data set: an HDF5 file or an SQLite database."""
        from . import recognise

        return recognise(path)

    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """The records, read one by one."""
        from . import open_dataset

        return open_dataset(path)

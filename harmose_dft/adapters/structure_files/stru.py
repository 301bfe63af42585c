"""STRU files of ABACUS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.units import BOHR_IN_ANGSTROM
from ..abacus.files import Calculation, read_input
from ..abacus.stru import read_stru

if TYPE_CHECKING:
    from ase import Atoms


def read_stru_file(path: Path) -> Iterator[Atoms]:
    """The crystal of a STRU file, atoms in ABACUS's order, positions as they were written.

    A lattice by name (``latname``) is that of INPUT in the same folder.

    Args:
        path: The file.

    Raises:
        FileFormatError: A section is missing or malformed.
    """
    from ase import Atoms

    keywords = read_input(Calculation(path.parent, path.parent))
    stru = read_stru(path, keywords.get("latname", "none"))
    yield Atoms(stru.numbers, scaled_positions=stru.fractional, cell=stru.cell * BOHR_IN_ANGSTROM, pbc=True)

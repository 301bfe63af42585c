"""Molfiles and sdf files, V2000 here and V3000 beside (CTfile formats, BIOVIA 2020)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .elements import LineError, coordinates, element, integers
from .v3000 import read_v3000

if TYPE_CHECKING:
    from ase import Atoms

END = "M  END"
SDF_END = re.compile(r"^\$\$\$\$")
SDF_CHARGES = {1: 3, 2: 2, 3: 1, 5: -1, 6: -2, 7: -3}
"""Charge codes of a V2000 atom line, used where there is no ``M  CHG`` or ``M  RAD`` line."""
SDF_RADICAL = 4
"""Charge code of a doublet radical."""


def read_sdf(lines: Iterable[str]) -> Iterator[Atoms]:
    """Every molecule of an sdf or mol file, with the charges and radicals of its connection table.

    Args:
        lines: Of the file, without their ends; those of one molecule are in memory at a time.

    Raises:
        LineError: A molecule is incomplete, or a line is no atom.
    """
    molecule: list[str] = []
    before = number = 0
    for number, line in enumerate(lines, start=1):
        if not SDF_END.match(line):
            molecule.append(line)
            continue
        if any(map(str.strip, molecule)):
            yield _read_molecule(molecule, before)
        molecule, before = [], number
    if any(map(str.strip, molecule)):
        yield _read_molecule(molecule, before)


def _read_molecule(lines: list[str], before: int) -> Atoms:
    from ase import Atoms

    if len(lines) < 4:
        raise LineError("expected a header of three lines and a line of counts", before + 1)
    if "V3000" in lines[3]:
        return read_v3000(lines, before)
    last = next((n for n, line in enumerate(lines) if line.rstrip() == END), None)
    if last is None:
        raise LineError(f"the line '{END}' is missing", before + len(lines))
    n_atoms, n_bonds = integers([lines[3][:3].strip() or "0", lines[3][3:6].strip() or "0"], before + 4)
    if n_atoms < 1 or n_bonds < 0 or 4 + n_atoms + n_bonds > last:
        raise LineError(f"{n_atoms} atoms and {n_bonds} bonds are announced, which are not all there", before + 4)
    symbols, positions, codes = [], [], []
    for number, line in enumerate(lines[4 : 4 + n_atoms], start=before + 5):
        positions.append(coordinates([line[:10], line[10:20], line[20:30]], number))
        symbols.append(element(line[31:34].strip(), number))
        codes += integers([line[36:39].strip() or "0"], number)
    properties = lines[4 + n_atoms + n_bonds : last]
    charges, radicals = (_read_property(properties, key, n_atoms, before + 5 + n_atoms + n_bonds)
                         for key in ("CHG", "RAD"))
    listed = bool(charges or radicals)
    charge = sum(charges.values()) if listed else sum(SDF_CHARGES.get(c, 0) for c in codes)
    unpaired = sum(max(r - 1, 0) for r in radicals.values()) if listed else codes.count(SDF_RADICAL)
    atoms = Atoms(symbols, positions)
    atoms.info.update(charge=charge, multiplicity=1 + unpaired, name=lines[0].strip())
    return atoms


def _read_property(lines: list[str], key: str, n_atoms: int, first: int) -> dict[int, int]:
    """Atom -> value of the ``M  CHG`` or ``M  RAD`` lines of a connection table."""
    out: dict[int, int] = {}
    for number, line in enumerate(lines, start=first):
        if line.startswith(f"M  {key}"):
            count, *pairs = integers(line.split()[2:] or ["0"], number)
            atoms, values = pairs[::2], pairs[1::2]
            if len(pairs) != 2 * count or not all(0 < a <= n_atoms for a in atoms):
                raise LineError(f"expected {count} pairs of an atom's number and a value", number)
            out.update(zip(atoms, values, strict=True))
    return out

"""PDB files (wwPDB format 3.3): models, alternate locations, formal charges."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.errors import InputNote
from ...core.structure import SYMBOLS
from .elements import ISOTOPES, LineError, coordinates, element

if TYPE_CHECKING:
    from ase import Atoms

Residue = tuple[str, str]
"""Chain and number (with insertion code) of a residue."""


@dataclass(frozen=True)
class PdbAtom:
    """An ATOM or HETATM line.

    Args:
        name: Name of the atom in its residue.
        location: Letter of the alternate location; empty where there is one only.
        residue: The residue it belongs to.
        kind: Name of the residue.
        position: Angstrom.
        occupancy: 1 where the columns are empty.
        symbol: Element.
        charge: Formal charge.
    """

    name: str
    location: str
    residue: Residue
    kind: str
    position: list[float]
    occupancy: float
    symbol: str
    charge: int


def read_pdb(lines: Iterable[str]) -> Iterator[Atoms]:
    """Every model that holds atoms; of alternate locations the one with the highest occupancy.

    Args:
        lines: Of the file, without their ends.

    Raises:
        LineError: A line is no atom.
    """
    cell: list[float] | None = None
    model: list[PdbAtom] = []
    opened = 0
    for number, line in enumerate(lines, start=1):
        if line.startswith("CRYST1"):
            cell = _read_cell(line, number)
        elif line.startswith(("ATOM  ", "HETATM")):
            model.append(_read_atom(line, number))
        elif line.startswith(("MODEL", "END")):
            opened = number if line.startswith("MODEL") else 0
            if model:
                yield _build(model, cell)
            model = []
    if opened:
        raise LineError("the model that begins here has no ENDMDL", opened)
    if model:
        yield _build(model, cell)


def _read_cell(line: str, number: int) -> list[float]:
    columns = (6, 15, 24, 33, 40, 47, 54)
    words = [line[a:b] for a, b in itertools.pairwise(columns)]
    return coordinates(words[:3], number) + coordinates(words[3:], number)


def _read_atom(line: str, number: int) -> PdbAtom:
    symbol, charge = _read_element(line, number)
    occupancy = line[54:60].strip()
    try:
        share = float(occupancy) if occupancy else 1.0
    except ValueError as error:
        raise LineError(f"expected an occupancy in columns 55-60; got {occupancy!r}", number) from error
    return PdbAtom(
        line[12:16].strip(), line[16].strip(), (line[21], line[22:27]), line[17:20].strip(),
        coordinates([line[30:38], line[38:46], line[46:54]], number), share, symbol, charge,
    )


def _read_element(line: str, number: int) -> tuple[str, int]:
    """Element of columns 77-78 (of the atom's name where they are empty), and charge of columns 79-80."""
    written, charge = line[76:78].strip(), line[78:80].strip()
    symbol = ISOTOPES.get(written.upper(), written.capitalize())
    if symbol in SYMBOLS[1:]:
        return symbol, _read_charge(charge, number)
    if written and not written.isdigit():
        return element(written, number), 0
    name = line[12:16]  # older files have their code and line numbers from column 73 on
    letters = re.sub(r"[^A-Za-z]", "", name)
    if name[:1].isalpha() and len(name.strip()) < 4 and letters[:2].capitalize() in SYMBOLS[1:]:
        return letters[:2].capitalize(), 0
    return element(letters[:1] or name.strip(), number), 0


def _read_charge(text: str, number: int) -> int:
    match = re.fullmatch(r"([+-]?)(\d?)([+-]?)", text)
    signs = "" if match is None else match[1] + match[3]
    if match is None or len(signs) != (1 if text and text != "0" else len(signs)):
        raise LineError(f"expected a charge such as 2- in columns 79-80; got {text!r}", number)
    return (-1 if signs == "-" else 1) * int(match[2] or len(signs))


def _build(model: list[PdbAtom], cell: list[float] | None) -> Atoms:
    from ase import Atoms
    from ase.geometry import cellpar_to_cell

    kept = _choose_locations(model)
    lattice = None if cell is None else cellpar_to_cell(cell)
    atoms = Atoms([a.symbol for a in kept], [a.position for a in kept], cell=lattice)
    atoms.pbc = bool(cell is not None and atoms.cell.volume > 1.0 + 1e-6)  # a unit cell of 1 A is a placeholder
    atoms.info["charge"] = sum(a.charge for a in kept)
    return atoms


def _choose_locations(model: list[PdbAtom]) -> list[PdbAtom]:
    """The atoms of one location of every residue, that with the highest occupancy."""
    shares: dict[Residue, dict[str, list[float]]] = {}
    kinds: dict[tuple[Residue, str], str] = {}
    for a in model:
        if a.location:
            shares.setdefault(a.residue, {}).setdefault(a.location, []).append(a.occupancy)
            kinds.setdefault((a.residue, a.location), a.kind)
    best = {r: max(sorted(of), key=lambda l: sum(of[l]) / len(of[l])) for r, of in shares.items()}
    taken = {(a.residue, a.name) for a in model if a.location and a.location == best[a.residue]}
    kept = []
    for a in model:
        chosen = not a.location or a.location == best[a.residue]
        if not chosen and kinds[a.residue, best[a.residue]] == a.kind and (a.residue, a.name) not in taken:
            taken.add((a.residue, a.name))  # an atom that the chosen location leaves out
            chosen = True
        if chosen:
            kept.append(a)
    if len(kept) < len(model):
        warnings.warn(
            f"{len(model) - len(kept)} atoms in alternate locations are left out: of every residue the location with "
            f"the highest occupancy is read.", InputNote, stacklevel=2,
        )
    return kept

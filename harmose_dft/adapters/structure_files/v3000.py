"""Connection tables of the V3000 variant (CTfile formats, BIOVIA 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .elements import LineError, coordinates, element, integers

if TYPE_CHECKING:
    from ase import Atoms

PREFIX = "M  V30 "
"""Beginning of every line of the table."""

UNDERSTOOD = ("CHG", "RAD")
"""Properties of an atom that are read; the others (stereochemistry, isotopes, ...) do not change the electrons."""


def read_v3000(lines: Sequence[str], before: int) -> Atoms:
    """The molecule of a table, with the charges and radicals of its atoms.

    Args:
        lines: Of the molecule, its header of three lines included.
        before: Number of lines before them in the file.

    Raises:
        LineError: The table is incomplete, or a line is no atom.
    """
    from ase import Atoms

    announced: int | None = None
    symbols, positions, charge, unpaired = [], [], 0, 0
    section, closed = "", False
    for number, words in _entries(lines, before):
        if words[0] in ("BEGIN", "END"):
            section = words[1] if words[0] == "BEGIN" and len(words) > 1 else ""
            closed = closed or words[:2] == ["END", "CTAB"]
        elif words[0] == "COUNTS":
            announced = integers(words[1:2], number)[0] if len(words) > 1 else None
        elif section == "ATOM":
            if len(words) < 5:
                raise LineError(f"expected an atom; got {' '.join(words)!r}", number)
            symbols.append(element(words[1], number))
            positions.append(coordinates(words[2:5], number))
            given = dict(word.split("=", 1) for word in words[5:] if "=" in word)
            formal, radical = (integers([given.get(key, "0")], number)[0] for key in UNDERSTOOD)
            charge, unpaired = charge + formal, unpaired + max(radical - 1, 0)
    if not closed:
        raise LineError("the line 'M  V30 END CTAB' of a V3000 table is missing", before + len(lines))
    if announced != len(symbols) or not symbols:
        raise LineError(f"{announced} atoms are announced; the table has {len(symbols)}", before + 4)
    atoms = Atoms(symbols, positions)
    atoms.info.update(charge=charge, multiplicity=1 + unpaired, name=lines[0].strip())
    return atoms


def _entries(lines: Sequence[str], before: int) -> Iterator[tuple[int, list[str]]]:
    """Number and words of every entry of the table; a line that ends in a hyphen goes on in the next one."""
    text = ""
    for number, line in enumerate(lines, start=before + 1):
        if line.startswith(PREFIX):
            text += line[len(PREFIX) :].rstrip()
            if text.endswith("-"):
                text = text[:-1]
                continue
            if text.split():
                yield number, text.split()
            text = ""
    if text:
        raise LineError("the last line of the table ends in a hyphen, but none follows", before + len(lines))

"""Input files of Gaussian, gjf and com: title, charge, multiplicity and Cartesian coordinates of the first job."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...core.errors import InputNote
from .elements import LineError, coordinates, element, integers
from .lines import LineQueue
from .units import scale_lengths, unit_of_route

if TYPE_CHECKING:
    from ase import Atoms

LATTICE = "TV"
"""Symbol of a lattice vector among the atoms."""

NEXT_JOB = "--link1--"
"""Line between two jobs."""

_PARAMETERS = re.compile(r"\([^()]*\)")
"""What may follow a symbol: C(Iso=13,Spin=1), or a fragment."""


def read_gaussian(lines: Iterable[str]) -> Iterator[Atoms]:
    """The molecule of the first job of a file.

    Args:
        lines: Of the file, without their ends.

    Raises:
        LineError: A part is missing, there are internal coordinates, the unit is not understood, or a line is no atom.
    """
    from ase import Atoms

    queue = LineQueue(lines)
    begin, route = _next_paragraph(queue)
    if not any(line.lstrip().startswith("#") for line in route):
        raise LineError("expected a route that begins with '#'", begin)
    unit = unit_of_route(" ".join(line for line in route if not line.lstrip().startswith("%")), begin)
    _, title = _next_paragraph(queue)
    begin, rows = _next_paragraph(queue)
    if not rows:
        raise LineError("expected charge and multiplicity, and atoms, after the title", max(begin, 1))
    charge, multiplicity = _read_charge(rows[0], begin)
    symbols, positions = [], []
    for number, row in enumerate(rows[1:], start=begin + 1):
        words = _PARAMETERS.sub("", row.split("!")[0]).replace(",", " ").split()
        if not words:
            continue
        symbol = words[0].split("-")[0] if not words[0].lower().endswith("-bq") else words[0]
        if symbol.upper() == LATTICE:
            raise LineError("the file has lattice vectors; save the crystal as cif", number)
        if len(words) == 5 and words[1] in ("0", "-1"):  # free or frozen in an optimisation
            del words[1]
        if len(words) != 4:
            raise LineError(f"expected an atom with Cartesian coordinates; got {row.strip()!r}", number)
        symbols.append(element(symbol, number))
        positions.append(coordinates(words[1:4], number))
    if not symbols:
        raise LineError("there are no atoms after charge and multiplicity", begin)
    atoms = Atoms(symbols, positions)
    scale_lengths(atoms, unit)
    atoms.info.update(charge=charge, multiplicity=multiplicity, name=" ".join(title).strip())
    yield atoms
    while (line := queue.next_with_text()) is not None:
        if line.strip().lower() == NEXT_JOB:
            warnings.warn("The file has several jobs; the structure of the first one is read.", InputNote, stacklevel=2)


def _next_paragraph(queue: LineQueue) -> tuple[int, list[str]]:
    """Number of the first line, and the lines up to the next blank one."""
    first = queue.next_with_text()
    begin, lines = queue.taken, [] if first is None else [first]
    while (line := queue.take(1)) and line[0].strip():
        lines += line
    return begin, lines


def _read_charge(line: str, number: int) -> tuple[int, int]:
    words = line.replace(",", " ").split()
    if len(words) < 2 or len(words) % 2:
        raise LineError(f"expected charge and multiplicity; got {line.strip()!r}", number)
    charge, multiplicity = integers(words[:2], number)
    return charge, multiplicity

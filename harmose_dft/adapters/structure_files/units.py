"""Units of length that structure files declare: the route of Gaussian's inputs, the comments of xyz files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...core.units import BOHR_IN_ANGSTROM
from .elements import LineError

if TYPE_CHECKING:
    from ase import Atoms

LENGTHS = {
    **dict.fromkeys(("angstrom", "angstroms", "angstroem", "ang", "a", "å"), 1.0),
    **dict.fromkeys(("bohr", "bohrs", "au", "a.u.", "a.u", "a0", "atomic", "atomic_units"), BOHR_IN_ANGSTROM),
}
"""Name of a unit, in lower case -> its length in Angstrom."""

OTHERS = ("nm", "nanometer", "nanometers", "pm", "picometer", "picometers", "fractional", "direct", "crystal")
"""Units of length that no xyz file should have; other values of "units" (eV, metal) are about something else."""

ANGLES = ("deg", "degree", "degrees", "rad", "radian", "radians")
"""Units in the route of Gaussian's inputs that do not change Cartesian coordinates."""

_SUBJECT = r"(?:lengths?|distances?|positions?|pos|coords?|coordinates?|xyz|geometry|geom)"
_DECLARATION = re.compile(
    rf"(?<![\w-])({_SUBJECT}[ _-]?)?units?\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s,;\]\)]+))", re.IGNORECASE
)
_OTHER_QUANTITY = re.compile(
    r"(?<![\w-])(?!\w*(?:cell|lattice|box|vec))\w+[_-]units?\s*[=:]\s*(?:\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE
)
_MENTION = re.compile(r"(?<![\w*/·^])(bohrs?|a\.u\.?|atomic[ _]units?)(?![\w^])", re.IGNORECASE)
_SHORT = re.compile(r"(?:\bin |[(\[])\s*(au)\b(?=\s*[)\],;.]|\s|$)")
_OF_A_VALUE = re.compile(
    r"(?:[\d.]|\b(?:e|energ\w+|etot|homo|lumo|gap|dipoles?|moment|forces?|gradients?|charges?|hartrees?|mass\w*)"
    r"(?:[ _]in)?)[\s(\[:,]*$", re.IGNORECASE,
)
_ROUTE_UNITS = re.compile(r"(?<![\w-])units?\s*=?\s*(?:\(([^)]*)\)|([^\s,()/]+))", re.IGNORECASE)


def scale_lengths(atoms: Atoms, unit: float) -> None:
    """Turn positions and lattice vectors into Angstrom.

    Args:
        atoms: With lengths in the file's unit.
        unit: Its length in Angstrom.
    """
    atoms.set_cell(atoms.cell.array * unit)
    atoms.positions *= unit


def unit_of_comment(comment: str, line: int) -> float:
    """Length in Angstrom of the unit of an xyz frame: "units=bohr" or "unit: angstrom"; Angstrom without a word on it.

    Args:
        comment: Second line of the frame.
        line: Its number, for the error.

    Raises:
        LineError: The unit is not understood, declared twice, or mentioned without saying that it is the coordinates'.
    """
    declared = {}
    for subject, *values in _DECLARATION.findall(comment):
        word = next((value.strip() for value in values if value.strip()), "")
        if word.lower() in LENGTHS:
            declared[word] = LENGTHS[word.lower()]
        elif subject or word.lower() in OTHERS:
            raise _refuse(f"the unit of length {word!r} is not understood; expected angstrom or bohr", line)
    if len(set(declared.values())) > 1:
        raise _refuse(f"the comment declares two units of length, {' and '.join(map(repr, declared))}", line)
    if declared:
        return next(iter(declared.values()))
    text = _OTHER_QUANTITY.sub(" ", comment)
    for match in (*_MENTION.finditer(text), *_SHORT.finditer(text)):
        if not _OF_A_VALUE.search(text[: match.start(1)]):
            raise _refuse(f"the comment mentions {match[1]!r}, but gives no unit of length as a key", line)
    return 1.0


def unit_of_route(route: str, line: int) -> float:
    """Length in Angstrom of the unit in the route of a Gaussian input: "units=au", "Units(Bohr,Deg)".

    Args:
        route: Its lines as one.
        line: Number of the first one, for the error.

    Raises:
        LineError: The unit is neither Gaussian's Angstrom nor its Bohr.
    """
    unit = 1.0
    for several, single in _ROUTE_UNITS.findall(route):
        for word in re.split(r"[\s,]+", (several or single).strip().lower()):
            if word in LENGTHS:
                unit = LENGTHS[word]
            elif word and word not in ANGLES:
                raise LineError(f"the unit {word!r} of the route is not understood; expected ang, au or bohr", line,
                                advice="Correct the route.")
    return unit


def _refuse(problem: str, line: int) -> LineError:
    return LineError(problem, line, advice="Write units=angstrom or units=bohr into the comment, whichever is true.")

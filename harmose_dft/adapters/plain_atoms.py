"""Atoms that are not what their label's element says: ghosts, pseudo-hydrogens, core holes; refused by name."""

from __future__ import annotations

import re
from pathlib import Path

from ..core.errors import FileFormatError

_GHOST = re.compile(r"empty|ghost", re.IGNORECASE)
_EMPTY_POTENTIAL = re.compile(r"^E(?![a-z])|empty|ghost")
_FRACTION = re.compile(r"H[._-]?(?:\d*\.\d|0\d|\d{3})")
_CORE_HOLE = re.compile(r"core.?hole|star\d[spdf]|[._-][1-6][spdf]\d?(?:$|[._-])", re.IGNORECASE)

WHOLE_WITHIN = 1e-6
"""Valence electrons of an element may differ from a whole number by this much."""


def require_plain_atom(label: str, potential: str, path: Path, *, line: int | None = None, pao: str = "") -> None:
    """Refuse a species whose nucleus is not that of its element.

    Args:
        label: Its label in the structure.
        potential: Name of its pseudopotential; may be empty.
        path: The file, for the error.
        line: The line, for the error.
        pao: Name of its orbitals in OpenMX's form, such as "C6.0_1s".

    Raises:
        FileFormatError: It is a ghost atom, a pseudo-hydrogen, or has a core hole.
    """
    kind = ""
    if _GHOST.search(label) or _EMPTY_POTENTIAL.search(potential):
        kind = "a ghost atom (orbitals without a nucleus)"
    elif _FRACTION.match(label) or re.match(r"H[._-]?\d*\.\d", potential):
        kind = "a pseudo-hydrogen (a fraction of a nucleus)"
    elif any(_CORE_HOLE.search(name) for name in (label, potential, pao)):
        kind = "an atom with a core hole"
    if kind:
        raise FileFormatError(
            f"The species {label!r}{f' ({potential})' if potential else ''} is {kind}, which the element's symbol does "
            "not tell; such calculations are not read. Remove it from the calculation.", path=path, line=line,
        )  # fmt: skip


def require_whole_valence(label: str, number: int, electrons: float, path: Path) -> None:
    """Refuse an element whose pseudopotential has no whole number of electrons, or more than the atom has.

    Args:
        label: Label of the species.
        number: Atomic number.
        electrons: Valence electrons of one atom.
        path: The file that states them.

    Raises:
        FileFormatError: With the number of electrons.
    """
    if not (abs(electrons - round(electrons)) < WHOLE_WITHIN and 1 <= round(electrons) <= number):
        raise FileFormatError(
            f"The species {label!r} has {electrons:g} valence electrons; expected a whole number from 1 to {number}. "
            "Ghost atoms, pseudo-hydrogens and core holes are not read.", path=path,
        )  # fmt: skip

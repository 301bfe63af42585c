"""Element symbols and atom labels as structure files write them."""

from __future__ import annotations

import re

from ...core.structure import SYMBOLS

ISOTOPES = {"D": "H", "T": "H"}
"""Symbols of isotopes -> element; the electrons do not tell them apart."""

GHOST = re.compile(r"ghost|empty|dummy|^gh|^bq|^x+\d*$|^du\d*$|^@|:$|-bq", re.IGNORECASE)
"""Labels of places without a nucleus."""

AMBIGUOUS = re.compile(r"(CA|CD|CE|HE|HG|HO|ND|NE)[\dA-Z_'*]+")
"""Names of atoms in residues that begin like another element's symbol: CA1 is a carbon, or calcium."""

_LABEL = re.compile(r"\d{0,3}([A-Za-z]{1,2})(?:[\d_'*(][\w'*()+-]*)?")
_CHARGED = re.compile(r"\d?[+-]$|\(\d*[+-]\d*\)$")


class LineError(ValueError):
    """Something in a line cannot be understood.

    Args:
        message: What is wrong.
        line: Number of the line, from 1, where known.
        advice: What to do, as a sentence.
    """

    def __init__(self, message: str, line: int | None = None, *, advice: str = "Is the file complete?") -> None:
        super().__init__(message)
        self.line, self.advice = line, advice


def element(label: str, line: int | None = None) -> str:
    """The element symbol of an atom's label.

    Symbols in any case ("CL"), atomic numbers ("17"), isotopes ("D", "13C") and numbered labels ("O1", "C_2") are
    understood.

    Args:
        label: As the file has it.
        line: Number of the line, for the error.

    Raises:
        LineError: The label names no element, a place without nucleus, or carries a charge.
    """
    if label.isascii() and label.isdigit() and len(label) <= 3 and 0 < int(label) < len(SYMBOLS):
        return SYMBOLS[int(label)]
    if GHOST.search(label):
        raise LineError(f"the atom {label!r} is a ghost or dummy atom, which has no nucleus", line,
                        advice="Remove it.")
    if _CHARGED.search(label):
        raise LineError(f"the atom {label!r} carries a charge in its label", line,
                        advice="Give the total charge instead.")
    if AMBIGUOUS.fullmatch(label):
        raise LineError(f"the label {label!r} may stand for {label[0]} or {label[:2].capitalize()}", line,
                        advice="Write the symbol alone.")
    match = _LABEL.fullmatch(label)
    symbol = "" if match is None else match[1].capitalize()
    symbol = ISOTOPES.get(symbol, symbol)
    if symbol not in SYMBOLS[1:]:
        raise LineError(f"{label!r} is no element symbol; expected one such as C, Cl or O1", line)
    return symbol


def coordinates(words: list[str], line: int) -> list[float]:
    """Three numbers; exponents may be written as Fortran's ``1.0D-2`` or as QM9's ``1.0*^-2``.

    Raises:
        LineError: A word is missing or is no number.
    """
    if len(words) < 3:
        raise LineError(f"expected three coordinates; got {' '.join(words)!r}", line)
    try:
        return [float(word.replace("*^", "e").replace("D", "e").replace("d", "e")) for word in words[:3]]
    except ValueError as error:
        advice = "Write decimal points." if any("," in word for word in words[:3]) else "Is the file complete?"
        raise LineError(f"expected three coordinates; got {' '.join(words[:3])!r}", line, advice=advice) from error


def integers(words: list[str], line: int) -> list[int]:
    """Whole numbers.

    Raises:
        LineError: A word is none.
    """
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise LineError(f"expected whole numbers; got {' '.join(words)!r}", line) from error

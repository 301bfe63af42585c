"""Charge and spin of a structure, by the names that programs give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import StructureError

if TYPE_CHECKING:
    from ase import Atoms

CHARGE_KEYS = (
    "charge", "total_charge", "net_charge", "tot_charge", "molecular_charge", "system_charge", "formal_charge",
    "charge_state", "q", "qtot",
)
"""Keys of the total charge, in units of e."""

MULTIPLICITY_KEYS = ("multiplicity", "spin_multiplicity", "total_multiplicity", "spinmult", "mult", "2s+1")
"""Keys of the multiplicity 2S + 1."""

UNPAIRED_KEYS = ("unpaired_electrons", "n_unpaired", "unpaired", "uhf")
"""Keys of the number of unpaired electrons."""

SPIN_KEYS = ("spin", "total_spin", "tot_spin")
"""Keys of either; the number of electrons decides, as only one of the two can be right."""

SUSPECT = {"charge", "charges", "chg", "multiplicity", "mult", "spin", "unpaired"}
"""Words in keys that are not understood, which are refused where their value is a whole number other than zero."""

HARMLESS = {"polarized", "polarised", "orbit", "channel", "channels", "components", "index", "nuclear", "method"}
"""Words that say that such a key is about something else."""

INTEGER_WITHIN = 0.1
"""Largest distance of the sum of atoms' partial charges from a whole number."""

_FREE = re.compile(
    r"(?<![\w-])((?:total|net|tot|molecular|system|formal|spin)[ _-])?(charge|multiplicity|mult|spin|q|uhf)"
    r"(\s*[=:]\s*|\s+)([+-]?\d+(?:\.\d*)?)(?![\w.])", re.IGNORECASE,
)
_TWO = re.compile(r"\s*([+-]?\d{1,3})[\s,]+(\d{1,3})\s*")
_ONE = re.compile(r"\s*[+-]\d{1,2}\s*")


def read_charge_and_spin(atoms: Atoms) -> tuple[int, int]:
    """Total charge and number of unpaired electrons.

    Args:
        atoms: ``info`` may hold any of the keys above, and a file's comment under "comment".

    Raises:
        StructureError: A value is no integer, two keys contradict each other, or one is not understood.
    """
    given = _by_key(atoms.info)
    for key, value in _in_comment(str(atoms.info.get("comment", "")), int(atoms.numbers.sum())):
        if not any(key in keys and given.keys() & set(keys) for keys in _KINDS):
            given.setdefault(key, value)
    charge = _agree(given, CHARGE_KEYS, "charge")
    if charge is None:
        charge = _sum_of_charges(atoms)
    electrons = int(atoms.numbers.sum()) - charge
    spin = _agree(given, UNPAIRED_KEYS, "number of unpaired electrons")
    multiplicity = _agree(given, MULTIPLICITY_KEYS, "multiplicity")
    either = _agree(given, SPIN_KEYS, "spin")
    values = [] if spin is None else [spin]
    values += [] if multiplicity is None else [multiplicity - 1]
    if either is not None:
        values.append(either - (1 if (electrons - either) % 2 else 0))
    if len(set(values)) > 1:
        raise StructureError(f"Keys of spin and multiplicity contradict each other: {_quote(given)}. Keep one.")
    spin = values[0] if values else _sum_of_moments(atoms)
    if spin < 0:
        raise StructureError(f"A structure cannot have {spin} unpaired electrons; check spin or multiplicity.")
    return charge, spin


_KINDS = (CHARGE_KEYS, MULTIPLICITY_KEYS + UNPAIRED_KEYS + SPIN_KEYS)


def _by_key(info: Mapping[str, object]) -> dict[str, object]:
    """Values by lower-case key with underscores, those that are understood.

    Raises:
        StructureError: A key looks like charge or spin and is not understood.
    """
    out: dict[str, object] = {}
    for name, value in info.items():
        key = re.sub(r"[\s-]+", "_", str(name).strip().lower())
        if any(key in keys for keys in _KINDS):
            if key in out and out[key] != value:
                raise StructureError(f"{name} is given twice, as {out[key]} and {value}. Keep one.")
            out[key] = value
            continue
        words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(name)).lower()))
        if words & SUSPECT and not words & HARMLESS and _is_count(value):
            raise StructureError(
                f"{name} = {value} is not understood. The charge is read from {', '.join(CHARGE_KEYS)}, the spin from "
                f"{', '.join(MULTIPLICITY_KEYS + UNPAIRED_KEYS + SPIN_KEYS)}."
            )
    return out


def _in_comment(comment: str, nuclear: int) -> Iterator[tuple[str, str]]:
    """Keys and values in a comment's free text, "charge -2" or "-2 1" for charge and multiplicity."""
    two = _TWO.fullmatch(comment)
    if two is not None:
        charge, multiplicity = int(two[1]), int(two[2])
        if multiplicity < 1 or (nuclear - charge - multiplicity) % 2 == 0:
            raise StructureError(
                f"The comment {comment.strip()!r} looks like charge and multiplicity, which {nuclear - charge} "
                "electrons cannot have. Write charge=... multiplicity=..., or another comment."
            )
        yield from (("charge", two[1]), ("multiplicity", two[2]))
    if _ONE.fullmatch(comment):
        raise StructureError(
            f"The comment {comment.strip()!r} may be a charge. Write charge={int(comment)}, or another comment."
        )
    text = re.sub(r"\S+=\"[^\"]*\"|\S+='[^']*'", " ", comment)
    for prefix, name, between, value in _FREE.findall(text):
        if between.strip() or name.lower() not in ("q", "spin", "mult"):
            yield re.sub(r"[ -]", "_", (prefix + name).lower()), value


def _agree(given: Mapping[str, object], keys: tuple[str, ...], quantity: str) -> int | None:
    """The one value of several keys."""
    values = {_whole(given[key], quantity) for key in keys if key in given}
    if len(values) > 1:
        raise StructureError(f"Keys of the {quantity} contradict each other: {_quote(given)}. Keep one.")
    return values.pop() if values else None


def _whole(value: object, quantity: str) -> int:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not number.is_integer() or abs(number) > 1e6:
        raise StructureError(f"The {quantity} must be an integer; got {str(value)[:40]}.")
    return int(number)


def _is_count(value: object) -> bool:
    """Whether a value is a whole number other than zero, not a flag or an array."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | str | np.number):
        return False
    try:
        number = float(value)
    except ValueError:
        return False
    return number.is_integer() and number != 0


def _sum_of_charges(atoms: Atoms) -> int:
    total = float(np.sum(atoms.get_initial_charges()))
    if not np.isfinite(total):
        raise StructureError("An initial charge is not a finite number. Correct it, or give the total charge.")
    if abs(total - round(total)) > INTEGER_WITHIN:
        raise StructureError(
            f"The atoms' charges add up to {total:.3f}, which is no whole number. Give the total charge (charge=...)."
        )
    return round(total)


def _sum_of_moments(atoms: Atoms) -> int:
    total = float(np.sum(atoms.get_initial_magnetic_moments()))
    if not np.isfinite(total):
        raise StructureError("An initial magnetic moment is not a finite number. Correct it, or give the multiplicity.")
    return round(abs(total))


def _quote(given: Mapping[str, object]) -> str:
    return ", ".join(f"{key} = {value}" for key, value in given.items())

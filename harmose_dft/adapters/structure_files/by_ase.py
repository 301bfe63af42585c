"""cif, POSCAR, xsf and gen files: read by ASE, after a look at what its readers let pass."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING

from .elements import ISOTOPES, LineError

if TYPE_CHECKING:
    from ase import Atoms

CELL = ("_cell_length_a", "_cell_length_b", "_cell_length_c", "_cell_angle_alpha", "_cell_angle_beta",
        "_cell_angle_gamma")
"""What a cif file with fractional coordinates must give."""

POSITIONS = tuple(f"_atom_site_{kind}_{axis}" for kind in ("fract", "cartn") for axis in "xyz")
"""Names of coordinates in a cif file."""

COUNT_DIGITS = 12
"""Digits of a number of atoms."""


def read_with_ase(text: str, kind: str) -> list[Atoms]:
    """Every structure of a file in one of ASE's formats.

    Raises:
        LineError: The file is incomplete in a way that ASE's reader does not notice, or its space group is not known.
    """
    from ase.io import read
    from ase.spacegroup.spacegroup import SpacegroupError

    before = {
        "vasp": _require_all_atoms_of_poscar, "gen": _require_all_atoms_of_gen, "cif": _require_all_of_cif,
        "xsf": _require_all_atoms_of_xsf,
    }  # fmt: skip
    if kind in before:
        before[kind](text)
    if kind in ("gen", "vasp"):
        text = _without_isotopes(text, kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            frames = list(read(io.StringIO(text), index=":", format=kind))
        except SpacegroupError as error:  # symmetry operations without a name or number, or an unknown name
            raise LineError("the space group is not named, or not by a name that ASE knows",
                            advice="Give its number, _space_group_IT_number, or save the crystal with all atoms in P 1."
                            ) from error
    if kind == "cif" and "_fract_" in text.lower():
        for atoms in frames:
            _require_cell(text, atoms)
    return frames


def _require_cell(text: str, atoms: Atoms) -> None:
    lower = text.lower()
    missing = [name for name in CELL if name not in lower]
    if missing or not atoms.pbc.all():
        raise LineError(f"fractional coordinates need a cell, but {', '.join(missing) or 'its six values'} cannot be "
                        "found")


def _require_all_of_cif(text: str) -> None:
    """Refuse unknown numbers, and sites that are occupied by parts: ASE's reader keeps all of them."""
    from ase.io.cif import parse_cif

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blocks = list(parse_cif(io.StringIO(text)))
    for block in blocks:
        for name in (*CELL, *POSITIONS):
            value = block.get(name)
            unknown = next((v for v in (value if isinstance(value, list) else [value]) if v in ("?", ".")), None)
            if unknown is not None:
                raise LineError(f"{name} holds {unknown!r}, which stands for an unknown value; expected a number",
                                advice="Write the number.")
        shares = block.get("_atom_site_occupancy")
        for share in shares if isinstance(shares, list) else [shares]:
            number = re.match(r"[\d.]+", str(share))
            if number is not None and float(number[0]) < 1:
                raise LineError(f"the site with occupancy {share} is occupied by parts",
                                advice="Choose one of the alternatives and remove the others.")


def _require_all_atoms_of_poscar(text: str) -> None:
    """Refuse numbers of atoms for which the file has not enough lines, before ASE makes lists of them."""
    lines = text.splitlines()
    for number, line in enumerate(lines[5:7], start=6):
        counts = [word for word in line.split("!")[0].split() if word.isascii() and word.isdigit()]
        if any(len(word) > COUNT_DIGITS for word in counts) or sum(map(int, counts)) > len(lines):
            announced = " ".join(counts)[:60]
            raise LineError(f"{announced!r} atoms are announced; the file has {len(lines)} lines", number)
        if counts and counts == line.split("!")[0].split():
            mode = 1 if lines[number:] and lines[number].strip()[:1].lower() == "s" else 0  # selective dynamics
            rows = lines[number + mode + 1 :]
            following = next((n for n, row in enumerate(rows) if not row.strip()), len(rows))
            if following < sum(map(int, counts)):
                raise LineError(f"{sum(map(int, counts))} atoms are announced and {following} follow", number)
            return


def _require_all_atoms_of_gen(text: str) -> None:
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    rows = [words for words in lines if words]
    if len(rows) < 3 or len(rows[0]) < 2 or not rows[0][0].isdigit() or len(rows[0][0]) > 12:
        raise LineError("expected the number of atoms and C, S or F", 1)
    count, kind = int(rows[0][0]), rows[0][1]
    expected = 2 + count + (0 if kind.upper() == "C" else 4)
    if len(rows) != expected:
        raise LineError(f"{count} atoms of kind {kind} need {expected} lines; got {len(rows)}", 1)
    for n, words in enumerate(rows[2 : 2 + count], start=1):
        if len(words) < 5 or words[0] != str(n):
            raise LineError(f"expected atom {n}; got {' '.join(words)!r}")


def _require_all_atoms_of_xsf(text: str) -> None:
    """Refuse atoms beyond those that PRIMCOORD announces: ASE's reader leaves them out."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for k, words in enumerate(lines):
        if words[0] != "PRIMCOORD":
            continue
        head = lines[k + 1] if k + 1 < len(lines) else []
        count = int(head[0]) if head and head[0].isdigit() and len(head[0]) <= 12 else -1
        after = lines[k + 2 + count : k + 3 + count] if 0 <= count < len(lines) else []
        if not 0 < count <= len(lines) - k - 2 or (after and len(after[0]) in (4, 7) and _is_atom(after[0])):
            raise LineError(f"PRIMCOORD announces {' '.join(head[:1])!r} atoms, which are not those that follow")


def _is_atom(words: list[str]) -> bool:
    try:
        return len([float(word) for word in words[1:]]) in (3, 6)
    except ValueError:
        return False


def _without_isotopes(text: str, kind: str) -> str:
    """Deuterium and tritium as hydrogen, in the line of symbols; a line of numbers is left alone."""
    lines = text.splitlines()
    at = 1 if kind == "gen" else 5
    if len(lines) > at and lines[at].split() and all(w.isalpha() for w in lines[at].split()):
        lines[at] = " ".join(ISOTOPES.get(word, word) for word in lines[at].split())
    return "\n".join(lines) + "\n"

"""xyz and extxyz files, raw files of QM9 among them.

A frame is a count, a comment, and a line per atom; blank lines may stand before, between and after frames. Comments
with ``Lattice`` or ``Properties`` are ASE's extended xyz. Lengths are in Angstrom unless the comment says "units=bohr".
QM9's raw files write exponents as ``*^`` and have lines with frequencies, SMILES and InChI after the atoms.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .elements import LineError, coordinates, element
from .lines import LineQueue
from .units import scale_lengths, unit_of_comment

if TYPE_CHECKING:
    from ase import Atoms

_QM9 = re.compile(r"gdb\s+\d+\s")
_EXTENDED = re.compile(r"\b(lattice|properties)\s*=", re.IGNORECASE)
_PROPERTIES = re.compile(r"\bproperties\s*=\s*\"?([\w:]+)", re.IGNORECASE)
LONGEST_COUNT = 12
"""Digits of a number of atoms."""


def read_xyz(lines: Iterable[str]) -> Iterator[Atoms]:
    """Every frame of a file, of which no more than one is in memory at a time.

    Args:
        lines: Of the file, without their ends.

    Raises:
        LineError: A frame is incomplete, its unit of length is not understood, or a line is no atom.
    """
    following = LineQueue(lines)
    while (head := following.next_with_text()) is not None:
        begin = following.taken
        count = _count(head, begin)
        comment, *rows = following.take(1 + count) or [""]
        if len(rows) < count:
            raise LineError(f"the frame has {count} atoms, but only {len(rows)} lines follow", begin)
        while following.peek(1) and following.peek(1)[0].startswith("VEC"):
            rows += following.take(1)
        atoms = _read_frame(comment, rows, count, begin + 2)
        if _QM9.match(comment):
            more = following.take(_n_qm9_lines(following.peek(3)))
            smiles = more[1].split() if len(more) > 1 else []
            atoms.info = {"smiles": smiles[-1]} if smiles else {}  # GDB's, then that of the relaxed geometry
        yield atoms


def _count(line: str, number: int) -> int:
    word = line.strip()
    if not (word.isascii() and word.isdigit() and len(word) <= LONGEST_COUNT):
        raise LineError(f"expected the number of atoms of a frame; got {word[:40]!r}", number)
    return int(word)


def _read_frame(comment: str, rows: list[str], count: int, first: int) -> Atoms:
    """One frame, by ASE where its comment is that of extended xyz."""
    from ase import Atoms

    words = [row.split() for row in rows]
    column = _species_column(comment)
    for number, row in enumerate(words[:count], start=first):
        if column is not None:
            if len(row) <= column:
                raise LineError(f"expected an atom; got {' '.join(row)!r}", number)
            row[column] = element(row[column], number)
    if _EXTENDED.search(comment) or len(rows) > count:
        atoms = _read_extxyz(comment, words, count)
    else:
        symbols = [row[0] for row in words]
        positions = [coordinates(row[1:], number) for number, row in enumerate(words, start=first)]
        atoms = Atoms(symbols, positions)
        atoms.info.update(_info(comment))
    scale_lengths(atoms, unit_of_comment(comment, first - 1))
    atoms.info["comment"] = comment
    return atoms


def _species_column(comment: str) -> int | None:
    """Which word of an atom's line is its symbol; None where there are numbers instead."""
    match = _PROPERTIES.search(comment)
    if match is None:
        return 0
    parts, column = match[1].split(":"), 0
    for name, width in zip(parts[::3], parts[2::3], strict=False):
        if name.lower() == "species":
            return column
        column += int(width) if width.isdigit() else 1
    return None


def _read_extxyz(comment: str, words: list[list[str]], count: int) -> Atoms:
    from ase.io import read

    text = "\n".join([str(count), comment, *(" ".join(row) for row in words)]) + "\n"
    atoms = read(io.StringIO(text), index=0, format="extxyz")
    assert not isinstance(atoms, list)
    results = {} if atoms.calc is None else atoms.calc.results
    if "charges" in results and not atoms.has("initial_charges"):
        atoms.set_initial_charges(results["charges"])
    atoms.calc = None
    return atoms


def _info(comment: str) -> dict[str, object]:
    """Keys and values of a comment; none where it is free text."""
    from ase.io.extxyz import key_val_str_to_dict

    try:
        return dict(key_val_str_to_dict(comment)) if "=" in comment else {}
    except Exception:  # ASE's parser raises errors of any type on free text
        return {}


def _n_qm9_lines(following: list[str]) -> int:
    """How many lines after the atoms of a raw file of QM9 belong to the frame; the next frame begins with a count."""
    return next((k for k, line in enumerate(following) if line.strip().isdigit()), len(following))

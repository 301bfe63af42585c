"""Structures as ABACUS sees them: atoms regrouped by species, positions folded into the cell.

The R of a CSR file belongs to the folded positions (running log, ``MD_dump``, newer CSR headers), not to the STRU as
it was written. Where several files state a position, the digits of STRU and the fold of the code's output are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ..plain_atoms import require_plain_atom
from ..text import read_lines
from .constants import ANGSTROM_IN_BOHR
from .log import RunLog
from .stru import Stru
from .text import parse_floats

Floats = NDArray[np.float64]

FOLD_MARGIN = 1e-9
"""Fractional coordinates this little below a cell boundary count as on it."""

SAME_POSITION = 1e-4
"""Fractional coordinates of two files may differ by this much for one position (they are printed with 8-10 digits)."""

def fold_into_cell(fractional: Floats, reference: Floats | None, path: Path) -> Floats:
    """Fractional positions moved into the cell, as the code did.

    Args:
        fractional: With all digits, (atom, 3).
        reference: The code's own folded positions, where it printed them; they decide at a cell boundary.
        path: File of ``fractional``, for the error.

    Raises:
        FileFormatError: The two are not one structure.
    """
    if reference is None:
        return np.asarray(fractional - np.floor(fractional + FOLD_MARGIN))
    if reference.shape != fractional.shape:
        raise FileFormatError(
            f"The structure has {len(fractional)} atoms, the run {len(reference)}. Are they of one calculation?",
            path=path,
        )
    near_reference = fractional + np.round(reference - fractional)
    worst = np.abs(near_reference - reference).max(axis=1)
    if worst.max() > SAME_POSITION:
        atom = int(worst.argmax())
        raise FileFormatError(
            f"Atom {atom + 1} lies at {np.round(fractional[atom], 6).tolist()} (fractional); the run had it at "
            f"{np.round(reference[atom], 6).tolist()}. This is not the structure of the run.", path=path
        )  # fmt: skip
    return np.asarray(near_reference)


def read_logged_positions(log: RunLog, vectors: Floats) -> list[Floats]:
    """Folded fractional positions of every table in a log.

    Args:
        log: The log.
        vectors: Lattice vectors in units of the lattice constant.
    """
    inverse = np.linalg.inv(vectors)
    return [numbers if direct else numbers @ inverse for direct, numbers in log.coordinates]


def structure_from_log(log: RunLog) -> Stru:
    """The structure a log prints (lattice vectors to 6 digits), for an OUT folder without its STRU.

    Raises:
        FileFormatError: The log does not print one.
    """
    if not log.species or not log.coordinates or log.vectors is None or log.constant is None:
        raise FileFormatError(
            "There is no STRU file, and the log does not print the structure. Put the STRU of the run beside the OUT "
            "folder.", path=log.path
        )  # fmt: skip
    labels, counts = tuple(s.label for s in log.species), tuple(s.atoms for s in log.species)
    for label in labels:
        require_plain_atom(label, "", log.path)
    return Stru(log.path, labels, counts, log.constant, log.vectors, read_logged_positions(log, log.vectors)[0])


def structure_from_header(cell_text: Sequence[tuple[int, str]], path: Path) -> Stru:
    """The unit cell in the header of a newer CSR file.

    Lines: name, lattice constant (Angstrom), three vectors in its units, labels, atoms of each, "Direct", positions.

    Raises:
        FileFormatError: The lines do not have this form.
    """
    line = cell_text[0][0] if cell_text else 1
    if len(cell_text) < 9 or cell_text[7][1] != "Direct":
        raise FileFormatError("The unit cell in the header is incomplete.", path=path, line=line)
    rows = [(number, text.split()) for number, text in cell_text]
    constant = float(parse_floats(rows[1][1], path, rows[1][0], "lattice constant", 1)[0]) * ANGSTROM_IN_BOHR
    vectors = np.array([parse_floats(words, path, number, "lattice vector", 3) for number, words in rows[2:5]])
    positions = np.array([parse_floats(words, path, number, "position", 3) for number, words in rows[8:]])
    counts = parse_floats(rows[6][1], path, rows[6][0], "atoms of each species").astype(int)
    if len(counts) != len(rows[5][1]) or counts.sum() != len(positions):
        raise FileFormatError(
            f"The header counts {counts.sum()} atoms and lists {len(positions)}.", path=path, line=line
        )
    return Stru(path, tuple(rows[5][1]), tuple(int(c) for c in counts), constant, vectors, positions)


def read_md_dump(path: Path) -> dict[int, tuple[Floats, Floats]]:
    """``MD_dump``: step -> (cell in Bohr, fractional positions folded into the cell).

    Raises:
        FileFormatError: A step is malformed.
    """
    lines = read_lines(path)
    starts = [n for n, line in enumerate(lines) if line.startswith("MDSTEP:")]
    out: dict[int, tuple[Floats, Floats]] = {}
    for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        rows = [(n, lines[n - 1].split()) for n in range(begin + 1, end + 1) if lines[n - 1].strip()]
        head = next((n for n, (_, words) in enumerate(rows) if words[0] == "INDEX"), 0)
        if head < 6 or rows[1][1][0] != "LATTICE_CONSTANT:":
            raise FileFormatError("Expected a lattice constant, three vectors and atoms.", path=path, line=begin + 1)
        line, words = rows[1]
        constant = float(parse_floats(words[1:], path, line, "lattice constant", 1)[0]) * ANGSTROM_IN_BOHR
        cell = constant * np.array([parse_floats(w, path, n, "lattice vector", 3) for n, w in rows[3:6]])
        positions = np.array(
            [parse_floats(w[2:], path, n, "position", 3) for n, w in rows[head + 1 :]]
        ) * ANGSTROM_IN_BOHR
        fractional = positions @ np.linalg.inv(cell)
        step = parse_floats(rows[0][1][1:], path, begin + 1, "step", 1)
        out[int(step[0])] = cell, fold_into_cell(fractional, None, path)
    return out

"""ABACUS's own eigenvalues: ``istate.info``, ``eig.txt``/``eig_occ.txt`` and ``BANDS_<spin>.dat`` with ``kpoints``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.record import Eigenvalues
from ..text import plain_name, read_lines
from .constants import EV_IN_HARTREE
from .text import parse_floats

Floats = NDArray[np.float64]

MAX_DENOMINATOR = 60
"""Largest denominator of a k-point mesh that :func:`snap` recognises."""

_ISTATE_K = re.compile(r"^BAND\s.*Kpoint\s*=\s*(\d+)\s*\(([^)]*)\)")
_EIG_K = re.compile(r"^\s*spin=(\d+)\s+k-point=(\d+)/\d+\s+Cartesian=(.*?)\s*\(")
_EIG_STEP = re.compile(r"^\s*(\d+)\s*#\s*ionic step")


def printed_precision(words: Iterable[str]) -> float:
    """Half a unit of the last digit of the largest number printed.

    The streams of ABACUS print a fixed number of significant digits and drop trailing zeros, so the number with the
    most digits tells how many there are.
    """
    digits, largest = 0, 0.0
    for word in words:
        mantissa = word.lower().split("e")[0].replace(".", "").replace("-", "").replace("+", "").lstrip("0")
        digits, largest = max(digits, len(mantissa)), max(largest, abs(float(word)))
    if largest == 0.0 or digits == 0:
        return 0.0
    return 0.5 * 10.0 ** (math.floor(math.log10(largest)) + 1 - digits)


def snap(words: Sequence[Sequence[str]]) -> Floats:
    """k-points as they were before rounding: 0.333333 is 1/3.

    A coordinate that is a fraction with a denominator up to ``MAX_DENOMINATOR`` within the rounding of the print is
    taken to be that fraction; others keep their digits. Rounding 1/3 to six digits moves bands by 0.1 meV.

    Args:
        words: Printed coordinates, (k, 3).
    """
    kpoints = np.array(words, dtype=np.float64)
    decimals = max((len(w.partition(".")[2]) for row in words for w in row), default=0)
    if not 4 <= decimals <= 10:
        return kpoints
    exact, free = kpoints.copy(), np.ones(kpoints.shape, dtype=bool)
    for denominator in range(1, MAX_DENOMINATOR + 1):
        fraction = np.round(kpoints * denominator) / denominator
        matches = free & (np.abs(fraction - kpoints) <= 0.51 * 10.0**-decimals)
        exact[matches], free = fraction[matches], free & ~matches
    return exact


def read_istate(path: Path) -> Eigenvalues:
    """``istate.info``: per k-point (direct coordinates) lines ``band energy occupation [energy occupation]``, eV.

    Raises:
        FileFormatError: A line is malformed or k-points have different numbers of bands.
    """
    kpoints: list[list[str]] = []
    energies: list[list[list[str]]] = []
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if match := _ISTATE_K.match(line):
            parse_floats(match[2].split(), path, number, "k-point", 3)
            kpoints.append(match[2].split()[:3])
            energies.append([])
        elif words:
            if not energies or len(words) not in (3, 5):
                raise FileFormatError(
                    "Expected 'band energy occupation' or its two-spin form under a 'BAND ... Kpoint' line.",
                    path=path, line=number,
                )  # fmt: skip
            energies[-1].append(words[1::2])
    if len({len(words) for k in energies for words in k}) > 1:
        raise FileFormatError("Some lines hold one spin, others two; the file is damaged.", path=path)
    return _eigenvalues(path, snap(kpoints), [list(zip(*k, strict=True)) for k in energies])


def read_eig(path: Path, vectors: Floats | None, step: int | None = None) -> Eigenvalues:
    """``eig.txt`` or ``eig_occ.txt`` of newer versions (k-points are Cartesian, in units of 2 pi / lattice constant).

    Args:
        path: The file.
        vectors: Lattice vectors in units of the lattice constant, rows, (3, 3).
        step: 0-based ionic step to take; the last one if None.

    Raises:
        FileFormatError: The file is malformed or does not hold the step.
    """
    sections: dict[int, dict[tuple[int, int], tuple[Floats, list[str]]]] = {}
    current = -1
    rows: list[str] | None = None
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if match := _EIG_STEP.match(line):
            current, rows = int(match[1]) - 1, None
        elif match := _EIG_K.match(line):
            rows = []
            kpoint = parse_floats(match[3].split(), path, number, "k-point", 3)
            sections.setdefault(current, {})[int(match[1]), int(match[2])] = (kpoint, rows)
        elif rows is not None and words:
            if len(words) != 3:
                raise FileFormatError("Expected 'band energy occupation'.", path=path, line=number)
            rows.append(words[1])
    chosen_step = max(sections, default=-1) if step is None else step
    if not sections or chosen_step not in sections or vectors is None:
        raise FileFormatError(
            f"No eigenvalues of ionic step {chosen_step + 1} (with known lattice vectors).", path=path
        )
    section = sections[chosen_step]
    spins, ks = sorted({s for s, _ in section}), sorted({k for _, k in section})
    if len(section) != len(spins) * len(ks):
        raise FileFormatError("Some k-points lack a spin direction; the file is truncated.", path=path)
    kpoints = np.array([section[spins[0], k][0] for k in ks]) @ vectors.T
    return _eigenvalues(path, kpoints, [[tuple(section[s, k][1]) for s in spins] for k in ks])


def _eigenvalues(path: Path, kpoints: Floats, words: list[list[tuple[str, ...]]]) -> Eigenvalues:
    """From words in the order k, spin, band."""
    shapes = {(len(k), len(k[0]) if k else 0) for k in words}
    if len(shapes) != 1 or (0, 0) in shapes:
        raise FileFormatError(
            "The k-points have different numbers of bands, or none; the file is truncated.", path=path
        )
    flat = [w for k in words for s in k for w in s]
    try:
        energies = np.array(words, dtype=np.float64).transpose(1, 0, 2) * EV_IN_HARTREE
        precision = printed_precision(flat) * EV_IN_HARTREE
    except ValueError as error:
        raise FileFormatError(f"An energy is not a number ({error}).", path=path) from error
    return Eigenvalues(kpoints, energies, plain_name(path), precision)


def read_kpoints(path: Path) -> Floats:
    """Direct coordinates of the last ``K-POINTS DIRECT COORDINATES`` table of a ``kpoints`` file, (k, 3).

    Raises:
        FileFormatError: There is no such table.
    """
    rows: list[list[str]] = []
    in_table = False
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if line.startswith("K-POINTS"):
            in_table = "DIRECT COORDINATES" in line
            rows = [] if in_table else rows
        elif in_table and len(words) == 5 and words[0].isdigit():
            parse_floats(words[1:], path, number, "k-point", 3)
            rows.append(words[1:4])
        elif in_table and words and words[0] != "KPOINTS":
            in_table = False
    if not rows:
        raise FileFormatError("The file holds no table 'K-POINTS DIRECT COORDINATES'.", path=path)
    return snap(rows)


def read_bands(paths: list[Path], kpoints: Floats) -> Eigenvalues:
    """``BANDS_1.dat`` (and ``BANDS_2.dat``): lines ``index path-length energy...``, eV, not shifted.

    Args:
        paths: One file per spin.
        kpoints: Direct coordinates of the band run, (k, 3).

    Raises:
        FileFormatError: The files differ in shape from each other or from the k-points.
    """
    tables = [[line.split()[2:] for line in read_lines(path) if line.strip()] for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if len(table) != len(kpoints) or len({len(row) for row in table}) != 1 or not table[0]:
            raise FileFormatError(
                f"Expected one line of equally many bands for each of the {len(kpoints)} k-points; got {len(table)} "
                "lines. Are BANDS and kpoints files of one run?", path=path
            )  # fmt: skip
    words = [[tuple(table[k]) for table in tables] for k in range(len(kpoints))]
    return _eigenvalues(paths[0], kpoints, words)

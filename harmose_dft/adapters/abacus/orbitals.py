"""Numerical atomic orbitals (``.orb``) and the valence charge of a pseudopotential (``.upf``)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...core.basis import NumericalRadial, Shell
from ...core.errors import FileFormatError
from ..text import read_bytes, read_lines
from .text import parse_floats, parse_numbers

_NAME = re.compile(r"_((?:\d+[spdfghi])+)\.orb", re.IGNORECASE)
_COUNT = re.compile(r"^Number of ([SPDFGHI])orbital-->\s*(\d+)", re.IGNORECASE)
_Z_VALENCE = re.compile(rb"z_valence\s*=\s*\"\s*([0-9.eEdD+-]+)\s*\"", re.IGNORECASE)
_Z_VALENCE_OLD = re.compile(rb"^\s*([0-9.eEdD+-]+)\s+Z valence", re.IGNORECASE | re.MULTILINE)

LETTERS = "spdfghi"
"""Letters of the angular momenta, by l."""


def read_orb(path: Path) -> tuple[str, tuple[Shell, ...]]:
    """Element and shells of a numerical orbital file.

    The file tabulates R(r) itself (integral of R^2 r^2 is one) on r = i * dr in Bohr, ordered by l and zeta, which is
    the order of the shells in ABACUS's matrices.

    Returns:
        Element symbol, and the shells with :class:`~harmose_dft.core.basis.NumericalRadial` functions.

    Raises:
        FileFormatError: The file is truncated, or its tables do not match its header.
    """
    lines = read_lines(path)
    element, mesh, step, n_announced = _orb_header(lines, path)
    heads = [n for n, line in enumerate(lines) if line.split() == ["Type", "L", "N"]]
    if len(heads) != sum(n_announced.values()):
        raise FileFormatError(
            f"The header announces {sum(n_announced.values())} orbitals; {len(heads)} tables follow. The file is "
            "truncated; download it again.", path=path, line=len(lines)
        )  # fmt: skip
    grid = step * np.arange(mesh, dtype=np.float64)
    shells: list[Shell] = []
    n_read: dict[int, int] = {}
    for head, end in zip(heads, [*heads[1:], len(lines)], strict=True):
        words = lines[head + 1].split() if head + 1 < len(lines) else []
        if len(words) != 3 or not all(w.isdigit() for w in words):
            raise FileFormatError("Expected three integers: type, l, zeta.", path=path, line=head + 2)
        l, zeta = int(words[1]), int(words[2])
        if zeta != n_read.get(l, 0) or l < max(n_read, default=0):
            raise FileFormatError(f"The table of l = {l}, zeta = {zeta} is out of order.", path=path, line=head + 2)
        n_read[l] = zeta + 1
        values = parse_numbers(" ".join(lines[head + 2 : end]).encode())
        if len(values) != mesh or not np.isfinite(values).all():
            raise FileFormatError(
                f"The orbital l = {l}, zeta = {zeta} must have {mesh} values; got {len(values)}. The file is truncated "
                "or damaged.", path=path, line=head + 3
            )  # fmt: skip
        shells.append(Shell(l, NumericalRadial(grid, values)))
    if n_read != {l: n for l, n in n_announced.items() if n}:
        raise FileFormatError(
            f"The header announces {_label(n_announced)}; the tables hold {_label(n_read)}.", path=path
        )
    return element, tuple(shells)


def _orb_header(lines: list[str], path: Path) -> tuple[str, int, float, dict[int, int]]:
    """Element, number of mesh points, spacing (Bohr), and number of functions of each l."""
    element, mesh, step, counts = "", 0, 0.0, {}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if len(words) == 2 and words[0] == "Element":
            element = words[1]
        elif len(words) == 2 and words[0] == "Mesh" and words[1].isdigit():
            mesh = int(words[1])
        elif len(words) == 2 and words[0] == "dr":
            step = float(parse_floats(words[1:], path, number, "mesh spacing")[0])
        elif match := _COUNT.match(line.strip()):
            counts[LETTERS.index(match[1].lower())] = int(match[2])
        elif words == ["Type", "L", "N"]:
            break
    if not element or mesh < 2 or step <= 0 or not counts:
        raise FileFormatError(
            "This is not an ABACUS orbital file: its header lacks Element, 'Number of Sorbital-->', Mesh or dr.",
            path=path,
        )
    return element, mesh, step, counts


def shells_in_name(name: str) -> tuple[int, ...] | None:
    """Angular momenta that a file name states (``C_gga_7au_100Ry_2s2p1d.orb``), or None."""
    match = _NAME.search(name)
    if match is None:
        return None
    counts = re.findall(r"(\d+)([a-z])", match[1].lower())
    return tuple(LETTERS.index(letter) for count, letter in counts for _ in range(int(count)))


def read_z_valence(path: Path) -> float:
    """Valence electrons of a UPF pseudopotential.

    Raises:
        FileFormatError: The file states none.
    """
    data = read_bytes(path).tobytes()
    match = _Z_VALENCE.search(data) or _Z_VALENCE_OLD.search(data)
    if match is None:
        raise FileFormatError("The pseudopotential does not state z_valence; is this a UPF file?", path=path)
    return float(match[1].lower().replace(b"d", b"e"))


def _label(counts: dict[int, int]) -> str:
    return "".join(f"{n}{LETTERS[l]}" for l, n in sorted(counts.items()) if n) or "nothing"

"""ABACUS's structure files: species, lattice and positions as STRU states them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.structure import SYMBOLS
from ..plain_atoms import require_plain_atom
from ..text import read_lines
from .constants import ANGSTROM_IN_BOHR
from .lattices import N_PARAMETERS, lattice_vectors
from .text import parse_floats, strip_comment

Floats = NDArray[np.float64]

CENTRES = {
    f"Cartesian_angstrom_center_{axes}": np.array([float(axis in axes) for axis in "xyz"])
    for axes in ("xy", "xz", "yz", "xyz")
}
"""Kind of positions in Angstrom from the cell's centre -> components of the centre that count."""

COUNT_DIGITS = 12
"""Digits of a number of atoms."""

SECTIONS = (
    "ATOMIC_SPECIES", "NUMERICAL_ORBITAL", "LATTICE_CONSTANT", "LATTICE_VECTORS", "LATTICE_PARAMETERS",
    "ATOMIC_POSITIONS", "NUMERICAL_DESCRIPTOR", "ABFS_ORBITAL",
)  # fmt: skip
"""Section names of a STRU file."""


@dataclass(frozen=True, eq=False)
class Stru:
    """A crystal in ABACUS's vocabulary.

    Args:
        path: The file it came from.
        labels: Label of each species ("Fe1"), in ABACUS's order.
        counts: Atoms of each species.
        constant: Lattice constant in Bohr.
        vectors: Lattice vectors in units of the lattice constant, rows, (3, 3).
        fractional: Fractional positions, species by species, (atom, 3).
        pseudopotentials: File name per species, where stated.
        orbitals: ``.orb`` file name per species, where stated.
    """

    path: Path
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    constant: float
    vectors: Floats
    fractional: Floats
    pseudopotentials: tuple[str, ...] = ()
    orbitals: tuple[str, ...] = ()

    @property
    def cell(self) -> Floats:
        """Lattice vectors in Bohr, rows."""
        return self.constant * self.vectors

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Atomic number of each atom."""
        return np.repeat([atomic_number(label, self.path) for label in self.labels], self.counts)


def atomic_number(label: str, path: Path) -> int:
    """Atomic number of a species label: an element symbol with anything but a letter behind it ("Fe1", "C_a").

    Raises:
        FileFormatError: The label does not start with an element symbol.
    """
    match = re.match(r"([A-Z][a-z]?)(?![a-z])", label)
    symbol = match[1] if match else ""
    if symbol not in SYMBOLS[1:]:
        raise FileFormatError(f"The species label {label!r} does not start with an element symbol.", path=path)
    return SYMBOLS.index(symbol)


def read_stru(path: Path, latname: str = "none") -> Stru:
    """Read a STRU file.

    Args:
        path: The file.
        latname: Name of the lattice in INPUT, for a file without vectors.

    Raises:
        FileFormatError: A section is missing or malformed, or positions are in a form that is not supported.
    """
    sections = _sections(path)
    for name in ("ATOMIC_SPECIES", "LATTICE_CONSTANT", "ATOMIC_POSITIONS"):
        if not sections.get(name):
            raise FileFormatError(f"The section {name} is missing or empty.", path=path)
    line, words = sections["LATTICE_CONSTANT"][0]
    constant = float(parse_floats(words, path, line, "lattice constant", 1)[0])
    vectors = _vectors(sections, latname, path)
    species = [w for _, w in sections["ATOMIC_SPECIES"]]
    labels = tuple(w[0] for w in species)
    for number, words in sections["ATOMIC_SPECIES"]:
        require_plain_atom(words[0], words[2] if len(words) > 2 else "", path, line=number)
    counts, fractional = _positions(sections["ATOMIC_POSITIONS"], labels, constant, vectors, path)
    return Stru(
        path, labels, counts, constant, vectors, fractional,
        tuple(w[2] if len(w) > 2 else "" for w in species),
        tuple(w[0] for _, w in sections.get("NUMERICAL_ORBITAL", [])),
    )  # fmt: skip


_Lines = list[tuple[int, list[str]]]


def _sections(path: Path) -> dict[str, _Lines]:
    """Section name -> (line number, words) of its lines, comments and blank lines left out."""
    out: dict[str, _Lines] = {}
    lines: _Lines = []
    for number, raw in enumerate(read_lines(path), start=1):
        text = strip_comment(raw)
        if text in SECTIONS:
            lines = out.setdefault(text, [])
        elif text:
            lines.append((number, text.split()))
    return out


def _vectors(sections: dict[str, _Lines], latname: str, path: Path) -> Floats:
    """Lattice vectors in units of the lattice constant: written out, or those of INPUT's ``latname``."""
    if len(sections.get("LATTICE_VECTORS", [])) >= 3:
        return np.array([parse_floats(w, path, n, "lattice vector", 3) for n, w in sections["LATTICE_VECTORS"][:3]])
    if latname not in N_PARAMETERS:
        raise FileFormatError(
            f"The section LATTICE_VECTORS needs three lines, unless INPUT names the lattice: latname is {latname!r}, "
            f"expected one of {', '.join(N_PARAMETERS)}.", path=path,
        )  # fmt: skip
    line, words = (sections.get("LATTICE_PARAMETERS") or [(1, [])])[0] if N_PARAMETERS[latname] else (1, [])
    parameters = parse_floats(words, path, line, f"LATTICE_PARAMETERS of {latname}", N_PARAMETERS[latname])
    try:
        return lattice_vectors(latname, parameters.tolist())
    except ValueError as error:
        raise FileFormatError(f"LATTICE_PARAMETERS of {latname}: {error}.", path=path, line=line) from error


def _positions(
    lines: _Lines, labels: tuple[str, ...], constant: float, vectors: Floats, path: Path
) -> tuple[tuple[int, ...], Floats]:
    """Number of atoms of each species, and fractional positions in the order of ATOMIC_SPECIES."""
    first, kind = lines[0][0], lines[0][1][0]
    units = {"Cartesian": constant, "Cartesian_au": 1.0, "Cartesian_angstrom": ANGSTROM_IN_BOHR}
    cell = constant * vectors
    origin = np.zeros(3)
    if kind in CENTRES:  # components of the centre of the cell, not a point of the plane of two lattice vectors
        origin, kind = cell.sum(axis=0) / 2 * CENTRES[kind], "Cartesian_angstrom"
    if kind != "Direct" and kind not in units:
        raise FileFormatError(
            f"Positions of kind {kind!r} are not known; expected Direct, {', '.join([*units, *CENTRES])}.", path=path,
            line=first,
        )  # fmt: skip
    by_label: dict[str, Floats] = {}
    at = 1
    while at < len(lines):
        number, words = lines[at]
        if words[0] not in labels or len(lines) < at + 3 or not lines[at + 2][1][0].isdigit():
            raise FileFormatError(
                f"Expected a species of ATOMIC_SPECIES ({', '.join(labels)}), its magnetisation and its number of "
                f"atoms; got {' '.join(words)!r}.", path=path, line=number
            )  # fmt: skip
        count = int(lines[at + 2][1][0][:COUNT_DIGITS])
        rows = lines[at + 3 : at + 3 + count]
        if len(rows) < count:
            raise FileFormatError(f"{words[0]} has {count} atoms; {len(rows)} follow.", path=path, line=number)
        atoms = np.array([parse_floats(w, path, n, "position", 3) for n, w in rows]).reshape(-1, 3)
        by_label[words[0]] = atoms if kind == "Direct" else (atoms * units[kind] + origin) @ np.linalg.inv(cell)
        at += 3 + count
    missing = [label for label in labels if label not in by_label]
    if missing:
        raise FileFormatError(f"ATOMIC_POSITIONS has no atoms of {missing[0]}.", path=path, line=first)
    return tuple(len(by_label[label]) for label in labels), np.concatenate([by_label[label] for label in labels])

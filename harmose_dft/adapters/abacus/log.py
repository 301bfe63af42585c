"""What a ``running_*.log`` states: version, spin, species and shells, folded positions, Fermi level, energy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ..text import find_existing, read_lines
from .constants import EV_IN_HARTREE
from .text import parse_floats

LOGS = ("scf", "md", "relax", "cell-relax", "get_S", "get_s", "nscf")
"""Kinds of ``running_<kind>.log``, in the order in which they are looked for."""

KNOWN_MAJOR_VERSIONS = (2, 3)
"""Major versions of ABACUS whose files are known."""

_VERSION = re.compile(r"(?:ABACUS\s+v|[Vv]ersion\D*?v?)(\d+\.\d+[\w.+-]*)")
_LABEL = re.compile(r"^\s*atom label\s*=\s*(\S+)")
_ZETA = re.compile(r"^\s*L=(\d{1,2}), number of zeta\s*=\s*(\d{1,2})(?!\d)")
_ATOMS = re.compile(r"^\s*number of atoms? for this type\s*=\s*(\d+)")
_NSPIN = re.compile(r"^\s*nspin\s*=\s*([124])\s*$")
_COORDINATES = re.compile(r"^\s*(DIRECT|CARTESIAN) COORDINATES")
_ATOM = re.compile(r"^\s*tau[cd]_(\S+)((?:\s+-?\d+\.\d+){3})")
_LATTICE = re.compile(r"^\s*Lattice vectors: \(Cartesian coordinate: in unit of a_0\)")
_CONSTANT = re.compile(r"^\s*lattice constant \(Bohr\)\s*=\s*(\d+(?:\.\d*)?)\s*$")
_UNIT = re.compile(r"UNIT\s*=\s*(\d+(?:\.\d*)?)\s+Bohr")
_ELECTRONS = re.compile(r"number of electrons:?\s*=\s*([\d.]+)\s*$")
_NEUTRAL = re.compile(r"^\s*total electron number of element \S+\s*=\s*([\d.]+)")
_FUNCTIONAL = re.compile(r"^\s*exchange-correlation functional\s*=\s*(\S+)")
_GRID = re.compile(r"^\s*fft grid for charge/potential\s*=\s*\[\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*\]", re.I)
_CUTOFF = re.compile(r"^\s*energy cutoff for charge/potential.*=\s*(\d+(?:\.\d*)?)\s*$", re.IGNORECASE)
_STEP = re.compile(r"STEP OF (?:MOLECULAR DYNAMICS|ION RELAXATION|RELAXATION)\s*:")
_CONVERGED = re.compile(r"charge density convergence is achieved|SCF IS CONVERGED", re.IGNORECASE)
_NOT_CONVERGED = re.compile(r"convergence has not been achieved|SCF IS NOT CONVERGED", re.IGNORECASE)
_NUMBER = r"(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)"
_FERMI = re.compile(rf"^\s*EFERMI\s*=\s*{_NUMBER}\s*eV|^\s*E_Fermi\s+\S+\s+{_NUMBER}\s*$")
_ENERGY = re.compile(rf"(?:!FINAL_ETOT_IS|final etot is)\s+{_NUMBER}\s+eV")


@dataclass(frozen=True)
class Species:
    """One block of atoms: the label, the number of atoms, and the angular momenta of the shells (empty if unknown)."""

    label: str
    atoms: int
    shells: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RunLog:
    """The facts of one run.

    Args:
        path: The log.
        version: Version of ABACUS, or "" where the log does not state it.
        nspin: 1, 2 or 4, where stated.
        species: Species in ABACUS's order.
        coordinates: Tables of folded positions in the order of printing: whether direct, and the numbers (atom, 3),
            Cartesian ones in units of the lattice constant.
        constant: Lattice constant in Bohr, where stated (all printed digits).
        vectors: Lattice vectors in units of the lattice constant (6 digits), rows, where stated.
        n_electrons: Valence electrons, where stated.
        charge: Total charge, rounded to an integer.
        functional: Exchange-correlation functional as printed, or "".
        fermi: Fermi level of each ionic step in Hartree.
        energy: Total energy of each ionic step in Hartree.
        converged: Whether the SCF of each ionic step has converged; None where the log does not say.
        valence: Valence electrons of one atom of each species, where stated.
        grid: Points of the density's grid along the lattice vectors, where stated.
        cutoff: Cutoff of the density in Rydberg, where stated.
    """

    path: Path
    version: str
    nspin: int | None
    species: tuple[Species, ...]
    coordinates: tuple[tuple[bool, NDArray[np.float64]], ...]
    constant: float | None
    vectors: NDArray[np.float64] | None
    n_electrons: float | None
    charge: int
    functional: str
    fermi: tuple[float | None, ...]
    energy: tuple[float | None, ...]
    converged: tuple[bool | None, ...] = (None,)
    valence: tuple[float, ...] = ()
    grid: tuple[int, int, int] | None = None
    cutoff: float | None = None


def find_log(folder: Path) -> Path | None:
    """The running log of an OUT folder, preferring self-consistent runs."""
    return next((p for kind in LOGS if (p := find_existing(folder, f"running_{kind}.log"))), None)


def read_log(path: Path) -> RunLog:
    """Read a running log.

    Raises:
        FileFormatError: The log is not one of ABACUS, or of a version that is not known.
    """
    lines = read_lines(path)
    if not any("ABACUS" in line for line in lines[:60]):
        raise FileFormatError("This is not a running log of ABACUS: the name does not occur in its head.", path=path)
    version = _version(lines, path)
    electrons = _first(_ELECTRONS, lines)
    neutral = [float(m[1]) for line in lines if (m := _NEUTRAL.match(line))]
    charge = round(sum(neutral) - float(electrons)) if electrons and neutral else 0
    nspin = _first(_NSPIN, lines)
    coordinates, unit = _coordinates(lines, path)
    species = _species(lines)
    valence = tuple(n / s.atoms for n, s in zip(neutral, species, strict=True)) if len(neutral) == len(species) else ()
    cutoff = _first(_CUTOFF, lines)
    constant = unit or _first(_CONSTANT, lines)
    return RunLog(
        path, version, int(nspin) if nspin else None, species, coordinates,
        float(constant) if constant else None, _vectors(lines, path), float(electrons) if electrons else None, charge,
        _first(_FUNCTIONAL, lines) or "", _per_step(_FERMI, lines), _per_step(_ENERGY, lines),
        _convergence(lines), valence, _grid(lines), float(cutoff) if cutoff else None,
    )  # fmt: skip


def _version(lines: list[str], path: Path) -> str:
    for number, line in enumerate(lines[:60], start=1):
        if match := _VERSION.search(line):
            if int(match[1].split(".")[0]) not in KNOWN_MAJOR_VERSIONS:
                raise FileFormatError(
                    f"ABACUS {match[1]} is not known here; known are versions "
                    f"{' and '.join(f'{m}.x' for m in KNOWN_MAJOR_VERSIONS)}. Its files may mean something else, so "
                    "they are not read.", path=path, line=number
                )  # fmt: skip
            return match[1]
    return ""


def _first(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next((m[1] for line in lines if (m := pattern.search(line))), None)


def _species(lines: list[str]) -> tuple[Species, ...]:
    out: list[Species] = []
    label, shells = "", list[int]()
    for line in lines:
        if match := _LABEL.match(line):
            label, shells = match[1], []
        elif match := _ZETA.match(line):
            shells += [int(match[1])] * int(match[2])
        elif label and (match := _ATOMS.match(line)):
            out.append(Species(label, int(match[1]), tuple(shells)))
            label = ""
    return tuple(out)


def _coordinates(
    lines: list[str], path: Path
) -> tuple[tuple[tuple[bool, NDArray[np.float64]], ...], str | None]:
    """Tables of positions, and the length unit of the Cartesian ones."""
    tables: list[tuple[bool, list[NDArray[np.float64]]]] = []
    unit = None
    for number, line in enumerate(lines, start=1):
        if match := _COORDINATES.match(line):
            tables.append((match[1] == "DIRECT", []))
            if unit_match := _UNIT.search(line):
                unit = unit_match[1]
        elif tables and (match := _ATOM.match(line)):
            tables[-1][1].append(parse_floats(match[2].split(), path, number, "position", 3))
    return tuple((direct, np.array(rows)) for direct, rows in tables if rows), unit


def _vectors(lines: list[str], path: Path) -> NDArray[np.float64] | None:
    start = next((n for n, line in enumerate(lines) if _LATTICE.match(line)), None)
    if start is None:
        return None
    rows = [parse_floats(line.split(), path, start + 2 + n, "lattice vector", 3)
            for n, line in enumerate(lines[start + 1 : start + 4])]  # fmt: skip
    return np.array(rows)


def _grid(lines: list[str]) -> tuple[int, int, int] | None:
    match = next((m for line in lines if (m := _GRID.match(line))), None)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _convergence(lines: list[str]) -> tuple[bool | None, ...]:
    """What the log says last about the SCF of each ionic step."""
    out: list[bool | None] = []
    for begin, end in _spans(lines):
        statements = [bool(_CONVERGED.search(line)) for line in lines[begin:end]
                if _CONVERGED.search(line) or _NOT_CONVERGED.search(line)]
        out.append(statements[-1] if statements else None)
    return tuple(out)


def _spans(lines: list[str]) -> list[tuple[int, int]]:
    """Lines of each ionic step; a run without steps counts as one."""
    starts = [n for n, line in enumerate(lines) if _STEP.search(line)] or [0]
    return list(zip(starts, [*starts[1:], len(lines)], strict=True))


def _per_step(pattern: re.Pattern[str], lines: list[str]) -> tuple[float | None, ...]:
    """The last match (eV, given back in Hartree) of each ionic step; a run without steps counts as one."""
    out: list[float | None] = []
    for begin, end in _spans(lines):
        values = [next(g for g in m.groups() if g) for line in lines[begin:end] if (m := pattern.search(line))]
        out.append(float(values[-1]) * EV_IN_HARTREE if values else None)
    return tuple(out)

"""Charge densities in ABACUS's cube files, which ``out_chg 1`` writes and ``init_chg file`` reads.

A Gaussian cube file: two comment lines, the second with nspin and the Fermi level (Rydberg); the atoms in ABACUS's
order, folded into the cell, Bohr; the density in Bohr^-3, z running fastest, each row of z on lines of its own. Of
nspin 2 the two files hold the densities of spin up and spin down; of nspin 4 the density and the magnetisation along x,
y and z.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError, StructureError
from ...core.files import atomic_path
from ...core.structure import Structure
from ...core.units import RYDBERG_IN_HARTREE
from ..text import plain_name, read_bytes
from .text import parse_floats, parse_numbers

Floats = NDArray[np.float64]

HEADER_LINES = 6
"""Lines before the atoms."""

VALUES_PER_LINE = 6
DECIMALS = 10
"""Digits behind the point; ABACUS recommends ten for restarts and writes three unless told."""

LONGEST_HEADER = 1 << 22
"""Bytes of a header; atoms need about 50 each."""

MOST_POINTS = 1 << 34

_NSPIN = re.compile(r"^\s*([124])\s*\(nspin\)")
_FERMI = re.compile(r"\(nspin\)\s*(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*\(fermi energy")
_NAME = re.compile(r"^(?:SPIN[1-4]_CHG|chgs[1-4]|chg)\.cube$")


class CubeNames(Enum):
    """Names of density files: those of versions up to 3.9.0.5 and of the LTS series 3.10, and the newer ones."""

    SPIN = "SPIN"
    CHG = "chg"

    @classmethod
    def of_version(cls, version: str) -> CubeNames:
        """Names that a version of ABACUS reads; the newer ones where it is not known."""
        numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:4])
        old = numbers and (numbers < (3, 9, 0, 6) or numbers[:2] == (3, 10))
        return cls.SPIN if old else cls.CHG

    def file_names(self, nspin: int) -> list[str]:
        """Files of a calculation with nspin 1, 2 or 4."""
        if self is CubeNames.SPIN:
            return [f"SPIN{n + 1}_CHG.cube" for n in range(nspin)]
        return ["chg.cube"] if nspin == 1 else [f"chgs{n + 1}.cube" for n in range(nspin)]


@dataclass(frozen=True, eq=False)
class DensityCube:
    """A density on the grid of a cell.

    Args:
        values: Bohr^-3, (n1, n2, n3).
        structure: The crystal, atoms in ABACUS's order and folded into the cell.
        nspin: 1, 2 or 4; None where the file does not say.
        fermi: Fermi level in Hartree, where stated.
        valence: Valence electrons of each atom, (atom,); None for atomic numbers. No version reads them.
    """

    values: Floats
    structure: Structure
    nspin: int | None
    fermi: float | None
    valence: Floats | None = None


def is_density_file(path: Path) -> bool:
    """Whether a file has the name of one of ABACUS's densities."""
    return bool(_NAME.match(plain_name(path)))


def write_density_cube(path: Path, cube: DensityCube, *, decimals: int = DECIMALS, force: bool = False) -> None:
    """Write a density as ABACUS does.

    Args:
        path: The file.
        cube: The density; its structure as ABACUS orders and folds it.
        decimals: Digits behind the point of the mantissa.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """
    with atomic_path(path, force) as temporary, temporary.open("w", encoding="ascii", newline="\n") as stream:
        stream.writelines(line + "\n" for line in _header(cube))
        for row in cube.values.reshape(-1, cube.values.shape[2]).tolist():
            words = [f" {value:.{decimals}e}" for value in row]
            for start in range(0, len(words), VALUES_PER_LINE):
                stream.write("".join(words[start : start + VALUES_PER_LINE]) + "\n")


def _header(cube: DensityCube) -> Iterator[str]:
    cell, shape = cube.structure.cell, cube.values.shape
    assert cell is not None
    yield "STEP: 0  Cubefile created from ABACUS. Inner loop is z, followed by y and x"
    fermi = 0.0 if cube.fermi is None else cube.fermi / RYDBERG_IN_HARTREE
    yield f"{cube.nspin or 1} (nspin) {fermi:.6f} (fermi energy, in Ry)"
    yield f"{len(cube.structure)} 0.0 0.0 0.0 "
    for count, vector in zip(shape, cell, strict=True):
        yield f"{count} " + " ".join(f"{x:.6f}" for x in vector / count)
    numbers = cube.structure.numbers
    charges = numbers if cube.valence is None else cube.valence
    for z, charge, position in zip(numbers.tolist(), charges.tolist(), cube.structure.positions, strict=True):
        yield f" {z} {charge:g} " + " ".join(f"{x:.6f}" for x in position)


def read_density_cube(path: Path) -> DensityCube:
    """Read a density that ABACUS, or :func:`write_density_cube`, wrote.

    Raises:
        FileFormatError: The file is no such file, or it is truncated.
    """
    data = read_bytes(path).tobytes()
    shape, structure, valence, header, end = _read_header(data, path)
    values = parse_numbers(data[end:])
    is_complete = len(values) == np.prod(shape) and data[-1:].isspace()
    if not is_complete or not np.isfinite(values).all():
        raise FileFormatError(
            f"A grid of {shape[0]} x {shape[1]} x {shape[2]} points has {np.prod(shape)} values; got {len(values)} "
            "numbers. The file is truncated or damaged.", path=path
        )  # fmt: skip
    nspin, fermi = _NSPIN.match(header), _FERMI.search(header)
    return DensityCube(
        values.reshape(shape), structure, int(nspin[1]) if nspin else None,
        float(fermi[1]) * RYDBERG_IN_HARTREE if fermi else None, valence,
    )  # fmt: skip


def read_cube_shape(path: Path) -> tuple[tuple[int, int, int], Floats]:
    """Grid and cell (Bohr, rows) of a cube file.

    Raises:
        FileFormatError: The file is no cube file.
    """
    shape, structure, *_ = _read_header(read_bytes(path)[:LONGEST_HEADER].tobytes(), path)
    assert structure.cell is not None
    return shape, structure.cell


def _read_header(data: bytes, path: Path) -> tuple[tuple[int, int, int], Structure, Floats, str, int]:
    """Grid, crystal, charges of the atoms, second comment line, and where the values begin."""
    head = data[:LONGEST_HEADER]
    lines = head.split(b"\n", HEADER_LINES)
    if len(lines) <= HEADER_LINES:
        raise FileFormatError("A cube file has six lines before its atoms; this one ends before.", path=path)
    counts = [line.split()[0] if line.split() else b"" for line in lines[2:HEADER_LINES]]
    if not all(c.isdigit() and len(c) < len(str(MOST_POINTS)) for c in counts):
        raise FileFormatError("Lines 3 to 6 of a cube file begin with the numbers of atoms and of points.", path=path)
    atoms, *points = (int(c) for c in counts)
    if min(points) < 1 or np.prod(points, dtype=float) > MOST_POINTS or atoms > len(head):
        raise FileFormatError(f"{atoms} atoms on a grid of {points} points cannot be.", path=path)
    vectors = np.array([_numbers(line, path, n + 4, 4)[1:] for n, line in enumerate(lines[3:HEADER_LINES])])
    rest = lines[HEADER_LINES].split(b"\n", atoms)
    if len(rest) <= atoms:
        raise FileFormatError(f"The file announces {atoms} atoms and ends before the last one.", path=path)
    rows = np.array([_numbers(line, path, n + 7, 5) for n, line in enumerate(rest[:atoms])]).reshape(-1, 5)
    shape = (points[0], points[1], points[2])
    try:
        structure = Structure(rows[:, 0].astype(np.int64), rows[:, 2:], vectors * np.array(shape)[:, None])
    except StructureError as error:
        raise FileFormatError(f"The header of this cube file describes no crystal. {error}", path=path) from error
    end = sum(len(line) + 1 for line in (*lines[:HEADER_LINES], *rest[:atoms]))
    return shape, structure, rows[:, 1], lines[1].decode("utf-8", errors="replace"), end


def _numbers(line: bytes, path: Path, number: int, count: int) -> Floats:
    words = line.decode("utf-8", errors="replace").split()
    return parse_floats(words, path, number, "a line of a cube file's header", count)

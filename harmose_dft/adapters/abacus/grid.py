"""The uniform grid on which ABACUS keeps its density, from its input or from files of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from .cube import is_density_file, read_cube_shape
from .log import RunLog

Shape = tuple[int, int, int]
Floats = NDArray[np.float64]

SMALL_PRIMES = (2, 3, 5)
"""Prime factors of the number of points along a lattice vector."""

SAME_CELL = 2e-4
"""Files print cells with six digits; relative deviation of two cells that are the same."""


def grid_of_cutoff(cell: Floats, cutoff: float, multiples: tuple[int, int, int] = (1, 1, 1)) -> Shape:
    """Points along the lattice vectors that hold all plane waves up to an energy.

    If n is the largest index along a reciprocal vector of a plane wave with G.G up to the cutoff, there are 2n + 1
    points, rounded up to a number without prime factors beyond 5 (verified with the running logs of ABACUS 3.8.1).

    Args:
        cell: Lattice vectors, rows, Bohr.
        cutoff: Energy in Rydberg of the density's plane waves (``ecutrho``, or four times ``ecutwfc``).
        multiples: Points are rounded up to multiples of these numbers (``bx``, ``by``, ``bz``).
    """
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    gram = reciprocal @ reciprocal.T
    bounds = np.floor(np.sqrt(cutoff) * np.linalg.norm(cell, axis=1) / (2 * np.pi) + 1e-9).astype(int)
    shape = []
    for axis, multiple in enumerate(multiples):
        points = _smooth(2 * _largest_index(gram, bounds, axis, cutoff) + 1)
        shape.append(-(-points // multiple) * multiple)
    return shape[0], shape[1], shape[2]


def _largest_index(gram: Floats, bounds: NDArray[np.int64], axis: int, cutoff: float) -> int:
    """Largest n along one axis of an integer vector v with n = v[axis] and v M v up to the cutoff."""
    others = [a for a in range(3) if a != axis]
    a, b = np.meshgrid(*(np.arange(-bounds[o], bounds[o] + 1) for o in others), indexing="ij")
    vectors = np.zeros((a.size, 3))
    vectors[:, others[0]], vectors[:, others[1]] = a.ravel(), b.ravel()
    for n in range(int(bounds[axis]), 0, -1):
        vectors[:, axis] = n
        if (np.einsum("pi,ij,pj->p", vectors, gram, vectors) <= cutoff).any():
            return n
    return 0


def _smooth(number: int) -> int:
    """The least number from this one on whose prime factors are 2, 3 and 5."""
    while True:
        rest = number
        for prime in SMALL_PRIMES:
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1


def grid_of_run(
    keywords: Mapping[str, str], log: RunLog | None, output: Path | None, cell: Floats, path: Path
) -> Shape:
    """The grid of a calculation.

    In this order: the points that INPUT states; those of the log of an earlier run with this cell and cutoff; those
    that follow from the cutoff in INPUT; those of a density file of an earlier run with this cell.

    Args:
        keywords: Of INPUT.
        log: Of an earlier run, if any.
        output: Its OUT folder, if any.
        cell: Lattice vectors, rows, Bohr.
        path: The calculation's folder, for errors.

    Raises:
        FileFormatError: No file states the grid, or INPUT is malformed.
    """
    multiples = [max(int(read_number(keywords, name, path)), 1) for name in ("bx", "by", "bz")]
    for names in (("ndx", "ndy", "ndz"), ("nx", "ny", "nz")):
        points = [int(read_number(keywords, name, path)) for name in names]
        if min(points) > 0:
            a, b, c = (-(-n // m) * m for n, m in zip(points, multiples, strict=True))
            return a, b, c
    cutoff = read_number(keywords, "ecutrho", path) or 4 * read_number(keywords, "ecutwfc", path)
    if log is not None and log.grid is not None and cutoff in (0.0, log.cutoff) and _is_cell_of(log, cell):
        return log.grid
    if cutoff > 0:
        return grid_of_cutoff(cell, cutoff, (multiples[0], multiples[1], multiples[2]))
    for file in sorted(output.iterdir()) if output is not None and output.is_dir() else ():
        if is_density_file(file):
            shape, cube_cell = read_cube_shape(file)
            if is_same_cell(cube_cell, cell):
                return shape
    raise FileFormatError(
        "The grid of the density is not known: INPUT has neither ecutwfc nor ecutrho nor nx, ny and nz, and no earlier "
        "run of this cell is there. Write ecutwfc into INPUT.", path=path
    )  # fmt: skip


def _is_cell_of(log: RunLog, cell: Floats) -> bool:
    return log.vectors is not None and log.constant is not None and is_same_cell(log.constant * log.vectors, cell)


def is_same_cell(first: Floats, second: Floats) -> bool:
    """Whether two cells (rows) agree within the digits that files print."""
    return bool(np.abs(first - second).max() <= SAME_CELL * np.abs(second).max())


def read_number(keywords: Mapping[str, str], name: str, path: Path) -> float:
    """A number of INPUT; 0 where the keyword is absent.

    Raises:
        FileFormatError: It is no number.
    """
    text = keywords.get(name, "0")
    try:
        return float(text)
    except ValueError as error:
        raise FileFormatError(f"{name} in INPUT must be a number; got {text!r}.", path=path) from error

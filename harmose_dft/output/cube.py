"""Gaussian cube files of orbitals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import HarmoseError, printable
from ..core.files import atomic_path
from ..core.orbitals import orbital_values
from ..core.structure import Structure

MARGIN = 6.0
"""Space in Bohr around the outermost atoms."""

SPACING = 0.25
"""Default distance between grid points in Bohr."""


def write_cube(
    path: str | Path,
    structure: Structure,
    basis: OrbitalBasis,
    coefficients: NDArray[np.float64],
    *,
    title: str,
    spacing: float = SPACING,
    force: bool = False,
) -> None:
    """Write one orbital of a molecule on a regular grid.

    Args:
        path: The file.
        structure: The molecule.
        basis: Its orbital basis, with radial functions.
        coefficients: Of the orbital, (ao,).
        title: First line of the file.
        spacing: Distance between grid points in Bohr.
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: The structure is a crystal, or the basis has no radial functions.
        OutputExistsError: The file exists and ``force`` is false.
    """
    if structure.periodic:
        raise HarmoseError("Cube files are written for molecules; this structure is a crystal.")
    origin = structure.positions.min(axis=0) - MARGIN
    shape = np.ceil((structure.positions.max(axis=0) + MARGIN - origin) / spacing).astype(int) + 1
    axes = [origin[d] + spacing * np.arange(shape[d]) for d in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = orbital_values(structure, basis, coefficients, points).reshape(tuple(shape))
    lines = [" ".join(printable(title).split()), "Orbital in Bohr^(-3/2), by harmose_dft", _row(len(structure), origin)]
    lines += [_row(int(shape[d]), spacing * np.eye(3)[d]) for d in range(3)]
    for z, position in zip(structure.numbers.tolist(), structure.positions, strict=True):
        lines.append(f"{z:5d} {z:12.6f} " + " ".join(f"{x:12.6f}" for x in position))
    with atomic_path(path, force) as temporary, temporary.open("w", encoding="ascii", errors="replace") as file:
        file.write("\n".join(lines) + "\n")
        for row in values.reshape(-1, values.shape[-1]):
            for start in range(0, len(row), 6):
                file.write(" ".join(f"{v:13.5E}" for v in row[start : start + 6]) + "\n")


def _row(count: int, vector: NDArray[np.float64]) -> str:
    return f"{count:5d} " + " ".join(f"{x:12.6f}" for x in vector)

"""Values of atomic and molecular orbitals in space."""

from __future__ import annotations

from collections.abc import Callable
from math import gamma

import numpy as np
from numpy.typing import NDArray

from .basis import GaussianRadial, NumericalRadial, OrbitalBasis, Radial
from .errors import HarmoseError
from .rotations import real_harmonics
from .structure import Structure

LEADING = 0.5
"""Share of the largest coefficient that counts when signs are fixed."""

CHUNK = 65536
"""Points evaluated at once, which bounds the memory."""


def orbital_values(
    structure: Structure, basis: OrbitalBasis, coefficients: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Orbitals of a molecule at points in space: psi_n(r) = sum_a C_an chi_a(r).

    Args:
        structure: The molecule.
        basis: Its basis, with radial functions.
        coefficients: (ao,) of one orbital or (ao, mo) of several.
        points: Bohr, (point, 3).

    Returns:
        Bohr^(-3/2), (point,) or (point, mo).

    Raises:
        HarmoseError: A shell of the basis has no radial function.
    """
    columns = coefficients.reshape(len(coefficients), -1)
    out = np.zeros((len(points), columns.shape[1]))
    for start in range(0, len(points), CHUNK):
        chunk = points[start : start + CHUNK]
        offset = 0
        for z, position in zip(structure.numbers.tolist(), structure.positions, strict=True):
            vectors = chunk - position
            r = np.linalg.norm(vectors, axis=1)
            directions = vectors / np.maximum(r, np.finfo(float).tiny)[:, None]
            harmonics: dict[int, NDArray[np.float64]] = {}
            for shell in basis.shells[z]:
                if shell.radial is None:
                    raise HarmoseError(f"The basis {basis.name} has no radial functions; orbitals cannot be drawn.")
                if shell.l not in harmonics:
                    harmonics[shell.l] = real_harmonics(shell.l, directions)
                angular = harmonics[shell.l] @ columns[offset : offset + shell.size]
                out[start : start + CHUNK] += radial_values(shell.l, shell.radial, r)[:, None] * angular
                offset += shell.size
    return out.reshape(len(points), *coefficients.shape[1:])


def fix_sign(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orbital whose first coefficient of at least half the largest magnitude is positive.

    An orbital's sign is arbitrary and differs between machines. The largest coefficient itself would not do: symmetry
    makes several of them equal, of which rounding picks one.

    Args:
        coefficients: Real, (ao,).
    """
    leading = int(np.argmax(np.abs(coefficients) >= LEADING * np.abs(coefficients).max()))
    return np.asarray(-coefficients if coefficients[leading] < 0 else coefficients)


def radial_values(l: int, radial: Radial, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """R(r) of a shell at distances in Bohr, (point,)."""
    return radial_function(l, radial)(r)


def radial_function(l: int, radial: Radial) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """R of a shell as a function of distances in Bohr, (point,), for many calls."""
    match radial:
        case GaussianRadial(exponents, coefficients):
            norms = np.sqrt(2.0 * (2.0 * exponents) ** (l + 1.5) / gamma(l + 1.5))
            weights = coefficients * norms
            return lambda r: np.asarray(r**l * (np.exp(-np.outer(r**2, exponents)) @ weights))
        case NumericalRadial(grid, values):
            from scipy.interpolate import CubicSpline

            spline = CubicSpline(grid, values)
            return lambda r: np.where(r <= grid[-1], spline(np.minimum(r, grid[-1])), 0.0)

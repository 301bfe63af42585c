"""Values of atomic and molecular orbitals in space."""

from __future__ import annotations

from math import factorial, gamma, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from .basis import GaussianRadial, NumericalRadial, OrbitalBasis, Radial
from .errors import HarmoseError
from .structure import Structure

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


def radial_values(l: int, radial: Radial, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """R(r) of a shell at distances in Bohr, (point,)."""
    match radial:
        case GaussianRadial(exponents, coefficients):
            norms = np.sqrt(2.0 * (2.0 * exponents) ** (l + 1.5) / gamma(l + 1.5))
            return np.asarray(r**l * (np.exp(-np.outer(r**2, exponents)) @ (coefficients * norms)))
        case NumericalRadial(grid, values):
            from scipy.interpolate import CubicSpline

            return np.where(r <= grid[-1], CubicSpline(grid, values)(np.minimum(r, grid[-1])), 0.0)


def real_harmonics(l: int, directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Real spherical harmonics of one l in our convention (z-polar, no Condon-Shortley phase, m = -l..l).

    Y_l,+-m = N_lm (P_l^m(z) / sin^m(theta)) {Re, Im} (x + iy)^m, with the Legendre part by upward recurrence in l.

    Args:
        l: Angular momentum.
        directions: Unit vectors, (point, 3).

    Returns:
        (point, 2l+1), normalised to one on the unit sphere.
    """
    z = directions[:, 2]
    planar = directions[:, 0] + 1j * directions[:, 1]
    out = np.empty((len(directions), 2 * l + 1))
    for m in range(l + 1):
        previous, legendre = np.zeros_like(z), np.full_like(z, _odd_factorial(2 * m - 1))
        for n in range(m + 1, l + 1):
            previous, legendre = legendre, ((2 * n - 1) * z * legendre - (n + m - 1) * previous) / (n - m)
        norm = sqrt((2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m) * (2 if m else 1))
        power = planar**m
        out[:, l - m] = norm * legendre * power.imag
        out[:, l + m] = norm * legendre * power.real
    return out


def _odd_factorial(n: int) -> float:
    """n!! of an odd number; 1 for -1."""
    return float(np.prod(np.arange(n, 0, -2))) if n > 0 else 1.0

"""Rotations, reflections and inversions of real spherical harmonics, orbitals and block matrices.

Our harmonics are real, z-polar, without the Condon-Shortley phase, m = -l..l (:mod:`harmose_dft.core.conventions`).
An orthogonal matrix Q, improper ones included, acts as ``Y_l(Q r) = D_l(Q) Y_l(r)``, so that a structure whose
positions are multiplied by Q has the blocks ``H_ij -> D_i(Q) H_ij D_j(Q)^+``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import factorial, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag
from scipy.spatial.transform import Rotation

from .basis import OrbitalBasis
from .errors import HarmoseError
from .matrix import BlockMatrix

Floats = NDArray[np.float64]


def real_harmonics(l: int, directions: ArrayLike) -> Floats:
    """Real spherical harmonics Y_lm of unit vectors, normalised to one on the sphere.

    ``Y_lm = N_lm P_l^|m|(z) / sin^|m| * (Re or Im)(x + i y)^|m|``, Im for m < 0, by the recursion in l of the
    associated Legendre functions.

    Args:
        l: Angular momentum.
        directions: Unit vectors, (..., 3).

    Returns:
        (..., 2l+1), m = -l..l.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    out = np.empty((*x.shape, 2 * l + 1))
    for m in range(l + 1):
        previous, legendre = np.zeros_like(z), np.full_like(z, float(np.prod(np.arange(1, 2 * m, 2))))
        for k in range(m + 1, l + 1):
            previous, legendre = legendre, ((2 * k - 1) * z * legendre - (k + m - 1) * previous) / (k - m)
        norm = sqrt((2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m) * (2 if m else 1))
        circle = (x + 1j * y) ** m
        out[..., l - m] = norm * legendre * circle.imag
        out[..., l + m] = norm * legendre * circle.real
    return out


@cache
def _sphere_quadrature(l: int) -> tuple[Floats, Floats, Floats]:
    """Points (point, 3) and weights that integrate polynomials of degree 2l exactly, and Y_l at the points."""
    z, weight = np.polynomial.legendre.leggauss(l + 1)
    phi = 2 * pi * np.arange(2 * l + 1) / (2 * l + 1)
    z, phi = (a.ravel() for a in np.meshgrid(z, phi, indexing="ij"))
    rho = np.sqrt(1 - z**2)
    points = np.stack([rho * np.cos(phi), rho * np.sin(phi), z], axis=-1)
    return points, np.repeat(weight, 2 * l + 1) * 2 * pi / (2 * l + 1), real_harmonics(l, points)


def wigner_d(l: int, rotation: ArrayLike) -> Floats:
    """Matrix D_l(Q) with Y_l(Q r) = D_l(Q) Y_l(r), exact to rounding for proper and improper Q.

    ``D_mm'(Q)`` is the integral of Y_m(Q r) Y_m'(r) over the sphere, by a quadrature that is exact at this degree.

    Args:
        l: Angular momentum.
        rotation: Orthogonal matrix, (3, 3).

    Returns:
        Orthogonal matrix, (2l+1, 2l+1).

    Raises:
        HarmoseError: The matrix is not orthogonal.
    """
    q = _orthogonal(rotation)
    points, weights, harmonics = _sphere_quadrature(l)
    return np.asarray((real_harmonics(l, points @ q.T) * weights[:, None]).T @ harmonics)


def spin_rotation(rotation: ArrayLike) -> NDArray[np.complex128]:
    """SU(2) matrix (2, 2) of spin 1/2 for the proper part det(Q) Q; inversion leaves spin alone.

    Its overall sign is arbitrary and cancels in matrix elements.
    """
    q = _orthogonal(rotation)
    x, y, z, w = Rotation.from_matrix(np.linalg.det(q) * q).as_quat()
    return np.array([[w - 1j * z, -y - 1j * x], [y - 1j * x, w + 1j * z]])


def orbital_rotation(
    shells: Sequence[int], rotation: ArrayLike, *, spinor: bool = False
) -> NDArray[np.complex128] | Floats:
    """Block-diagonal D(Q) of the orbitals of one atom.

    Args:
        shells: Angular momenta of the atom's shells, in order.
        rotation: Orthogonal matrix, (3, 3).
        spinor: Whether the orbitals carry spin (spin slow): U(Q) kron D(Q).

    Returns:
        (ao, ao), twice that for spinors.
    """
    spatial = block_diag(*(wigner_d(l, rotation) for l in shells))
    return np.kron(spin_rotation(rotation), spatial) if spinor else spatial


def rotate_matrix(matrix: BlockMatrix, numbers: ArrayLike, basis: OrbitalBasis, rotation: ArrayLike) -> BlockMatrix:
    """The matrix of the structure whose positions (and cell) are multiplied by Q: D_i(Q) A_ij D_j(Q)^+.

    Args:
        matrix: Matrix of a scalar operator.
        numbers: Atomic numbers, (atom,).
        basis: Shells per element.
        rotation: Orthogonal matrix, (3, 3).
    """
    z = np.asarray(numbers, dtype=np.int64)
    d = {e: orbital_rotation(basis.angular_momenta(e), rotation, spinor=matrix.spinor) for e in np.unique(z).tolist()}
    values = np.zeros(matrix.values.shape, dtype=np.result_type(matrix.values, *d.values()))
    for edges, index in matrix.groups(z):
        i, j = matrix.pairs[edges[0]]
        values[index] = d[int(z[i])] @ matrix.values[index] @ d[int(z[j])].conj().T
    return matrix.with_values(values)


def random_rotations(count: int, *, random_seed: int = 0, inversions: bool = True) -> Floats:
    """Random orthogonal matrices (count, 3, 3), uniform over rotations; every second one is improper if asked for."""
    q = np.asarray(Rotation.random(count, random_state=random_seed).as_matrix()).reshape(count, 3, 3)
    if inversions:
        q[1::2] *= -1
    return q


def _orthogonal(rotation: ArrayLike) -> Floats:
    q = np.asarray(rotation, dtype=np.float64)
    if q.shape != (3, 3) or not np.allclose(q @ q.T, np.eye(3), atol=1e-10):
        raise HarmoseError(
            f"A rotation or reflection must be an orthogonal matrix of shape (3, 3); got shape {q.shape}"
            + (f" with |Q Q^T - 1| up to {np.abs(q @ q.T - np.eye(3)).max():.1e}." if q.shape == (3, 3) else ".")
        )
    return q

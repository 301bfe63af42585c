"""Products of real spherical harmonics: Gaunt coefficients and solid harmonics (z-polar, no Condon-Shortley phase)."""

from __future__ import annotations

from functools import cache
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from ...core.rotations import real_harmonics

Floats = NDArray[np.float64]

XYZ = [2, 0, 1]
"""Components x, y, z of a vector among m = -1, 0, 1 of Y_1 (y, z, x)."""


@cache
def gaunt(l1: int, l2: int, l3: int) -> Floats:
    """Integrals of three real spherical harmonics over the sphere, G = int Y_l1m1 Y_l2m2 Y_l3m3.

    By a product quadrature that is exact at degree l1 + l2 + l3: Gauss-Legendre in cos(theta), equidistant in phi.

    Returns:
        (2 l1 + 1, 2 l2 + 1, 2 l3 + 1); zero unless the sum of the l is even and they form a triangle.
    """
    degree = l1 + l2 + l3
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2 * pi * np.arange(degree + 1) / (degree + 1)
    rho = np.sqrt(1 - z**2)
    points = np.stack([np.outer(rho, np.cos(phi)), np.outer(rho, np.sin(phi)), np.outer(z, np.ones_like(phi))], axis=-1)
    y1, y2, y3 = (real_harmonics(l, points) for l in (l1, l2, l3))
    product = np.einsum("t,tpa,tpb,tpc->abc", weight * 2 * pi / (degree + 1), y1, y2, y3, optimize=True)
    product[np.abs(product) < 1e-14] = 0.0
    product.setflags(write=False)
    return np.asarray(product)


def coupled_degrees(l1: int, l2: int) -> range:
    """Degrees L with which the product of two harmonics overlaps: |l1 - l2|, |l1 - l2| + 2, ..., l1 + l2."""
    return range(abs(l1 - l2), l1 + l2 + 1, 2)


@cache
def vector_coupling(l: int, to: int) -> Floats:
    """Coefficients c with (q / r) Y_lm = sum_m' c_q,m,m' Y_to,m' for q = x, y, z and to = l - 1, l + 1.

    Returns:
        (3, 2 l + 1, 2 to + 1).
    """
    return sqrt(4 * pi / 3) * gaunt(1, l, to)[XYZ]


def solid_harmonics(l_max: int, vectors: Floats) -> list[Floats]:
    """R^L Y_LM(R / R) for L = 0..l_max; polynomials in the vector, so that R = 0 is an ordinary point.

    Args:
        l_max: Highest degree.
        vectors: (edge, 3).

    Returns:
        For every L an array (edge, 2L+1), M = -L..L.
    """
    distance = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = np.where(distance > 0, vectors, (0.0, 0.0, 1.0)) / np.where(distance > 0, distance, 1.0)
    return [real_harmonics(l, directions) * distance**l for l in range(l_max + 1)]

"""Spherical Bessel functions of all degrees at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import spherical_jn

Floats = NDArray[np.float64]


def spherical_bessel(l_max: int, x: Floats) -> Floats:
    """j_0(x), ..., j_l_max(x) for x >= 0.

    By the upward recurrence ``j_(l+1) = (2l+1)/x j_l - j_(l-1)`` where it is stable (x > l_max), directly elsewhere.

    Returns:
        (l_max + 1, *x.shape).
    """
    out = np.empty((l_max + 1, *x.shape))
    low = x < l_max + 1
    inverse = 1 / np.where(low, 1.0, x)
    out[0] = np.sin(x) * inverse
    if l_max > 0:
        out[1] = (out[0] - np.cos(x)) * inverse
    for l in range(1, l_max):
        out[l + 1] = (2 * l + 1) * inverse * out[l] - out[l - 1]
    small = np.nonzero(low)
    for l in range(l_max + 1):
        out[l][small] = spherical_jn(l, x[small])
    return out


def reduced_bessel(l_max: int, distances: Floats, k: Floats) -> Floats:
    """j_L(kR) / R^L for L = 0..l_max, which is k^L / (2L+1)!! at R = 0.

    Args:
        l_max: Highest degree.
        distances: R in Bohr, (distance,).
        k: Wave numbers in 1/Bohr, (k,).

    Returns:
        (l_max + 1, distance, k).
    """
    out = spherical_bessel(l_max, np.outer(distances, k))
    at_zero = distances == 0
    for l in range(1, l_max + 1):
        out[l] /= np.where(at_zero, 1.0, distances)[:, None] ** l
        out[l, at_zero] = k**l / np.prod(np.arange(3, 2 * l + 2, 2))
    return out

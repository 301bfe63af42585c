"""Wigner 3j tensors of real spherical harmonics, from the Racah formula.

They are e3nn's, signs included (a test compares them), and are worked out here because importing e3nn takes two seconds
of CPU time: it brings PyTorch's compiler.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@lru_cache(maxsize=256)
def coupling(l1: int, l2: int, l3: int, dtype: torch.dtype) -> Tensor:
    """Wigner 3j tensor of real spherical harmonics in our component order, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1), of norm one.

    Wigner matrices and 3j symbols of e3nn are ours once Cartesian coordinates are permuted to (y, z, x).

    Args:
        l1: First degree.
        l2: Second degree.
        l3: Third degree, from |l1 - l2| to l1 + l2.
        dtype: Of the result.
    """
    complex_tensor = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            complex_tensor[l1 + m1, l2 + m2, l3 + m1 + m2] = clebsch_gordan((l1, m1), (l2, m2), (l3, m1 + m2))
    bra = [_complex_from_real(l) for l in (l1, l2)]
    real_tensor = np.einsum("ai,bj,ck,abc->ijk", *bra, _complex_from_real(l3).conj(), complex_tensor).real
    return torch.from_numpy(real_tensor / np.linalg.norm(real_tensor)).to(dtype)


def clebsch_gordan(first: tuple[int, int], second: tuple[int, int], total: tuple[int, int]) -> float:
    """<l1 m1 l2 m2 | l3 m3> with m3 = m1 + m2, by the Racah formula.

    G. Racah, Phys. Rev. 62, 438 (1942), in the phases of Condon and Shortley.

    Args:
        first: l1, m1.
        second: l2, m2.
        total: l3, m3.
    """
    (l1, m1), (l2, m2), (l3, m3) = first, second, total
    f = factorial
    triangle = f(l1 + l2 - l3) * f(l1 - l2 + l3) * f(l2 - l1 + l3) / f(l1 + l2 + l3 + 1)
    projections = f(l1 + m1) * f(l1 - m1) * f(l2 + m2) * f(l2 - m2) * f(l3 + m3) * f(l3 - m3)
    terms = 0.0
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1):
        below = f(k) * f(l1 + l2 - l3 - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
        terms += (-1) ** k / (below * f(l3 - l2 + m1 + k) * f(l3 - l1 - m2 + k))
    return sqrt((2 * l3 + 1) * triangle * projections) * terms


def _complex_from_real(l: int) -> NDArray[np.complex128]:
    """Complex harmonics in terms of real ones, (m, real m), times (-i)^l, which makes their coupling real."""
    matrix = np.zeros((2 * l + 1, 2 * l + 1), dtype=np.complex128)
    matrix[l, l] = 1.0
    for m in range(1, l + 1):
        matrix[l - m, l + m], matrix[l - m, l - m] = sqrt(0.5), -1j * sqrt(0.5)
        matrix[l + m, l + m], matrix[l + m, l - m] = (-1) ** m * sqrt(0.5), 1j * (-1) ** m * sqrt(0.5)
    return (-1j) ** l * matrix

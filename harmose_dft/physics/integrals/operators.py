"""One-electron operators by their action on an orbital: a sum of terms, each again a radial function times a harmonic.

``A phi_lm = sum_terms sum_m' c_q,m,m' chi_l'm'``, where chi has degree l' and the transform ``f k^b F_n[r^a R]``
(:mod:`harmose_dft.physics.integrals.transforms`). Vector operators have a component q for x, y and z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .angular import vector_coupling


@dataclass(frozen=True, eq=False)
class Term:
    """One image of an orbital under an operator.

    Args:
        l: Degree l' of its harmonic.
        bessel: Degree n of the Bessel function in the transform.
        r_power: Power a of r that multiplies the radial function.
        k_power: Power b of k that multiplies the transform.
        factor: Number f that multiplies the transform.
        coupling: c_q,m,m', (q, 2l+1, 2l'+1).
    """

    l: int
    bessel: int
    r_power: int
    k_power: int
    factor: float
    coupling: NDArray[np.float64]


Operator = Callable[[int], list[Term]]
"""From the degree l of an orbital to the terms of its image."""


def identity(l: int) -> list[Term]:
    """The orbital itself."""
    return [Term(l, l, 0, 0, 1.0, np.eye(2 * l + 1)[None])]


def kinetic_energy(l: int) -> list[Term]:
    """-1/2 nabla^2, which is k^2 / 2 in reciprocal space."""
    return [Term(l, l, 0, 2, 0.5, np.eye(2 * l + 1)[None])]


def displacement(l: int) -> list[Term]:
    """x, y, z relative to the orbital's own atom: q R Y_lm = (r R) (q/r) Y_lm."""
    return [Term(l_to, l_to, 1, 0, 1.0, vector_coupling(l, l_to)) for l_to in (l - 1, l + 1) if l_to >= 0]


def derivative(l: int) -> list[Term]:
    """d/dx, d/dy, d/dz, which is i k_q in reciprocal space; i (-i)^l = -+ (-i)^l' for l' = l +- 1."""
    return [Term(l_to, l, 0, 1, float(l - l_to), vector_coupling(l, l_to)) for l_to in (l - 1, l + 1) if l_to >= 0]

"""Radial functions in reciprocal space: spherical Bessel transforms of numerical and of Gaussian orbitals.

An orbital R(r) Y_lm has the Fourier transform (-i)^l F_l(k) Y_lm(k), ``F_n(k) = sqrt(2/pi) int R(r) j_n(kr) r^2 dr``
(unitary: ``int F_l^2 k^2 dk = int R^2 r^2 dr``). An operator turns it into terms ``f k^b F_n[r^a R]``
(:mod:`harmose_dft.physics.integrals.operators`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, gamma, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline

from ...core.basis import GaussianRadial, NumericalRadial
from ...core.errors import HarmoseError
from .bessel import spherical_bessel
from .operators import Term, identity

Floats = NDArray[np.float64]

SPLINE_DEGREE = 5
NODES_PER_PANEL = 16
PHASE_PER_PANEL = 14.0
"""Largest k * (panel width) in radians that the Gauss-Legendre nodes of one panel integrate to rounding."""

WAVE_NUMBERS = (32.0, 64.0, 128.0, 256.0, 512.0)
"""Ends of the reciprocal grid that are tried, in 1/Bohr."""

TAIL_TOLERANCE = 1e-10
"""Norm an orbital may lose beyond the end of the reciprocal grid."""

LARGEST_TAIL = 1e-6
"""Norm beyond the last end at which a radial function is refused."""

CHUNK = 256
"""Wave numbers handled at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class NumericalTransform:
    """F(k) on the reciprocal grid.

    Args:
        l: Degree of its harmonic.
        values: (k,).
    """

    l: int
    values: Floats


@dataclass(frozen=True, eq=False)
class GaussianTransform:
    """F(k) = k^l sum_pn c_pn k^2n exp(-k^2 / (4 a_p)), closed form.

    Args:
        l: Degree of its harmonic.
        exponents: a_p in Bohr^-2, (primitive,).
        coefficients: c_pn for n = 0, 1, (primitive, 2).
    """

    l: int
    exponents: Floats
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class ReciprocalGrid:
    """Equidistant wave numbers k = 0, dk, ..., k_max.

    The integrands of two-centre integrals are even in k, and their Fourier transforms vanish beyond four times the
    largest radius. On such functions the trapezoidal rule with dk < pi / (2 cutoff) is exact but for the end at k_max
    (Poisson summation).

    Args:
        k_max: Last wave number, 1/Bohr.
        cutoff: Largest radius of an orbital, Bohr.
    """

    k_max: float
    cutoff: float

    @cached_property
    def k(self) -> Floats:
        """Wave numbers in 1/Bohr, (k,)."""
        return np.linspace(0.0, self.k_max, ceil(self.k_max * 2.1 * self.cutoff / pi) + 1)

    @cached_property
    def weights(self) -> Floats:
        """Weights of int k^2 dk, (k,)."""
        weights = self.k**2 * self.k[1]
        weights[-1] /= 2
        return np.asarray(weights)

    def transforms(self, images: Sequence[tuple[NumericalRadial, Term]]) -> list[NumericalTransform]:
        """f k^b F_n[r^a R] of every (R, term), by composite Gauss-Legendre quadrature over a quintic spline of R."""
        values = np.empty((len(images), len(self.k)))
        radii = np.array([support(radial)[0][-1] for radial, _ in images])
        degrees = np.array([term.bessel for _, term in images])
        for radius in np.unique(radii):
            r, weight = _panels(radius, self.k_max)
            integrands = [spline_of(radial)(r) * r ** (2 + term.r_power) * weight for radial, term in images]
            for start in range(0, len(self.k), CHUNK):
                part = slice(start, start + CHUNK)
                bessel = spherical_bessel(degrees.max(), np.outer(self.k[part], r))
                for n in np.flatnonzero(radii == radius):
                    values[n, part] = bessel[degrees[n]] @ integrands[n]
        factors = [term.factor * sqrt(2 / pi) * self.k**term.k_power for _, term in images]
        return [NumericalTransform(term.l, f * v) for (_, term), f, v in zip(images, factors, values, strict=True)]

    def tails(self, radials: Sequence[tuple[int, NumericalRadial]]) -> Floats:
        """Norm of each orbital (l, R) beyond k_max, (orbital,).

        It bounds the error of overlaps (Cauchy-Schwarz): |dS_ab| <= sqrt(tail_a tail_b).
        """
        transforms = self.transforms([(radial, identity(l)[0]) for l, radial in radials])
        norm_on_grid = [self.weights @ transform.values**2 for transform in transforms]
        norms = []
        for _, radial in radials:
            r, weight = _panels(support(radial)[0][-1], self.k_max)
            norms.append(weight @ (r * spline_of(radial)(r)) ** 2)
        return np.array(norms) - np.array(norm_on_grid)


def grid_for(radials: Sequence[tuple[int, NumericalRadial]]) -> ReciprocalGrid:
    """The shortest grid on which no orbital loses more norm than :data:`TAIL_TOLERANCE`, or else the longest.

    Args:
        radials: (l, radial function) of every shell of the basis.

    Raises:
        HarmoseError: A function has components beyond the longest grid.
    """
    cutoff = max(float(support(radial)[0][-1]) for _, radial in radials)
    for k_max in WAVE_NUMBERS:
        grid = ReciprocalGrid(k_max, cutoff)
        tails = grid.tails(radials)
        if tails.max() < TAIL_TOLERANCE:
            return grid
    if tails.max() > LARGEST_TAIL:
        l = radials[int(tails.argmax())][0]
        raise HarmoseError(
            f"A radial function (l = {l}) has {tails.max():.1e} of its norm at wave numbers beyond {k_max:g} / Bohr: "
            "it jumps (a table cut off before the function has vanished?) or is too steep for a numerical orbital. "
            "Check the orbital file, or use the Gaussian functions themselves."
        )
    return grid


def gaussian_transform(radial: GaussianRadial, l: int, term: Term) -> GaussianTransform:
    """f k^b F_n[r^a R] of a term, for the contracted Gaussian R = r^l sum_p d_p exp(-a_p r^2).

    With l + a = n + 2s: ``sqrt(2/pi) int r^(n+2+2s) exp(-a r^2) j_n(kr) dr
    = k^n (2a)^(-n-3/2) a^-s s! L_s^(n+1/2)(k^2/4a) exp(-k^2/4a)`` (DLMF 10.22.51 and its derivatives), s = 0 or 1.
    """
    n, exponents = term.bessel, np.asarray(radial.exponents, dtype=np.float64)
    norms = np.sqrt(2 * (2 * exponents) ** (l + 1.5) / gamma(l + 1.5))
    leading = term.factor * np.asarray(radial.coefficients) * norms * (2 * exponents) ** (-n - 1.5)
    shift = (n + term.k_power - term.l) // 2
    coefficients = np.zeros((len(exponents), 2))
    if l + term.r_power == n:
        coefficients[:, shift] = leading
    else:
        coefficients[:, shift] = leading * (n + 1.5) / exponents
        coefficients[:, shift + 1] = -leading / (4 * exponents**2)
    return GaussianTransform(term.l, exponents, coefficients)


def spline_of(radial: NumericalRadial) -> BSpline:
    """Quintic spline of R(r) on its support."""
    r, values = support(radial)
    return make_interp_spline(r, values, k=SPLINE_DEGREE)


def support(radial: NumericalRadial) -> tuple[Floats, Floats]:
    """Grid in Bohr and values, without the zeros that follow the function's end but for the first of them."""
    nonzero = np.flatnonzero(radial.values)
    end = min(int(nonzero[-1]) + 2, len(radial.r)) if len(nonzero) else len(radial.r)
    return radial.r[:end], radial.values[:end]


def _panels(radius: float, k_max: float) -> tuple[Floats, Floats]:
    """Nodes and weights of int_0^radius dr for integrands with wave numbers up to k_max."""
    panels = max(ceil(k_max * radius / PHASE_PER_PANEL), 8)
    node, weight = np.polynomial.legendre.leggauss(NODES_PER_PANEL)
    width = radius / panels
    r = (np.arange(panels)[:, None] + 0.5 * (node + 1)) * width
    return r.ravel(), np.tile(0.5 * width * weight, panels)

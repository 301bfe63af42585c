"""Radial parts of two-centre integrals as functions of the distance, for all shell pairs of two elements at once.

For shells a (degree l_a) and b (degree l_b) at R = r_b - r_a and L = |l_a - l_b|, ..., l_a + l_b in steps of two

``<a m| b m'> = sum_L T_abL(R) sum_M G(l_a m, l_b m', L M) R^L Y_LM(R)``
``T_abL(R) = 4 pi (-1)^((l_a - l_b - L)/2) int F_a(k) F_b(k) j_L(kR) / R^L k^2 dk``

T is even and smooth in R, R = 0 included; the singular direction of R is carried by the solid harmonics.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import ceil, factorial, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_interp_spline
from scipy.special import eval_genlaguerre

from ...core.arrays import running_sum
from .angular import coupled_degrees, gaunt, solid_harmonics
from .bessel import reduced_bessel
from .transforms import CHUNK, SPLINE_DEGREE, GaussianTransform, NumericalTransform, ReciprocalGrid

Floats = NDArray[np.float64]

POINTS_PER_WAVE_NUMBER = 0.5
"""Density of the distance grid in units of k_max: its spacing is 1 / (this * k_max)."""

Column = tuple[int, int, int]
"""(a, b, L) of one radial function."""


class PairTable(ABC):
    """Two-centre integrals between the shells of two elements, as a function of the vector between them.

    Args:
        bra_degrees: l of the first element's shells.
        ket_degrees: l of the second element's shells (or of their images under an operator).
    """

    def __init__(self, bra_degrees: Sequence[int], ket_degrees: Sequence[int]) -> None:
        self.bra_degrees, self.ket_degrees = list(bra_degrees), list(ket_degrees)
        self.columns: list[Column] = [
            (a, b, degree)
            for a, la in enumerate(bra_degrees)
            for b, lb in enumerate(ket_degrees)
            for degree in coupled_degrees(la, lb)
        ]

    @abstractmethod
    def radial(self, distances: Floats) -> Floats:
        """T_abL at the given distances in Bohr, (edge, column)."""

    def _phases(self) -> Floats:
        """4 pi (-1)^((l_a - l_b - L)/2), (column,)."""
        half = [(self.bra_degrees[a] - self.ket_degrees[b] - degree) // 2 for a, b, degree in self.columns]
        return 4 * pi * np.where(np.array(half) % 2, -1.0, 1.0)

    def blocks(self, vectors: Floats) -> Floats:
        """Integrals <a m, 0| b m', R> for every vector R.

        Args:
            vectors: R in Bohr, (edge, 3).

        Returns:
            (edge, orbital of bra, orbital of ket).
        """
        l_bra, l_ket = self.bra_degrees, self.ket_degrees
        rows, columns = (running_sum([2 * l + 1 for l in ls]) for ls in (l_bra, l_ket))
        radial = np.ascontiguousarray(self.radial(np.linalg.norm(vectors, axis=1)).T)
        harmonics = solid_harmonics(max(l_bra) + max(l_ket), vectors)
        angular: dict[Column, Floats] = {}  # sum_M G R^L Y_LM, (m, m', edge), shared by shells of equal degrees
        out = np.zeros((rows[-1], columns[-1], len(vectors)))
        for function, (a, b, degree) in zip(radial, self.columns, strict=True):
            key = (l_bra[a], l_ket[b], degree)
            if key not in angular:
                angular[key] = np.tensordot(gaunt(*key), harmonics[degree].T, axes=1)
            out[rows[a] : rows[a + 1], columns[b] : columns[b + 1]] += function * angular[key]
        return out.transpose(2, 0, 1)


class NumericalTable(PairTable):
    """Radial functions by quadrature over k on a grid of distances, interpolated by quintic splines.

    Args:
        bra: Transforms of the first element's shells.
        ket: Transforms of the second element's shells or their images.
        grid: The reciprocal grid of the transforms.
        longest: Distance in Bohr at which all integrals have vanished.
    """

    def __init__(
        self,
        bra: Sequence[NumericalTransform],
        ket: Sequence[NumericalTransform],
        grid: ReciprocalGrid,
        longest: float,
    ) -> None:
        super().__init__([t.l for t in bra], [t.l for t in ket])
        self._longest = longest
        distances = np.linspace(0.0, longest, ceil(longest * grid.k_max * POINTS_PER_WAVE_NUMBER) + SPLINE_DEGREE + 1)
        degrees = np.array([degree for *_, degree in self.columns])
        products = np.stack([bra[a].values * ket[b].values * grid.weights for a, b, _ in self.columns], axis=1)
        values = np.empty((len(distances), len(self.columns)))
        for start in range(0, len(distances), CHUNK):
            part = slice(start, start + CHUNK)
            bessel = reduced_bessel(degrees.max(), distances[part], grid.k)
            for degree in np.unique(degrees):
                values[part, degrees == degree] = bessel[degree] @ products[:, degrees == degree]
        zero = np.zeros(values.shape[1])
        even, vanishing = [(1, zero), (3, zero)], [(1, zero), (2, zero)]
        self._spline: BSpline = make_interp_spline(
            distances, values * self._phases(), k=SPLINE_DEGREE, bc_type=(even, vanishing)
        )

    def radial(self, distances: Floats) -> Floats:
        """T_abL at the given distances in Bohr, (edge, column)."""
        return np.where((distances <= self._longest)[:, None], self._spline(np.minimum(distances, self._longest)), 0.0)


class GaussianTable(PairTable):
    """Radial functions of contracted Gaussians in closed form, at any distance.

    Args:
        bra: Transforms of the first element's shells.
        ket: Transforms of the second element's shells or their images.
    """

    def __init__(self, bra: Sequence[GaussianTransform], ket: Sequence[GaussianTransform]) -> None:
        super().__init__([t.l for t in bra], [t.l for t in ket])
        self._bra, self._ket = list(bra), list(ket)

    def radial(self, distances: Floats) -> Floats:
        """T_abL at the given distances in Bohr, (edge, column).

        With 1/p = 1/a + 1/b and l_a + l_b + 2n = L + 2N (DLMF 10.22.51 and its derivatives):
        ``int k^(L+2+2N) exp(-k^2/4p) j_L(kR) dk / R^L
        = sqrt(pi) 2^-(L+2) (4p)^(L+3/2+N) N! L_N^(L+1/2)(p R^2) exp(-p R^2)``.
        """
        out = np.empty((len(distances), len(self.columns)))
        for column, (a, b, degree) in enumerate(self.columns):
            bra, ket = self._bra[a], self._ket[b]
            p = 1 / (1 / bra.exponents[:, None] + 1 / ket.exponents)
            x = distances[:, None] ** 2 * p.ravel()
            total = np.zeros_like(x)
            for n in range(3):
                weight = _coefficients_of_power(bra, ket, n)
                if weight.any():
                    order = (bra.l + ket.l - degree) // 2 + n
                    scale = sqrt(pi) / 2 ** (degree + 2) * (4 * p) ** (degree + 1.5 + order) * factorial(order)
                    total += (weight * scale).ravel() * eval_genlaguerre(order, degree + 0.5, x)
            out[:, column] = (total * np.exp(-x)).sum(axis=1)
        return out * self._phases()


def _coefficients_of_power(bra: GaussianTransform, ket: GaussianTransform, n: int) -> Floats:
    """Coefficients of k^2n in the product of two transforms, (primitive of bra, primitive of ket)."""
    powers = [(i, n - i) for i in (0, 1) if n - i in (0, 1)]
    return np.asarray(sum(np.outer(bra.coefficients[:, i], ket.coefficients[:, j]) for i, j in powers))

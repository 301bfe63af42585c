"""SuperLU, which comes with SciPy: always there, with a minimum-degree ordering that fills in much in large cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Array, SparseFactor

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SuperLU(SparseFactor):
    """P A P^T = L U without pivoting off the diagonal, so that U = D L^+ (X. S. Li, ACM TOMS 31, 302 (2005))."""

    name = "superlu"
    rank = 100

    def __init__(self, matrix: csr_array, *, positive: bool = False) -> None:
        from scipy.sparse.linalg import splu

        self._factor = splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )

    @classmethod
    def is_installed(cls) -> bool:
        """Always."""
        return True

    def solve(self, right: Array) -> Array:
        """A^-1 b."""
        return np.asarray(self._factor.solve(right))

    def correlate(self, noise: Array) -> Array:
        """P^T U^-1 D^1/2 b."""
        from scipy.sparse.linalg import spsolve_triangular

        upper = self._factor.U
        scaled = np.sqrt(upper.diagonal().real)[:, None] * noise
        return np.asarray(spsolve_triangular(upper.tocsr(), scaled, lower=False)[self._factor.perm_c])

    @property
    def n_negative(self) -> int | None:
        """Negative elements of D; None after a step off the diagonal."""
        if not np.array_equal(self._factor.perm_r, self._factor.perm_c):
            return None
        return int(np.count_nonzero(self._factor.U.diagonal().real < 0))

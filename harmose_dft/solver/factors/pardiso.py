"""PARDISO of Intel's oneMKL: nested dissection (METIS) and dense supernodes, by the package py-mkl-pardiso."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from .base import Array, SparseFactor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NESTED_DISSECTION = {1: 2}
"""iparm(2): ordering by METIS."""

BUNCH_KAUFMAN = {20: 1}
"""iparm(21): pivots of one and of two rows. Without, complex Hermitian matrices lose all digits, silently: measured
residuals are of order one at 400 rows (py-mkl-pardiso 0.0.6)."""

N_NEGATIVE = 22
"""iparm(23): negative eigenvalues, of real matrices only where pivots have two rows."""

BACKWARD = 333
"""Phase that solves with the second triangular factor alone."""


class Pardiso(SparseFactor):
    """L D L^+ with pivots of one and two rows, or L L^+ of a positive definite matrix.

    O. Schenk, K. Gaertner, Future Gener. Comput. Syst. 20, 475 (2004).
    """

    name = "pardiso"
    rank = 10
    package = "py-mkl-pardiso"

    def __init__(self, matrix: csr_array, *, positive: bool = False) -> None:
        import pymklpardiso as pardiso
        from scipy.sparse import triu

        upper = triu(matrix).tocsr()
        upper.sort_indices()
        if upper.dtype.kind == "c":
            upper.setdiag(upper.diagonal().real)
            kind = pardiso.MTYPE_COMPLEX_HERM_POSDEF if positive else pardiso.MTYPE_COMPLEX_HERM_INDEF
        else:
            kind = pardiso.MTYPE_REAL_SYM_POSDEF if positive else pardiso.MTYPE_REAL_SYM_INDEF
        self._counts = upper.dtype.kind == "f" and not positive
        self._dtype = upper.dtype
        self._factor = pardiso.PardisoSolver(
            upper, kind, iparms=NESTED_DISSECTION if positive else NESTED_DISSECTION | BUNCH_KAUFMAN
        )

    @classmethod
    def is_installed(cls) -> bool:
        """Whether py-mkl-pardiso is (Linux and Windows on x86-64)."""
        return find_spec("pymklpardiso") is not None

    def solve(self, right: Array) -> Array:
        """A^-1 b."""
        return np.asarray(self._factor.solve(np.asfortranarray(right, dtype=self._dtype)))

    def correlate(self, noise: Array) -> Array:
        """P^T L^-+ b."""
        right = np.asfortranarray(noise, dtype=self._dtype)
        result = np.empty_like(right, order="F")
        self._factor.run_phase_into(BACKWARD, right, result)
        return result

    @property
    def n_negative(self) -> int | None:
        """Of real matrices; PARDISO does not count for complex ones."""
        return int(self._factor.get_iparm_value(N_NEGATIVE)) if self._counts else None

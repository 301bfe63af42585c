"""H0 = 0: the model predicts the whole Hamiltonian."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.matrix import BlockMatrix
from ...core.structure import Structure
from ..integrals import zero_matrix
from .base import GaussianH0, NumericalH0


class NoGaussianH0(GaussianH0):
    """Zero: a model of molecules learns all of H."""

    kind = "none"
    is_zero = True

    def dense(self, structure: Structure) -> NDArray[np.float64]:
        """A zero matrix, (ao, ao)."""
        n = int(self.basis.orbitals_per_atom(structure.numbers).sum())
        return np.zeros((n, n))


class NoNumericalH0(NumericalH0):
    """Zero: a model of crystals learns all of H."""

    kind = "none"
    is_zero = True

    def __call__(self, structure: Structure) -> BlockMatrix:
        """Zero blocks on the pairs of S."""
        return zero_matrix(structure, self.basis)

"""H0 = T, the kinetic energy, from two-centre integrals of numerical orbitals."""

from __future__ import annotations

from ...core.matrix import BlockMatrix
from ...core.structure import Structure
from ..integrals import kinetic
from .base import NumericalH0


class KineticH0(NumericalH0):
    """The kinetic energy T."""

    kind = "kinetic"

    def __call__(self, structure: Structure) -> BlockMatrix:
        """T in Hartree on the pairs of S."""
        return kinetic(structure, self.basis)

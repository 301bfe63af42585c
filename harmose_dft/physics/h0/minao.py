"""H0 = F[P0], one Fock build at PySCF's "minao" guess, the superposition of atomic minimal-basis densities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf import kohn_sham, to_mole, to_ours
from ...core.structure import Structure
from .base import GaussianH0

GRID_LEVEL = 3
"""PySCF's integration grid; it turns with no molecule, so H0 carries its orientation error (about 0.5 uHa)."""


class MinaoH0(GaussianH0):
    """One Fock build F[P0] at PySCF's minao density, with the functional of the data."""

    kind = "minao"

    def dense(self, structure: Structure) -> NDArray[np.float64]:
        """F[P0] in Hartree, (ao, ao)."""
        mf = kohn_sham(to_mole(structure, self.basis), self.functional, GRID_LEVEL)
        density = mf.get_init_guess(key="minao")
        return to_ours(np.asarray(mf.get_hcore() + mf.get_veff(dm=density)), self.basis, structure.numbers)

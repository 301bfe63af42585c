"""A few cycles of an SCF that is cheap rather than exact: density fitting, a coarse grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.spectrum import Spectrum
from ...core.structure import Structure
from .mean_field import kohn_sham, require_closed_shell
from .molecule import to_mole, to_ours
from .start import pyscf_orbitals

if TYPE_CHECKING:
    from pyscf.dft.rks import RKS

Floats = NDArray[np.float64]

AUXILIARY_BASIS = "def2-universal-jkfit"
"""Expands products of orbitals, for all elements."""

GRID_LEVEL = 1
"""Of PySCF's grids. At the density of a converged calculation on level 3, F on this grid and with ``AUXILIARY_BASIS``
differs from it by 3 microhartree on average over the elements and moves levels by up to 0.02 mHartree
(ions, molecules with B, Si, P and Br; B3LYP/def2-SVP); level 0 moves them by 1 and those of cores by 10 mHartree."""

MIXING = 0.6
"""Share of F in the mixture of F and H that is extrapolated. The response of a density to its Fock matrix overshoots:
all of F, from a prediction, is no nearer to the converged one than the prediction (journal/results.md)."""


class RoughSCF:
    """Approximate Fock matrices F[P] of one molecule, and Pulay's extrapolation over them.

    One build costs some 3 % of an SCF; the integrals of the fitting basis are computed once for all builds. Matrices
    are dense in our convention, (ao, ao), Hartree.

    Args:
        structure: A closed-shell molecule.
        xc: PySCF's name of the functional.
        basis: Basis of the orbitals.

    Raises:
        StructureError: Periodic, odd electron count or open shell.
        HarmoseError: Unknown functional.
    """

    def __init__(self, structure: Structure, xc: str, basis: OrbitalBasis) -> None:
        from pyscf.scf.diis import CDIIS

        require_closed_shell(structure)
        self.structure, self.basis = structure, basis
        self.mf: RKS = kohn_sham(to_mole(structure, basis), xc, GRID_LEVEL).density_fit(AUXILIARY_BASIS)
        self._core: Floats = self.mf.get_hcore()
        self._extrapolation = CDIIS(self.mf)

    def fock(self, spectrum: Spectrum) -> Floats:
        """F[P] at the density P of given orbitals."""
        from pyscf import lib

        orbitals = pyscf_orbitals(self.structure, self.basis, spectrum)
        density = self.mf.make_rdm1(orbitals, spectrum.occupations)
        tagged = lib.tag_array(density, mo_coeff=orbitals, mo_occ=spectrum.occupations)
        matrix = np.asarray(self._core + self.mf.get_veff(dm=tagged))
        return to_ours(matrix, self.basis, self.structure.numbers)

    def extrapolate(self, hamiltonian: Floats, spectrum: Spectrum, fock: Floats, overlap: Floats) -> Floats:
        """The Hamiltonian to go on with: the combination of H + 0.6 (F - H) of all cycles with the least commutator.

        P. Pulay, J. Comput. Chem. 3, 556 (1982). The first call returns the mixture itself.

        Args:
            hamiltonian: H of this cycle.
            spectrum: Its orbitals.
            fock: F[P] at their density.
            overlap: S.
        """
        mixture = hamiltonian + MIXING * (fock - hamiltonian)
        return np.asarray(self._extrapolation.update(overlap, spectrum.density_matrix(), mixture))

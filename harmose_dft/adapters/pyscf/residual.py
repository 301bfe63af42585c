"""One Fock build from a given Hamiltonian, which tells how far it is from self-consistency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.basis import OrbitalBasis
from ...core.matrix import BlockMatrix
from ...core.structure import Structure
from ...solver.orthogonal import commutator_norm
from .mean_field import kohn_sham, require_closed_shell
from .molecule import from_ours, to_blocks, to_mole


@dataclass(frozen=True, eq=False)
class FockResidual:
    """One Fock build F[P] at the density P of a given Hamiltonian; all of it vanishes for a self-consistent one.

    Args:
        fock: F[P] in our convention.
        energy: Kohn-Sham energy of P in Hartree (an upper bound to the converged one, up to the grid).
        mean_change: Mean of |F[P] - H| over the matrix elements, in Hartree.
        commutator: Frobenius norm of F P S - S P F in the symmetrically orthogonalised basis, in Hartree.
        gradient: Norm of the occupied-virtual block of F[P] in H's orbitals (PySCF's orbital gradient), in Hartree.
    """

    fock: BlockMatrix
    energy: float
    mean_change: float
    commutator: float
    gradient: float


def fock_residual(
    structure: Structure, hamiltonian: BlockMatrix, xc: str, basis: OrbitalBasis, grid_level: int = 3
) -> FockResidual:
    """How far a Hamiltonian is from self-consistency, by one Fock build.

    Args:
        structure: A closed-shell molecule.
        hamiltonian: Its Hamiltonian in our convention, Hartree.
        xc: PySCF's name of the functional.
        basis: Basis of the Hamiltonian.
        grid_level: Integration grid.

    Raises:
        StructureError: Periodic, odd electron count or open shell.
        HarmoseError: Unknown functional.
    """
    require_closed_shell(structure)
    mf = kohn_sham(to_mole(structure, basis), xc, grid_level)
    predicted_fock = from_ours(hamiltonian.to_dense(), basis, structure.numbers)
    overlap = mf.get_ovlp()
    energies, orbitals = mf.eig(predicted_fock, overlap)
    occupations = mf.get_occ(energies, orbitals)
    density = mf.make_rdm1(orbitals, occupations)
    veff = mf.get_veff(dm=density)
    fock = np.asarray(mf.get_hcore() + veff)
    return FockResidual(
        fock=to_blocks(fock, basis, structure.numbers),
        energy=float(mf.energy_tot(dm=density, vhf=veff)),
        mean_change=float(np.abs(fock - predicted_fock).mean()),
        commutator=commutator_norm(fock, density, overlap),
        gradient=float(np.linalg.norm(mf.get_grad(orbitals, occupations, fock))),
    )

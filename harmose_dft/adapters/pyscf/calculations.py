"""Restricted Kohn-Sham calculations with PySCF: references, and one Fock build from a given Hamiltonian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import HarmoseError, SolverError, StructureError
from ...core.matrix import BlockMatrix
from ...core.record import Eigenvalues, Record
from ...core.structure import Structure, format_charge
from ...solver.orthogonal import commutator_norm
from .known_names import parsed_functional
from .molecule import basis_from_mole, basis_label, from_ours, to_blocks, to_mole

if TYPE_CHECKING:
    from pyscf.dft.rks import RKS
    from pyscf.gto import Mole

ENERGY_TOLERANCE = 1e-11
"""SCF convergence of a reference in Hartree; Fock elements are then good to about 1e-8 Hartree."""

GRADIENT_TOLERANCE = 1e-6
"""Norm of the orbital gradient of a converged reference."""

STAGED_TOLERANCES = {"energy": 1e-9, "gradient": 1e-5}
"""Convergence on the coarse grid of the staged recipe."""

ROUGH_TOLERANCES = (1e-5, 1e-3)
"""Energy and gradient of the density at which the corrected recipe works out its correction."""

MAX_CYCLES = 100
"""SCF cycles after which a reference counts as not converged."""


@dataclass(frozen=True, eq=False)
class Converged:
    """A self-consistent solution.

    Args:
        fock: Fock matrix on the final grid, PySCF's order, (ao, ao).
        energy: Hartree.
        cycles: Of the SCF.
        notes: What else the provenance shall say.
    """

    fock: NDArray[np.float64]
    energy: float
    cycles: int
    notes: dict[str, str] = field(default_factory=dict)


Recipe = Callable[["RKS", "NDArray[np.float64] | None"], Converged]
"""Converges a Kohn-Sham object on the final grid from a density matrix, (ao, ao); from its own start if None."""


def require_closed_shell(structure: Structure) -> None:
    """Refuse what restricted Kohn-Sham theory cannot describe.

    Raises:
        StructureError: The number of electrons is odd or not positive, or unpaired electrons are asked for.
    """
    electrons, name = structure.n_electrons, f"{structure.formula} with charge {format_charge(structure.charge)}"
    if electrons <= 0:
        raise StructureError(f"{name} has {electrons} electrons.")
    if electrons % 2:
        raise StructureError(
            f"{name} has an odd number of electrons ({electrons}). Only closed shells are supported; check the charge "
            "and look for missing hydrogen atoms."
        )
    if structure.spin:
        raise StructureError(
            f"{structure.formula} is given {structure.spin} unpaired electrons. Open shells (UKS, ROKS) are not "
            "supported; give spin 0 (multiplicity 1) if the ground state is a closed shell."
        )


def kohn_sham(mol: Mole, xc: str, grid_level: int = 3) -> RKS:
    """PySCF's restricted Kohn-Sham object.

    Args:
        mol: The molecule.
        xc: PySCF's name of the functional.
        grid_level: Integration grid, 0 (coarse) to 9 (fine).

    Raises:
        HarmoseError: PySCF does not know the functional or its dispersion energy, or the grid level does not exist.
    """
    from pyscf import dft

    if not 0 <= grid_level <= 9:
        raise HarmoseError(f"PySCF's integration grids have levels 0 to 9; got {grid_level}. 3 is the usual choice.")
    parsed_functional(xc)
    mf = dft.RKS(mol, xc=xc)
    mf.grids.level = grid_level
    try:
        mf.do_disp()
    except NotImplementedError as error:
        raise HarmoseError(
            f"PySCF does not have the dispersion energy of {xc}. It is no part of H: give the electronic functional by "
            "libxc's name, such as hyb_gga_xc_wb97x_d for wb97x-d."
        ) from error
    return mf


def reference(
    structure: Structure,
    xc: str,
    basis: str | OrbitalBasis,
    *,
    grid_level: int = 3,
    recipe: str = "full",
    guess: BlockMatrix | None = None,
) -> Record:
    """A converged restricted Kohn-Sham calculation.

    The recipe "full" converges on the final grid. "staged" starts with density fitting on the level-0 grid, converges
    on the level-1 grid and builds one Fock matrix on the final grid: 0.6 of the cost, Fock elements off by 0.2 uHa on
    average (acetamide, B3LYP/def2-SVP). "corrected" converges a density-fitted Fock matrix with a constant correction
    to the exact one on the final grid: 0.7 of the cost of "full" and 0.1 uHa (docs/howto/label.md).

    Args:
        structure: A closed-shell molecule.
        xc: PySCF's name of the functional.
        basis: Basis set.
        grid_level: Integration grid of the stored Fock matrix.
        recipe: One of ``RECIPES``.
        guess: A Hamiltonian whose orbitals start the SCF; PySCF's default guess if None.

    Returns:
        Fock matrix, overlap, energy and orbital energies, with provenance.

    Raises:
        StructureError: Periodic, odd electron count or open shell.
        SolverError: The SCF did not converge.
        HarmoseError: Unknown functional, basis or recipe.
    """
    if recipe not in RECIPES:
        raise HarmoseError(f"There is no recipe {recipe!r}; choose one of {', '.join(RECIPES)}.")
    return reference_by(RECIPES[recipe], structure, xc, basis, grid_level=grid_level, name=recipe, guess=guess)


def reference_by(
    recipe: Recipe,
    structure: Structure,
    xc: str,
    basis: str | OrbitalBasis,
    *,
    name: str,
    grid_level: int = 3,
    guess: BlockMatrix | None = None,
) -> Record:
    """A restricted Kohn-Sham calculation that a given recipe converges; arguments and errors as of :func:`reference`.

    Args:
        recipe: Converges it.
        structure: A closed-shell molecule.
        xc: PySCF's name of the functional.
        basis: Basis set.
        name: The recipe's name in the provenance.
        grid_level: Integration grid of the stored Fock matrix.
        guess: A Hamiltonian whose orbitals start the SCF.
    """
    require_closed_shell(structure)
    mol = to_mole(structure, basis)
    our_basis = basis_from_mole(mol, basis_label(basis) if isinstance(basis, str) else basis.name)
    final_mf = kohn_sham(mol, xc, grid_level)
    density = None if guess is None else _density(final_mf, from_ours(guess.to_dense(), our_basis, structure.numbers))
    result = recipe(final_mf, density)
    levels = final_mf.eig(result.fock, final_mf.get_ovlp())[0]
    return Record(
        structure,
        our_basis,
        (to_blocks(result.fock, our_basis, structure.numbers),),
        to_blocks(final_mf.get_ovlp(), our_basis, structure.numbers),
        n_electrons=float(mol.nelectron),
        energy=result.energy,
        eigenvalues=(Eigenvalues(np.zeros((1, 3)), levels[None, None], "PySCF"),),
        provenance=_provenance(xc, our_basis.name, grid_level, name, result)
        | ({"smiles": structure.smiles} if structure.smiles else {}),
    )


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


def _density(mf: RKS, fock: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density matrix of the lowest orbitals of a Fock matrix, PySCF's order."""
    energies, orbitals = mf.eig(fock, mf.get_ovlp())
    return np.asarray(mf.make_rdm1(orbitals, mf.get_occ(energies, orbitals)))


def converge(mf: RKS, density: NDArray[np.float64] | None, energy: float, gradient: float) -> int:
    """Run the SCF.

    Args:
        mf: The Kohn-Sham object.
        density: Start, (ao, ao); its own if None.
        energy: Convergence of the energy, Hartree.
        gradient: Norm of the orbital gradient when converged.

    Returns:
        Number of cycles.

    Raises:
        SolverError: It did not converge within ``MAX_CYCLES``.
    """
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = energy, gradient, MAX_CYCLES
    mf.kernel(dm0=density)
    if not mf.converged:
        raise SolverError(
            f"The SCF of {mf.mol.natm} atoms ({mf.xc}) did not converge within {MAX_CYCLES} cycles. Check the "
            "geometry, the charge, and whether the ground state is a closed shell."
        )
    return int(mf.cycles)


def _coarse_density(mol: Mole, xc: str, density: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], int]:
    """Density matrix converged on the level-1 grid, and the cycles it took."""
    if density is None:
        start = kohn_sham(mol, xc, 0).density_fit()
        start.conv_tol = 1e-6
        start.kernel()
        density = start.make_rdm1()
    coarse_mf = kohn_sham(mol, xc, 1)
    cycles = converge(coarse_mf, density, STAGED_TOLERANCES["energy"], STAGED_TOLERANCES["gradient"])
    return np.asarray(coarse_mf.make_rdm1()), cycles


def _converge_fully(final: RKS, density: NDArray[np.float64] | None) -> Converged:
    """Converged on the final grid."""
    cycles = converge(final, density, ENERGY_TOLERANCE, GRADIENT_TOLERANCE)
    return Converged(np.asarray(final.get_fock(dm=final.make_rdm1())), float(final.e_tot), cycles)


def _converge_in_steps(final: RKS, density: NDArray[np.float64] | None) -> Converged:
    """Fock matrix and energy on the final grid at the density of the level-1 grid."""
    density, cycles = _coarse_density(final.mol, final.xc, density)
    hcore = final.get_hcore()
    veff = final.get_veff(dm=density)
    return Converged(np.asarray(hcore + veff), float(final.energy_tot(dm=density, h1e=hcore, vhf=veff)), cycles)


def _converge_corrected(exact: RKS, density: NDArray[np.float64] | None) -> Converged:
    """An SCF with a cheap Fock matrix and a constant correction to it.

    The cheap one is density-fitted on the level-0 grid. At its own density D0 the correction F[D0] - F_cheap[D0] is
    worked out once with exact integrals on the final grid; F_cheap + correction is then converged. What is left is the
    change of the correction between D0 and the final density, a product of two small errors.

    Args:
        exact: The Kohn-Sham object on the final grid.
        density: Start, PySCF's default guess if None, (ao, ao).
    """
    approx = kohn_sham(exact.mol, exact.xc, 0).density_fit()
    approx.conv_tol, approx.conv_tol_grad, approx.max_cycle = *ROUGH_TOLERANCES, MAX_CYCLES
    approx.kernel(dm0=density)
    start, hcore = np.asarray(approx.make_rdm1()), exact.get_hcore()
    veff, fitted = exact.get_veff(dm=start), approx.get_veff(dm=start)
    difference = np.asarray(veff - fitted)
    offset = exact.energy_tot(dm=start, vhf=veff) - approx.energy_tot(dm=start, vhf=fitted) - np.sum(difference * start)
    corrected_fock = hcore + difference
    approx.get_hcore = lambda *_: corrected_fock
    cycles = converge(approx, start, STAGED_TOLERANCES["energy"], STAGED_TOLERANCES["gradient"])
    return Converged(np.asarray(approx.get_fock(dm=approx.make_rdm1())), float(approx.e_tot + offset), cycles)


RECIPES: dict[str, Recipe] = {"full": _converge_fully, "staged": _converge_in_steps, "corrected": _converge_corrected}
"""How :func:`reference` converges: on the final grid; on a level-1 grid, then one Fock build on the final one;
density-fitted, with a correction from one Fock build on the final grid."""


def _provenance(xc: str, basis: str, grid_level: int, recipe: str, result: Converged) -> dict[str, Any]:
    import pyscf

    return {
        "code": "PySCF",
        "version": pyscf.__version__,
        "functional": xc,
        "basis": basis,
        "method": "RKS",
        "grid_level": str(grid_level),
        "recipe": recipe,
        "scf_cycles": str(result.cycles),
        **result.notes,
    }

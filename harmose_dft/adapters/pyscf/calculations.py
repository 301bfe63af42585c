"""Reference calculations of molecules with PySCF: restricted Kohn-Sham."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import HarmoseError
from ...core.matrix import BlockMatrix
from ...core.record import Eigenvalues, Record
from ...core.structure import Structure
from .mean_field import kohn_sham, require_closed_shell
from .molecule import basis_from_mole, basis_label, from_ours, to_blocks, to_mole
from .recipes import RECIPES, Converged, Recipe

if TYPE_CHECKING:
    from pyscf.dft.rks import RKS


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
    on the level-1 grid and builds one Fock matrix on the final grid. "corrected" converges a density-fitted Fock matrix
    with a constant correction to the exact one on the final grid. Cost and error of each: docs/howto/label.md.

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


def _density(mf: RKS, fock: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density matrix of the lowest orbitals of a Fock matrix, PySCF's order."""
    energies, orbitals = mf.eig(fock, mf.get_ovlp())
    return np.asarray(mf.make_rdm1(orbitals, mf.get_occ(energies, orbitals)))


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

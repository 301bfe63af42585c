"""The density matrix from which an SCF starts: the model's prediction in the basis of the molecule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf.molecule import basis_from_mole, to_mole
from ...adapters.pyscf.start import pyscf_orbitals
from ...core.errors import BasisMismatchError, DomainError, HarmoseError
from ...core.structure import Structure
from ...model.loading import as_predictor
from ...solver.orthogonal import inverse_root
from .kinds import MeanField

if TYPE_CHECKING:
    from pyscf.gto import Mole

    from ...model.prediction import Prediction
    from ...model.predictor import Predictor

COUNT_WITHIN = 1e-6
"""Largest deviation of Tr(PS) from the number of electrons."""

Start = Callable[["Mole"], NDArray[np.float64]]
"""Gives the density matrix from which the SCF of a molecule starts, in PySCF's order."""


class SeedWarning(UserWarning):
    """The prediction was not used as a start."""


@dataclass(frozen=True, eq=False)
class Guess:
    """How an SCF started.

    Args:
        density: Density matrix of the start in PySCF's order, (ao, ao), or (2, ao, ao) where spin is polarised.
        predicted: Whether it is the prediction; PySCF's own start otherwise.
        reason: Why the prediction was not used.
        commutator: ``|FPS - SPF|`` of the prediction in the orthogonalised basis, Hartree, where it was tested.
    """

    density: NDArray[np.float64]
    predicted: bool
    reason: str = ""
    commutator: float | None = None

    def __repr__(self) -> str:
        commutator_note = "" if self.commutator is None else f", commutator {self.commutator:.3g} Hartree"
        origin = "predicted" if self.predicted else "own start of PySCF"
        return f"Guess({origin}{commutator_note}, {self.density.shape[-1]} orbitals)"


@dataclass(frozen=True, eq=False)
class PredictedStart:
    """The start that a model predicts; an object, not a function, so that seeded calculations can be pickled."""

    predictor: Predictor

    def __call__(self, mol: Mole) -> NDArray[np.float64]:
        """The density matrix, (ao, ao); see :func:`initial_density`."""
        return initial_density(mol, self.predictor)


def initial_density(mf_or_mol: MeanField, model: str | Path | Predictor = "organic") -> NDArray[np.float64]:
    """Predicted density matrix for ``mf.kernel(dm0=...)``, untested, in PySCF's order, (ao, ao).

    In a basis other than the model's, the occupied orbitals are projected and orthonormalised again. The array carries
    the orbitals as PySCF's tags ``mo_coeff`` and ``mo_occ``, and ``projected``.

    Args:
        mf_or_mol: A molecule of PySCF or a mean-field object of one.
        model: A bundled model's name, a model's folder, or a loaded model.

    Raises:
        DomainError: The molecule lies outside the model's domain.
        BasisMismatchError: The molecule's basis is Cartesian, or has pseudopotentials.
    """
    predictor = as_predictor(model)
    mol: Mole = getattr(mf_or_mol, "mol", mf_or_mol)
    structure = structure_of(mol)
    if mol.cart:
        raise BasisMismatchError("The molecule uses Cartesian orbitals; the model's are spherical. Set cart=False.")
    if mol.nelectron != structure.n_electrons:
        raise BasisMismatchError(
            f"The molecule's pseudopotentials leave {mol.nelectron} of {structure.n_electrons} electrons; the model "
            "describes all of them. Use an all-electron basis."
        )
    return density_of(predictor.predict(structure, trust=False), mol)


def density_of(prediction: Prediction, mol: Mole) -> NDArray[np.float64]:
    """Density matrix of a prediction in a molecule's basis and PySCF's order, tagged with its orbitals, (ao, ao)."""
    from pyscf import lib

    occupied = prediction.spectrum.occupied
    orbitals = pyscf_orbitals(prediction.structure, prediction.basis, prediction.spectrum)[:, occupied]
    projected = not _same_basis(mol, prediction)
    if projected:
        orbitals = _project(orbitals, to_mole(prediction.structure, prediction.basis), mol)
    occupations = prediction.spectrum.occupations[occupied]
    density = (orbitals * occupations) @ orbitals.T
    tagged: NDArray[np.float64] = lib.tag_array(
        density, mo_coeff=orbitals, mo_occ=occupations, projected=projected
    )
    return tagged


def structure_of(mol: Mole) -> Structure:
    """The atoms of a molecule of PySCF, whatever its pseudopotentials.

    Raises:
        DomainError: A crystal, or an atom without a nucleus.
    """
    if getattr(mol, "a", None) is not None:
        raise DomainError("This is a crystal of PySCF; the model describes molecules.")
    numbers = [int(mol.atom_charge(i)) + int(mol.atom_nelec_core(i)) for i in range(mol.natm)]
    if 0 in numbers:
        raise DomainError(f"Atom {numbers.index(0) + 1} is a ghost atom; the model describes atoms with a nucleus.")
    return Structure(np.array(numbers), mol.atom_coords(), charge=int(mol.charge), spin=int(mol.spin))


def require_restricted(mf: MeanField) -> None:
    """Refuse mean-field objects whose density matrix the model does not describe.

    Raises:
        DomainError: A crystal, or neither RKS nor RHF.
    """
    from pyscf import scf

    name = mf.__class__.__name__.replace("Seeded", "")
    if hasattr(mf, "cell"):
        raise DomainError(f"The model describes molecules; this {name} is the calculation of a crystal (pyscf.pbc).")
    if not isinstance(mf, scf.hf.RHF) or isinstance(mf, scf.rohf.ROHF):
        raise DomainError(f"The model describes closed shells (RKS, RHF); this is {name}.")


def require_electrons(density: NDArray[np.float64], overlap: NDArray[np.float64], n_electrons: int) -> None:
    """Refuse a density matrix that is not finite or has lost electrons.

    Raises:
        HarmoseError: It is not finite, or Tr(PS) is off by more than ``COUNT_WITHIN``.
    """
    if not np.isfinite(density).all():
        raise HarmoseError("The predicted density is not finite.")
    count = float(np.sum(density * overlap))
    if abs(count - n_electrons) > COUNT_WITHIN:
        raise HarmoseError(f"The predicted density holds {count:.6f} electrons instead of {n_electrons}.")


def _same_basis(mol: Mole, prediction: Prediction) -> bool:
    try:
        prediction.basis.require_same(basis_from_mole(mol), prediction.structure.numbers.tolist())
    except BasisMismatchError:
        return False
    return True


def _project(orbitals: NDArray[np.float64], source: Mole, target: Mole) -> NDArray[np.float64]:
    """Occupied orbitals in another basis, orthonormalised symmetrically, (target ao, mo)."""
    from pyscf.scf import addons

    projections = addons.project_mo_nr2nr(source, orbitals, target)
    overlap = projections.T @ target.intor_symmetric("int1e_ovlp") @ projections
    return np.asarray(projections @ inverse_root(overlap))

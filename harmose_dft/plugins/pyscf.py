"""Starting PySCF's self-consistent field from a predicted Hamiltonian.

``mf = seed(mf)`` gives a mean-field object that starts from the prediction and is otherwise the same. A start never
changes what the SCF converges to, only how fast, as long as it is a sane one, so it is tested: structure and method
must be what the model describes, the density must be finite and hold all electrons, and its first Fock build, which
the SCF needs anyway, must nearly commute with it. Otherwise PySCF's own start is used, with a warning that says why.
If an SCF does not converge from the prediction, it is run again from PySCF's own start.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.pyscf.known_names import parsed_functional
from ..adapters.pyscf.molecule import basis_from_mole, to_mole
from ..adapters.pyscf.start import pyscf_orbitals, require_near_self_consistent
from ..core.errors import BasisMismatchError, DomainError, HarmoseError
from ..core.structure import Structure
from ..model.loading import load_model
from ..solver.orthogonal import commutator_norm, inverse_root

if TYPE_CHECKING:
    from pyscf.gto import Mole

    from ..model.prediction import Prediction
    from ..model.predictor import Predictor

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


def seed(mf: Any, model: str | Path | Predictor = "organic") -> Any:
    """A copy of a mean-field object that starts from a prediction: ``mf = seed(mf); mf.kernel()``.

    Works for RKS and RHF with or without density fitting. For anything else, such as UKS, and outside the model's
    domain it warns and starts as PySCF does. After the SCF ``mf.guess`` says how it started.

    Args:
        mf: A mean-field object of PySCF.
        model: A bundled model's name, a model's folder, or a loaded model.

    Returns:
        The object; its class is derived from that of ``mf``.

    Raises:
        CheckpointError: The model cannot be loaded.
    """
    predictor = load_model(model) if isinstance(model, str | Path) else model
    return seed_with(mf, lambda mol: initial_density(mol, predictor), predictor.model.functional)


def seed_with(mf: Any, start: Start, functional: str) -> Any:
    """A copy of a mean-field object with another start, tested as described above.

    Args:
        mf: A mean-field object of PySCF.
        start: Density matrix of a molecule in PySCF's order, or a HarmoseError that says why there is none.
        functional: Functional that the start was made for.
    """
    from pyscf import lib

    plain = mf.undo_seeded() if isinstance(mf, Seeded) else mf
    return lib.set_class(Seeded(plain, start, functional), (Seeded, type(plain)))


class Seeded:
    """Mixin that replaces the initial guess of a mean-field class of PySCF; made by :func:`seed_with`."""

    __name_mixin__ = "Seeded"
    _keys = frozenset({"start", "start_functional", "guess"})

    def __init__(self, mf: Any, start: Start, functional: str) -> None:
        self.__dict__.update(mf.__dict__)
        self.start, self.start_functional = start, functional
        self.guess: Guess | None = None
        self._first: tuple[NDArray[np.float64], Any] | None = None

    def undo_seeded(self) -> Any:
        """The mean-field object without the prediction."""
        from pyscf import lib

        return lib.view(self, lib.drop_class(self.__class__, Seeded))

    def get_init_guess(self, mol: Mole | None = None, key: str = "minao", **options: Any) -> NDArray[np.float64]:
        """The predicted density, or PySCF's own start ``key`` with a warning that says why."""
        molecule: Any = self.mol if mol is None else mol  # type: ignore[attr-defined]
        commutator: float | None = None
        try:
            _require_restricted(self)
            density = self.start(molecule)
            potential, commutator = self._test_start(molecule, density)
            projected = getattr(density, "projected", False)
            require_near_self_consistent(commutator, molecule.nelectron, projected=projected)
        except HarmoseError as error:
            warnings.warn(f"PySCF's own initial guess is used. {error}", SeedWarning, stacklevel=2)
            pyscf_guess = super().get_init_guess(molecule, key, **options)  # type: ignore[misc]
            self.guess = Guess(pyscf_guess, False, str(error), commutator)
            return np.asarray(pyscf_guess)
        self._first = density, potential
        self.guess = Guess(density, True, commutator=commutator)
        self._tell_functional()
        return density

    def get_veff(self, mol: Any = None, dm: Any = None, *args: Any, **options: Any) -> Any:
        """The effective potential; that of the tested start is not calculated twice."""
        if self._first is not None and dm is self._first[0]:
            return self._first[1]
        return super().get_veff(mol, dm, *args, **options)  # type: ignore[misc]

    def scf(self, dm0: NDArray[np.float64] | None = None, **options: Any) -> float:
        """PySCF's SCF; once more from PySCF's own start if it does not converge from the prediction."""
        self._first, self.guess = None, None
        try:
            energy = super().scf(dm0, **options)  # type: ignore[misc]
        finally:
            self._first = None
        guess: Guess | None = self.guess
        if self.converged or self.max_cycle <= 0 or guess is None or not guess.predicted:  # type: ignore[attr-defined]
            return float(energy)
        reason = "The SCF did not converge from the predicted density."
        warnings.warn(f"{reason} It is run again from PySCF's own initial guess.", SeedWarning, stacklevel=2)
        pyscf_guess = super().get_init_guess(self.mol, self.init_guess)  # type: ignore[misc,attr-defined]
        self.guess = Guess(pyscf_guess, False, reason, guess.commutator)
        return float(super().scf(pyscf_guess, **options))  # type: ignore[misc]

    def _test_start(self, mol: Mole, density: NDArray[np.float64]) -> tuple[Any, float]:
        """Effective potential and commutator norm of a start.

        Raises:
            HarmoseError: The density is not finite or lost electrons.
        """
        if not np.isfinite(density).all():
            raise HarmoseError("The predicted density is not finite.")
        overlap = self.get_ovlp(mol)  # type: ignore[attr-defined]
        count = float(np.sum(density * overlap))
        if abs(count - mol.nelectron) > COUNT_WITHIN:
            raise HarmoseError(f"The predicted density holds {count:.6f} electrons instead of {mol.nelectron}.")
        potential = super().get_veff(mol, density)  # type: ignore[misc]
        fock = np.asarray(self.get_hcore(mol) + potential)  # type: ignore[attr-defined]
        return potential, commutator_norm(fock, density, overlap)

    def _tell_functional(self) -> None:
        from pyscf.dft import libxc
        from pyscf.lib import logger

        functional, start_functional = getattr(self, "xc", "hf"), self.start_functional
        if libxc.parse_xc(functional) != parsed_functional(start_functional):
            logger.note(
                self, "The initial guess is a prediction for %s; this calculation uses %s.", start_functional,
                functional
            )


def initial_density(mf_or_mol: Any, model: str | Path | Predictor = "organic") -> NDArray[np.float64]:
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
    predictor = load_model(model) if isinstance(model, str | Path) else model
    mol = getattr(mf_or_mol, "mol", mf_or_mol)
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


def _require_restricted(mf: Any) -> None:
    from pyscf import scf

    if not isinstance(mf, scf.hf.RHF) or isinstance(mf, scf.rohf.ROHF):
        raise DomainError(
            f"The model describes closed shells (RKS, RHF); this is {mf.__class__.__name__.replace('Seeded', '')}."
        )


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

"""ASE calculator: energies of predicted densities, or self-consistent energies and forces started from predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from ase.calculators.calculator import Calculator, all_changes, external_calculators, register_calculator_class
from numpy.typing import NDArray

from ..adapters.pyscf import exact_gradient, fitted_gradient, from_ours, kohn_sham, to_mole
from ..adapters.pyscf.start import pyscf_orbitals
from ..adapters.structures import from_ase
from ..core.errors import ConfigError, DomainError, SolverError
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from ..model.loading import as_predictor
from .pyscf import seed_with

if TYPE_CHECKING:
    from ase import Atoms
    from pyscf.gto import Mole
    from pyscf.scf.hf import SCF

    from ..model.prediction import Prediction
    from ..model.predictor import Predictor

PROPERTIES = ("energy", "free_energy", "dipole", "charges")
"""What there always is."""

Mode = Literal["oneshot", "scf"]

NAME = "harmose"
"""The calculator's name in ASE's registry: ``get_calculator_class("harmose")`` once this module is imported."""

FINEST_GRID = 9
"""PySCF's finest integration grid."""

FARTHEST_STEP = 0.2
"""Angstrom; beyond it the previous geometry's correction is not carried over to the next one.

Ethanol, random displacements of up to 0.02, 0.05, 0.1, 0.2, 0.4 Angstrom and a roughly trained model; |FPS - SPF| in
Hartree of the start from the prediction 0.23 0.24 0.33 0.47 0.47 (7 8 8 8 8 cycles), with the correction 0.01 0.10 0.21
0.42 2.0 (6 7 7 8 12 cycles), of the previous density 0.06 0.31 0.77 1.4 1.3 (7 7 8 8 8 cycles).
"""


class Results(dict[str, Any]):
    """Results under ASE's names, and further ones that are read by name only.

    ``SinglePointCalculator(atoms, **results)`` and ASE's files take no names but ASE's, so that the others are no keys.

    Attributes:
        others: Further results by name.
    """

    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.others: dict[str, Any] = {}

    def __missing__(self, name: str) -> Any:
        """One of the further results."""
        return self.others[name]


def _require_mode(name: str, value: object) -> None:
    if value not in get_args(Mode):
        raise ConfigError(f"The calculator's {name} is one of {', '.join(get_args(Mode))}; got {value!r}.")


def _require_grid(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= FINEST_GRID:
        raise ConfigError(f"The calculator's {name} is a whole number from 0 to {FINEST_GRID}; got {value!r}.")


def _require_switch(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        raise ConfigError(f"The calculator's {name} is True or False; got {value!r}.")


CHECKS: dict[str, Callable[[str, object], None]] = {
    "mode": _require_mode,
    "grid_level": _require_grid,
    "density_fit": _require_switch,
    "fit_gradient": _require_switch,
    "refine": _require_switch,
}
"""Name of a parameter that can be set -> what refuses a value that it cannot have."""


def _require_valid(parameters: Mapping[str, object]) -> None:
    for name, require in CHECKS.items():
        if name in parameters:
            require(name, parameters[name])


class HarmoseCalculator(Calculator):  # type: ignore[misc]  # ASE has no annotations
    """Energies and forces of closed-shell molecules for ASE, in eV, eV/Angstrom and e*Angstrom.

    Ions are taken where the model was trained on such charges; charge and spin are those of ``atoms.info``, or of the
    initial charges and moments.

    ``mode="oneshot"``: no self-consistency. The energy is the Kohn-Sham energy functional E[P] at the density P of the
    predicted orbitals, by one Fock build in PySCF: an upper bound to the converged energy (up to the grid), off by the
    second order in the density's error. Orbital energies are the predicted ones. Cheap Fock builds refine the
    prediction first, see :meth:`harmose_dft.Predictor.predict`: the energy is then off by a few microhartree, and there
    are forces, by the expression for a converged density: they leave out how P, which is not quite converged, moves
    with the atoms (0.002 to 0.012 eV/Angstrom, root mean square over a molecule's components, for eight small ones with
    forces up to 4). Without refinement there are none. A prediction that should be used with care, or not at all, is
    warned of; ``prediction.trust`` says more.

    ``mode="scf"``: PySCF converges; energy and forces are those of a plain PySCF calculation with its default
    tolerances (forces without the response of the grid), in few full Fock builds, see :func:`harmose_dft.seed`. The
    first step starts from the predicted Hamiltonian. Later steps, if no atom moved farther than ``FARTHEST_STEP``,
    start from the prediction plus the previous step's correction, H(x) + F(x') - H(x'): the part of the model's error
    that both geometries share cancels. Every start is tested, see :mod:`harmose_dft.plugins.pyscf`. Where an
    optimiser's step leaves the model's domain, PySCF starts by itself, with a warning. Half of the time of such a step
    is PySCF's gradient; ``fit_gradient`` makes it faster, see :func:`harmose_dft.adapters.pyscf.fitted_gradient`.

    A calculator can be copied and pickled, model and results included; PySCF's object of the last geometry stays behind
    and is made again when forces are asked for.

    ``results`` holds ASE's ``energy``, ``free_energy``, ``forces``, ``dipole`` and ``charges`` (Mulliken's, e);
    besides, ``results["orbital_energies"]`` (mo,), ``["homo"]``, ``["lumo"]``, ``["gap"]`` in eV and
    ``["fock_builds"]`` can be read. ``prediction`` is the model's prediction for the last geometry, or None.

    Args:
        model: A bundled model's name, a model's folder, or a loaded model.
        mode: "oneshot" or "scf".
        refine: Whether "oneshot" refines predictions by cheap Fock builds.
        device: Where the model runs, such as "cuda"; of a loaded model it stays what it is.
        grid_level: PySCF's integration grid, 0 (coarse) to 9.
        density_fit: Whether PySCF approximates the Coulomb and exchange integrals by density fitting, which is faster.
        fit_gradient: Whether only the forces' Coulomb and exchange integrals are density-fitted, which changes them by
            less than 1e-3 eV/Angstrom; the energy is exact.

    Raises:
        CheckpointError: The model cannot be loaded.
        ConfigError: There is no such mode or grid, or a switch is neither True nor False.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "dipole", "charges"]

    def __init__(
        self,
        model: str | Path | Predictor = "organic",
        mode: Mode = "oneshot",
        *,
        grid_level: int = 3,
        density_fit: bool = False,
        fit_gradient: bool = False,
        refine: bool = True,
        device: str = "cpu",
    ) -> None:
        parameters = {
            "mode": mode, "grid_level": grid_level, "density_fit": density_fit, "fit_gradient": fit_gradient,
            "refine": refine,
        }  # fmt: skip
        _require_valid(parameters)
        self.predictor = as_predictor(model, device=device)
        self.prediction: Prediction | None = None
        self._structure: Structure | None = None
        self._mean_field: SCF | None = None
        self._correction: tuple[Structure, NDArray[np.float64]] | None = None
        super().__init__(model=self.predictor.info.name, **parameters)

    def __getstate__(self) -> dict[str, object]:
        """The state without PySCF's mean-field object, whose class is made when it is seeded."""
        return {**self.__dict__, "_mean_field": None}

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """List what changed since the last calculation; ASE itself ignores charge and spin in ``atoms.info``."""
        changes: list[str] = super().check_state(atoms, tol)
        if not changes and self._structure is not None:
            current, previous = from_ase(atoms), self._structure
            if (current.charge, current.spin) != (previous.charge, previous.spin):
                changes.append("info")
        return changes

    def set(self, **parameters: object) -> dict[str, object]:
        """Change parameters of :data:`CHECKS`; earlier results are discarded.

        Raises:
            ConfigError: There is no such mode, grid or parameter, or it is the model.
        """
        names = CHECKS.keys() | (set() if self.parameters else {"model"})
        if unknown_keys := sorted(parameters.keys() - names):
            raise ConfigError(
                f"{', '.join(unknown_keys)} cannot be set; of a calculator {', '.join(sorted(names))} can."
            )
        _require_valid(parameters)
        changes: dict[str, object] = super().set(**parameters)
        has_forces = self.parameters["mode"] == "scf" or self.parameters["refine"]
        self.implemented_properties = [*PROPERTIES, *(["forces"] if has_forces else [])]  # type: ignore[misc]
        if changes:
            self.reset()
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Called by ASE.

        Raises:
            DomainError: The atoms lie outside the model's domain: periodic, a charge that it was not trained on, an
                open shell, unknown elements.
            SolverError: The SCF did not converge, or has no solution because atoms coincide.

        Warns:
            HarmoseWarning: A one-shot energy is of a prediction that should be used with care, or not at all.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        if system_changes or self._mean_field is None:
            self._mean_field, self.results = None, {}  # where this fails, none of an earlier geometry remain
            self._run(from_ase(self.atoms))
        if "forces" in properties:
            assert self._mean_field is not None
            gradient = fitted_gradient if self.parameters["fit_gradient"] else exact_gradient
            self.results["forces"] = -gradient(self._mean_field) * (HARTREE_IN_EV / BOHR_IN_ANGSTROM)

    def _run(self, structure: Structure) -> None:
        if structure.periodic:
            raise DomainError(
                f"{structure.formula} is a crystal; this calculator gives energies and forces of molecules only, with "
                "any model. For bands of crystals use harmose_dft.bands, for a molecule in a box set atoms.pbc = False."
            )
        model, reason = self.predictor.model, None
        self._structure, self.prediction = None, None
        try:
            oneshot = self.parameters["mode"] == "oneshot"
            refine = oneshot and self.parameters["refine"]
            self.prediction = self.predictor.predict(structure, trust=oneshot, refine=refine)
        except DomainError as error:
            if self.parameters["mode"] != "scf" or not self._can_do_without(structure):
                raise
            reason = error
        self._structure = structure
        mf = kohn_sham(to_mole(structure, model.basis), model.functional, self.parameters["grid_level"])
        if self.parameters["density_fit"]:
            mf = mf.density_fit()
        if self.parameters["mode"] == "oneshot":
            assert self.prediction is not None
            energy, density = _evaluate_energy(mf, self.prediction)
            levels, builds = self.prediction.spectrum.energies, 1
        else:
            mf = self._converge(mf, structure, reason)
            energy, levels, density = mf.e_tot, mf.mo_energy, mf.make_rdm1()
            builds = mf.acceleration.full_builds
        self._mean_field = mf
        self._set_results(mf, float(energy), levels, density, builds)

    def _can_do_without(self, structure: Structure) -> bool:
        """Whether a molecule that is not predicted has at least a charge, the spin and the elements of the model."""
        plain = not (structure.periodic or structure.spin or structure.n_electrons % 2)
        charges, elements = self.predictor.model.domain.charges, set(structure.numbers.tolist())
        return plain and structure.charge in charges and elements <= set(self.predictor.model.basis.shells)

    def _converge(self, mf: SCF, structure: Structure, reason: DomainError | None) -> SCF:
        """Converge the SCF of a geometry and remember how far the prediction was from its result.

        Args:
            mf: The mean-field object.
            structure: The geometry.
            reason: Why it was not predicted.
        """
        prediction, predicted = self.prediction, None
        if prediction is not None:
            predicted = from_ours(prediction.hamiltonian.to_dense(), prediction.basis, structure.numbers)
            guess = predicted + self._carry_over(structure)
        plain = mf

        def start(_: Mole) -> NDArray[np.float64]:
            if reason is not None:
                raise reason
            energies, orbitals = plain.eig(guess, plain.get_ovlp())
            return np.asarray(plain.make_rdm1(orbitals, plain.get_occ(energies, orbitals)))

        mf = seed_with(mf, start, self.predictor.model.functional)
        self._correction = None
        try:
            mf.kernel()
        except np.linalg.LinAlgError as error:
            raise SolverError(
                f"The SCF of {structure.formula} has no solution ({error}). Do two atoms lie at one point?"
            ) from error
        if not mf.converged:
            raise SolverError(
                f"The SCF of {structure.formula} did not converge within {mf.max_cycle} cycles. Check the geometry."
            )
        if predicted is not None:
            # F = S C eps C^T S, as the orbitals are those of the last Fock matrix; no further build
            weighted = mf.get_ovlp() @ mf.mo_coeff
            self._correction = structure, (weighted * mf.mo_energy) @ weighted.T - predicted
        return mf

    def _carry_over(self, structure: Structure) -> NDArray[np.float64] | float:
        """Correction of the previous geometry, if it is near, in Hartree; zero otherwise."""
        if self._correction is None:
            return 0.0
        previous, correction = self._correction
        if not np.array_equal(previous.numbers, structure.numbers):
            return 0.0
        moved = np.linalg.norm(structure.positions - previous.positions, axis=1).max() * BOHR_IN_ANGSTROM
        return correction if moved <= FARTHEST_STEP else 0.0

    def _set_results(
        self, mf: SCF, energy: float, levels: NDArray[np.float64], density: NDArray[np.float64], builds: int
    ) -> None:
        """ASE's units, from Hartree and e*Bohr."""
        occupied = int(mf.mol.nelectron) // 2
        energies = levels * HARTREE_IN_EV
        homo, lumo = energies[occupied - 1], energies[occupied] if occupied < len(energies) else np.inf
        self.results = Results(
            energy=energy * HARTREE_IN_EV,
            free_energy=energy * HARTREE_IN_EV,
            dipole=np.asarray(mf.dip_moment(dm=density, unit="AU", verbose=0)) * BOHR_IN_ANGSTROM,
            charges=np.asarray(mf.mulliken_pop(mf.mol, density, verbose=0)[1]),
        )
        self.results.others = {
            "orbital_energies": energies,
            "homo": float(homo),
            "lumo": float(lumo),
            "gap": float(lumo - homo),
            "fock_builds": builds,
        }


def _evaluate_energy(mf: SCF, prediction: Prediction) -> tuple[float, NDArray[np.float64]]:
    """E[P], Hartree, and P of a prediction, by one Fock build F[P].

    ``mf`` then has the predicted orbitals, the occupied ones turned among themselves so that they are eigenvectors of
    F[P] in their space, and its eigenvalues: energy-weighted with these, P gives better forces than with the predicted
    levels.
    """
    spectrum = prediction.spectrum
    levels, occupations = spectrum.energies.copy(), spectrum.occupations
    orbitals = pyscf_orbitals(prediction.structure, prediction.basis, spectrum)
    density = mf.make_rdm1(orbitals, occupations)
    core, potential = mf.get_hcore(), mf.get_veff(dm=density)
    energy = mf.energy_tot(dm=density, h1e=core, vhf=potential)
    occupied = spectrum.occupied
    inside = orbitals[:, occupied].T @ (core + potential) @ orbitals[:, occupied]
    levels[occupied], rotation = np.linalg.eigh(inside)
    orbitals[:, occupied] = orbitals[:, occupied] @ rotation
    mf.mo_energy, mf.mo_coeff, mf.mo_occ, mf.e_tot, mf.converged = levels, orbitals, occupations, energy, True
    return float(energy), density


if NAME not in external_calculators:
    register_calculator_class(NAME, HarmoseCalculator)

"""The ASE calculator: plain PySCF results in ASE's units, starts from predictions, and refusals.

The predictor returns PySCF's own converged Hamiltonians (PBE/STO-3G, level-0 grid), spoilt on demand.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.optimize import BFGS
from ase.units import Bohr, Hartree
from known_predictor import KnownPredictor

from harmose_dft import HarmoseCalculator
from harmose_dft.adapters.pyscf import exact_gradient, fitted_gradient, kohn_sham, to_mole
from harmose_dft.adapters.structures import from_ase
from harmose_dft.core.errors import CheckpointError, ConfigError, DomainError, HarmoseWarning, SolverError
from harmose_dft.model.trust.verdicts import Verdict
from harmose_dft.plugins.ase import CHECKS
from harmose_dft.plugins.pyscf import SeedWarning
from harmose_dft.testing.molecules import WATER


def test_calculator_is_in_the_registry_of_ase() -> None:
    from ase.calculators.calculator import get_calculator_class

    assert get_calculator_class("harmose") is HarmoseCalculator


@pytest.mark.parametrize("level", [99, -1, 10, 2.5, True, "3"])
def test_a_grid_that_pyscf_does_not_have_is_refused_at_once(level: object) -> None:
    with pytest.raises(ConfigError, match="grid_level is a whole number from 0 to 9"):
        HarmoseCalculator(KnownPredictor(0.0), grid_level=level)  # type: ignore[arg-type]
    calc = calculator()
    with pytest.raises(ConfigError, match="from 0 to 9"):
        calc.set(grid_level=level)
    assert calc.parameters["grid_level"] == 0


@pytest.mark.parametrize("name", ["density_fit", "fit_gradient", "refine"])
def test_a_switch_that_is_neither_true_nor_false_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is True or False; got 'no'"):
        HarmoseCalculator(KnownPredictor(0.0), **{name: "no"})  # type: ignore[arg-type]
    calc = calculator()
    with pytest.raises(ConfigError, match=f"{name} is True or False"):
        calc.set(**{name: "no"})
    assert calc.parameters[name] is calculator().parameters[name]


def test_every_parameter_but_the_model_is_checked_and_can_be_set() -> None:
    calc = calculator()
    assert set(calc.parameters) == {*CHECKS, "model"}
    for name in CHECKS:
        with pytest.raises(ConfigError, match=f"The calculator's {name} is"):
            calc.set(**{name: "no"})
    assert calc.parameters == calculator().parameters


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_atoms_at_one_point_are_refused_in_words() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0]])
    atoms.calc = HarmoseCalculator("organic", "scf", grid_level=0)
    expected = pytest.raises(SolverError, match="Do two atoms lie at one point")
    with pytest.warns(UserWarning, match="H and H atoms|not strictly"), expected:
        atoms.get_potential_energy()


def water() -> Atoms:
    fields = [line.split() for line in WATER]
    return Atoms([f[0] for f in fields], [[float(x) for x in f[1:]] for f in fields])


def plain(atoms: Atoms, grid_level: int = 0):  # type: ignore[no-untyped-def]
    """PySCF without this package's predictions."""
    mf = kohn_sham(to_mole(from_ase(atoms), "sto-3g"), "pbe", grid_level)
    mf.kernel()
    return mf


def calculator(spoilt: float = 0.0, mode: str = "scf", grid_level: int = 0) -> HarmoseCalculator:
    return HarmoseCalculator(KnownPredictor(spoilt), mode, grid_level=grid_level)  # type: ignore[arg-type]


def test_self_consistent_results_are_those_of_plain_pyscf() -> None:
    """Conversions by ASE's own constants, older than ours: 1e-8 apart."""
    atoms = water()
    atoms.calc = calculator(spoilt=2e-4)
    mf = plain(atoms)
    assert atoms.get_potential_energy() == pytest.approx(mf.e_tot * Hartree, rel=2e-8)
    np.testing.assert_allclose(atoms.get_forces(), -mf.nuc_grad_method().kernel() * Hartree / Bohr, atol=2e-3)
    np.testing.assert_allclose(atoms.get_dipole_moment(), mf.dip_moment(unit="AU", verbose=0) * Bohr, atol=1e-4)
    results = atoms.calc.results
    np.testing.assert_allclose(results["orbital_energies"], mf.mo_energy * Hartree, atol=1e-3)
    assert results["homo"] == pytest.approx(mf.mo_energy[4] * Hartree, abs=1e-3)
    assert results["lumo"] == pytest.approx(mf.mo_energy[5] * Hartree, abs=1e-3)
    assert results["gap"] == pytest.approx(results["lumo"] - results["homo"])
    assert results["fock_builds"] < mf.cycles + 1
    assert atoms.calc.prediction.spectrum.n_electrons == 10


def test_forces_are_the_slope_of_the_energy() -> None:
    """Central difference over 0.02 Angstrom; the level-1 grid's missing response is about 0.01 eV/Angstrom."""
    atoms = water()
    atoms.calc = calculator(grid_level=1)
    force = atoms.get_forces()[1, 1]
    energies = []
    for shift in (0.01, -0.01):
        moved = atoms.copy()
        moved.positions[1, 1] += shift
        moved.calc = atoms.calc
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx(-(energies[0] - energies[1]) / 0.02, abs=0.02)
    assert abs(force) > 0.5


def test_asking_again_does_not_calculate_again() -> None:
    atoms = water()
    atoms.calc = calculator()
    atoms.get_potential_energy()
    field = atoms.calc._mean_field
    atoms.get_forces()
    atoms.get_potential_energy()
    assert atoms.calc._mean_field is field
    assert atoms.calc.predictor.calls == 1


def test_charge_and_spin_in_the_info_are_changes() -> None:
    """ASE itself compares positions, numbers, cell, charges and moments only."""
    atoms = water()
    atoms.calc = calculator(mode="oneshot")
    atoms.get_potential_energy()
    atoms.info["charge"] = 1
    with pytest.raises(DomainError):
        atoms.get_potential_energy()
    atoms.info["charge"] = 0
    atoms.get_potential_energy()
    assert atoms.calc.predictor.calls == 2


def test_results_of_an_earlier_geometry_do_not_outlive_a_failure() -> None:
    """``calculate`` may be called directly; ASE then takes the atoms that failed for those of the results."""
    atoms, ion = water(), water()
    calc = calculator()
    calc.calculate(atoms)
    ion.info["charge"] = 1
    with pytest.raises(DomainError):
        calc.calculate(ion)
    assert calc.results == {}
    with pytest.raises(DomainError):
        calc.get_potential_energy(ion)


def test_settings_can_change_and_forget_what_was_calculated() -> None:
    atoms = water()
    atoms.calc = calculator(0.002, "oneshot")
    above = atoms.get_potential_energy()
    atoms.calc.set(mode="scf")
    assert atoms.get_potential_energy() < above
    assert atoms.get_forces().shape == (3, 3)
    atoms.calc.set(grid_level=1)
    assert atoms.get_potential_energy() == pytest.approx(plain(atoms, 1).e_tot * Hartree, rel=2e-8)
    with pytest.raises(ConfigError, match="model cannot be set"):
        atoms.calc.set(model="organic")
    with pytest.raises(ConfigError, match="oneshot, scf"):
        atoms.calc.set(mode="exact")
    assert atoms.calc.parameters["mode"] == "scf"


def test_one_shot_energy_lies_above_the_converged_one_by_the_second_order() -> None:
    energy = plain(water()).e_tot * Hartree
    errors = []
    for spoilt in (0.002, 0.004):
        atoms = water()
        atoms.calc = calculator(spoilt, "oneshot")
        errors.append(atoms.get_potential_energy() - energy)
    assert 0 < errors[0] < 0.01
    assert errors[1] / errors[0] == pytest.approx(4.0, rel=0.1)


def test_one_shot_levels_are_the_predicted_ones_and_without_refinement_there_are_no_forces() -> None:
    atoms = water()
    atoms.calc = calculator(0.002, "oneshot")
    atoms.calc.set(refine=False)
    atoms.get_dipole_moment()
    predicted = atoms.calc.prediction.spectrum
    np.testing.assert_allclose(atoms.calc.results["orbital_energies"], predicted.energies * Hartree, atol=1e-6)
    assert atoms.calc.results["gap"] == pytest.approx(predicted.gap * Hartree)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_forces()


def test_one_shot_energies_of_refined_predictions_are_converged_to_microhartree() -> None:
    energies = []
    for refine in (True, False):
        atoms = water()
        atoms.calc = HarmoseCalculator("organic", "oneshot", grid_level=1, refine=refine)
        energies.append(atoms.get_potential_energy() / Hartree)
    converged = kohn_sham(to_mole(from_ase(atoms), "def2-svp"), "b3lyp", 1).kernel()
    refined, plain_prediction = (abs(energy - converged) for energy in energies)
    assert refined < 1e-5
    assert plain_prediction > 3 * refined


def test_one_shot_forces_of_refined_predictions_are_near_those_of_pyscf() -> None:
    atoms = water()
    atoms.positions[1] += (0.05, 0.0, 0.03)
    forces = []
    for mode in ("oneshot", "scf"):
        atoms.calc = HarmoseCalculator("organic", mode, grid_level=1)  # type: ignore[arg-type]
        forces.append(atoms.get_forces())
    assert np.abs(forces[1]).max() > 1.0
    assert 1e-6 < np.abs(forces[0] - forces[1]).max() < 0.02  # eV/Angstrom


def test_one_shot_energies_of_predictions_that_are_not_to_be_used_come_with_a_warning() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 20]])
    atoms.calc = HarmoseCalculator("organic", grid_level=0)
    with pytest.warns(HarmoseWarning, match="should not be used.*H2|H2.*do not use"):
        atoms.get_potential_energy()
    assert atoms.calc.prediction.trust.verdict == Verdict.DO_NOT_USE


def test_density_fitting_is_used_when_asked_for() -> None:
    atoms = water()
    atoms.calc = HarmoseCalculator(KnownPredictor(), "scf", grid_level=0, density_fit=True)  # type: ignore[arg-type]
    fitted = atoms.get_potential_energy()
    mf = kohn_sham(to_mole(from_ase(atoms), "sto-3g"), "pbe", 0).density_fit()
    assert fitted == pytest.approx(mf.kernel() * Hartree, rel=2e-8)


def test_fitted_gradient_changes_forces_by_less_than_is_said_and_nothing_else() -> None:
    atoms = water()
    atoms.calc = calculator()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.calc.set(fit_gradient=True)
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-7)
    difference = np.abs(atoms.get_forces() - forces).max()
    assert 1e-8 < difference < 1e-3


def test_gradient_of_a_fitted_calculation_is_that_of_its_own_integrals() -> None:
    mf = plain(water()).density_fit("weigend").run()
    np.testing.assert_allclose(fitted_gradient(mf), exact_gradient(mf), atol=1e-12)


def test_error_of_the_previous_step_corrects_the_next_start() -> None:
    """The noise of the predictor is the same at every geometry, so that carrying it over cancels it."""
    atoms = water()
    atoms.calc = calculator(spoilt=0.003)
    atoms.get_potential_energy()
    first = atoms.calc.results["fock_builds"]
    atoms.positions[1, 1] += 0.02
    atoms.get_potential_energy()
    second = atoms.calc.results["fock_builds"]
    assert second <= first - 2
    atoms.positions[1, 1] += 0.4
    assert np.all(atoms.calc._carry_over(from_ase(atoms)) == 0.0)
    assert np.all(atoms.calc._carry_over(from_ase(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))) == 0.0)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))], ids=["copy", "pickle"])
def test_calculators_can_be_copied_and_sent_with_their_results(again) -> None:  # type: ignore[no-untyped-def]
    """The copy asked for forces makes PySCF's object again; the original keeps its own."""
    atoms = water()
    atoms.calc = calculator(spoilt=1e-4)
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    other = atoms.copy()
    other.calc = again(atoms.calc)
    other.calc.results.pop("forces")
    assert other.get_potential_energy() == energy
    np.testing.assert_allclose(other.get_forces(), forces, atol=1e-4)
    assert atoms.calc._mean_field is not None
    assert other.calc.parameters == atoms.calc.parameters


def test_calculator_of_a_loaded_model_can_be_sent(fixtures_dir: Path) -> None:
    first = HarmoseCalculator(fixtures_dir / "model_v1", grid_level=0)
    other = pickle.loads(pickle.dumps(first))
    energies = []
    for one in (first, other):
        atoms = water()
        atoms.calc = one
        energies.append(atoms.get_potential_energy())
    assert energies[1] == energies[0]


def test_relaxation_lowers_the_forces_and_can_be_written(tmp_path: Path) -> None:
    atoms = water()
    atoms.positions[1, 1] += 0.05
    atoms.set_constraint(FixAtoms([0]))
    atoms.calc = calculator()
    before = np.abs(atoms.get_forces()).max()
    BFGS(atoms, trajectory=str(tmp_path / "run.traj"), logfile=None).run(fmax=0.3, steps=6)
    assert np.abs(atoms.get_forces()).max() < min(0.5 * before, 0.3)
    write(tmp_path / "last.xyz", atoms, format="extxyz")
    for file in ("run.traj", "last.xyz"):
        again = read(tmp_path / file)
        assert again.get_potential_energy() == pytest.approx(atoms.get_potential_energy(), abs=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["oneshot", "scf"])
def test_crystals_and_ions_that_the_model_does_not_know_are_refused(mode: str) -> None:
    crystal, ion = water(), water()
    crystal.set_cell([8, 8, 8])
    crystal.pbc = True
    ion.info["charge"] = 1
    for atoms, reason in ((crystal, "molecules only, with any model"), (ion, "charge")):
        atoms.calc = calculator(mode=mode)
        with pytest.raises(DomainError, match=reason):
            atoms.get_potential_energy()


@pytest.mark.parametrize("mode", ["oneshot", "scf"])
def test_ions_of_a_charge_that_the_model_knows_are_taken(mode: str) -> None:
    ion = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
    ion.calc = HarmoseCalculator(KnownPredictor(charges=(-1, 0)), mode, grid_level=0)  # type: ignore[arg-type]
    expected = plain(ion)
    assert expected.mol.charge == -1
    assert ion.get_potential_energy() == pytest.approx(expected.e_tot * Hartree, rel=2e-8)
    assert ion.get_charges().sum() == pytest.approx(-1, abs=1e-6)


def test_scf_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyscf.scf.hf.SCF.max_cycle", 1)
    atoms = water()
    atoms.calc = calculator(spoilt=0.005)
    with pytest.raises(SolverError, match="did not converge"):
        atoms.get_potential_energy()


def test_step_out_of_the_domain_starts_as_pyscf_does_and_the_next_one_is_predicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    atoms = water()
    atoms.calc = calculator()
    atoms.get_potential_energy()
    predict = atoms.calc.predictor.predict

    def refuse(*args: object, **options: object) -> None:
        raise DomainError("H and H atoms are 0.4 Angstrom apart.")

    monkeypatch.setattr(atoms.calc.predictor, "predict", refuse)
    atoms.positions[1, 1] += 0.3
    with pytest.warns(SeedWarning, match=r"own initial guess is used\. H and H"):
        assert atoms.get_potential_energy() == pytest.approx(plain(atoms).e_tot * Hartree, rel=2e-8)
    assert atoms.calc.prediction is None
    assert atoms.get_forces().shape == (3, 3)
    atoms.info["charge"] = 1
    with pytest.raises(DomainError, match="apart"):
        atoms.get_potential_energy()
    atoms.info["charge"] = 0
    monkeypatch.setattr(atoms.calc.predictor, "predict", predict)
    atoms.positions[1, 1] -= 0.3
    assert atoms.get_potential_energy() == pytest.approx(plain(atoms).e_tot * Hartree, rel=2e-8)
    assert atoms.calc.prediction is not None


@pytest.mark.parametrize("mode", ["oneshot", "scf"])
def test_results_go_through_ases_own_containers(mode: str) -> None:
    """ASE's names are the keys; the others are read by name, also after a copy."""
    atoms = water()
    atoms.calc = calculator(mode=mode)
    energy = atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == energy
    assert atoms.get_charges().sum() == pytest.approx(0.0, abs=1e-8)
    assert atoms.get_charges()[0] < 0 < atoms.get_charges()[1]
    for results in (atoms.calc.results, copy.deepcopy(atoms.calc).results):
        stored = SinglePointCalculator(atoms, **results)
        assert stored.get_property("energy", atoms) == energy
        assert results["lumo"] - results["homo"] == results["gap"]
        assert "gap" not in results
    with pytest.raises(KeyError):
        atoms.calc.results["unknown"]


def test_unknown_modes_and_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="oneshot, scf"):
        calculator(mode="exact")
    with pytest.raises(CheckpointError, match="no model"):
        HarmoseCalculator("nonexistent")

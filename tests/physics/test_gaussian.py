"""Physics of molecules: what it refuses, and that its description gives the same matrices."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.core.errors import DataError, DomainError
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import dipole_moment
from harmose_dft.physics.choice import physics_class
from harmose_dft.physics.gaussian import GaussianPhysics
from harmose_dft.physics.h0 import H0Settings
from harmose_dft.physics.h0.none import NoGaussianH0
from harmose_dft.physics.h0.sap import SapH0
from harmose_dft.solver import solve
from harmose_dft.testing.models import water, water_record

BASIS = water_record(0).basis


def fitted(**settings: Any) -> GaussianPhysics:
    records = [water_record(k) for k in range(3)]
    return GaussianPhysics.fit(BASIS, "lda,vwn", records, H0Settings(**settings))


def test_contracted_gaussians_are_of_molecules() -> None:
    assert physics_class(BASIS) is GaussianPhysics


@pytest.mark.parametrize("kind", ["fitted", "minao", "none", "sap"])
def test_description_gives_the_same_matrices(kind: str) -> None:
    physics = fitted(kind=kind)
    description = json.loads(json.dumps(physics.describe()))
    again = GaussianPhysics.from_description(description, BASIS, "lda,vwn")
    assert again.h0.kind == kind
    np.testing.assert_array_equal(again.h0(water(5)).values, physics.h0(water(5)).values)
    assert again.describe() == physics.describe()


def test_overlap_and_electrons_are_those_of_the_molecule() -> None:
    physics = fitted(kind="sap")
    np.testing.assert_array_equal(physics.overlap(water(1)).values, adapter.overlap(water(1), BASIS).values)
    assert physics.n_electrons(water(1)) == 10
    assert physics.overlap_of_record(water_record(1)) is water_record(1).overlap
    assert not physics.has_free_zero(water(1))


def test_electrons_that_a_pseudopotential_stands_for_do_not_count() -> None:
    """def2-SVP has a pseudopotential of 28 electrons for iodine; PySCF's own count and dipole are the reference."""
    iodide = Structure(np.array([53, 1]), np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 3.5]]))
    basis = adapter.orbital_basis("def2-svp", (1, 53))
    physics, mol = GaussianPhysics(basis, NoGaussianH0(basis)), adapter.to_mole(iodide, basis)
    assert physics.n_electrons(iodide) == mol.nelectron == 26
    np.testing.assert_array_equal(physics.core_charges(iodide), mol.atom_charges())
    record = adapter.reference(iodide, "lda,vwn", "def2-svp", grid_level=0)
    spectrum = solve(record.hamiltonian[0], record.overlap, physics.n_electrons(iodide))
    density = adapter.kohn_sham(mol, "lda,vwn", 0).run(conv_tol=1e-10)
    theirs = density.dip_moment(unit="AU", verbose=0)
    np.testing.assert_allclose(dipole_moment(iodide, basis, spectrum), theirs, atol=1e-4)


def test_corrections_are_damped_where_there_is_an_h0() -> None:
    assert GaussianPhysics(BASIS, SapH0(BASIS)).damped
    assert not GaussianPhysics(BASIS, NoGaussianH0(BASIS)).damped


def test_crystals_and_open_shells_are_refused() -> None:
    physics, molecule = fitted(kind="none"), water(0)
    physics.check(molecule)
    for change, said in (
        ({"cell": 20 * np.eye(3)}, "periodic cell"),
        ({"charge": 1, "spin": 1}, "odd number"),
        ({"spin": 2}, "unpaired"),
    ):
        settings: dict[str, Any] = {"numbers": molecule.numbers, "positions": molecule.positions, **change}
        with pytest.raises(DomainError, match=said):
            physics.check(Structure(**settings))


def test_a_small_gap_is_doubted() -> None:
    def doubts(gap: float) -> list[str]:
        return fitted(kind="none").doubts(cast(Spectrum, SimpleNamespace(gap=gap)))

    assert doubts(0.3) == []
    assert doubts(0.01) == ["a gap of 0.27 eV: probably not a closed shell"]


def test_open_shells_are_not_trained_on() -> None:
    record = water_record(0)
    polarised = replace(record, hamiltonian=record.hamiltonian * 2)
    fitted(kind="none").require_spin(record, "none")
    with pytest.raises(DataError, match=r"closed-shell calculations; .* nspin 2"):
        fitted(kind="none").require_spin(polarised, "none")


def test_an_empty_training_set_is_refused() -> None:
    with pytest.raises(DataError, match="training set is empty"):
        GaussianPhysics.fit(BASIS, "pbe", [], H0Settings(kind="sap"))


def test_h0_of_a_start_is_kept() -> None:
    h0 = SapH0(BASIS)
    assert GaussianPhysics.fit(BASIS, "pbe", [water_record(0)], H0Settings(), h0=h0).h0 is h0

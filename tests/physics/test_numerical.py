"""Physics of crystals: defaults of training, what it refuses, and that its description gives the same matrices."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.errors import BasisMismatchError, DataError, DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.physics.choice import physics_class
from harmose_dft.physics.electron_count import ElectronCount
from harmose_dft.physics.h0 import H0Settings
from harmose_dft.physics.h0.none import NoNumericalH0
from harmose_dft.physics.integrals import kinetic, overlap
from harmose_dft.physics.numerical import NumericalPhysics
from harmose_dft.testing.crystals import BASIS, CUTOFF, calculation, layer, with_collinear_spin


def fitted(kind: str = "kinetic") -> NumericalPhysics:
    return NumericalPhysics.fit(BASIS, "none", [calculation(layer())], H0Settings(kind=kind))


def test_numerical_orbitals_are_of_crystals() -> None:
    assert physics_class(BASIS) is NumericalPhysics


def test_description_gives_the_same_matrices_and_electrons() -> None:
    physics = fitted()
    again = NumericalPhysics.from_description(json.loads(json.dumps(physics.describe())), BASIS, "none")
    np.testing.assert_array_equal(again.h0(layer(2)).values, kinetic(layer(2), BASIS).values)
    np.testing.assert_array_equal(again.overlap(layer(2)).values, overlap(layer(2), BASIS).values)
    assert again.n_electrons(layer(2)) == pytest.approx(8.0)
    assert not again.damped
    assert again.has_free_zero(layer(2))


@pytest.mark.parametrize("kind", ["fitted", "kinetic", "none"])
def test_h0_of_the_model_that_training_starts_from_is_extended_to_new_elements(kind: str) -> None:
    boron = OrbitalBasis(BASIS.name, {5: BASIS.shells[5]})
    only_boron = Structure(np.array([5, 5]), layer().positions, layer().cell)
    start = Record(only_boron, boron, (kinetic(only_boron, boron),), overlap(only_boron, boron), 6.0)
    earlier = NumericalPhysics.fit(boron, "none", [start], H0Settings(kind=kind)).h0
    physics = NumericalPhysics.fit(BASIS, "none", [calculation(layer())], H0Settings(kind=kind), h0=earlier)
    np.testing.assert_array_equal(physics.h0(only_boron).values, earlier(only_boron).values)
    assert physics.h0(layer(2)).orbitals.tolist() == [4, 4]


def test_training_takes_the_overlap_of_prediction() -> None:
    record = calculation(layer(1))
    rounded = replace(record, overlap=record.overlap.with_values(np.round(record.overlap.values, 3)))
    np.testing.assert_array_equal(fitted().overlap_of_record(rounded).values, overlap(layer(1), BASIS).values)


@pytest.mark.parametrize(
    ("h0", "inputs"), [(None, ("overlap", "baseline")), ("kinetic", ("overlap", "baseline")), ("none", ("overlap",))]
)
def test_defaults_of_training_follow_the_orbitals_and_h0(h0: str | None, inputs: tuple[str, ...]) -> None:
    defaults = NumericalPhysics.training_defaults(BASIS, [calculation(layer())], h0)
    assert (defaults.h0, defaults.inputs, defaults.spin) == ("fitted", inputs, "none")
    assert defaults.cutoff == pytest.approx(2 * CUTOFF)


def test_default_spin_is_that_of_the_data() -> None:
    def spin(*records: Record) -> str | None:
        return NumericalPhysics.training_defaults(BASIS, records, None).spin

    assert spin(with_collinear_spin(layer())) == "collinear"
    assert spin() == "none"


def test_another_spin_is_not_trained_on() -> None:
    with pytest.raises(DataError, match=r"nspin 2 \(spin: collinear\); this model is of spin: none"):
        fitted().require_spin(with_collinear_spin(layer()), "none")


def test_molecules_ions_and_unknown_compositions_are_refused() -> None:
    physics, crystal = fitted(), layer()
    physics.check(crystal)
    with pytest.raises(DomainError, match="has no cell"):
        physics.check(Structure(crystal.numbers, crystal.positions))
    with pytest.raises(DomainError, match="has a cell, but no periodic direction"):
        physics.check(Structure(crystal.numbers, crystal.positions, unused_cell=True))
    with pytest.raises(DomainError, match="contains C, O; the model was trained on B, N only"):
        physics.check(Structure(np.array([6, 8]), crystal.positions, crystal.cell))
    with pytest.raises(DomainError, match=r"charge \+1"):
        physics.check(Structure(crystal.numbers, crystal.positions, crystal.cell, charge=1))
    with pytest.raises(DomainError, match="valence electrons of N"):
        physics.check(Structure(np.array([7]), np.zeros((1, 3)), crystal.cell))


def test_h0_of_molecules_is_refused() -> None:
    with pytest.raises(DataError, match="'sap' is not available for numerical orbitals"):
        fitted("sap")


def test_orbitals_without_radial_functions_are_refused() -> None:
    bare = OrbitalBasis("bare", {5: (Shell(0),)})
    with pytest.raises(BasisMismatchError, match=r"orbital files \(\.orb, \.pao\)"):
        NumericalPhysics(bare, NoNumericalH0(bare), ElectronCount(()))

"""The fitted H0 on molecules that PySCF calculates in the test (LDA/STO-3G, grid level 0)."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import orbital_basis, reference
from harmose_dft.core.errors import DataError, DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import orbital_rotation, random_rotations
from harmose_dft.physics.h0 import GaussianH0, H0Settings, h0_class
from harmose_dft.physics.h0.fitted import FittedH0, choose_records, fit_charges
from harmose_dft.physics.h0.sap import SapH0
from harmose_dft.testing.models import water_record
from harmose_dft.testing.molecules import structure_of

AMMONIA = ("N 0 0 0.1", "H 0.94 0 -0.27", "H -0.47 0.81 -0.27", "H -0.47 -0.81 -0.27")
METHANOL = (
    "C -0.05 0.66 0", "O -0.05 -0.76 0", "H -1.09 0.98 0", "H 0.44 1.07 0.89", "H 0.44 1.07 -0.89", "H 0.88 -1.06 0",
)
METHANE = ("C 0 0 0", "H 0.63 0.63 0.63", "H -0.63 -0.63 0.63", "H -0.63 0.63 -0.63", "H 0.63 -0.63 -0.63")
"""Near equilibrium, Angstrom."""


@cache
def calculation(lines: tuple[str, ...]) -> Record:
    return reference(structure_of(lines, "molecule"), "lda,vwn", "sto-3g", grid_level=0)


@cache
def fitted() -> FittedH0:
    records = [calculation(AMMONIA), calculation(METHANE), *(water_record(k) for k in range(3))]
    basis = orbital_basis("sto-3g", [1, 6, 7, 8])
    return FittedH0.fit(basis, "lda,vwn", records, H0Settings(), seed=0)


def error(h0: np.ndarray, record: Record) -> float:
    return float(np.abs(h0 - record.hamiltonian[0].to_dense()).mean())


def test_fit_is_far_better_than_superposed_potentials_on_an_unseen_molecule() -> None:
    """Methanol is not among the molecules of the fit."""
    record = calculation(METHANOL)
    sap = error(SapH0(fitted().basis).dense(record.structure), record)
    assert error(fitted().dense(record.structure), record) < sap / 3


def test_charges_of_every_element_are_neutral() -> None:
    for z, pairs in fitted().charges.items():
        assert sum(q for _, q in pairs) == pytest.approx(0, abs=1e-9), z
    assert sorted(fitted().charges) == [1, 6, 7, 8]


def test_h0_rotates_with_the_molecule() -> None:
    structure = calculation(METHANOL).structure
    straight = fitted().dense(structure)
    for q in random_rotations(2, random_seed=1):
        d = orbital_rotation(fitted().basis.shell_sequence(structure.numbers), q)
        np.testing.assert_allclose(fitted().dense(structure.rotate(q)), d @ straight @ d.T, atol=1e-10)


def test_description_gives_the_same_h0() -> None:
    description = json.loads(json.dumps(fitted().describe()))
    again = h0_class(description["kind"], GaussianH0).from_description(description, fitted().basis, "lda,vwn")
    structure = calculation(AMMONIA).structure
    assert isinstance(again, FittedH0)
    np.testing.assert_array_equal(again.dense(structure), fitted().dense(structure))


def test_elements_outside_the_fit_are_refused() -> None:
    only_water = FittedH0(fitted().basis, {z: fitted().charges[z] for z in (1, 8)})
    with pytest.raises(DomainError, match="C"):
        only_water.dense(calculation(METHANE).structure)


def test_nothing_to_fit_to_is_an_error() -> None:
    with pytest.raises(DataError, match="empty"):
        fit_charges([], [], fitted().basis)


def test_records_for_the_fit_hold_every_element_and_small_molecules_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five molecules only one holds carbon; ammonia and methane have 8 and 9 orbitals in STO-3G, water 7."""
    records = [calculation(METHANE), *(water_record(k) for k in range(3)), calculation(AMMONIA)]
    basis = fitted().basis
    for seed in range(5):
        chosen = choose_records(records, basis, 1, seed)
        assert {int(z) for r in chosen for z in r.structure.numbers} == {1, 6, 7, 8}
    monkeypatch.setattr("harmose_dft.physics.h0.fitted.FIT_ORBITALS", 7)
    only_water = orbital_basis("sto-3g", [1, 8])
    assert {r.structure.formula for r in choose_records(records, only_water, 3, 0)} == {"H2O"}


def test_every_new_element_is_fitted_however_few_structures_are_asked_for() -> None:
    """Carbon and nitrogen, which no structure holds both, are added to hydrogen and oxygen."""
    known = {z: fitted().charges[z] for z in (1, 8)}
    small, larger = FittedH0(orbital_basis("sto-3g", [1, 8]), known), fitted().basis
    records = [*(water_record(k) for k in range(3)), calculation(AMMONIA), calculation(METHANE)]
    extended = small.extend(larger, records, H0Settings(fit_structures=1), seed=0)
    assert set(extended.charges) == {1, 6, 7, 8}
    assert {z: extended.charges[z] for z in known} == known
    assert set(small.extend(larger, records[:4], H0Settings(), seed=0).charges) == {1, 7, 8}
    assert set(small.extend(larger, records[:3], H0Settings(), seed=0).charges) == {1, 8}

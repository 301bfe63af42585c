"""Refining a predicted Hamiltonian by cheap Fock builds, and what they say about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import RoughSCF, reference
from harmose_dft.core.errors import StructureError
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import random_rotations
from harmose_dft.core.structure import Structure
from harmose_dft.model.loading import load
from harmose_dft.model.predictor import Predictor
from harmose_dft.model.refinement import BUILDS, Refinement, refine
from harmose_dft.solver import solve
from harmose_dft.solver.orthogonal import commutator_norm
from harmose_dft.testing.molecules import structure_of


@pytest.fixture(scope="module")
def record() -> Record:
    return reference(structure_of(), "b3lyp", "def2-svp")


@pytest.fixture(scope="module")
def organic() -> Predictor:
    return load()


def spoil(record: Record, size: float) -> np.ndarray:
    """The converged H with an error of its diagonal, Hartree."""
    matrix = record.hamiltonian[0].to_dense()
    return np.asarray(matrix + size * np.diag(np.sin(np.arange(len(matrix)))))


def refine_record(record: Record, matrix: np.ndarray, builds: int = BUILDS) -> Refinement:
    hamiltonian = record.hamiltonian[0].with_values(record.hamiltonian[0].gather(matrix))
    spectrum = solve(hamiltonian, record.overlap, record.n_electrons)
    return refine(
        record.structure, hamiltonian, record.overlap, spectrum, basis=record.basis, functional="b3lyp", builds=builds
    )


def level_error(record: Record, refinement: Refinement) -> float:
    """Largest error of an occupied level, Hartree."""
    exact = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    return float(np.abs((refinement.spectrum.energies - exact.energies)[exact.occupied]).max())


def test_three_builds_take_an_error_of_20_millihartree_below_one(record: Record) -> None:
    spoilt = spoil(record, 0.02)
    refinement = refine_record(record, spoilt)
    exact = record.hamiltonian[0].to_dense()
    before, after = (np.abs(m - exact).mean() for m in (spoilt, refinement.hamiltonian.to_dense()))
    assert after < before / 10
    assert level_error(record, refinement) < 1e-3
    assert refinement.certificate.builds == 3


def test_every_build_brings_the_levels_nearer(record: Record) -> None:
    errors = [level_error(record, refine_record(record, spoil(record, 0.02), builds)) for builds in (1, 2, 3, 6)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-4  # what density fitting and the coarse grid leave


def test_a_converged_calculation_has_a_certificate_near_zero(record: Record) -> None:
    refinement = refine_record(record, record.hamiltonian[0].to_dense())
    certificate = refinement.certificate
    assert certificate.deviation.commutator < 2e-4
    assert certificate.deviation.largest_level_change < 1e-4
    assert certificate.deviation.rotation < 1e-8
    assert certificate.dipole_change < 1e-3
    assert certificate.seconds > 0
    assert level_error(record, refinement) < 1e-4


def test_changes_of_the_last_build_are_smaller_than_those_of_the_first(record: Record) -> None:
    certificate = refine_record(record, spoil(record, 0.05)).certificate
    for name in ("commutator", "rotation", "level_change", "largest_level_change"):
        assert getattr(certificate.last_deviation, name) < 0.5 * getattr(certificate.deviation, name), name
    assert certificate.last_dipole_change < certificate.dipole_change
    figures = certificate.to_dict()
    assert figures["last_build"]["level_change_uha"] < figures["level_change_uha"]  # type: ignore[index, operator]


def test_commutator_is_that_of_the_definition(record: Record) -> None:
    spoilt = spoil(record, 0.05)
    spectrum = solve(spoilt, record.overlap, record.n_electrons)
    fock = RoughSCF(record.structure, "b3lyp", record.basis).fock(spectrum)
    expected = commutator_norm(fock, spectrum.density_matrix(), record.overlap.to_dense()) / np.sqrt(10.0)
    computed = refine_record(record, spoilt).certificate.deviation.commutator
    assert computed == pytest.approx(expected, rel=1e-6)
    assert computed > 0.01


def test_the_cheap_fock_matrix_is_near_the_exact_one_and_another(record: Record) -> None:
    spectrum = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    fock = RoughSCF(record.structure, "b3lyp", record.basis).fock(spectrum)
    apart = np.abs(fock - record.hamiltonian[0].to_dense())
    assert 1e-8 < apart.max() < 5e-4  # Hartree


def test_levels_of_a_turned_molecule_are_the_same_up_to_the_coarse_grid(record: Record, organic: Predictor) -> None:
    water = record.structure
    turned = water.rotate(random_rotations(1)[0])
    one, other = (organic.predict(s, trust=False, refine=True).spectrum.energies[:5] for s in (water, turned))
    assert np.abs(one - other).max() < 5e-5


def test_the_networks_matrix_stays_beside_the_refined_one(record: Record, organic: Predictor) -> None:
    refined, plain = (organic.predict(record.structure, refine=choice) for choice in (True, False))
    assert plain.network == ()
    assert np.array_equal(refined.network[0].values, plain.hamiltonian.values)
    assert np.array_equal(refined.hamiltonian.pairs, plain.hamiltonian.pairs)
    exact = record.hamiltonian[0].values
    errors = [np.abs(p.hamiltonian.values - exact).mean() for p in (refined, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert refined.trust is not None
    assert refined.trust.certificate is not None
    assert refined.seconds > refined.trust.certificate.seconds


def test_crystals_and_open_shells_are_refused(record: Record) -> None:
    charged = replace(record.structure, charge=1)
    with pytest.raises(StructureError):
        RoughSCF(charged, "b3lyp", record.basis)
    crystal = Structure(record.structure.numbers, record.structure.positions, cell=20.0 * np.eye(3))
    with pytest.raises(StructureError):
        RoughSCF(crystal, "b3lyp", record.basis)

"""The stochastic density of states beside dense diagonalisation, with the statistical error that it states."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.errors import SolverError
from harmose_dft.core.record import Record
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.solver import (
    Filling,
    Pencil,
    Smearing,
    density_of_states,
    factor_classes,
    monkhorst_pack,
    solve_kpoints,
    stochastic_density,
)
from harmose_dft.solver.stochastic import lanczos_quadrature
from harmose_dft.testing.crystals import calculation, layer, repeat_cell

NAMES = [kind.name for kind in factor_classes().values() if kind.is_installed()]
FILLING = Filling(width=0.002)
GRID = np.linspace(-1.2, 1.5, 181)
"""Hartree."""

BROADENING = 0.02
"""Hartree."""


def solve_dense(record: Record, kpoints: np.ndarray, weights: np.ndarray) -> Spectrum:
    return solve_kpoints(
        record.hamiltonian, record.overlap, kpoints, record.n_electrons, weights=weights, smearing=FILLING.smearing,
        width=FILLING.width,
    )


@pytest.mark.parametrize("solver", NAMES)
def test_density_of_a_thousand_orbitals_is_the_dense_one_within_its_error(solver: str) -> None:
    """968 orbitals, 40 vectors: the stated error is 2 % at the maximum, and deviations are what it says."""
    record = calculation(repeat_cell(layer(5), (11, 11, 1)))
    assert record.overlap.size == 968
    kpoints, weights = np.zeros((1, 3)), np.ones(1)
    spectrum = solve_dense(record, kpoints, weights)
    expected = density_of_states(spectrum, record.overlap, GRID, BROADENING).total[0]
    found = stochastic_density(
        record.hamiltonian, record.overlap, kpoints, weights, record.n_electrons, GRID, BROADENING, n_vectors=40,
        filling=FILLING, solver=solver,
    )
    top = int(np.argmax(expected))
    assert found.error[top] < 0.03 * expected[top]
    deviations = (found.density - expected) / np.maximum(found.error, 1e-3)
    assert np.sqrt(np.mean(deviations**2)) < 1.5
    assert np.abs(deviations).max() < 4.5
    low, high = found.fermi_interval
    assert low <= spectrum.fermi <= high
    assert np.trapezoid(found.density, GRID) == pytest.approx(np.trapezoid(expected, GRID), rel=0.02)


def test_error_falls_with_the_number_of_vectors() -> None:
    record = calculation(repeat_cell(layer(5), (6, 6, 1)))
    few, many = (
        stochastic_density(
            record.hamiltonian, record.overlap, np.zeros((1, 3)), np.ones(1), record.n_electrons, GRID, BROADENING,
            n_vectors=count, filling=FILLING,
        )
        for count in (6, 54)
    )
    assert (few.n_vectors, many.n_vectors) == (6, 54)
    assert many.error.mean() == pytest.approx(few.error.mean() / 3, rel=0.4)


def test_mesh_and_spin_directions_are_summed() -> None:
    record = calculation(repeat_cell(layer(5), (4, 4, 1)))
    kpoints, weights = monkhorst_pack((2, 2, 1))
    expected = density_of_states(solve_dense(record, kpoints, weights), record.overlap, GRID, BROADENING).total[0]
    for hamiltonians in (record.hamiltonian, record.hamiltonian * 2):
        found = stochastic_density(
            hamiltonians, record.overlap, kpoints, weights, record.n_electrons, GRID, BROADENING, n_vectors=30,
            filling=FILLING,
        )
        deviations = (found.density - expected) / np.maximum(found.error, 1e-2)
        assert np.sqrt(np.mean(deviations**2)) < 1.6


def test_energies_may_count_from_the_fermi_level() -> None:
    record = calculation(repeat_cell(layer(5), (3, 3, 1)))
    found = stochastic_density(
        record.hamiltonian, record.overlap, np.zeros((1, 3)), np.ones(1), record.n_electrons, [-0.1, 0.0, 0.1], 0.05,
        relative=True,
    )
    np.testing.assert_allclose(found.energies - found.fermi, [-0.1, 0.0, 0.1], atol=1e-14)


def test_quadrature_of_every_vector_holds_all_states_and_the_spectrum_of_a_small_cell() -> None:
    """72 orbitals and many more steps: every Ritz value with weight is an eigenvalue."""
    record = calculation(repeat_cell(layer(5), (3, 3, 1)))
    pencil = Pencil.at(record.hamiltonian[0], record.overlap, (0.1, 0.2, 0.0))
    nodes, weights = lanczos_quadrature(pencil, pencil.factor_overlap(), 3, 0.001, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    levels = solve_dense(record, np.array([[0.1, 0.2, 0.0]]), np.ones(1)).energies[0]
    distance = np.abs(nodes[..., None] - levels).min(axis=-1)
    assert distance[weights > 1e-6].max() < 1e-4


def test_impossible_settings_are_refused() -> None:
    record = calculation(layer(5))
    arguments = (record.hamiltonian, record.overlap, np.zeros((1, 3)), np.ones(1), record.n_electrons, GRID)
    with pytest.raises(SolverError, match="broadening must be positive; got 0"):
        stochastic_density(*arguments, 0.0)
    with pytest.raises(SolverError, match="at least two random vectors; got 1"):
        stochastic_density(*arguments, 0.1, n_vectors=1)


def test_occupations_may_be_steps() -> None:
    """The Fermi level of an insulator without smearing lies in the gap of the dense levels; nothing divides by zero."""
    record = calculation(repeat_cell(layer(5), (3, 3, 1)))
    kpoints, weights = monkhorst_pack((1, 1, 1))
    filling = Filling(smearing=Smearing.NONE, width=0.0)
    found = stochastic_density(
        record.hamiltonian, record.overlap, kpoints, weights, record.n_electrons, GRID, BROADENING, n_vectors=64,
        filling=filling,
    )
    spectrum = solve_kpoints(record.hamiltonian, record.overlap, kpoints, record.n_electrons)
    low, high = found.fermi_interval
    assert low <= found.fermi <= high
    assert low <= spectrum.lumo
    assert high >= spectrum.homo

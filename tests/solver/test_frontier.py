"""States around the Fermi level by inertia and shift-invert, beside dense diagonalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harmose_dft.core.errors import SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Record
from harmose_dft.solver import (
    Filling,
    FrontierStates,
    band_gap,
    factor_classes,
    frontier_states,
    monkhorst_pack,
    solve_kpoints,
)
from harmose_dft.testing.crystals import calculation, layer, repeat_cell, with_collinear_spin, with_spin_orbit

NAMES = [kind.name for kind in factor_classes().values() if kind.is_installed()]
FILLING = Filling(width=0.002)


@pytest.fixture(scope="module")
def record() -> Record:
    """A layer of 5 x 5 cells, 200 orbitals, with displaced atoms."""
    return calculation(repeat_cell(layer(5), (5, 5, 1)))


def assert_same_as_dense(
    record: Record, kpoints: np.ndarray, weights: np.ndarray, solver: str | None, count: int
) -> FrontierStates:
    """The states around the Fermi level, which are those of a diagonalisation."""
    electrons = record.n_electrons
    expected = solve_kpoints(
        record.hamiltonian, record.overlap, kpoints, electrons, weights=weights, smearing=FILLING.smearing,
        width=FILLING.width,
    )
    found = frontier_states(
        record.hamiltonian, record.overlap, kpoints, weights, electrons, count, filling=FILLING, solver=solver
    )
    energies = expected.energies.reshape(len(record.hamiltonian), len(kpoints), -1)
    for spin, k in np.ndindex(found.n_below.shape):
        first = found.n_below[spin, k]
        np.testing.assert_allclose(found.energies[spin, k], energies[spin, k, first : first + count], atol=1e-9)
    assert found.fermi == pytest.approx(expected.fermi, abs=1e-6)
    assert found.gaps == pytest.approx(band_gap(expected), abs=1e-9)
    coefficients = found.coefficients[0]
    s = (record.overlap.with_spin() if record.hamiltonian[0].spinor else record.overlap).at(kpoints[0])
    np.testing.assert_allclose(coefficients.conj().T @ s @ coefficients, np.eye(count), atol=1e-9)
    return found


@pytest.mark.parametrize("solver", NAMES)
def test_states_of_an_insulator_lie_on_both_sides_of_its_gap(record: Record, solver: str) -> None:
    assert_same_as_dense(record, np.zeros((1, 3)), np.ones(1), solver, 24)


@pytest.mark.parametrize("solver", NAMES)
def test_mesh_of_k_points_shares_one_fermi_level(record: Record, solver: str) -> None:
    assert_same_as_dense(record, *monkhorst_pack((2, 2, 1)), solver, 30)


def test_metal_has_no_gap(record: Record) -> None:
    metal = replace(record, n_electrons=record.n_electrons - 31.0)
    assert assert_same_as_dense(metal, np.zeros((1, 3)), np.ones(1), None, 30).gaps == (0.0, 0.0)


def test_two_spin_directions_and_spinors_are_counted() -> None:
    for make in (with_collinear_spin, with_spin_orbit):
        record = make(repeat_cell(layer(5), (3, 3, 1)))
        assert_same_as_dense(record, np.array([[0.1, 0.2, 0.0]]), np.ones(1), None, 24)


def test_search_begins_anywhere_and_a_good_guess_saves_counts(record: Record) -> None:
    def run(guess: float) -> tuple[float, int]:
        found = frontier_states(
            record.hamiltonian, record.overlap, np.zeros((1, 3)), np.ones(1), record.n_electrons, 24, guess=guess
        )
        return found.fermi, found.n_counts

    (fermi, near), (far_below, most), (far_above, _) = run(-0.25), run(-40.0), run(30.0)
    assert far_below == pytest.approx(fermi, abs=1e-9)
    assert far_above == pytest.approx(fermi, abs=1e-9)
    assert near < most


def test_impossible_windows_are_refused(record: Record) -> None:
    arguments = (record.hamiltonian, record.overlap, np.zeros((1, 3)), np.ones(1))
    with pytest.raises(SolverError, match=r"Between 8 and 198 states .* 200 orbitals of this cell; got 3\. Without"):
        frontier_states(*arguments, record.n_electrons, 3)
    with pytest.raises(SolverError, match="500 electrons do not fill 200 orbitals"):
        frontier_states(*arguments, 500.0, 20)


@pytest.mark.parametrize("count", [8, 20, 40])
def test_a_cell_too_small_for_a_window_is_told_so_without_bounds_that_contradict_each_other(count: int) -> None:
    """Eight orbitals: "between 8 and 6 states" could never be asked for."""
    small = calculation(layer())
    with pytest.raises(SolverError, match=r"The cell has 8 orbitals; .* at least 10\. Compute all states") as refused:
        frontier_states(small.hamiltonian, small.overlap, np.zeros((1, 3)), np.ones(1), small.n_electrons, count)
    assert "Between" not in str(refused.value)


def test_gap_is_found_where_the_window_of_a_k_point_holds_empty_states_only() -> None:
    """One full band from -1.6 to 0 and 13 flat empty ones from 0.902 Hartree on; eight states at each k-point."""
    h, s = {}, {}
    for i in range(14):
        onsite, hopping = (-0.8, 0.4) if i == 0 else (0.9 + 0.002 * i, 0.0)
        for x, a, b in ((0, onsite, 1.0), (1, hopping, 0.0), (-1, hopping, 0.0)):
            h[i, i, x, 0, 0], s[i, i, x, 0, 0] = np.array([[a]]), np.array([[b]])
    matrices = BlockMatrix.from_blocks([1] * 14, h), BlockMatrix.from_blocks([1] * 14, s)
    kpoints, weights = monkhorst_pack((4, 1, 1))
    found = frontier_states(*matrices, kpoints, weights, 2.0, 8, guess=0.05, filling=FILLING)
    assert found.n_below.tolist() == [[0, 1, 1]], "states on both sides at Gamma alone"
    assert found.gaps == pytest.approx((0.902, 0.902), abs=1e-9)

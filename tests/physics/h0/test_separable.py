"""The fitted H0 of crystals, on made-up calculations whose Hamiltonian has the form of separable potentials."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.registry import read_calculations
from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import DataError, DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.spin import decompose, recombine
from harmose_dft.core.structure import Structure
from harmose_dft.physics.h0 import H0Settings, NumericalH0, h0_class
from harmose_dft.physics.h0.kinetic import KineticH0
from harmose_dft.physics.h0.separable import FittedNumericalH0
from harmose_dft.physics.h0.separable_equations import momentum
from harmose_dft.physics.integrals import kinetic, overlap
from harmose_dft.physics.integrals.projectors import Projectors
from harmose_dft.testing.crystals import BASIS, calculation, layer, with_collinear_spin, with_spin_orbit


@cache
def made_up() -> FittedNumericalH0:
    """Random potentials that :meth:`fit` can represent: its own functions, radii and highest l."""
    rng = np.random.default_rng(8)
    projectors = Projectors({5: 3.2, 7: 3.2}, (3.0, 8.0, 20.0, 60.0, 180.0), 3)

    def draw(count: int) -> dict[int, np.ndarray]:
        free = {z: 0.02 * rng.normal(size=(count, 5, 5)) for z in (5, 7)}
        return {z: x + x.transpose(0, 2, 1) for z, x in free.items()}

    return FittedNumericalH0(BASIS, projectors, draw(4), -0.1, draw(2))


def record(seed: int, *, spin_orbit: bool = False) -> Record:
    """A calculation whose Hamiltonian is that of :func:`made_up`."""
    plain = calculation(layer(seed))
    h = made_up()(plain.structure)
    hamiltonian = recombine([h, *made_up().spin_parts(plain.structure)]) if spin_orbit else (h,)
    return replace(plain, hamiltonian=hamiltonian)


@cache
def fitted(*, spin_orbit: bool = False) -> FittedNumericalH0:
    records = [record(seed, spin_orbit=spin_orbit) for seed in range(3)]
    return FittedNumericalH0.fit(BASIS, "none", records, H0Settings(), seed=0)


def error(matrix: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(matrix - expected).mean())


def test_it_is_the_fitted_kind_of_numerical_orbitals() -> None:
    assert h0_class("fitted", NumericalH0) is FittedNumericalH0


def test_fit_finds_potentials_of_its_form() -> None:
    """On a structure that it has not seen, to a thousandth of what the kinetic energy misses."""
    unseen = record(7)
    expected = unseen.hamiltonian[0].values
    missed = error(kinetic(unseen.structure, BASIS).values, expected)
    assert error(fitted()(unseen.structure).values, expected) < 1e-3 * missed


def test_fit_finds_spin_orbit_coupling_of_its_form() -> None:
    unseen = record(7, spin_orbit=True)
    for part, expected in zip(
        fitted(spin_orbit=True).spin_parts(unseen.structure), decompose(unseen.hamiltonian)[1:], strict=True
    ):
        assert error(part.values, expected.values) < 1e-3 * error(0.0 * part.values, expected.values)


def test_new_elements_are_fitted_and_the_others_keep_their_potentials() -> None:
    """Nitrogen is added to boron by calculations with another zero of energy, to a hundredth of what it misses."""
    whole, boron = made_up(), OrbitalBasis(BASIS.name, {5: BASIS.shells[5]})
    small = FittedNumericalH0(
        boron, Projectors({5: 3.2}, whole.projectors.exponents, 3), {5: whole.potentials[5]}, -0.1,
        {5: whole.spin_orbit[5]},
    )
    shifted = []
    for seed in range(3):
        calculation_ = record(seed, spin_orbit=True)
        (h,), s = calculation_.hamiltonian, calculation_.overlap.with_spin()
        shifted.append(replace(calculation_, hamiltonian=(h.with_values(h.values + 0.3 * s.values),)))
    larger = small.extend(BASIS, shifted, H0Settings(), seed=0)
    assert (larger.shift, larger.basis) == (-0.1, BASIS)
    np.testing.assert_array_equal(larger.potentials[5], whole.potentials[5])
    np.testing.assert_array_equal(larger.spin_orbit[5], whole.spin_orbit[5])
    expected, structure = made_up(), layer(7)
    missed = error(kinetic(structure, BASIS).values, expected(structure).values)
    assert error(larger(structure).values, expected(structure).values) < 1e-2 * missed
    for part, right in zip(larger.spin_parts(structure), expected.spin_parts(structure), strict=True):
        assert error(part.values, right.values) < 1e-2 * np.abs(right.values).mean()
    with pytest.raises(DataError, match="No training structure holds N, only others"):
        small.extend(BASIS, [replace(r, structure=boron_only(r.structure)) for r in shifted], H0Settings(), seed=0)


def boron_only(structure: Structure) -> Structure:
    return Structure(np.full(len(structure), 5), structure.positions, structure.cell)


def test_fit_is_far_better_than_the_kinetic_energy_on_another_form() -> None:
    """The Hamiltonian of testing.crystals has levels that depend on the neighbours."""
    records = [calculation(layer(seed)) for seed in range(4)]
    h0 = FittedNumericalH0.fit(BASIS, "none", records, H0Settings(), seed=0)
    unseen = calculation(layer(9))
    expected = unseen.hamiltonian[0].values
    assert error(h0(unseen.structure).values, expected) < 0.1 * error(
        KineticH0(BASIS)(unseen.structure).values, expected
    )


def test_spin_orbit_coupling_of_projectors_is_most_of_what_there_is() -> None:
    records = [with_spin_orbit(layer(seed)) for seed in range(3)]
    h0 = FittedNumericalH0.fit(BASIS, "none", records, H0Settings(), seed=0)
    unseen = with_spin_orbit(layer(9))
    for part, expected in zip(h0.spin_parts(unseen.structure), decompose(unseen.hamiltonian)[1:], strict=True):
        assert error(part.values, expected.values) < 0.2 * np.abs(expected.values).mean()


def test_collinear_spin_has_the_mean_alone() -> None:
    h0 = FittedNumericalH0.fit(BASIS, "none", [with_collinear_spin(layer(0))], H0Settings(), seed=0)
    assert h0.spin_parts(layer(1)) == ()
    assert KineticH0(BASIS).spin_parts(layer(1)) == ()


def test_matrices_rotate_with_the_crystal_and_lie_on_the_pairs_of_the_overlap() -> None:
    structure = layer(3)
    straight = made_up()(structure)
    np.testing.assert_array_equal(straight.pairs, overlap(structure, BASIS).pairs)
    assert straight.hermiticity_error() == 0.0
    spinor = recombine([straight, *made_up().spin_parts(structure)])[0]
    for q in random_rotations(3, random_seed=2):
        rotated = structure.rotate(q)
        found = recombine([made_up()(rotated), *made_up().spin_parts(rotated)])[0]
        expected = rotate_matrix(spinor, structure.numbers, BASIS, q)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-9)


def test_momentum_generates_rotations() -> None:
    """[L_z, L_x] is L_y up to the sign of the representation, and L^2 = -l (l + 1)."""
    for l in (1, 2, 3):
        y, z, x = momentum(l)
        np.testing.assert_allclose(np.abs(z @ x - x @ z), np.abs(y), atol=1e-10)
        np.testing.assert_allclose(x @ x + y @ y + z @ z, -l * (l + 1) * np.eye(2 * l + 1), atol=1e-10)


@pytest.mark.parametrize("spin_orbit", [False, True])
def test_description_gives_the_same_matrices(spin_orbit: bool) -> None:
    h0 = fitted(spin_orbit=spin_orbit)
    again = FittedNumericalH0.from_description(json.loads(json.dumps(h0.describe())), BASIS, "none")
    np.testing.assert_array_equal(again(layer(2)).values, h0(layer(2)).values)
    parts = zip(again.spin_parts(layer(2)), h0.spin_parts(layer(2)), strict=True)
    assert sum(float(np.abs(a.values - b.values).max()) for a, b in parts) == 0.0
    assert len(again.spin_parts(layer(2))) == (3 if spin_orbit else 0)


def test_elements_that_were_not_fitted_are_refused() -> None:
    boron = Structure(np.array([5, 5]), layer(0).positions, layer(0).cell)
    record_of_boron = replace(calculation(boron))
    with pytest.raises(DataError, match="No training structure holds N"):
        FittedNumericalH0.fit(BASIS, "none", [record_of_boron], H0Settings(), seed=0)
    few = [*20 * [record_of_boron], calculation(layer(0))]
    with pytest.raises(DataError, match=r"holds N; raise baseline\.fit_structures \(1\)"):
        FittedNumericalH0.fit(BASIS, "none", few, H0Settings(fit_structures=1), seed=0)
    h0 = made_up()
    partial = FittedNumericalH0(BASIS, h0.projectors, {5: h0.potentials[5]}, 0.0, {})
    with pytest.raises(DomainError, match=r"do not cover N\. Train with these elements"):
        partial(layer(0))


def test_h0_of_real_graphene_is_within_four_mev(shared_dir: Path) -> None:
    """OpenMX, 3 x 3 cells, s2p1: fitted to three snapshots, mean of |H - H0| of another one; T alone: 995 meV."""
    folder = shared_dir / "samples" / "openmx" / "graphene_3x3"
    (unseen,) = read_calculations(folder / "snap01")
    records = [read_calculations(folder / f"snap0{k}")[0] for k in (0, 2, 3)]
    h0 = FittedNumericalH0.fit(unseen.basis, "PBE", records, H0Settings(), seed=0)
    deviation = (unseen.hamiltonian[0] - h0(unseen.structure)).values
    assert np.abs(deviation).mean() * 27211.386 < 4.0

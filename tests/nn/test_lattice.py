"""The potential of charges and dipoles in a crystal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from harmose_dft.core.conventions import E3NN_AXES
from harmose_dft.model.waves import CHARGE_WIDTH, reciprocal_waves
from harmose_dft.nn.graph import PairGraph, batch_graphs
from harmose_dft.nn.lattice import lattice_potential

MADELUNG = 1.7475645946
"""Of rock salt, by the nearest distance; C. Kittel, Introduction to Solid State Physics."""

CELL = np.array([[7.0, 0.3, 0.0], [-1.0, 8.0, 0.5], [0.2, 0.4, 20.0]])


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def crystal(positions: NDArray[np.float64], cell: NDArray[np.float64]) -> PairGraph:
    """Positions and waves; what the potential does not read is empty."""
    waves, weights = reciprocal_waves(cell)
    return PairGraph(
        species=torch.zeros(len(positions), dtype=torch.int64),
        edges=torch.zeros(2, 0, dtype=torch.int64),
        reverse=torch.zeros(0, dtype=torch.int64),
        vectors=torch.zeros(0, 3),
        positions=torch.from_numpy(positions),
        waves=torch.from_numpy(waves),
        wave_weights=torch.from_numpy(weights),
        wave_structure=torch.zeros(len(waves), dtype=torch.int64),
    )


def sources(count: int, seed: int = 0) -> tuple[NDArray[np.float64], Tensor, Tensor]:
    """Random positions in ``CELL``, charges that sum to zero, and dipoles in x, y, z."""
    rng = np.random.default_rng(seed)
    charges = rng.normal(size=count)
    return (
        rng.random((count, 3)) @ CELL, torch.from_numpy(charges - charges.mean()),
        torch.from_numpy(rng.normal(size=(count, 3))),
    )


def potential(
    positions: NDArray[np.float64], cell: NDArray[np.float64], charges: Tensor, dipoles: Tensor
) -> tuple[Tensor, Tensor]:
    """Value and gradient, with all vectors in x, y, z."""
    value, gradient = lattice_potential(charges, dipoles[:, E3NN_AXES], crystal(positions, cell))
    return value, gradient[:, np.argsort(E3NN_AXES)]


def test_rock_salt_has_its_madelung_constant() -> None:
    distance = 10.0
    cell = distance * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    positions = np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]])
    value, gradient = potential(positions, cell, torch.tensor([1.0, -1.0]), torch.zeros(2, 3))
    own = math.sqrt(2.0 / math.pi) / CHARGE_WIDTH
    assert float(value[0]) == pytest.approx(own - MADELUNG / distance, abs=2e-5)
    assert float(value[1]) == pytest.approx(-float(value[0]), abs=1e-12)
    assert gradient.abs().max() < 1e-12


def test_a_layer_of_dipoles_makes_the_step_of_a_capacitor() -> None:
    """4 pi P / A, of which the periodic cell takes the part of the distance between the two points."""
    cell = np.diag([6.0, 6.0, 60.0])
    positions = np.array([[0.0, 0.0, 30.0], [0.0, 0.0, 15.0], [0.0, 0.0, 45.0]])
    dipoles = torch.zeros(3, 3)
    dipoles[0, 2] = 0.1
    value, _ = potential(positions, cell, torch.zeros(3), dipoles)
    step = 4.0 * math.pi * 0.1 / 36.0
    assert float(value[2] - value[1]) == pytest.approx(step * (1.0 - 30.0 / 60.0), rel=1e-3)


def test_gradient_is_that_of_the_potential() -> None:
    positions, charges, dipoles = sources(4)
    probe = np.vstack([positions, positions[:1] + 1.0])
    q, p = torch.cat([charges, torch.zeros(1)]), torch.cat([dipoles, torch.zeros(1, 3)])
    _, gradient = potential(probe, CELL, q, p)
    for axis in range(3):
        move = np.zeros_like(probe)
        move[4, axis] = 1e-4
        up, down = (potential(probe + s * move, CELL, q, p)[0][4] for s in (1, -1))
        assert float(up - down) / 2e-4 == pytest.approx(float(gradient[4, axis]), abs=1e-7)


def test_a_dipole_is_two_charges() -> None:
    positions = np.array([[1.0, 2.0, 3.0], [4.0, 1.0, 9.0]])
    dipole, step = np.array([0.3, -0.2, 0.5]), 1e-4
    pair = np.vstack([positions[:1] + step * dipole, positions[:1] - step * dipole, positions[1:]])
    charged, _ = potential(pair, CELL, torch.tensor([0.5 / step, -0.5 / step, 0.0]), torch.zeros(3, 3))
    p = torch.zeros(2, 3)
    p[0] = torch.from_numpy(dipole)
    value, _ = potential(positions, CELL, torch.zeros(2), p)
    assert float(charged[2]) == pytest.approx(float(value[1]), abs=1e-7)


def test_potential_turns_with_the_crystal_and_does_not_see_the_choice_of_cell() -> None:
    positions, charges, dipoles = sources(5)
    value, gradient = potential(positions, CELL, charges, dipoles)
    q = Rotation.random(rng=np.random.default_rng(3)).as_matrix()
    turned = potential(positions @ q.T + 0.7, CELL @ q.T, charges, dipoles @ torch.from_numpy(q.T))
    assert torch.allclose(turned[0], value, atol=1e-12)
    assert torch.allclose(turned[1], gradient @ torch.from_numpy(q.T), atol=1e-12)
    sheared = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) @ CELL
    assert torch.allclose(potential(positions, sheared, charges, dipoles)[0], value, atol=1e-12)
    doubled = np.vstack([positions, positions + CELL[0]])
    twice = potential(doubled, np.diag([2, 1, 1]) @ CELL, charges.repeat(2), dipoles.repeat(2, 1))
    assert torch.allclose(twice[0][:5], value, atol=1e-12)
    assert torch.allclose(twice[1][5:], gradient, atol=1e-12)


def test_structures_of_a_batch_do_not_see_each_other() -> None:
    (one, q1, p1), (two, q2, p2) = sources(3, seed=1), sources(4, seed=2)
    batch = batch_graphs([crystal(one, CELL), crystal(two, 1.1 * CELL)])
    both = lattice_potential(torch.cat([q1, q2]), torch.cat([p1, p2])[:, E3NN_AXES], batch)[0]
    assert torch.allclose(both[:3], potential(one, CELL, q1, p1)[0], atol=1e-12)
    assert torch.allclose(both[3:], potential(two, 1.1 * CELL, q2, p2)[0], atol=1e-12)

"""The potential of the charges of a large cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from harmose_dft.core.conventions import E3NN_AXES
from harmose_dft.model.lattice_sum import sum_over_lattice
from harmose_dft.model.waves import reciprocal_waves
from harmose_dft.nn.lattice import potential_of_waves

CELLS = {
    "layer": [[14.0, 0.3, 0.0], [-1.0, 11.0, 0.5], [0.2, 0.4, 24.0]],
    "long": [[30.0, 1.0, 0.0], [3.0, 7.0, 1.0], [0.0, -2.0, 9.0]],
    "cubic": [[10.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]],
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_products_of_phases_give_the_sum_over_waves(cell: list[list[float]]) -> None:
    rng = np.random.default_rng(7)
    lattice = np.array(cell)
    positions, charges, dipoles = rng.random((20, 3)) @ lattice, rng.normal(size=20), rng.normal(size=(20, 3))
    charges -= charges.mean()
    waves, weights = reciprocal_waves(lattice)
    value, gradient = potential_of_waves(
        *(torch.tensor(x) for x in (charges, dipoles[:, E3NN_AXES], positions, waves, weights))
    )
    found, slope = sum_over_lattice(charges, dipoles, positions, lattice)
    scale = float(value.abs().max())
    np.testing.assert_allclose(found, value.numpy(), atol=1e-6 * scale)
    np.testing.assert_allclose(slope[:, E3NN_AXES], gradient.numpy(), atol=3e-6 * scale)

"""H0 = T of numerical orbitals."""

from __future__ import annotations

import numpy as np

from harmose_dft.physics.h0.kinetic import KineticH0
from harmose_dft.physics.integrals import kinetic, overlap
from harmose_dft.testing import crystals


def test_kinetic_h0_is_the_kinetic_energy_on_the_pairs_of_the_overlap() -> None:
    layer, basis = crystals.layer(3), crystals.BASIS
    h0 = KineticH0(basis)(layer)
    np.testing.assert_array_equal(h0.values, kinetic(layer, basis).values)
    np.testing.assert_array_equal(h0.pairs, overlap(layer, basis).pairs)

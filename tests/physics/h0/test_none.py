"""H0 = 0 has the pairs of the overlap."""

from __future__ import annotations

import numpy as np

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.physics.h0.none import NoGaussianH0, NoNumericalH0
from harmose_dft.physics.integrals import overlap
from harmose_dft.testing import crystals
from harmose_dft.testing.molecules import structure_of


def test_no_h0_of_a_molecule_is_zero_on_the_pairs_of_the_overlap() -> None:
    water, basis = structure_of(), adapter.orbital_basis("def2-svp", [1, 8])
    zero, reference = NoGaussianH0(basis)(water), adapter.overlap(water, basis)
    assert NoGaussianH0(basis).dense(water).shape == (24, 24)
    assert not zero.values.any()
    np.testing.assert_array_equal(zero.pairs, reference.pairs)


def test_no_h0_of_a_crystal_is_zero_on_the_pairs_of_the_overlap() -> None:
    layer = crystals.layer()
    zero, reference = NoNumericalH0(crystals.BASIS)(layer), overlap(layer, crystals.BASIS)
    assert not zero.values.any()
    np.testing.assert_array_equal(zero.pairs, reference.pairs)
    np.testing.assert_array_equal(zero.shifts, reference.shifts)

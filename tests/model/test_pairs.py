"""Pairs of a structure within a cutoff."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.errors import DataError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.structure import Structure
from harmose_dft.model.pairs import PairList
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, random_blocks

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def test_pairs_beyond_the_cutoff_are_left_out_and_reverse_pairs_known() -> None:
    structure = Structure(np.array([1, 1, 1]), np.array([[0, 0, 0], [0, 0, 2.0], [0, 0, 5.0]]))
    pairs = PairList.within(structure, random_blocks(structure), 4.0)
    assert sorted(map(tuple, pairs.pairs.tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    np.testing.assert_array_equal(pairs.pairs[pairs.reverse], pairs.pairs[:, ::-1])


def test_matrix_with_one_direction_of_a_pair_is_refused() -> None:
    structure = Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 2.0]]))
    full = random_blocks(structure)
    kept = [k for k, pair in enumerate(full.pairs.tolist()) if pair != [1, 0]]
    blocks = full.values.reshape(4, 16)[kept]
    half = BlockMatrix(full.orbitals, full.pairs[kept], full.shifts[kept], blocks.ravel())
    with pytest.raises(DataError, match="one direction"):
        PairList.within(structure, half, 10.0)

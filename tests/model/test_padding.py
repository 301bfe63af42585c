"""Blocks on common orbital slots and back."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.structure import Structure
from harmose_dft.model.padding import pad, unpad
from harmose_dft.model.pairs import PairList
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, random_blocks, random_structure

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_padded_blocks_come_back_without_padding(numbers: tuple[int, ...]) -> None:
    structure = random_structure(numbers)
    matrix = random_blocks(structure)
    species = LAYOUT.species(structure.numbers)
    pairs = PairList.within(structure, matrix, 100.0)
    blocks = pad([matrix], pairs, species, LAYOUT)
    (again,) = unpad(blocks, pairs, structure.numbers, BASIS, LAYOUT)
    np.testing.assert_array_equal(again.to_dense(), matrix.to_dense())


def test_padding_puts_each_shell_into_its_slot_and_zeros_elsewhere() -> None:
    """Oxygen (s s p d) fills the s and p and d slots of s s p d f; hydrogen (s p) the first s and the p."""
    structure = Structure(np.array([8, 1]), np.array([[0, 0, 0], [0, 0, 2.0]]))
    matrix = random_blocks(structure)
    species = LAYOUT.species(structure.numbers)
    pairs = PairList.within(structure, matrix, 100.0)
    edge = pad([matrix], pairs, species, LAYOUT).edge[0, 0].numpy()
    oxygen, hydrogen = np.arange(10), np.array([0, 2, 3, 4])
    np.testing.assert_array_equal(edge[np.ix_(oxygen, hydrogen)], matrix.to_dense()[:10, 10:])
    assert np.count_nonzero(edge) == 10 * 4

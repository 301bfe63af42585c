"""Means and scales of a training set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harmose_dft.core.errors import DataError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.model.normalizer import FLOOR, SMALLEST_SHARE, Normalizer, NormalizerFit
from harmose_dft.model.padding import pad
from harmose_dft.model.pairs import PairList
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, random_blocks, random_structure

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def statistics(structures: list[Structure], matrices: list[list[BlockMatrix]]) -> Normalizer:
    fit = NormalizerFit(LAYOUT, len(matrices[0]) - 1)
    for structure, own in zip(structures, matrices, strict=True):
        species = LAYOUT.species(structure.numbers)
        pairs = PairList.within(structure, own[0], 100.0)
        blocks = pad(own, pairs, species, LAYOUT)
        fit.add(species, pairs, blocks[:-1], blocks[-1:])
    return fit.result()


@pytest.fixture(scope="module")
def data() -> tuple[list[Structure], list[list[BlockMatrix]]]:
    structures = [random_structure(n, seed=k) for k, n in enumerate(NUMBERS)]
    return structures, [[random_blocks(s, seed=10 * k + i) for i in range(3)] for k, s in enumerate(structures)]


def test_statistics_do_not_depend_on_orientation(data: tuple[list[Structure], list[list[BlockMatrix]]]) -> None:
    """Scales are constant within shell pairs and means isotropic, so a rotated training set gives the same."""
    structures, matrices = data
    rotations = random_rotations(len(structures), random_seed=2)
    turned = [s.rotate(q) for s, q in zip(structures, rotations, strict=True)]
    moved = [
        [rotate_matrix(m, s.numbers, BASIS, q) for m in own]
        for s, q, own in zip(structures, rotations, matrices, strict=True)
    ]
    straight, again = statistics(structures, matrices).arrays(), statistics(turned, moved).arrays()
    for name, array in straight.items():
        np.testing.assert_allclose(again[name], array, atol=1e-12, err_msg=name)


def test_scales_are_exactly_symmetric(data: tuple[list[Structure], list[list[BlockMatrix]]]) -> None:
    """Otherwise the blocks (i, j) and (j, i) would differ by rounding."""
    found = statistics(*data)
    np.testing.assert_array_equal(found.target_node_scale, found.target_node_scale.swapaxes(1, 2))
    np.testing.assert_array_equal(found.target_edge_scale, found.target_edge_scale.transpose(1, 0, 3, 2))
    np.testing.assert_array_equal(found.target_mean, found.target_mean.swapaxes(1, 2))


def test_normalised_inputs_are_of_order_one(data: tuple[list[Structure], list[list[BlockMatrix]]]) -> None:
    structures, matrices = data
    large = [[BlockMatrix(m.orbitals, m.pairs, m.shifts, 50.0 * m.values) for m in own] for own in matrices]
    found = statistics(structures, large)
    squares, counts = 0.0, 0
    for structure, own in zip(structures, large, strict=True):
        species, pairs = LAYOUT.species(structure.numbers), PairList.within(structure, own[0], 100.0)
        edge = found.normalize_inputs(pad(own[:2], pairs, species, LAYOUT), species, pairs).edge
        squares, counts = squares + float((edge**2).sum()), counts + int(np.count_nonzero(edge))
    assert 0.999 < squares / counts <= 1 + 1e-10  # less than one only by the floor of rare pairs


def test_a_pair_of_elements_that_was_only_far_apart_is_not_blown_up(
    data: tuple[list[Structure], list[list[BlockMatrix]]],
) -> None:
    """Inputs of H and O are divided by at least 3 % of the largest scale of the same shells."""
    structures, matrices = data
    usual = statistics(structures, matrices).input_edge_scale
    fit = NormalizerFit(LAYOUT, 2)
    for structure, of_structure in zip(structures, matrices, strict=True):
        species, pairs = LAYOUT.species(structure.numbers), PairList.within(structure, of_structure[0], 100.0)
        blocks = pad(of_structure[:2], pairs, species, LAYOUT)
        kinds = species[pairs.pairs]
        between = (kinds.min(axis=1) == 0) & (kinds.max(axis=1) == 1)
        weak = torch.where(torch.from_numpy(between)[:, None, None, None], 1e-5 * blocks.edge, blocks.edge)
        fit.add(species, pairs, replace(blocks, edge=weak), pad(of_structure[2:], pairs, species, LAYOUT))
    scales = fit.result().input_edge_scale
    assert (scales[0, 1, :, 0, 0] / usual[:, :, :, 0, 0].max(axis=(0, 1)) > 0.5 * SMALLEST_SHARE).all()


def test_statistics_survive_being_stored(data: tuple[list[Structure], list[list[BlockMatrix]]]) -> None:
    found = statistics(*data)
    again = Normalizer.from_arrays(found.arrays())
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_empty_training_set_is_an_error() -> None:
    with pytest.raises(DataError, match="empty"):
        NormalizerFit(LAYOUT, 1).result()


def test_targets_that_did_not_vary_have_the_smallest_scale(
    data: tuple[list[Structure], list[list[BlockMatrix]]]
) -> None:
    """A network's raw number would otherwise count as Hartree where two elements come nearer than in training."""
    structures, matrices = data
    silent = [[*own[:-1], own[-1].with_values(0.0 * own[-1].values)] for own in matrices]
    fitted = statistics(structures, silent)
    assert fitted.target_node_scale.max() == FLOOR
    assert fitted.target_edge_scale.max() == FLOOR
    assert fitted.input_edge_scale.max() > 0.1  # what is divided by keeps one

"""From matrices to what the networks see: padding, statistics, Loewdin density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference_molecules import hartree_fock, structure_of
from tiny_models import BASIS, SHELLS, random_blocks, random_structure

from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.errors import DataError, SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import orbital_rotation, random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.model.featurize import Featurizer
from harmose_dft.model.inputs import (
    Normalizer,
    NormalizerFit,
    PaddedMatrix,
    PairList,
    lowdin_density,
    pad,
    pair_graph,
    unpad,
)
from harmose_dft.nn.heads import Blocks
from harmose_dft.nn.layout import OrbitalLayout

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def statistics(structures: list[Structure], matrices: list[list[BlockMatrix]]) -> Normalizer:
    fit = NormalizerFit(LAYOUT, len(matrices[0]) - 1)
    for structure, own in zip(structures, matrices, strict=True):
        species = LAYOUT.species(structure.numbers)
        pairs = PairList.within(structure, own[0], 100.0)
        fit.add(species, pairs, pad(own, pairs, species, LAYOUT))
    return fit.result()


@pytest.fixture(scope="module")
def data() -> tuple[list[Structure], list[list[BlockMatrix]]]:
    structures = [random_structure(n, seed=k) for k, n in enumerate(NUMBERS)]
    return structures, [[random_blocks(s, seed=10 * k + i) for i in range(3)] for k, s in enumerate(structures)]


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_padded_blocks_come_back_unpadded(numbers: tuple[int, ...]) -> None:
    structure = random_structure(numbers)
    matrix = random_blocks(structure)
    species = LAYOUT.species(structure.numbers)
    pairs = PairList.within(structure, matrix, 100.0)
    blocks = pad([matrix], pairs, species, LAYOUT)
    again = unpad(blocks.node[:, 0], blocks.edge[:, 0], pairs, structure.numbers, BASIS, LAYOUT)
    np.testing.assert_array_equal(again.to_dense(), matrix.to_dense())


def test_padding_puts_each_shell_into_its_slot_and_zeros_elsewhere() -> None:
    """Oxygen (s s p d) fills the s and p and d slots of s s p d f; hydrogen (s p) the first s and the p."""
    structure = Structure(np.array([8, 1]), np.array([[0, 0, 0], [0, 0, 2.0]]))
    matrix = random_blocks(structure)
    species = LAYOUT.species(structure.numbers)
    pairs = PairList.within(structure, matrix, 100.0)
    edge = pad([matrix], pairs, species, LAYOUT).edge[0, 0]
    oxygen, hydrogen = np.arange(10), np.array([0, 2, 3, 4])
    np.testing.assert_array_equal(edge[np.ix_(oxygen, hydrogen)], matrix.to_dense()[:10, 10:])
    assert np.count_nonzero(edge) == 10 * 4


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
        edge = found.normalize(pad(own[:2], pairs, species, LAYOUT), species, pairs).edge
        squares, counts = squares + float((edge**2).sum()), counts + int(np.count_nonzero(edge))
    assert squares / counts == pytest.approx(1.0, rel=1e-10)


def test_pairs_of_elements_that_only_later_data_has_get_its_scales(
    data: tuple[list[Structure], list[list[BlockMatrix]]],
) -> None:
    whole = statistics(*data)
    own = whole.target_edge_scale.copy()
    own[0, 1] = own[1, 0] = 0.0
    known = replace(whole, target_edge_scale=own)
    doubled = replace(whole, target_edge_scale=2 * whole.target_edge_scale, target_mean=0 * whole.target_mean)
    found = known.extend(doubled)
    np.testing.assert_array_equal(found.target_mean, whole.target_mean)
    np.testing.assert_array_equal(found.target_edge_scale[0, 1], 2 * whole.target_edge_scale[0, 1])
    np.testing.assert_array_equal(found.target_edge_scale[0, 0], whole.target_edge_scale[0, 0])


def test_statistics_survive_being_stored(data: tuple[list[Structure], list[list[BlockMatrix]]]) -> None:
    found = statistics(*data)
    again = Normalizer.from_arrays(found.arrays())
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_empty_training_set_is_an_error() -> None:
    with pytest.raises(DataError, match="empty"):
        NormalizerFit(LAYOUT, 1).result()


def test_lowdin_density_counts_electrons_and_turns_with_the_molecule() -> None:
    """Water at Hartree-Fock/def2-SVP by PySCF: 10 electrons, eigenvalues 0 and 2."""
    structure = structure_of()
    basis, fock, overlap, _, _ = hartree_fock(structure)
    density = lowdin_density(fock.to_dense(), overlap.to_dense(), 10)
    assert np.trace(density) == pytest.approx(10, abs=1e-10)
    np.testing.assert_allclose(density @ density, 2 * density, atol=1e-10)
    for q in random_rotations(2):
        d = np.zeros_like(density)
        start = 0
        for z in structure.numbers:
            own = orbital_rotation(basis.angular_momenta(int(z)), q)
            d[start : start + len(own), start : start + len(own)] = own
            start += len(own)
        turned = [d @ m.to_dense() @ d.T for m in (fock, overlap)]
        np.testing.assert_allclose(lowdin_density(*turned, 10), d @ density @ d.T, atol=1e-9)


def test_singular_overlap_is_an_error_with_advice() -> None:
    with pytest.raises(SolverError, match="too close"):
        lowdin_density(np.eye(2), np.ones((2, 2)) - 1e-3 * np.eye(2), 2)


def test_network_precision_is_set_in_one_place() -> None:
    structure = random_structure((8, 1))
    matrix = random_blocks(structure)
    species, pairs = LAYOUT.species(structure.numbers), PairList.within(structure, matrix, 100.0)
    inputs = pad([matrix], pairs, species, LAYOUT)
    assert pair_graph(structure, pairs, inputs, species).edge_inputs.dtype == torch.float32
    assert pair_graph(structure, pairs, inputs, species, dtype=torch.float64).vectors.dtype == torch.float64


def test_true_blocks_give_the_true_hamiltonian() -> None:
    """Features of H0, with H - H0 in place of the network's output, give H back."""
    structure = random_structure((8, 1, 26, 1))
    overlap, h0, h = (random_blocks(structure, seed=k) for k in range(3))
    featurizer = Featurizer(BASIS, ("overlap", "baseline"), 100.0, damped=False)
    raw = featurizer.featurize(structure, overlap, h0, 36, (h,))
    layout = featurizer.layout
    fit = NormalizerFit(layout, 2)
    assert raw.target is not None
    both = (np.concatenate([getattr(raw.inputs, k), getattr(raw.target, k)], axis=1) for k in ("node", "edge"))
    known = raw.integrals
    fit.add(known.species, known.pairs, PaddedMatrix(*both))
    normalizer = fit.result()
    node = raw.target.node[:, 0] - normalizer.target_mean[known.species]
    blocks = Blocks(torch.from_numpy(node), torch.from_numpy(raw.target.edge[:, 0]))
    ((found,),) = featurizer.assemble_hamiltonians(known, [blocks], normalizer)
    np.testing.assert_allclose(found.to_dense(), h.to_dense(), atol=1e-13)
    rows = np.zeros(4 * layout.size, dtype=bool)
    rows[featurizer.slots(known.species)] = True
    np.testing.assert_array_equal(rows.reshape(4, -1), layout.masks()[known.species])


def test_layout_holds_elements_with_different_shell_orders() -> None:
    basis = OrbitalBasis("mixed", {1: (Shell(1), Shell(0)), 2: (Shell(0), Shell(0))})
    layout = OrbitalLayout.of(basis)
    assert layout.slots == (0, 0, 1)
    assert [i.tolist() for i in layout.orbital_index] == [[2, 3, 4, 0], [0, 1]]
    assert set(SHELLS) == set(BASIS.elements)


def test_damping_keeps_the_correction_where_the_overlap_is_well_conditioned() -> None:
    """f(s) = s^4 / (s^4 + s0^4) is one minus 8e-11 at s = 1 and 1 / 82 at s = s0 / 3 (by hand)."""
    from harmose_dft.model.featurize import OVERLAP_FLOOR, damping

    small = OVERLAP_FLOOR / 3
    overlap = BlockMatrix.from_dense(np.diag([1.0, small]), [2])
    np.testing.assert_allclose(damping(overlap), [[1.0, 0.0], [0.0, 1.0 / 82.0]], rtol=1e-9, atol=1e-12)

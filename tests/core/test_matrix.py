"""Block matrices: blocks and dense forms, Hermiticity, unions, spin, orbital order."""

from __future__ import annotations

import time

import numpy as np
import pytest

from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.matrix import BlockMatrix

ORBITALS = np.array([2, 1, 3])


def random_matrix(*, spinor: bool = False, seed: int = 0, pairs: int = 14) -> BlockMatrix:
    """A Hermitian matrix of three atoms with lattice shifts in -1..1; its numbers are random."""
    rng = np.random.default_rng(seed)
    width = ORBITALS * (2 if spinor else 1)
    blocks = {}
    while len(blocks) < pairs:
        i, j, *shift = (*rng.integers(0, 3, 2).tolist(), *rng.integers(-1, 2, 3).tolist())
        block = rng.normal(size=(width[i], width[j])) + (1j * rng.normal(size=(width[i], width[j])) if spinor else 0)
        blocks[i, j, *shift] = block
    return BlockMatrix.from_blocks(ORBITALS, blocks, spinor=spinor).symmetrize()


def dense_at(matrix: BlockMatrix, k: np.ndarray) -> np.ndarray:
    """A(k) written as the defining sum, one block at a time."""
    offsets, n = np.concatenate([[0], np.cumsum(ORBITALS)]), int(ORBITALS.sum())
    spins = 2 if matrix.spinor else 1
    out = np.zeros((spins, n, spins, n), dtype=complex)
    for i, j, shift, block in matrix.blocks():
        value = block.reshape(spins, ORBITALS[i], spins, ORBITALS[j]) * np.exp(2j * np.pi * np.dot(shift, k))
        out[:, offsets[i] : offsets[i + 1], :, offsets[j] : offsets[j + 1]] += value
    return out.reshape(spins * n, spins * n)


@pytest.mark.parametrize("spinor", [False, True])
def test_matrix_at_k_is_the_defining_sum(spinor: bool) -> None:
    matrix, k = random_matrix(spinor=spinor), np.array([0.1, -0.35, 0.22])
    np.testing.assert_allclose(matrix.at(k), dense_at(matrix, k), atol=1e-14)
    np.testing.assert_allclose(matrix.to_scipy_sparse(k).toarray(), dense_at(matrix, k), atol=1e-14)


@pytest.mark.parametrize("spinor", [False, True])
def test_dense_matrix_comes_back_from_its_blocks(spinor: bool) -> None:
    n = int(ORBITALS.sum()) * (2 if spinor else 1)
    dense = np.random.default_rng(1).normal(size=(n, n))
    np.testing.assert_array_equal(BlockMatrix.from_dense(dense, ORBITALS, spinor=spinor).to_dense(), dense)


@pytest.mark.parametrize("spinor", [False, True])
def test_gathering_undoes_the_lattice_sum_over_a_mesh(spinor: bool) -> None:
    """Averaging A(k) exp(-2 pi i k.R) over a 3x3x3 mesh returns A(R) for shifts in -1..1."""
    matrix = random_matrix(spinor=spinor)
    mesh = np.stack(np.meshgrid(*[np.arange(3) / 3] * 3, indexing="ij"), -1).reshape(-1, 3)
    values = np.mean([matrix.gather(matrix.at(k), -k) for k in mesh], axis=0)
    np.testing.assert_allclose(values, matrix.values, atol=1e-13)


@pytest.mark.parametrize("spinor", [False, True])
def test_symmetrized_matrix_is_exactly_hermitian_and_keeps_the_hermitian_part(spinor: bool) -> None:
    rng = np.random.default_rng(2)
    start = random_matrix(spinor=spinor)
    noisy = start.with_values(start.values + rng.normal(size=start.values.shape))
    assert noisy.hermiticity_error() > 0.1
    assert noisy.symmetrize().hermiticity_error() == 0.0
    k = np.array([0.3, 0.1, -0.2])
    np.testing.assert_allclose(noisy.symmetrize().at(k), 0.5 * (noisy.at(k) + noisy.at(k).conj().T), atol=1e-13)


def test_missing_reverse_block_is_found_and_added() -> None:
    lonely = BlockMatrix.from_blocks([1, 1], {(0, 0, 0, 0, 0): [[1.0]], (0, 1, 1, 0, 0): [[4.0]]})
    assert lonely.reverse_edges().tolist() == [0, -1]
    assert lonely.hermiticity_error() == 4.0
    whole = lonely.symmetrize()
    assert whole.pairs.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert whole.shifts.tolist() == [[0, 0, 0], [1, 0, 0], [-1, 0, 0]]
    assert whole.values.tolist() == [1.0, 2.0, 2.0]


def test_union_keeps_both_matrices() -> None:
    a, b, k = random_matrix(seed=3, pairs=6), random_matrix(seed=4, pairs=9), np.array([0.2, 0.4, 0.1])
    wide_a, wide_b = a.unite_with(b)
    assert len(wide_a) > max(len(a), len(b))
    np.testing.assert_array_equal(wide_a.pairs, wide_b.pairs)
    np.testing.assert_allclose(wide_a.at(k), a.at(k), atol=1e-14)
    np.testing.assert_allclose((a - b).at(k), a.at(k) - b.at(k), atol=1e-14)
    np.testing.assert_array_equal(wide_a.on_pairs_of(a).values, a.values)


def test_spin_is_added_as_a_unit_matrix() -> None:
    matrix, k = random_matrix(), np.array([0.2, 0.4, 0.1])
    np.testing.assert_allclose(matrix.with_spin().at(k), np.kron(np.eye(2), matrix.at(k)), atol=1e-14)
    with pytest.raises(HarmoseError, match="spin already"):
        matrix.with_spin().with_spin()


@pytest.mark.parametrize("spinor", [False, True])
def test_reordering_permutes_rows_and_columns(spinor: bool) -> None:
    matrix, k = random_matrix(spinor=spinor), np.array([0.2, 0.4, 0.1])
    index, sign = np.array([1, 0, 2, 4, 5, 3]), np.array([1.0, -1, 1, -1, 1, 1])
    both = np.concatenate([index, index + 6]) if spinor else index
    signs = np.tile(sign, 2) if spinor else sign
    expected = matrix.at(k)[np.ix_(both, both)] * signs[:, None] * signs
    np.testing.assert_allclose(matrix.reorder(index, sign).at(k), expected, atol=1e-14)


def test_reordering_across_atoms_is_refused() -> None:
    with pytest.raises(HarmoseError, match="crosses atoms"):
        random_matrix().reorder(np.array([0, 2, 1, 3, 4, 5]), np.ones(6))


def test_groups_cover_every_block_once() -> None:
    matrix = random_matrix()
    seen = np.zeros(len(matrix.values), dtype=int)
    for edges, index in matrix.groups([8, 1, 6]):
        assert len({tuple(p) for p in matrix.pairs[edges].tolist()}) == 1
        np.add.at(seen, index, 1)
        np.testing.assert_array_equal(matrix.values[index[0]], matrix.block(int(edges[0])))
    assert (seen == 1).all()


def test_malformed_pairs_are_refused() -> None:
    one, zero = np.array([[0, 0]]), np.zeros((1, 3), dtype=int)
    with pytest.raises(HarmoseError, match="occur once"):
        BlockMatrix(np.array([1]), np.repeat(one, 2, 0), np.repeat(zero, 2, 0), np.zeros(2))
    with pytest.raises(HarmoseError, match="outside this range"):
        BlockMatrix(np.array([1]), np.array([[0, 1]]), zero, np.zeros(1))
    with pytest.raises(HarmoseError, match="hold 1 numbers; got 2"):
        BlockMatrix(np.array([1]), one, zero, np.zeros(2))
    with pytest.raises(HarmoseError, match=r"\(edge, 3\)"):
        BlockMatrix(np.array([1]), one, np.zeros((2, 3), dtype=int), np.zeros(1))
    with pytest.raises(HarmoseError, match="three fractional coordinates"):
        random_matrix().at([0.0, 0.0])


def test_assembly_of_a_200_atom_cell_takes_fractions_of_a_second() -> None:
    """200 atoms with 9 orbitals and 20 000 pairs, as a graphene 10x10 cell; the limit is seven times the time taken."""
    rng = np.random.default_rng(0)
    pairs = np.stack([np.repeat(np.arange(200), 100), np.tile(np.arange(100), 200)], -1)
    shifts = np.stack([np.repeat(rng.integers(-1, 2, 200), 100), *np.zeros((2, 20000), dtype=int)], -1)
    begin = time.perf_counter()
    matrix = BlockMatrix(np.full(200, 9), pairs, shifts, rng.normal(size=20000 * 81))
    matrix.at([0.1, 0.2, 0.0])
    assert time.perf_counter() - begin < 3.0


def test_pairs_are_found_by_atoms_and_shift_and_no_others() -> None:
    """Shifts beyond those of the matrix have codes that other pairs have; they are not stored all the same."""
    matrix = random_matrix()
    np.testing.assert_array_equal(matrix.find(matrix.pairs, matrix.shifts), np.arange(len(matrix)))
    assert np.abs(matrix.shifts).max() == 1
    stored = {(*pair, *shift) for pair, shift in zip(matrix.pairs.tolist(), matrix.shifts.tolist(), strict=True)}
    asked = np.array([[i, j, a, b, c] for i in range(3) for j in range(3) for a in range(-4, 5) for b in range(-4, 5)
                      for c in range(-4, 5)])  # fmt: skip
    edges = matrix.find(asked[:, :2], asked[:, 2:])
    assert [tuple(row) in stored for row in asked.tolist()] == (edges >= 0).tolist()
    np.testing.assert_array_equal(matrix.pairs[edges[edges >= 0]], asked[edges >= 0, :2])
    empty = BlockMatrix(ORBITALS, np.zeros((0, 2), int), np.zeros((0, 3), int), np.zeros(0))
    assert empty.find(asked[:2, :2], asked[:2, 2:]).tolist() == [-1, -1]

"""Blocks: one currency for matrices over atoms and pairs, with a typed matrix axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from harmose_dft.core.rotations import orbital_rotation
from harmose_dft.nn.axis import AXIAL, SCALAR, MatrixAxis
from harmose_dft.nn.blocks import Blocks
from harmose_dft.nn.frames import wigner_matrices
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS

LAYOUT = OrbitalLayout.of(BASIS)
MIXED = MatrixAxis((SCALAR, AXIAL, SCALAR))
REVERSE = torch.tensor([1, 0, 3, 2])


def blocks(axis: MatrixAxis = MIXED, seed: int = 0) -> Blocks:
    """Two atoms, two pairs in both directions, random."""
    generator, n = torch.Generator().manual_seed(seed), LAYOUT.size
    shapes = ((rows, axis.size, n, n) for rows in (2, 4))
    return Blocks(*(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes), axis)


def test_axis_counts_the_matrices_of_its_operators() -> None:
    assert MatrixAxis.hamiltonian("spin-orbit").sizes == (1, 3)
    assert MIXED.size == 5
    assert MIXED.signs == (1, -1, -1, -1, 1)
    assert MIXED[1:] == MatrixAxis((AXIAL, SCALAR))


def test_blocks_do_not_take_matrices_that_their_axis_lacks() -> None:
    with pytest.raises(AssertionError):
        Blocks(torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), MIXED)


def test_operators_are_picked_and_joined_again() -> None:
    whole = blocks()
    again = Blocks.join([whole[:1], whole[1:2], whole[2:]])
    assert again.axis == MIXED
    assert torch.equal(again.node, whole.node)
    assert torch.equal(again.edge, whole.edge)
    assert whole[1:2].node.shape[1] == 3


def test_extended_blocks_have_zeros_behind() -> None:
    first = blocks()[:1]
    longer = first.extend(MIXED)
    assert torch.equal(longer[:1].edge, first.edge)
    assert not longer[1:].edge.any()
    assert first.extend(first.axis) is first


def test_structures_side_by_side_come_apart_again() -> None:
    parts = [blocks(seed=k) for k in range(3)]
    for part, again in zip(parts, Blocks.cat(parts).split([2] * 3, [4] * 3), strict=True):
        assert torch.equal(part.node, again.node)
        assert torch.equal(part.edge, again.edge)
        assert again.axis == MIXED


def test_arithmetic_is_element_by_element() -> None:
    a, b = blocks(seed=1), blocks(seed=2)
    for found, expected in ((a + b, a.edge + b.edge), (a - b, a.edge - b.edge), (a * b, a.edge * b.edge)):
        assert torch.equal(found.edge, expected)
    assert torch.equal((a * 2.0).node, 2.0 * a.node)
    with pytest.raises(AssertionError):
        a + b[:1]


def test_symmetrized_blocks_have_the_sign_of_their_operator_under_transposition() -> None:
    found = blocks().symmetrize(REVERSE)
    signs = torch.tensor(MIXED.signs)[:, None, None]
    assert torch.equal(found.edge, signs * found.edge[REVERSE].transpose(2, 3))
    assert torch.equal(found.node, signs * found.node.transpose(2, 3))
    again = found.symmetrize(REVERSE)
    assert torch.equal(again.edge, found.edge)


def test_rotation_mixes_only_the_components_of_vectors() -> None:
    """D A D^T, and A_k -> sum_l Q_kl D A_l D^T in the order y, z, x."""
    q = Rotation.random(random_state=0).as_matrix()
    d = torch.from_numpy(orbital_rotation(LAYOUT.slots, q))
    vectors = wigner_matrices(torch.from_numpy(q)[None], 1)[1][0]
    np.testing.assert_allclose(vectors, q[[1, 2, 0]][:, [1, 2, 0]])
    before = blocks()
    after = before.rotate(d, vectors)
    for scalar in (slice(0, 1), slice(2, 3)):
        torch.testing.assert_close(after[scalar].edge, d @ before[scalar].edge @ d.T, atol=1e-12, rtol=0)
    expected = torch.einsum("kl,elmn->ekmn", vectors, d @ before[1:2].edge @ d.T)
    torch.testing.assert_close(after[1:2].edge, expected, atol=1e-12, rtol=0)
    back = after.rotate(d.T, vectors.T)
    torch.testing.assert_close(back.node, before.node, atol=1e-12, rtol=0)


def test_one_matrix_rotates_as_it_does_among_several() -> None:
    q = torch.from_numpy(orbital_rotation(LAYOUT.slots, Rotation.random(random_state=1).as_matrix()))
    whole = blocks(MatrixAxis.scalars(2))
    torch.testing.assert_close(
        whole[:1].rotate(q, torch.eye(3)).edge, whole.rotate(q, torch.eye(3))[:1].edge, atol=1e-13, rtol=0
    )

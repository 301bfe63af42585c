"""Symmetries of the networks: covariance, Hermiticity, permutations, batches, fragments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from harmose_dft.core.rotations import random_rotations
from harmose_dft.core.structure import Structure
from harmose_dft.model.two_stage import TwoStageModel
from harmose_dft.nn.blocks import Blocks
from harmose_dft.nn.graph import PairGraph, batch_graphs
from harmose_dft.testing.models import (
    largest,
    permuted_graph,
    perturb,
    random_graph,
    random_structure,
    rotated_graph,
    slot_rotation,
)
from harmose_dft.testing.models import tiny_model as build

EXACT = 1e-11
"""Rounding in float64 through a network whose outputs are of order one."""

MIXES = [(8, 1, 26, 1, 8), (1, 1), (26, 26, 8), (8,)]
ROTATIONS = random_rotations(4, random_seed=5)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def run(model: TwoStageModel, graph: PairGraph, *, stage1_only: bool = False) -> Blocks:
    with torch.no_grad():
        return model(model.prepare(graph), stage1_only=stage1_only).total


def covariance_error(model: TwoStageModel, graph: PairGraph, rotation: np.ndarray, *, stage1_only: bool) -> float:
    straight = run(model, graph, stage1_only=stage1_only)
    d = slot_rotation(model, rotation)
    expected = straight.map(lambda x: d @ x @ d.T)
    return largest(run(model, rotated_graph(graph, model, rotation), stage1_only=stage1_only), expected)


@pytest.mark.parametrize("numbers", MIXES[:3], ids=str)
def test_stage_one_is_covariant_under_rotations_and_inversions(numbers: tuple[int, ...]) -> None:
    model = perturb(build(None))
    graph = random_graph(random_structure(numbers), model, cutoff=9.0)
    for rotation in ROTATIONS:
        assert covariance_error(model, graph, rotation, stage1_only=True) < EXACT


def test_atoms_on_every_axis_are_covariant_too() -> None:
    """Bonds along +-x, +-y, +-z, where the helper axis of the bond frames changes."""
    positions = np.concatenate([np.zeros((1, 3)), 2.0 * np.eye(3), -2.0 * np.eye(3)])
    model = perturb(build(None))
    graph = random_graph(Structure(np.array([26, 8, 8, 8, 1, 1, 1]), positions), model)
    assert covariance_error(model, graph, ROTATIONS[1], stage1_only=True) < EXACT


def test_covariance_error_of_the_circle_falls_as_points_grow() -> None:
    model, rotation = perturb(build("circle", points=13)), ROTATIONS[1]
    graph = random_graph(random_structure(), model)
    errors = []
    for points in (13, 24, 48, 144):
        model.second.set_points(points)
        errors.append(covariance_error(model, graph, rotation, stage1_only=False))
    assert all(later < earlier / 3 for earlier, later in pairwise(errors))
    assert errors[-1] < 1e-6 < errors[0]


def test_circle_with_moderate_weights_is_covariant_at_prediction() -> None:
    """Weights near their initial size, the 24 points of prediction, f shells: 2e-4 of the blocks' own size."""
    model = perturb(build("circle", points=24), size=0.05)
    graph = random_graph(random_structure(), model)
    worst = max(covariance_error(model, graph, q, stage1_only=False) for q in ROTATIONS)
    size = float(run(model, graph).edge.abs().max())
    assert worst < 2e-4 * size


def test_lab_transformer_is_hermitian_but_not_covariant_untrained() -> None:
    model = perturb(build("lab"))
    graph = random_graph(random_structure(), model)
    assert covariance_error(model, graph, ROTATIONS[0], stage1_only=False) > 1e-3


@pytest.mark.parametrize("second", ["circle", "lab", None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_blocks_are_exactly_hermitian(second: str | None, dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    model = perturb(build(second))
    graph = random_graph(random_structure(), model)
    blocks = run(model, graph)
    assert torch.equal(blocks.node, blocks.node.transpose(2, 3))
    assert torch.equal(blocks.edge, blocks.edge[graph.reverse].transpose(2, 3))
    assert float(blocks.edge.abs().max()) > 1e-3


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_orbitals_that_an_element_lacks_stay_empty(second: str) -> None:
    model = perturb(build(second))
    graph = random_graph(random_structure(), model)
    mask = torch.from_numpy(model.layout.masks())[graph.species]
    blocks = run(model, graph)
    assert (blocks.node[:, 0][~mask] == 0).all()
    assert (blocks.edge[:, 0][~mask[graph.edges[0]]] == 0).all()


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_permuted_atoms_give_permuted_blocks(second: str) -> None:
    model = perturb(build(second))
    graph = random_graph(random_structure(), model)
    order = torch.tensor([3, 0, 4, 2, 1])
    straight, again = run(model, graph), run(model, permuted_graph(graph, order))
    assert largest(replace(straight, node=straight.node[order]), again) < EXACT


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_shuffled_pairs_give_the_same_blocks(second: str) -> None:
    model = perturb(build(second))
    graph = random_graph(random_structure(), model)
    order = torch.randperm(graph.edges.shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = graph.replace(
        edges=graph.edges[:, order],
        reverse=torch.argsort(order)[graph.reverse[order]],
        vectors=graph.vectors[order],
        inputs=replace(graph.inputs, edge=graph.inputs.edge[order]),
        overlap=replace(graph.overlap, edge=graph.overlap.edge[order]),
    )
    straight, again = run(model, graph), run(model, shuffled)
    assert largest(replace(straight, edge=straight.edge[order]), again) < EXACT


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_translated_structure_gives_the_same_blocks(second: str) -> None:
    model, structure = perturb(build(second)), random_structure()
    moved = Structure(structure.numbers, structure.positions + np.array([5.0, -3.0, 11.0]))
    assert largest(run(model, random_graph(structure, model)), run(model, random_graph(moved, model))) < EXACT


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_batch_gives_what_single_structures_give(second: str) -> None:
    model = perturb(build(second))
    graphs = [model.prepare(random_graph(random_structure(n, seed=k), model)) for k, n in enumerate(MIXES)]
    with torch.no_grad():
        singles = [model(g).total for g in graphs]
        together = model(batch_graphs(graphs)).total
    assert largest(together, Blocks.cat(singles)) < EXACT


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_separated_fragments_do_not_see_each_other(second: str) -> None:
    """But for the potential of their charges and dipoles, which has its own tests."""
    model = perturb(build(second, potential=False))
    one, other = random_structure((8, 1, 1), seed=1), random_structure((26, 8), seed=2)
    graphs = [random_graph(one, model), random_graph(other, model, seed=9)]
    far = Structure(np.concatenate([one.numbers, other.numbers]), np.concatenate([one.positions, other.positions + 50]))
    joint = random_graph(far, model, cutoff=9.0)
    assert joint.edges.shape[1] == 3 * 2 + 2
    joint = joint.replace(inputs=Blocks.cat([g.inputs for g in graphs]))
    assert largest(run(model, joint), Blocks.cat([run(model, g) for g in graphs])) < EXACT


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_blocks_of_a_pair_vanish_smoothly_at_the_cutoff(second: str) -> None:
    """But for S times the potential, which vanishes as S does."""
    model = perturb(build(second, potential=False))

    def size(distance: float) -> float:
        structure = Structure(np.array([26, 8]), np.array([[0, 0, 0], [0, 0, distance]]))
        return float(run(model, random_graph(structure, model)).edge.abs().max())

    assert size(9.0) == 0
    assert size(8.999) < 1e-6 < size(6.0)


BEHIND_THE_LAST_USE = {
    "circle": ("second.members.0.layers.0.values.pairs.1", "second.members.0.layers.0.values.pairs.2"),
    "lab": (),
    None: ("first.layers.1.leave_node.pairs.1", "first.layers.1.leave_node.pairs.2"),
}
"""Heads read pairs and node features of l = 0 and l = 1 only: what else the last layer does to nodes has no effect."""


@pytest.mark.parametrize("second", ["circle", "lab", None])
def test_every_parameter_before_the_heads_receives_a_gradient(second: str | None) -> None:
    model = perturb(build(second))
    graph = model.prepare(random_graph(random_structure((26, 26, 8, 1)), model))
    total = model(graph).total
    weight = torch.Generator().manual_seed(0)
    loss = sum((b * torch.randn(b.shape, generator=weight)).sum() for b in (total.node, total.edge))
    loss.backward()
    flat = {n: p.grad for n, p in model.named_parameters() if p.numel()}
    unused = {n for n, g in flat.items() if g is None or not g.abs().max() > 0}
    assert unused == {n for n in flat if n.startswith(BEHIND_THE_LAST_USE[second])}


@pytest.mark.parametrize("second", ["circle", "lab"])
def test_untrained_second_stage_corrects_nothing(second: str) -> None:
    model = build(second)
    with torch.no_grad():
        output = model(model.prepare(random_graph(random_structure(), model)))
    assert largest(output.total, output.stage1) == 0


def test_rotating_a_prepared_graph_is_preparing_the_rotated_one() -> None:
    model, rotation = perturb(build("lab")), ROTATIONS[0]
    graph = random_graph(random_structure(), model)
    graph = graph.replace(target=graph.inputs[:1])
    turned = model.frames.rotate(model.prepare(graph), torch.from_numpy(rotation))
    other = rotated_graph(graph, model, rotation)
    other = other.replace(target=other.inputs[:1])
    with torch.no_grad():
        assert largest(model(turned).total, model(model.prepare(other)).total) < EXACT
    torch.testing.assert_close(turned.target.node, other.target.node, atol=1e-12, rtol=0)
    torch.testing.assert_close(turned.target.edge, other.target.edge, atol=1e-12, rtol=0)


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="angles"):
        build("circle", points=6)

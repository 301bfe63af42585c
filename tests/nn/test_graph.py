"""The pair graph: fields declared once, from which batching, copies and rotations follow."""

from __future__ import annotations

import pytest
import torch

from harmose_dft.nn.blocks import Paired
from harmose_dft.nn.graph import FIELDS, PairGraph, batch_graphs
from harmose_dft.testing.models import random_graph, random_structure, tiny_model


def graphs() -> list[PairGraph]:
    """Prepared graphs of structures of different sizes."""
    model = tiny_model()
    return [model.prepare(random_graph(random_structure(n, seed=k), model)) for k, n in enumerate(((8, 1, 26), (1, 8)))]


def test_batch_holds_its_graphs_side_by_side_and_goes_on_counting() -> None:
    first, second = graphs()
    batch = batch_graphs([first, second])
    assert batch.n_structures == 2
    assert batch.structure.tolist() == [0, 0, 0, 1, 1]
    assert batch.species.tolist() == [*first.species.tolist(), *second.species.tolist()]
    assert torch.equal(batch.edges, torch.cat([first.edges, second.edges + 3], dim=1))
    assert torch.equal(batch.reverse, torch.cat([first.reverse, second.reverse + len(first.reverse)]))
    assert torch.equal(batch.far_edges, torch.cat([first.far_edges, second.far_edges + 3], dim=1))
    assert torch.equal(batch.components.edge, torch.cat([first.components.edge, second.components.edge]))
    assert batch.target is None


def test_batch_of_batches_is_the_batch_of_all() -> None:
    first, second = graphs()
    nested, flat = batch_graphs([batch_graphs([first, second]), first]), batch_graphs([first, second, first])
    for name in FIELDS:
        value, other = getattr(nested, name), getattr(flat, name)
        if isinstance(value, Paired):
            assert torch.equal(value.node, other.node), name
            assert torch.equal(value.edge, other.edge), name
        elif value is not None:
            assert torch.equal(value, other), name


def test_pairs_of_a_batch_join_atoms_of_one_structure_and_know_their_reverse() -> None:
    batch = batch_graphs(graphs())
    source, target = batch.edges
    assert torch.equal(batch.structure[source], batch.structure[target])
    assert torch.equal(batch.edges[:, batch.reverse], batch.edges.flip(0))
    assert torch.equal(batch.structure[batch.far_edges[0]], batch.structure[batch.far_edges[1]])


def test_fields_that_were_not_given_are_none_and_unknown_ones_are_refused() -> None:
    graph = graphs()[0]
    assert graph.target is None
    with pytest.raises(TypeError, match="colour"):
        graph.replace(colour=torch.zeros(3))
    with pytest.raises(AttributeError):
        graph.colour  # noqa: B018


def test_copies_leave_the_graph_as_it_was() -> None:
    graph = graphs()[0]
    moved = graph.to("meta")
    assert moved.vectors.device.type == moved.overlap.edge.device.type == "meta"
    assert graph.vectors.device.type == graph.overlap.edge.device.type == "cpu"
    other = graph.replace(vectors=2 * graph.vectors)
    assert other.species is graph.species
    assert torch.equal(other.vectors, 2 * graph.vectors)
    assert len(graph.species) == 3

"""Layers in slices return what they return at once."""

from __future__ import annotations

import pytest
import torch

from harmose_dft.nn import slices
from harmose_dft.testing.models import largest, perturb, random_graph, random_structure, tiny_model


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("size", [1, 5, 13])
def test_network_in_slices_predicts_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine atoms, one of them beyond the cutoff of all others: slices of one atom and of several, one without pairs."""
    structure = random_structure((8, 1, 26, 1, 8, 1, 1, 8))
    model = perturb(tiny_model()).eval()
    graph = model.prepare(random_graph(structure, model, cutoff=4.0))
    assert len(torch.unique(graph.edges[0])) <= len(structure)
    calls: list[int] = []
    plain = slices._slices

    def count(*arguments: object) -> object:
        parts = list(plain(*arguments))  # type: ignore[arg-type]
        calls.append(len(parts))
        return iter(parts)

    monkeypatch.setattr(slices, "_slices", count)
    with torch.no_grad():
        expected = model(graph).total
        assert calls == []
        monkeypatch.setattr(slices, "PAIRS_PER_SLICE", size)
        found = model(graph).total
    assert min(calls) > 1
    assert largest(found, expected) < 1e-12


def test_every_atom_and_pair_is_in_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PAIRS_PER_SLICE", 4)
    source = torch.tensor([0, 0, 0, 2, 2, 2, 2, 2, 3, 5])
    parts = list(slices._slices(source, 7))
    assert [p.atoms for p in parts] == [(0, 2), (2, 3), (3, 7)]
    assert [p.pairs for p in parts] == [(0, 3), (3, 8), (8, 10)]


def test_training_runs_layers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients need every intermediate feature anyway."""
    monkeypatch.setattr(slices, "PAIRS_PER_SLICE", 1)
    monkeypatch.setattr(slices, "_slices", lambda *_: pytest.fail("ran in slices"))
    model = tiny_model()
    graph = model.prepare(random_graph(random_structure(), model))
    assert model(graph).total.node.requires_grad

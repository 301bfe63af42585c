"""Models that are extended to more elements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harmose_dft.core.errors import ConfigError
from harmose_dft.core.spin import Spin
from harmose_dft.core.structure import Structure
from harmose_dft.model.extension import extend_normalizer, extend_parameters, most_similar
from harmose_dft.model.featurize import build_graph
from harmose_dft.model.normalizer import Normalizer
from harmose_dft.model.padding import pad, unpad
from harmose_dft.model.pairs import PairList
from harmose_dft.model.two_stage import TwoStageModel
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, MATRICES, perturb, random_blocks, random_structure, tiny_model

SMALL = BASIS.restrict([1, 26])


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def predict(model: TwoStageModel, structure: Structure) -> np.ndarray:
    """The model's first matrix with made-up input matrices, which depend on the structure alone, (ao, ao)."""
    matrices = [random_blocks(structure, k, SMALL) for k in range(MATRICES + 1)]
    pairs = PairList.within(structure, matrices[0], 1e3)
    species = model.layout.species(structure.numbers)
    blocks = pad(matrices, pairs, species, model.layout)
    graph = build_graph(structure, pairs, species, blocks[:-1], overlap=blocks[-1:], dtype=torch.float64)
    output = model.requires_grad_(False)(model.prepare(graph)).total
    return unpad(output, pairs, structure.numbers, SMALL, model.layout)[0].to_dense()


@pytest.mark.parametrize("spin", ["none", "collinear", "spin-orbit"])
def test_an_extended_model_predicts_the_same_for_its_old_elements(spin: Spin) -> None:
    structure = random_structure((26, 1, 1, 26))
    model, larger = perturb(tiny_model(basis=SMALL, spin=spin)).eval(), perturb(tiny_model(spin=spin), seed=5).eval()
    expected = predict(model, structure)
    assert not np.allclose(predict(larger, structure), expected)
    extend_parameters(model, larger)
    np.testing.assert_allclose(predict(larger, structure), expected, atol=1e-12)


def test_a_model_of_the_same_elements_is_copied() -> None:
    model, other = perturb(tiny_model()), tiny_model()
    extend_parameters(model, other)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def test_embeddings_of_a_new_element_are_those_of_the_most_similar_element() -> None:
    model, larger = perturb(tiny_model(basis=SMALL)), tiny_model()
    extend_parameters(model, larger)
    assert torch.equal(larger.first.embed_node.weight[1], model.first.embed_node.weight[0])
    elements = (1, 6, 7, 8, 9, 16, 17)
    assert [most_similar(z, elements) for z in (35, 14, 15, 5, 17, 34)] == [17, 6, 7, 6, 17, 16]


def test_a_layer_that_is_tied_to_its_elements_is_named() -> None:
    model, larger = tiny_model("lab", basis=SMALL), tiny_model("lab")
    with pytest.raises(ConfigError, match=r"second\..* leave start_from out"):
        extend_parameters(model, larger)


def test_a_normalizer_keeps_what_the_smaller_set_saw() -> None:
    small, large = OrbitalLayout.of(SMALL), OrbitalLayout.of(BASIS)
    old, new = (make_normalizer(layout, seed) for layout, seed in ((small, 1), (large, 2)))
    old.target_edge_scale[0, 1] = old.target_edge_scale[1, 0] = 0.0
    merged = extend_normalizer(old, new, small, large)
    rows = np.ix_(*2 * [[large.labels().index(label) for label in small.labels()]])
    np.testing.assert_array_equal(merged.target_mean[2][rows], old.target_mean[1])
    np.testing.assert_array_equal(merged.target_mean[1], new.target_mean[1])
    np.testing.assert_array_equal(merged.input_edge_scale[0, 0, 1][rows], old.input_edge_scale[0, 0, 1])
    np.testing.assert_array_equal(merged.target_edge_scale[0, 0][rows], old.target_edge_scale[0, 0])
    np.testing.assert_array_equal(merged.target_edge_scale[0, 2][rows], new.target_edge_scale[0, 2][rows])
    assert extend_normalizer(replace(old, spin_mean=None), new, small, large).spin_mean is None


def make_normalizer(layout: OrbitalLayout, seed: int) -> Normalizer:
    """Random means and scales."""
    rng, z, n = np.random.default_rng(seed), len(layout.elements), layout.size
    shapes = {
        "input_mean": (z, 2, n, n), "input_node_scale": (z, 2, n, n), "input_edge_scale": (z, z, 2, n, n),
        "target_mean": (z, n, n), "target_node_scale": (z, n, n), "target_edge_scale": (z, z, n, n),
    }
    return Normalizer(**{name: rng.uniform(1, 2, size=shape) for name, shape in shapes.items()})

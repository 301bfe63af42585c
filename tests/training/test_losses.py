"""Terms of the loss."""

from __future__ import annotations

import numpy as np
import torch
from tiny_models import water_record
from tiny_training import builder, raw_waters, waters

from harmose_dft.model.inputs import unpadded
from harmose_dft.nn.heads import Blocks
from harmose_dft.training.losses.errors import Errors
from harmose_dft.training.samples import collate


def test_orbital_errors_are_first_order_perturbation_energies() -> None:
    """<i|dH|j> in the reference orbitals, worked out densely; waters have 5 occupied of 7 orbitals in STO-3G."""
    samples, generator = waters()[:2], torch.Generator().manual_seed(0)
    batch = collate(samples)
    assert batch.orbitals is not None
    noise = [torch.randn(t.shape, generator=generator) for t in (batch.graph.node_target, batch.graph.edge_target)]
    layout = builder().featurizer.layout
    mask = torch.from_numpy(layout.masks())[batch.graph.species].float()
    node = noise[0] * mask[:, :, None] * mask[:, None]
    edge = noise[1] * mask[batch.graph.edges[0]][:, :, None] * mask[batch.graph.edges[1]][:, None]
    predicted = Blocks(batch.graph.node_target + node, batch.graph.edge_target + edge)
    whole = predicted.map(torch.ones_like)
    found = Errors(predicted, batch, whole).orbitals
    energies, occupied, mixing = [], [], []
    for k, raw in enumerate(raw_waters()[:2]):
        own, pairs = slice(3 * k, 3 * k + 3), slice(6 * k, 6 * k + 6)
        record = water_record(k)
        numbers = record.structure.numbers
        blocks = (node[own].numpy(), edge[pairs].numpy())
        error = unpadded(*blocks, raw.features.integrals.pairs, numbers, record.basis, layout).to_dense()
        from scipy.linalg import eigh

        c = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense())[1]
        projected = np.abs(c.T @ error @ c)
        energies += np.diag(projected)[:6].tolist()
        occupied += projected[:5, :5].ravel().tolist()
        mixing += projected[:5, 5:].ravel().tolist()
    expected = [np.mean(values) for values in (energies, occupied, mixing)]
    np.testing.assert_allclose([float(f) for f in found], expected, rtol=1e-4)

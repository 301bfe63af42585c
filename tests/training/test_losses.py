"""Terms of the loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from extensions import run_extended
from tiny_training import builder, raw_waters, run, trainer, waters

from harmose_dft.model.padding import unpad
from harmose_dft.nn.axis import MatrixAxis
from harmose_dft.nn.blocks import Blocks
from harmose_dft.testing.models import tiny_config, water_record
from harmose_dft.training.losses.errors import Errors
from harmose_dft.training.objective import LOSSES, LossConfig, collect_needs
from harmose_dft.training.samples import Need, collate


def test_orbital_errors_are_first_order_perturbation_energies() -> None:
    """<i|dH|j> in the reference orbitals, worked out densely; waters have 5 occupied of 7 orbitals in STO-3G."""
    samples, generator = waters()[:2], torch.Generator().manual_seed(0)
    batch = collate(samples)
    assert batch.orbitals is not None
    noise = [torch.randn(t.shape, generator=generator) for t in batch.graph.target]
    layout = builder().featurizer.layout
    mask = torch.from_numpy(layout.masks())[batch.graph.species].float()
    node = noise[0] * (mask[:, :, None] * mask[:, None])[:, None]
    edge = noise[1] * (mask[batch.graph.edges[0]][:, :, None] * mask[batch.graph.edges[1]][:, None])[:, None]
    added = Blocks(node, edge, MatrixAxis.scalars(1))
    predicted = batch.graph.target + added
    whole = predicted.map(torch.ones_like)
    found = Errors(predicted, batch, whole).orbitals
    energies, occupied, mixing = [], [], []
    for k, raw in enumerate(raw_waters()[:2]):
        own, pairs = slice(3 * k, 3 * k + 3), slice(6 * k, 6 * k + 6)
        record = water_record(k)
        numbers = record.structure.numbers
        blocks = replace(added, node=node[own], edge=edge[pairs])
        (matrix,) = unpad(blocks, raw.features.integrals.pairs, numbers, record.basis, layout)
        error = matrix.to_dense()
        from scipy.linalg import eigh

        c = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense())[1]
        projected = np.abs(c.T @ error @ c)
        energies += np.diag(projected)[:6].tolist()
        occupied += projected[:5, :5].ravel().tolist()
        mixing += projected[:5, 5:].ravel().tolist()
    expected = [np.mean(values) for values in (energies, occupied, mixing)]
    np.testing.assert_allclose([float(f) for f in found], expected, rtol=1e-4)


DUMMY = """
from harmose_dft.training.losses.base import Loss


class Largest(Loss):
    '''The largest error of an on-site element.'''

    name = "largest"
    description = "largest on-site error"
    weight = 0.5

    def value(self, errors):
        return errors.blocks.node.abs().max()
"""

SCRIPT = """
from harmose_dft.testing.models import tiny_config
from tiny_training import run, trainer

from harmose_dft.training.config import TrainConfig

out = {"default": TrainConfig().loss.largest, "keys": list(TrainConfig().loss.model_dump())}
for weight in (0.0, 0.5, 5.0):
    subject = trainer(tiny_config(loss={"largest": weight}))
    run(subject, 3)
    out[str(weight)] = subject.course.flat.vector.detach().tolist()
print(json.dumps(out))
"""


def test_a_term_of_one_class_in_one_file_is_configured_and_changes_training(tmp_path: Path) -> None:
    out = run_extended(tmp_path, "harmose_dft.training.losses", DUMMY, SCRIPT)
    assert out["default"] == 0.5
    assert out["keys"] == ["elements", "gauge", "orbital_energies", "occupied", "mixing", "stage1", "largest"]
    plain = trainer()
    run(plain, 3)
    without = torch.tensor(out["0.0"])
    assert torch.equal(without, plain.course.flat.vector.detach())
    assert not torch.equal(torch.tensor(out["0.5"]), without)
    assert not torch.equal(torch.tensor(out["5.0"]), torch.tensor(out["0.5"]))


def test_terms_say_what_they_need_of_samples() -> None:
    off = dict.fromkeys(LossConfig.model_fields, 0.0)
    assert collect_needs(LossConfig(**off)) == frozenset()
    assert collect_needs(LossConfig(**{**off, "elements": 1.0, "stage1": 1.0})) == frozenset()
    for name in ("orbital_energies", "occupied", "mixing"):
        assert collect_needs(LossConfig(**{**off, name: 0.1})) == {Need.ORBITALS}
    assert collect_needs(LossConfig(**{**off, "gauge": 0.1})) == {Need.OVERLAP}


def test_terms_of_orbitals_share_one_projection() -> None:
    batch = collate(waters()[:2])
    subject = trainer()
    errors = Errors(subject.predict(batch).total, batch, subject.objective.mask(batch.graph))
    terms = {term.name: term.value(errors) for term in LOSSES if Need.ORBITALS in term.needs}
    shared = errors.orbitals
    assert terms["orbital_energies"] is shared.energies
    assert terms["occupied"] is shared.occupied
    assert terms["mixing"] is shared.mixing
    assert next(term for term in LOSSES if term.name == "elements").value(errors) is errors.elements


@torch.no_grad()
def test_terms_count_with_their_weights_for_batches_that_have_what_they_need() -> None:
    subject = trainer(tiny_config(loss={"occupied": 0.3, "gauge": 7.0, "stage1": 0.5}))
    batch = collate(waters()[:2])
    output, mask = subject.predict(batch), subject.objective.mask(batch.graph)
    whole, first = Errors(output.total, batch, mask), Errors(output.stage1, batch, mask)
    orbitals = 0.1 * whole.orbitals.energies + 0.3 * whole.orbitals.occupied + 0.1 * whole.orbitals.mixing
    for joint, extra in ((False, 0.0), (True, 0.5 * float(first.elements))):
        loss, error = subject.objective(output, batch, joint=joint)
        assert float(loss) == pytest.approx(float(whole.elements + orbitals) + extra, rel=1e-5)
        assert float(error) == pytest.approx(float(whole.elements), rel=1e-6)
    without, _ = subject.objective(output, replace(batch, orbitals=None), joint=False)
    assert float(without) == pytest.approx(float(whole.elements), rel=1e-6)

"""What stage 2 alone takes over from a stage 1 that no longer learns."""

from __future__ import annotations

import pytest
import torch
from tiny_training import run, trainer, waters

from harmose_dft.testing.models import tiny_config
from harmose_dft.training import staged
from harmose_dft.training.samples import collate


def test_corrections_are_in_units_of_what_stage_one_leaves() -> None:
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
    run(subject, 6)
    model, batch = subject.model, collate(waters()[:4])
    with torch.no_grad():
        baseline = model(batch.graph, stage1_only=True).stage1
    left = (baseline - batch.graph.target).edge[:, 0, 0, 0]  # of 1s orbitals
    source, target = batch.graph.species[batch.graph.edges]
    unit = model.edge_unit * model.edge_scale
    for i, j in ((0, 0), (0, 1), (1, 0)):
        rms = left[(source == i) & (target == j)].square().mean().sqrt()
        assert float(unit[i, j, 0, 0]) == pytest.approx(float(rms), rel=1e-4)
        assert torch.equal(unit[i, j], unit[j, i].T)


def test_stored_results_of_stage_one_are_those_worked_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for limit in (2**30, 0):
        monkeypatch.setattr(staged, "STORED_BYTES", limit)
        subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
        run(subject, 6)
        batch = collate(subject.course.samples.training)
        assert (batch.stage1_output is None) == (limit == 0)
        found.append((subject.predict(batch).total, subject.model.edge_unit))
    (stored, units), (anew, same) = found
    torch.testing.assert_close((stored.node, stored.edge), (anew.node, anew.edge), atol=2e-6, rtol=0)
    torch.testing.assert_close(units, same, atol=1e-6, rtol=1e-4)

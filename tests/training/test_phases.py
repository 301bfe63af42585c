"""Phases: which weights move when, and at which rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_training import FIRST, run, trainer

from harmose_dft.testing.models import tiny_config
from harmose_dft.training.log import LogEntry
from harmose_dft.training.phases import BothStages, FirstAlone, SecondAlone, WholeModel


def test_phases_follow_from_the_configuration_and_the_model() -> None:
    def kinds(**changes: object) -> list[tuple[type, float, float]]:
        return [(type(p), p.begin, p.end) for p in trainer(tiny_config(**changes)).course.phases]

    assert kinds() == [(BothStages, 0.0, 1.0)]
    assert kinds(model={"first": FIRST, "second": None}) == [(WholeModel, 0.0, 1.0)]
    staged = kinds(stages={"mode": "staged", "first_fraction": 0.25})
    assert staged == [(FirstAlone, 0.0, 0.25), (SecondAlone, 0.25, 1.0)]


def test_average_of_stage_one_is_kept_and_units_are_set_only_when_a_phase_follows_another() -> None:
    """A phase that a run resumes in takes over what the state holds."""
    config = tiny_config(stages={"mode": "staged", "first_fraction": 0.5})
    followed, resumed = trainer(config), trainer(config)
    for subject in (followed, resumed):
        run(subject, 5)
    average = followed.course.flat.average.clone()
    units = followed.model.edge_unit.clone()
    followed.course.advance(0.5)
    resumed.course.begin(resumed.course.phases[1])
    assert not torch.equal(followed.model.edge_unit, units)
    assert torch.equal(resumed.model.edge_unit, units)
    kept = torch.cat([p.detach().flatten() for p in followed.model.first.parameters()])
    assert torch.equal(kept.sort().values, average.sort().values)
    for subject in (followed, resumed):
        assert not any(p.requires_grad for p in subject.model.first.parameters())
        assert all(sample.stage1_output is not None for sample in subject.course.samples.training)


def test_stages_that_learn_one_after_the_other_leave_each_other_alone() -> None:
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
    assert subject.model.second is not None

    def weights(module: torch.nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    first, second = weights(subject.model.first), weights(subject.model.second)
    run(subject, 5)
    assert torch.equal(weights(subject.model.second), second)
    assert not torch.equal(weights(subject.model.first), first)
    average = subject.course.flat.average.clone()
    run(subject, 1)
    kept = weights(subject.model.first)
    assert torch.equal(kept.sort().values, average.sort().values)
    run(subject, 4)
    assert torch.equal(weights(subject.model.first), kept)
    assert not torch.equal(weights(subject.model.second), second)


def test_log_of_a_staged_run_shows_the_correction_once_it_learns() -> None:
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}, validate_every=1))
    entries: list[LogEntry] = []
    subject.run(entries.append, lambda: None, lambda: None)
    assert len(entries) == 10
    assert all(e.skipped == 0 for e in entries)
    assert all(e.valid_mae_all == e.valid_mae_stage1 for e in entries[:5])
    assert all(e.valid_mae_all != e.valid_mae_stage1 for e in entries[6:])
    assert len({e.valid_mae_stage1 for e in entries[5:]}) == 1


def test_learning_rate_decays_once_or_in_each_stage() -> None:
    rates = {}
    for mode in ("joint", "staged"):
        subject = trainer(tiny_config(stages={"mode": mode, "first_fraction": 0.5, "learning_rate": 3e-2}))
        rates[mode] = []
        for _ in range(10):
            subject.update()
            rates[mode].append(subject.learning_rate)
    assert np.argmax(rates["joint"]) == 0
    assert rates["joint"][4] == pytest.approx(0.5e-2)
    assert rates["staged"][3] == pytest.approx(1e-2 * 0.5 * (1 + math.cos(math.pi * 0.8)))
    assert rates["staged"][5] == pytest.approx(3e-2 * 0.5 * (1 + math.cos(math.pi * 0.2)))
    assert rates["staged"][9] < 1e-4

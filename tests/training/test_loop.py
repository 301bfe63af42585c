"""The trainer: updates, what it leaves out, the view that stage 2 takes of a batch."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import attrgetter

import numpy as np
import torch
from tiny_training import FIRST, LAB, builder, raw_waters, run, trainer, waters

from harmose_dft.core.rotations import rotate_matrix
from harmose_dft.model.stage2.lab import random_rotation
from harmose_dft.testing.models import tiny_config, water_record
from harmose_dft.training.samples import collate


def test_update_whose_gradient_is_not_finite_is_left_out_and_counted() -> None:
    subject = trainer(tiny_config(optimizer={"steps": 4, "batch_size": 4}, validate_every=4))
    graph = subject.course.samples.training[0].graph
    assert graph.target is not None
    own = graph.target.node.clone()
    entries, steps = [], []

    def poison() -> None:
        steps.append(subject.course.flat.vector.detach().clone())
        graph.target.node.copy_(torch.full_like(own, math.nan) if len(steps) == 1 else own)  # type: ignore[union-attr]

    subject.run(entries.append, lambda: None, poison)
    assert torch.equal(steps[0], steps[1])
    assert not torch.equal(steps[1], steps[2])
    assert [entry.skipped for entry in entries] == [1]
    assert np.isfinite(entries[0].train_mae_all)


def test_default_of_torch_does_not_change_a_training() -> None:
    errors = []
    try:
        for dtype in (torch.float32, torch.float64):
            torch.set_default_dtype(dtype)
            errors.append(run(trainer(), 2))
    finally:
        torch.set_default_dtype(torch.float32)
    assert errors[0] == errors[1]


def test_rotated_copies_are_samples_of_the_rotated_calculation() -> None:
    schedule = {"start": 0.0, "full": 0.0}
    subject = trainer(tiny_config(model={"first": FIRST, "second": LAB}, augmentation=schedule))
    record = water_record(0)
    q = random_rotation(np.random.default_rng([subject.config.optimizer.seed, subject.step, 1]), np.pi)

    def turned(matrix):  # type: ignore[no-untyped-def]
        return rotate_matrix(matrix, record.structure.numbers, record.basis, q)

    other = replace(
        record,
        structure=record.structure.rotate(q),
        overlap=turned(record.overlap),
        hamiltonian=(turned(record.hamiltonian[0]),),
    )
    (expected,) = builder().make_samples([builder().make_raw(other)], builder().fit_normalizer(raw_waters()[:4]))
    found = subject.view(collate(waters()[:1])).graph
    for name in ("vectors", "components.node", "target.node", "target.edge"):
        ours, theirs = (attrgetter(name)(graph) for graph in (found, expected.graph))
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


def test_rotations_start_small_when_the_schedule_says_so() -> None:
    schedule = {"start": 0.3, "full": 0.8, "small_angle": 10.0}
    subject = trainer(tiny_config(model={"first": FIRST, "second": LAB}, augmentation=schedule))
    batch = collate(waters()[:1])
    assert subject.view(batch) is batch
    subject.step = 5
    q = random_rotation(np.random.default_rng([0, 5, 1]), np.radians(10.0))
    expected = batch.graph.vectors @ torch.from_numpy(q).float().T
    torch.testing.assert_close(subject.view(batch).graph.vectors, expected)
    assert np.degrees(np.arccos((np.trace(q) - 1) / 2)) <= 10.0

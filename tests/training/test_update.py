"""One update of the weights: clipping."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_training import run, trainer

from harmose_dft.testing.models import tiny_config
from harmose_dft.training import update


def test_gradient_far_above_the_usual_norm_is_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "KNOWN_AFTER", 10)
    subject = trainer(tiny_config(optimizer={"steps": 100, "batch_size": 4, "clip": 1e6, "clip_ratio": 3.0}))
    run(subject, 20)
    usual = math.sqrt(subject.course.weights.mean_square)
    plain = subject.objective
    monkeypatch.setattr(subject, "objective", lambda *a, **o: (1e4 * plain(*a, **o)[0], torch.tensor(0.0)))
    assert subject.update()[1] > 100 * usual
    assert float(subject.course.flat.gradient.norm()) == pytest.approx(3.0 * usual, rel=1e-4)

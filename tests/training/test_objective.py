"""The loss as a sum of terms: whose errors count, and for whom."""

from __future__ import annotations

import pytest
import torch
from tiny_training import FIRST, trainer

from harmose_dft.testing.models import tiny_config
from harmose_dft.training.loop import Trainer
from harmose_dft.training.samples import collate


def backward(subject: Trainer) -> float:
    """Gradients of the loss of all training samples; their mean error."""
    batch = collate(list(subject.course.samples.training))
    loss, error = subject.objective(subject.predict(batch), batch, joint=subject.course.phase.joint)
    loss.backward()
    return float(error)



def test_separate_stages_leave_stage_one_its_own_error() -> None:
    """Heads of stage 1 get no gradient from the whole model's error, which stays the same number."""
    found = {}
    for separate in (False, True):
        subject = trainer(tiny_config(stages={"separate": separate}, loss={"stage1": 0.0}))
        error = backward(subject)
        head = subject.model.first.head.pair.even.weight
        found[separate] = error, float(head.grad.abs().max()), float(subject.course.flat.gradient.abs().max())
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-6)
    assert found[False][1] > 0
    assert found[True][1] == 0
    assert found[True][2] > 0


def test_members_of_stage_two_learn_apart() -> None:
    """The gradient of a member is half of what it is without company, whatever the other says."""
    def gradients(other: float) -> torch.Tensor:
        second = tiny_config().model.second.model_dump() | {"members": 2}
        subject = trainer(tiny_config(model={"first": FIRST, "second": second}, stages={"mode": "staged"}))
        subject.course.begin(subject.course.phases[1])
        one, two = subject.model.second.members
        with torch.no_grad():
            for parameter in two.parameters():
                parameter.mul_(other)
        assert backward(subject) > 0
        return torch.cat([p.grad.flatten() for p in one.parameters()])

    torch.testing.assert_close(gradients(0.0), gradients(1.0))
    assert float(gradients(1.0).abs().max()) > 0

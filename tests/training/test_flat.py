"""All parameters as one vector."""

from __future__ import annotations

import pytest
import torch
from tiny_training import run, trainer

from harmose_dft.training.flat import FlatParameters


def test_flat_parameters_stay_views_and_averages_come_and_go() -> None:
    subject = trainer()
    run(subject, 3)
    flat = subject.course.flat
    start = flat.vector.data_ptr()
    for parameter in subject.model.parameters():
        if parameter.numel():
            assert start <= parameter.data_ptr() < start + 4 * len(flat.vector)
            assert parameter.grad is not None
    own = flat.vector.detach().clone()

    def joined() -> torch.Tensor:
        parameters = sorted((p.detach() for p in subject.model.parameters() if p.numel()), key=torch.Tensor.data_ptr)
        return torch.cat([p.flatten() for p in parameters])

    assert torch.equal(joined(), own)
    with flat.use_average():
        assert torch.equal(joined(), flat.average)
        assert not torch.equal(joined(), own)
    assert torch.equal(flat.vector, own)


def test_gradient_is_clipped_to_the_largest_norm() -> None:
    flat = FlatParameters(torch.nn.Linear(3, 1), 0.9)
    flat.gradient.fill_(3.0)
    assert flat.clip(1.0) == pytest.approx(6.0)
    assert float(flat.gradient.norm()) == pytest.approx(1.0)


def test_matrices_lie_together_by_shape_and_the_rest_follows() -> None:
    module = torch.nn.ModuleList([
        torch.nn.Linear(9, 8), torch.nn.Embedding(20, 10), torch.nn.Linear(12, 16), torch.nn.Linear(9, 8),
        torch.nn.Linear(9, 2), torch.nn.ParameterList([torch.nn.Parameter(torch.randn(3, 8, 9))]),
    ])
    values = [p.detach().clone() for p in module.parameters()]
    flat = FlatParameters(module, 0.9)
    assert [(g.count, g.rows, g.columns) for g in flat.groups] == [(5, 8, 9), (1, 16, 12)]
    assert flat.n_matrix == 5 * 72 + 192
    assert torch.equal(flat.groups[0].view(flat.vector)[1], module[3].weight)
    assert all(torch.equal(a, b) for a, b in zip(values, module.parameters(), strict=True))

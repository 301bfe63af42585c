"""Optimizers: directions, bases, resuming."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from extensions import run_extended
from tiny_training import run, trainer

from harmose_dft.testing.models import tiny_config
from harmose_dft.training import update
from harmose_dft.training.flat import FlatParameters
from harmose_dft.training.folder import STATE
from harmose_dft.training.optimizers import soap as soap_module
from harmose_dft.training.optimizers.muon import Muon, orthogonalise
from harmose_dft.training.optimizers.soap import BASIS_EVERY, LARGEST_SIDE, Side, Soap
from harmose_dft.training.state import TrainState


def flat_of(*stacks: torch.Tensor) -> FlatParameters:
    """Stacks of matrices as the weights of a model."""
    return FlatParameters(torch.nn.ParameterList([torch.nn.Parameter(s.clone()) for s in stacks]), 0.9)



@pytest.mark.parametrize("shape", [(2, 12, 9), (1, 8, 30), (3, 10, 10)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape: tuple[int, int, int]) -> None:
    given = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    found = left.mT @ orthogonalise(given) @ right.mT
    diagonal = found.diagonal(dim1=1, dim2=2)
    assert torch.allclose(found, torch.diag_embed(diagonal), atol=1e-10)
    assert (diagonal.abs() < 1.3).all()
    assert (diagonal[values > 0.1 * values.max()] > 0.6).all()
    assert not orthogonalise(torch.zeros(shape)).any()
    assert float(orthogonalise(1e-22 * given.float()).abs().max()) < 1e-8
    rounding = torch.stack([given[0], 1e-7 * given[0]])
    found = orthogonalise(rounding)
    assert found[0].any()
    assert not found[1].any()


def test_muon_moves_as_far_as_adam_would() -> None:
    gradients = torch.randn(5 * 24 * 60, generator=torch.Generator().manual_seed(2))
    moved = Muon(flat_of(torch.zeros(5, 24, 60)), 0.0).direction(gradients, 0)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)
    assert float((moved * gradients).sum()) > 0


def test_a_matrix_alone_of_its_shape_with_rounding_for_a_gradient_does_not_move() -> None:
    """Squares of such elements underflow, so that its norm is not what to divide by."""
    draw = torch.Generator().manual_seed(7)
    flat = flat_of(torch.zeros(8, 10), torch.zeros(10, 12))
    gradient = torch.cat([1e-21 * torch.randn(80, generator=draw), torch.randn(120, generator=draw)])
    moved = Muon(flat, 0.0).direction(gradient, 0)
    assert not moved[:80].any()
    assert moved[80:].all()


def soap(first: torch.Tensor) -> Soap:
    """For matrices of one shape."""
    return Soap(flat_of(first), 0.0)


@pytest.mark.parametrize("method", ["muon", "soap", "adamw"])
def test_every_method_learns_and_resumes_bit_for_bit(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "KNOWN_AFTER", 5)
    config = tiny_config(optimizer={
        "steps": 40, "batch_size": 4, "warmup_steps": 5, "learning_rate": 1e-2, "method": method, "clip_ratio": 1.01,
    })
    whole, part, again = trainer(config), trainer(config), trainer(config)
    errors = run(whole, 40)
    assert np.mean(errors[-5:]) < 0.5 * errors[0]
    run(part, 12)
    part.state().save(tmp_path / STATE)
    again.restore(TrainState.load(tmp_path / STATE))
    run(again, 28)
    assert torch.equal(again.course.flat.vector, whole.course.flat.vector)
    assert torch.equal(again.course.flat.average, whole.course.flat.average)


def test_soap_finds_the_eigenbases_of_the_first_gradient() -> None:
    """By hand, on one matrix: Adam on the gradient as seen in the singular vectors of the first one."""
    draw = torch.Generator().manual_seed(3)
    first, second = (torch.randn(1, 9, 12, generator=draw, dtype=torch.float64) for _ in range(2))
    moments = soap(first)
    assert not moments.direction(first.flatten(), 0).any()
    left, _, right = torch.linalg.svd(first[0], full_matrices=True)
    found = moments.direction(second.flatten(), 1).view(9, 12)
    seen = left.T @ second[0] @ right.T
    expected = left @ torch.sign(seen) @ right
    assert found.norm() == pytest.approx(math.sqrt(9 * 12), rel=1e-3)
    nine = slice(0, 9)  # the other right vectors span a space of equal, zero eigenvalues
    assert torch.allclose(
        (left.T @ found @ right.T)[:, nine], (left.T @ expected @ right.T)[:, nine], rtol=1e-3, atol=1e-6
    )


def test_long_sides_are_not_rotated() -> None:
    moments = soap(torch.zeros(2, 8, LARGEST_SIDE + 1))
    assert [(side.axis, tuple(side.basis.shape)) for side in moments.sides[0]] == [(1, (2, 8, 8))]


def test_bases_follow_the_covariance_and_keep_the_squares_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of gradients with a fixed covariance the eigenbasis stays, up to order and sign."""
    monkeypatch.setattr(soap_module, "LARGEST_SIDE", 256)
    draw = torch.Generator().manual_seed(4)
    turn = torch.linalg.qr(torch.randn(9, 9, generator=draw, dtype=torch.float64)).Q
    widths = torch.linspace(1, 3, 9, dtype=torch.float64)[:, None]
    moments = soap(torch.zeros(1, 9, 400, dtype=torch.float64))
    for updates in range(3 * BASIS_EVERY + 1):
        gradient = turn @ (widths * torch.randn(9, 400, generator=draw, dtype=torch.float64))
        moments.direction(gradient.flatten(), updates)
    basis = moments.sides[0][0].basis[0]
    assert torch.allclose(basis.T @ basis, torch.eye(9, dtype=torch.float64), atol=1e-12)
    seen = (turn.T @ basis).abs()
    assert (seen.max(dim=1).values > 0.8).all()
    values = (moments.square.view(9, 400).mean(dim=1) / (1 - 0.99 ** (3 * BASIS_EVERY))).sqrt()
    assert torch.allclose(values, widths.flip(0)[:, 0], rtol=0.1)


@pytest.mark.parametrize("axis", [1, 2])
def test_moments_follow_their_eigenvectors_when_the_order_changes(axis: int) -> None:
    size = 9
    draw = torch.Generator().manual_seed(4)
    turn = torch.linalg.qr(torch.randn(size, size, generator=draw, dtype=torch.float64)).Q
    values = torch.arange(size, 0, -1, dtype=torch.float64)
    shuffled = torch.randperm(size, generator=torch.Generator().manual_seed(5))
    moments = soap(torch.zeros(1, size, size, dtype=torch.float64))
    for side in moments.sides[0]:
        side.covariance.copy_((turn * values) @ turn.T if side.axis == axis else torch.diag(values))
        side.basis.copy_(turn[:, shuffled] if side.axis == axis else torch.eye(size, dtype=torch.float64))
    squares = values[shuffled][:, None].expand(size, size)
    moments.square.copy_((squares if axis == 1 else squares.T).flatten())
    mean = torch.randn(size * size, generator=draw, dtype=torch.float64)
    moments.rotate(mean, Side.into_basis)
    moments.mean.copy_(moments.work)
    moments.refresh_bases()
    found = moments.square.view(size, size)
    assert torch.allclose(found if axis == 1 else found.T, values[:, None].expand(size, size))
    basis = moments.sides[0][axis - 1].basis[0]
    assert torch.allclose((turn.T @ basis).abs(), torch.eye(size, dtype=torch.float64), atol=1e-12)
    moments.rotate(moments.mean, Side.out_of_basis)
    assert torch.allclose(moments.work, mean, atol=1e-12)


def test_soap_leaves_directions_alone_that_rounding_makes_up() -> None:
    """Gradients of rank three: what the weights move by stays in their range."""
    draw = torch.Generator().manual_seed(6)
    left, right = torch.randn(1, 16, 3, generator=draw), torch.randn(1, 3, 32, generator=draw)
    moments, moved = soap(torch.zeros(1, 16, 32)), torch.zeros(1, 16, 32)
    for updates in range(25):
        gradient = 1e-2 * left @ torch.randn(1, 3, 3, generator=draw) @ right
        moved += moments.direction(gradient.flatten(), updates).view(1, 16, 32)
    inside = torch.linalg.qr(left).Q
    outside = moved - inside @ (inside.mT @ moved)
    assert float(outside.norm() / moved.norm()) < 0.1


DUMMY = """
import torch

from harmose_dft.training.optimizers.base import Optimizer


class Signs(Optimizer):
    '''Steps against the signs of a running mean of gradients.'''

    name = "signs"

    def __init__(self, flat, weight_decay):
        super().__init__(flat, weight_decay)
        self.mean = torch.zeros_like(flat.gradient)

    def step(self, rate):
        self.mean.lerp_(self.flat.gradient, 0.2)
        self.flat.vector.data.sub_(self.mean.sign(), alpha=rate)

    def state(self):
        return {"mean": self.mean}

    def restore(self, tensors):
        self.mean.copy_(tensors["mean"])
"""

SCRIPT = """
import numpy as np
import torch
from harmose_dft.testing.models import tiny_config
from tiny_training import run, trainer

from harmose_dft.training.config import TrainConfig
from harmose_dft.training.state import TrainState

settings = {"steps": 40, "batch_size": 4, "warmup_steps": 5, "learning_rate": 3e-3, "method": "signs"}
config = tiny_config(optimizer=settings)
whole, part, again = trainer(config), trainer(config), trainer(config)
errors = run(whole, 40)
run(part, 12)
part.state().save(folder / "state")
again.restore(TrainState.load(folder / "state"))
run(again, 28)
try:
    TrainConfig.model_validate({"optimizer": {"method": "sign"}})
except ValueError as error:
    refused = str(error)
equal = torch.equal(again.course.flat.vector, whole.course.flat.vector)
print(json.dumps({"first": errors[0], "last": float(np.mean(errors[-5:])), "equal": equal, "refused": refused}))
"""


def test_an_optimizer_of_one_class_in_one_file_learns_and_resumes(tmp_path: Path) -> None:
    out = run_extended(tmp_path, "harmose_dft.training.optimizers", DUMMY, SCRIPT)
    assert out["last"] < 0.7 * out["first"]
    assert out["equal"] is True
    for name in ("'adamw'", "'muon'", "'signs'", "'soap'"):
        assert name in out["refused"]

"""The training loop: losses, exact resume, stages, augmentation, processes."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import silent, tiny_config, water, water_record, write_waters

from harmose_dft.cli import main
from harmose_dft.core.errors import BasisMismatchError, CheckpointError, ConfigError, DataError
from harmose_dft.core.rotations import rotated_matrix
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.featurize import Featurizer
from harmose_dft.model.loading import baseline_blocks
from harmose_dft.model.padding import unpad
from harmose_dft.nn.axis import MatrixAxis
from harmose_dft.nn.blocks import Blocks
from harmose_dft.training import optimizer, staged
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.data import open_training_data
from harmose_dft.training.flat import FlatParameters, MatrixGroup
from harmose_dft.training.loop import LogEntry, Trainer, random_rotation
from harmose_dft.training.losses import orbital_errors
from harmose_dft.training.optimizer import Muon, Soap
from harmose_dft.training.prepare import RawSample, SampleBuilder
from harmose_dft.training.run import LOG, STATE, Fit, build_network
from harmose_dft.training.samples import Sample, collate
from harmose_dft.training.state import TrainState

LAB = {"kind": "lab", "layers": 1, "width": 16, "heads": 2, "l_max": 2, "pair_channels": 2}
FIRST = {"layers": 1, "channels": 4, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 6}


@cache
def builder() -> SampleBuilder:
    from harmose_dft.physics.h0 import SapBaseline

    config, basis = tiny_config(), water_record(0).basis
    sap = SapBaseline(basis)
    return SampleBuilder(
        Featurizer(basis, config.inputs, config.model.first.cutoff),
        lambda structure: baseline_blocks(sap, structure),
        config.model.first.l_max,
    )


@cache
def raw_waters() -> tuple[RawSample, ...]:
    return tuple(builder().raw(water_record(k)) for k in range(5))


@cache
def waters() -> tuple[Sample, ...]:
    """Four training samples and one for validation."""
    raws = raw_waters()
    return tuple(builder().samples(raws, builder().normalizer(raws[:4])))


def trainer(config: TrainConfig | None = None) -> Trainer:
    config = config or tiny_config()
    network = build_network(water_record(0).basis, builder().normalizer(raw_waters()[:4]), config)
    return Trainer(network, waters()[:4], waters()[4:], config)


def run(of: Trainer, steps: int) -> list[float]:
    return [of.update()[0] for _ in range(steps)]


def test_training_in_two_parts_equals_training_at_once_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer()
    run(whole, 8)
    first = trainer()
    run(first, 4)
    first.state().save(tmp_path / STATE)
    second = trainer()
    second.restore(TrainState.load(tmp_path / STATE))
    run(second, 4)
    assert second.step == whole.step == 8
    assert torch.equal(second.flat.vector, whole.flat.vector)
    assert torch.equal(second.flat.average, whole.flat.average)


def test_separate_stages_leave_stage_one_its_own_error() -> None:
    """Heads of stage 1 get no gradient from the whole model's error, which stays the same number."""
    found = {}
    for separate in (False, True):
        subject = trainer(tiny_config(stages={"separate": separate}, loss={"stage1": 0.0}))
        loss, error = subject._loss(collate(list(subject.training)))
        loss.backward()
        head = subject.model.first.head.pair.even.weight
        found[separate] = error, float(head.grad.abs().max()), float(subject.flat.gradient.abs().max())
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-6)
    assert found[False][1] > 0
    assert found[True][1] == 0
    assert found[True][2] > 0


def test_members_of_stage_two_learn_apart() -> None:
    """The gradient of a member is half of what it is without company, whatever the other says."""
    def gradients(other: float) -> torch.Tensor:
        second = tiny_config().model.second.model_dump() | {"members": 2}
        subject = trainer(tiny_config(model={"first": FIRST, "second": second}, stages={"mode": "staged"}))
        subject._keep_first_stage(set_scales=False)
        one, two = subject.model.second.members
        with torch.no_grad():
            for parameter in two.parameters():
                parameter.mul_(other)
        loss, error = subject._loss(collate(list(subject.training)))
        loss.backward()
        assert error > 0
        return torch.cat([p.grad.flatten() for p in one.parameters()])

    torch.testing.assert_close(gradients(0.0), gradients(1.0))
    assert float(gradients(1.0).abs().max()) > 0


def test_stages_that_learn_one_after_the_other_leave_each_other_alone() -> None:
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
    assert subject.model.second is not None

    def weights(module: torch.nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    first, second = weights(subject.model.first), weights(subject.model.second)
    run(subject, 5)
    assert torch.equal(weights(subject.model.second), second)
    assert not torch.equal(weights(subject.model.first), first)
    average = subject.flat.average.clone()
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


def test_corrections_are_in_units_of_what_stage_one_leaves() -> None:
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
    run(subject, 6)
    model, batch = subject.model, collate(waters()[:4])
    with torch.no_grad():
        baseline = model(batch.graph, first_only=True).baseline
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
        batch = collate(subject.training)
        assert (batch.first is None) == (limit == 0)
        found.append((subject._predicted(batch).total, subject.model.edge_unit))
    (stored, units), (anew, same) = found
    torch.testing.assert_close((stored.node, stored.edge), (anew.node, anew.edge), atol=2e-6, rtol=0)
    torch.testing.assert_close(units, same, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("before", [3, 7])
def test_staged_training_in_two_parts_equals_training_at_once_bit_for_bit(tmp_path: Path, before: int) -> None:
    config = tiny_config(stages={"mode": "staged", "first_fraction": 0.5})
    whole = trainer(config)
    run(whole, 10)
    first = trainer(config)
    run(first, before)
    first.state().save(tmp_path / STATE)
    second = trainer(config)
    second.restore(TrainState.load(tmp_path / STATE))
    run(second, 10 - before)
    ours, theirs = (t.model.state_dict() for t in (second, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(second.flat.average, whole.flat.average)
    joint = trainer(tiny_config())
    with pytest.raises(DataError, match="of a model of another size"):
        joint.restore(TrainState.load(tmp_path / STATE))


def test_learning_rate_decays_once_or_in_each_stage() -> None:
    rates = {}
    for mode in ("joint", "staged"):
        subject = trainer(tiny_config(stages={"mode": mode, "first_fraction": 0.5, "learning_rate": 3e-2}))
        rates[mode] = []
        for _ in range(10):
            subject.update()
            rates[mode].append(subject._learning_rate())
    assert np.argmax(rates["joint"]) == 0
    assert rates["joint"][4] == pytest.approx(0.5e-2)
    assert rates["staged"][3] == pytest.approx(1e-2 * 0.5 * (1 + math.cos(math.pi * 0.8)))
    assert rates["staged"][5] == pytest.approx(3e-2 * 0.5 * (1 + math.cos(math.pi * 0.2)))
    assert rates["staged"][9] < 1e-4


def test_rotated_copies_are_samples_of_the_rotated_calculation() -> None:
    schedule = {"start": 0.0, "full": 0.0}
    subject = trainer(tiny_config(model={"first": FIRST, "second": LAB}, augmentation=schedule))
    record = water_record(0)
    q = random_rotation(np.random.default_rng([subject.config.optimizer.seed, subject.step, 1]), np.pi)

    def turned(matrix):  # type: ignore[no-untyped-def]
        return rotated_matrix(matrix, record.structure.numbers, record.basis, q)

    other = replace(
        record,
        structure=record.structure.rotated(q),
        overlap=turned(record.overlap),
        hamiltonian=(turned(record.hamiltonian[0]),),
    )
    (expected,) = builder().samples([builder().raw(other)], builder().normalizer(raw_waters()[:4]))
    found = subject._augmented(collate(waters()[:1])).graph
    for name in ("vectors", "components.node", "target.node", "target.edge"):
        ours, theirs = (attrgetter(name)(graph) for graph in (found, expected.graph))
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


def test_rotations_start_small_when_the_schedule_says_so() -> None:
    subject = trainer(tiny_config(augmentation={"start": 0.3, "full": 0.8, "small_angle": 10.0}))
    batch = collate(waters()[:1])
    assert subject._augmented(batch) is batch
    subject.step = 5
    q = random_rotation(np.random.default_rng([0, 5, 1]), np.radians(10.0))
    expected = batch.graph.vectors @ torch.from_numpy(q).float().T
    torch.testing.assert_close(subject._augmented(batch).graph.vectors, expected)
    assert np.degrees(np.arccos((np.trace(q) - 1) / 2)) <= 10.0


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
    noise_blocks = Blocks(node, edge, MatrixAxis.scalars(1))
    predicted = batch.graph.target + noise_blocks
    found = orbital_errors(predicted, batch.graph, batch.orbitals)
    energies, occupied, mixing = [], [], []
    for k, raw in enumerate(raw_waters()[:2]):
        own, pairs = slice(3 * k, 3 * k + 3), slice(6 * k, 6 * k + 6)
        record = water_record(k)
        numbers = record.structure.numbers
        blocks = replace(noise_blocks, node=node[own], edge=edge[pairs])
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


def test_flat_parameters_stay_views_and_averages_come_and_go() -> None:
    subject = trainer()
    run(subject, 3)
    flat = subject.flat
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
    with flat.averaged():
        assert torch.equal(joined(), flat.average)
        assert not torch.equal(joined(), own)
    assert torch.equal(flat.vector, own)


def test_update_whose_gradient_is_not_finite_is_left_out_and_counted() -> None:
    subject = trainer(tiny_config(optimizer={"steps": 4, "batch_size": 4}, validate_every=4))
    graph = subject.training[0].graph
    assert graph.target is not None
    own = graph.target.node.clone()
    entries, steps = [], []

    def poison() -> None:
        steps.append(subject.flat.vector.detach().clone())
        graph.target.node.copy_(torch.full_like(own, math.nan) if len(steps) == 1 else own)  # type: ignore[union-attr]

    subject.run(entries.append, lambda: None, poison)
    assert torch.equal(steps[0], steps[1])
    assert not torch.equal(steps[1], steps[2])
    assert [entry.skipped for entry in entries] == [1]
    assert np.isfinite(entries[0].train_mae_all)


def test_gradient_is_clipped_to_the_largest_norm() -> None:
    flat = FlatParameters(torch.nn.Linear(3, 1), 0.9)
    flat.gradient.fill_(3.0)
    assert flat.clip(1.0) == pytest.approx(6.0)
    assert float(flat.gradient.norm()) == pytest.approx(1.0)


def test_gradient_far_above_the_usual_norm_is_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "KNOWN_AFTER", 10)
    subject = trainer(tiny_config(optimizer={"steps": 100, "batch_size": 4, "clip": 1e6, "clip_ratio": 3.0}))
    run(subject, 20)
    usual = math.sqrt(subject.optimizer.mean_square)
    plain = subject._loss
    monkeypatch.setattr(subject, "_loss", lambda batch: (1e4 * plain(batch)[0], 0.0))
    assert subject.update()[1] > 100 * usual
    assert float(subject.flat.gradient.norm()) == pytest.approx(3.0 * usual, rel=1e-4)


@pytest.mark.parametrize("shape", [(2, 12, 9), (1, 8, 30), (3, 10, 10)])
def test_orthogonalised_matrices_keep_their_singular_vectors(shape: tuple[int, int, int]) -> None:
    given = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    found = left.mT @ optimizer.orthogonalised(given) @ right.mT
    diagonal = found.diagonal(dim1=1, dim2=2)
    assert torch.allclose(found, torch.diag_embed(diagonal), atol=1e-10)
    assert (diagonal.abs() < 1.3).all()
    assert (diagonal[values > 0.1 * values.max()] > 0.6).all()
    assert not optimizer.orthogonalised(torch.zeros(shape)).any()
    assert float(optimizer.orthogonalised(1e-22 * given.float()).abs().max()) < 1e-8
    rounding = torch.stack([given[0], 1e-7 * given[0]])
    found = optimizer.orthogonalised(rounding)
    assert found[0].any()
    assert not found[1].any()


def test_muon_moves_as_far_as_adam_would() -> None:
    gradients = torch.randn(5 * 24 * 60, generator=torch.Generator().manual_seed(2))
    moved = Muon([MatrixGroup(0, 5, 24, 60)], gradients).direction(gradients, 0)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.2, rel=0.2)
    assert float((moved * gradients).sum()) > 0


def test_a_matrix_alone_of_its_shape_with_rounding_for_a_gradient_does_not_move() -> None:
    """Squares of such elements underflow, so that its norm is not what to divide by."""
    draw = torch.Generator().manual_seed(7)
    groups = [MatrixGroup(0, 1, 8, 10), MatrixGroup(80, 1, 10, 12)]
    gradient = torch.cat([1e-21 * torch.randn(80, generator=draw), torch.randn(120, generator=draw)])
    moved = Muon(groups, gradient).direction(gradient, 0)
    assert not moved[:80].any()
    assert moved[80:].all()


def soap(first: torch.Tensor) -> Soap:
    """For matrices of one shape."""
    return Soap([MatrixGroup(0, *first.shape)], first.flatten())


@pytest.mark.parametrize("method", ["muon", "soap", "adamw"])
def test_every_method_learns_and_resumes_bit_for_bit(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer, "KNOWN_AFTER", 5)
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
    assert torch.equal(again.flat.vector, whole.flat.vector)
    assert torch.equal(again.flat.average, whole.flat.average)


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
    moments = soap(torch.zeros(2, 8, optimizer.LARGEST_SIDE + 1))
    assert [(side.axis, tuple(side.basis.shape)) for side in moments.sides[0]] == [(1, (2, 8, 8))]


def test_bases_follow_the_covariance_and_keep_the_squares_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of gradients with a fixed covariance the eigenbasis stays, up to order and sign."""
    monkeypatch.setattr(optimizer, "LARGEST_SIDE", 256)
    draw = torch.Generator().manual_seed(4)
    turn = torch.linalg.qr(torch.randn(9, 9, generator=draw, dtype=torch.float64)).Q
    widths = torch.linspace(1, 3, 9, dtype=torch.float64)[:, None]
    moments = soap(torch.zeros(1, 9, 400, dtype=torch.float64))
    for updates in range(3 * optimizer.BASIS_EVERY + 1):
        gradient = turn @ (widths * torch.randn(9, 400, generator=draw, dtype=torch.float64))
        moments.direction(gradient.flatten(), updates)
    basis = moments.sides[0][0].basis[0]
    assert torch.allclose(basis.T @ basis, torch.eye(9, dtype=torch.float64), atol=1e-12)
    seen = (turn.T @ basis).abs()
    assert (seen.max(dim=1).values > 0.8).all()
    values = (moments.square.view(9, 400).mean(dim=1) / (1 - 0.99 ** (3 * optimizer.BASIS_EVERY))).sqrt()
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
    moments._rotate(mean, optimizer._Side.into_basis)
    moments.mean.copy_(moments.work)
    moments._refresh_bases()
    found = moments.square.view(size, size)
    assert torch.allclose(found if axis == 1 else found.T, values[:, None].expand(size, size))
    basis = moments.sides[0][axis - 1].basis[0]
    assert torch.allclose((turn.T @ basis).abs(), torch.eye(size, dtype=torch.float64), atol=1e-12)
    moments._rotate(moments.mean, optimizer._Side.out_of_basis)
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


def test_every_epoch_uses_every_sample_once() -> None:
    subject = trainer()
    seen = []
    for step in range(4):
        subject.step = step
        seen.append(subject._indices())
    assert sorted(seen[0] + seen[1]) == sorted(seen[2] + seen[3]) == [0, 1, 2, 3]


def test_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trainer().state().save(tmp_path / STATE)
    other = trainer(tiny_config(model={"first": FIRST, "second": None}))
    with pytest.raises(DataError, match="start anew"):
        other.restore(TrainState.load(tmp_path / STATE))
    (tmp_path / STATE).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="Delete it"):
        TrainState.load(tmp_path / STATE)


def _one_process(rank: int, folder: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    subject = trainer()
    run(subject, 1)
    np.save(folder / f"gradient{rank}.npy", subject.flat.gradient.numpy())
    run(subject, 12)
    if rank == 1:
        plain = subject._loss
        subject._loss = lambda batch: (plain(batch)[0], math.nan)  # type: ignore[method-assign]
    updates = subject.flat.updates
    assert not math.isfinite(subject.update()[1])
    assert subject.flat.updates == updates
    np.save(folder / f"weights{rank}.npy", subject.flat.vector.detach().numpy())
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, which only Linux does safely here")
def test_two_processes_give_the_gradient_of_the_joint_batch(tmp_path: Path) -> None:
    waters()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_one_process, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    alone = trainer()
    run(alone, 1)
    found = [np.load(tmp_path / f"gradient{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(found[0], found[1])
    weights = [np.load(tmp_path / f"weights{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    expected = alone.flat.gradient.numpy()
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * np.abs(expected).max(), rtol=1e-3)


def write_config(folder: Path, **changes: object) -> Path:
    """A configuration file beside a data set of six waters."""
    import yaml

    if not (folder / "waters.h5").exists():
        write_waters(folder / "waters.h5", range(6))
    settings = {
        "name": "tiny",
        "data": {"files": ["waters.h5"], "split": "ordered", "sizes": [4, 2]},
        "baseline": {"kind": "sap"},
        "model": {"first": FIRST, "second": {"kind": "circle", "layers": 1, "width": 8, "heads": 2, "points": 8}},
        "optimizer": {"steps": 4, "batch_size": 2},
        "output": str(folder / "model"),
        "validate_every": 2,
        "threads": 1,
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_command_trains_writes_a_model_and_does_not_train_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config)]) == 0
    assert "training structures" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "model" / LOG).read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 4]
    assert all(np.isfinite(list(entry.values())).all() for entry in log)
    model = ModelFile.load(tmp_path / "model")
    assert (model.functional, model.training["steps"], model.training["structures"]) == ("lda,vwn", 4, 4)
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").sha256 == model.sha256
    assert main(["train", str(config), "--quiet", "--force"]) == 0
    assert ModelFile.load(tmp_path / "model").sha256 == model.sha256
    assert len((tmp_path / "model" / LOG).read_text().splitlines()) == 2


def test_killed_training_goes_on(tmp_path: Path) -> None:
    """``kill -9`` after the first checkpoint; a second run takes the step count from there."""
    config = write_config(tmp_path, optimizer={"steps": 10**6, "batch_size": 1}, checkpoint_minutes=1e-6)
    state = tmp_path / "model" / STATE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harmose_dft", "train", str(config), "--quiet"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    reached = TrainState.load(state).step
    assert reached >= 1
    write_config(tmp_path, optimizer={"steps": reached + 2, "batch_size": 1})
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").training["steps"] == reached + 2


def test_state_of_other_data_or_settings_is_refused_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    kept = (tmp_path / "model" / STATE).read_bytes()
    write_waters(tmp_path / "more.h5", range(1, 7))
    for changes in ({"loss": {"mixing": 0.3}}, {"data": {"files": ["more.h5"], "split": "ordered", "sizes": [4, 2]}}):
        write_config(tmp_path, **changes)
        assert main(["train", str(config), "--quiet"]) != 0
        assert "other data or settings" in capsys.readouterr().err
        assert (tmp_path / "model" / STATE).read_bytes() == kept
    (tmp_path / "waters.h5").rename(tmp_path / "moved.h5")
    settings = {"files": ["moved.h5"], "split": "ordered", "sizes": [4, 2]}
    write_config(tmp_path, data=settings, optimizer={"steps": 6, "batch_size": 2})
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").training["steps"] == 6


def test_training_goes_on_from_a_model(tmp_path: Path) -> None:
    """With a vanishing learning rate the further model is the first one; its file says where it comes from."""
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    first = ModelFile.load(tmp_path / "model")
    data = {"files": (write_waters(tmp_path / "more.h5", range(3, 9)),), "split": "ordered", "sizes": (4, 2)}
    settings = {"data": data, "start_from": str(tmp_path / "model"), "output": tmp_path / "further"}
    common = {"steps": 3, "batch_size": 2, "warmup_steps": 0}

    def further(rate: float) -> ModelFile:
        config = TrainConfig.model_validate({**settings, "optimizer": {**common, "learning_rate": rate}})
        return Fit(config, silent, lambda entry: None).run()

    same = further(1e-30)
    before, after = first.network.state_dict(), same.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, array in first.normalizer.arrays().items():
        np.testing.assert_array_equal(array, same.normalizer.arrays()[name])
    assert same.baseline == first.baseline
    assert same.network.config == first.network.config
    origin = same.training["started_from"]
    assert (origin["sha256"], origin["training"]["steps"]) == (first.sha256, 4)
    loaded = ModelFile.load(tmp_path / "further")
    assert same.sha256 == loaded.sha256
    with pytest.raises(ConfigError, match="other data or settings"):
        further(1e-2)
    settings["output"] = tmp_path / "model"
    with pytest.raises(ConfigError, match="choose another folder"):
        further(1e-2)
    settings["output"] = tmp_path / "moved"
    moved = further(1e-2).network.state_dict()
    assert not all(torch.equal(before[name], moved[name]) for name in before)
    written = ModelFile.load(tmp_path / "moved").network.state_dict()
    assert all(torch.equal(written[name], moved[name]) for name in written)


def test_model_that_does_not_fit_the_data_is_not_trained_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    start = {"start_from": str(tmp_path / "model"), "output": str(tmp_path / "further")}
    assert main(["train", str(write_config(tmp_path, **start))]) != 0
    assert "brings its own baseline, model" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"stages\.mode staged is for new models"):
        TrainConfig.model_validate({**start, "stages": {"mode": "staged"}})
    with pytest.raises(ValueError, match="brings its own filling"):
        TrainConfig.model_validate({**start, "filling": {"spacing": 0.2}})
    from harmose_dft.adapters.pyscf import reference
    from harmose_dft.data import DatasetWriter

    write_waters(tmp_path / "pbe.h5", range(6), functional="pbe")
    with DatasetWriter(tmp_path / "basis.h5") as writer:
        writer.add(reference(water(0), "lda,vwn", "6-31g", grid_level=0))
    for name, error, said in (
        ("pbe.h5", DataError, "trained on lda,vwn calculations; these data sets hold pbe"),
        ("basis.h5", BasisMismatchError, "orbitals of H differ"),
    ):
        data = {"files": (tmp_path / name,), "split": "ordered", "sizes": (4, 2) if name == "pbe.h5" else (1, 0)}
        with pytest.raises(error, match=said):
            Fit(TrainConfig.model_validate({**start, "data": data}), silent, print).run()
    assert not (tmp_path / "further").exists()


def test_parts_are_taken_from_every_data_set(tmp_path: Path) -> None:
    files = tuple(write_waters(tmp_path / f"{k}.h5", range(3 * k, 3 * k + 3)) for k in range(2))
    settings = {"files": files, "split": "ordered", "sizes": (2, 1), "max_training": 2}
    data = open_training_data(tiny_config(data=settings))
    assert data.records("train") == [(0, 0), (1, 0)]
    assert data.records("validation") == [(0, 2), (1, 2)]


def test_calculations_of_several_functionals_are_refused(tmp_path: Path) -> None:
    files = (write_waters(tmp_path / "a.h5", [0]), write_waters(tmp_path / "b.h5", [1], functional="pbe"))
    settings = {"files": files, "split": "ordered", "sizes": (1, 0)}
    with pytest.raises(DataError, match=r"several functionals \(lda,vwn, pbe\)"):
        open_training_data(tiny_config(data=settings))
    same = (files[0], write_waters(tmp_path / "c.h5", [2], functional="LDA,VWN"))
    found = open_training_data(tiny_config(data={**settings, "files": same}))
    assert found.functional.lower() == "lda,vwn"


def test_length_of_a_staged_run_is_fixed(tmp_path: Path) -> None:
    """A longer one would go back to the first stage alone."""
    config = write_config(tmp_path, stages={"mode": "staged"})
    assert main(["train", str(config), "--quiet"]) == 0
    write_config(tmp_path, stages={"mode": "staged"}, optimizer={"steps": 40, "batch_size": 2})
    assert main(["train", str(config), "--quiet"]) != 0


def test_model_without_the_state_of_its_training_is_replaced_with_force_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    (tmp_path / "model" / "state.safetensors").unlink()
    written = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    assert main(["train", str(config), "--quiet"]) == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == written
    assert main(["train", str(config), "--quiet", "--force"]) == 0
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns > written


def test_file_in_place_of_the_models_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    (tmp_path / "model").write_text("precious")
    assert main(["train", str(config), "--quiet", "--force"]) == 1
    assert "is a file and was left as it is" in capsys.readouterr().err
    assert (tmp_path / "model").read_text() == "precious"


def test_recorded_figures_survive_a_second_run_of_a_finished_training(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    data = str(tmp_path / "waters.h5")
    assert main(["evaluate", str(tmp_path / "model"), data, "--part", "validation", "--record", "--quiet"]) == 0
    recorded = ModelFile.load(tmp_path / "model").metrics
    assert list(recorded) == ["waters.h5 (validation)"]
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").metrics == recorded


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_resumes_on_a_gpu(tmp_path: Path) -> None:
    first = trainer(tiny_config(device="cuda"))
    run(first, 2)
    first.state().save(tmp_path / STATE)
    second = trainer(tiny_config(device="cuda"))
    second.restore(TrainState.load(tmp_path / STATE))
    assert np.isfinite(run(second, 2)).all()


def test_fit_finds_its_data_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.files"):
        Fit(tiny_config(), silent, print).run()
    data = write_waters(tmp_path / "waters.h5", range(2))
    settings = {"files": (data,), "split": "ordered", "sizes": (9, 1)}
    with pytest.raises(DataError, match="needs 10 records"):
        Fit(tiny_config(data=settings), silent, print).run()


def test_sizes_that_do_not_fit_are_errors_of_the_configuration() -> None:
    for second in ({"kind": "circle", "points": 5, "layers": 1}, {**LAB, "heads": 3}):
        config = tiny_config(model={"first": {**FIRST, "l_max": 4}, "second": second})
        with pytest.raises(ConfigError, match="section model"):
            trainer(config)


def test_open_shell_calculations_are_refused() -> None:
    record = water_record(0)
    with pytest.raises(DataError, match="closed-shell"):
        builder().raw(replace(record, hamiltonian=record.hamiltonian * 2))
    assert len(water(0)) == 3

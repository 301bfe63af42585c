"""Interrupted runs resume bit for bit, and only with their own data and settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_training import FIRST, run, trainer, write_config

from harmose_dft.cli import main
from harmose_dft.core.errors import CheckpointError, DataError
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.testing.models import tiny_config, write_waters
from harmose_dft.training.folder import LOG, STATE, RunFolder
from harmose_dft.training.loop import Trainer
from harmose_dft.training.state import TrainState


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
    assert torch.equal(second.course.flat.vector, whole.course.flat.vector)
    assert torch.equal(second.course.flat.average, whole.course.flat.average)


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
    assert torch.equal(second.course.flat.average, whole.course.flat.average)
    joint = trainer(tiny_config())
    with pytest.raises(DataError, match="of a model of another size"):
        joint.restore(TrainState.load(tmp_path / STATE))


def test_state_has_the_tensors_that_earlier_versions_wrote(tmp_path: Path) -> None:
    """Names as of version 0.1: stage 1 alone with SOAP; then stage 2 alone, with everything that no longer moves."""
    subject = trainer(tiny_config(stages={"mode": "staged", "first_fraction": 0.5}))
    run(subject, 5)
    always = {"parameters", "average", "adam_mean", "adam_square", "mean_square"}

    def written() -> dict[str, torch.Tensor]:
        subject.state().save(tmp_path / STATE)
        return TrainState.load(tmp_path / STATE).tensors

    def soap(sides: int) -> set[str]:
        return {"matrices_mean", "matrices_square"} | {
            f"matrices_{kind}_{n}" for kind in ("covariance", "basis") for n in range(sides)
        }

    sides = 2 * len(subject.course.flat.groups)
    assert sides > 0
    first = written()
    assert set(first) == always | soap(sides)
    assert len(first["parameters"]) == sum(p.numel() for p in subject.model.first.parameters())
    run(subject, 1)
    second, sides = written(), 2 * len(subject.course.flat.groups)
    names = {name for name in subject.model.state_dict() if not name.startswith("second.")}
    assert {"first.embed_node.weight", "node_scale", "edge_unit"} <= names
    assert set(second) == always | soap(sides) | {f"kept.{name}" for name in names}
    assert len(second["parameters"]) == sum(p.numel() for p in subject.model.second.parameters())
    whole = trainer(tiny_config(optimizer={"method": "adamw", "steps": 10}))
    whole.state().save(tmp_path / STATE)
    assert set(TrainState.load(tmp_path / STATE).tensors) == always


def test_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trainer().state().save(tmp_path / STATE)
    other = trainer(tiny_config(model={"first": FIRST, "second": None}))
    with pytest.raises(DataError, match="start anew"):
        other.restore(TrainState.load(tmp_path / STATE))
    (tmp_path / STATE).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="Delete it"):
        TrainState.load(tmp_path / STATE)


def test_killed_training_goes_on(tmp_path: Path) -> None:
    """``kill -9`` after the first checkpoint; a second run takes the step count from there."""
    config = write_config(tmp_path, optimizer={"steps": 10**6, "batch_size": 1}, checkpoint_minutes=1e-6)
    state = tmp_path / "model" / STATE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harmose_dft", "train", str(config), "--quiet"]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if state.is_file() and TrainState.load(state).step > 0:
                break
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    reached = TrainState.load(state).step
    assert reached >= 1
    write_config(tmp_path, optimizer={"steps": reached + 2, "batch_size": 1})
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").training["steps"] == reached + 2


def start_to_train(config: Path, state: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, once it has written its first checkpoint."""
    command = [sys.executable, "-m", "harmose_dft", "train", str(config), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not state.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    assert process.poll() is None
    return process


def test_second_run_in_one_folder_is_refused_until_the_first_is_terminated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM ends the first one in one sentence, with code 143 = 128 + 15, and leaves nothing half-written."""
    config = write_config(tmp_path, optimizer={"steps": 10**6, "batch_size": 1}, checkpoint_minutes=1e-6)
    state = tmp_path / "model" / STATE
    with start_to_train(config, state) as process:
        log = (tmp_path / "model" / "log.jsonl").exists()
        for option in ([], ["--force"]):
            assert main(["train", str(config), "--quiet", *option]) == 1
            assert "Another run is training in" in capsys.readouterr().err
        assert state.is_file()
        assert (tmp_path / "model" / "log.jsonl").exists() >= log
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors.strip().startswith("error: Terminated.")
    assert len(errors.split("\n")) <= 3
    assert {p.name for p in (tmp_path / "model").iterdir()} <= {STATE, "log.jsonl", ".lock"}
    reached = TrainState.load(state).step
    write_config(tmp_path, optimizer={"steps": reached + 2, "batch_size": 1})
    assert main(["train", str(config), "--quiet"]) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_training_keeps_its_last_update(tmp_path: Path, number: signal.Signals) -> None:
    """No checkpoint was due; the log has every step once when the run has gone on."""
    config = write_config(tmp_path, optimizer={"steps": 10**6, "batch_size": 1}, validate_every=1)
    log = tmp_path / "model" / "log.jsonl"
    command = [sys.executable, "-m", "harmose_dft", "train", str(config), "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.read_text().count("\n") > 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    reached = TrainState.load(tmp_path / "model" / STATE).step
    assert f"model holds the state after step {reached}. The same command without --force goes on." in errors
    with log.open("a") as file:  # a line after the last checkpoint, and one that was cut off
        file.write(json.dumps({"step": reached + 1}) + '\n{"step": ')
    write_config(tmp_path, optimizer={"steps": reached + 2, "batch_size": 1}, validate_every=1)
    assert main(["train", str(config), "--quiet"]) == 0
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == list(range(1, reached + 3))


def test_damaged_lines_of_a_log_are_left_out(tmp_path: Path) -> None:
    """The log only tells what a run was like; a disk's error in it must not end one. The last line lacks its end."""
    (tmp_path / LOG).write_bytes(
        b'{"step": 1, "valid_mae_all": 5.0}\n\xff\xfe{"step": 2}\n[]\n{"step": "x"}\n' + b"[" * 100_000
        + b'\n{"step": 3}\n{"step": 4, "valid_mae_all": null}\n{"step": 7, "valid_mae_all": 4.0}\n{"step": 6, "vali'
        b'\n{"step": 5, "valid_mae_all": 3.5}'
    )
    folder = RunFolder(tmp_path)
    assert folder.validation_errors() == {1: 5.0, 7: 4.0, 5: 3.5}
    folder.begin_log(5)
    lines = (tmp_path / LOG).read_text(encoding="utf-8").splitlines(keepends=True)
    assert [json.loads(line)["step"] for line in lines] == [1, 3, 4, 5]
    assert all(line.endswith("\n") for line in lines)


def test_state_of_other_data_or_settings_is_refused_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    kept = (tmp_path / "model" / STATE).read_bytes()
    write_waters(tmp_path / "more.h5", range(1, 7))
    other_file = {"data": {"files": ["more.h5"], "split": "ordered", "sizes": [4, 2]}}
    for changes, differences in (
        ({"loss": {"mixing": 0.3}}, "loss.mixing = 0.3, then 0.1"),
        (other_file, "the contents or the order of data.files"),
    ):
        write_config(tmp_path, **changes)
        assert main(["train", str(config), "--quiet"]) != 0
        assert f"other data or settings ({differences})" in capsys.readouterr().err
        assert (tmp_path / "model" / STATE).read_bytes() == kept
    (tmp_path / "waters.h5").rename(tmp_path / "moved.h5")
    settings = {"files": ["moved.h5"], "split": "ordered", "sizes": [4, 2]}
    write_config(tmp_path, data=settings, optimizer={"steps": 6, "batch_size": 2})
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").training["steps"] == 6


def test_forced_run_that_is_killed_at_once_leaves_nothing_of_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own state takes the place of the earlier one's before the first update, and stands in no other run's way."""
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0

    def killed(*_: object) -> None:
        raise SystemExit(137)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", killed)
        with pytest.raises(SystemExit, match="137"):
            main(["train", str(config), "--quiet", "--force"])
    assert TrainState.load(tmp_path / "model" / STATE).step == 0
    write_config(tmp_path, optimizer={"steps": 3, "batch_size": 1})
    assert main(["train", str(config), "--quiet"]) == 0
    log = (tmp_path / "model" / LOG).read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [2, 3]


def test_data_sets_in_another_order_are_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Batches follow the order of the files."""
    write_waters(tmp_path / "more.h5", range(6, 12))
    settings = {"files": ["waters.h5", "more.h5"], "split": "ordered", "sizes": [4, 2]}
    config = write_config(tmp_path, data=settings)
    assert main(["train", str(config), "--quiet"]) == 0
    write_config(tmp_path, data={**settings, "files": ["more.h5", "waters.h5"]})
    assert main(["train", str(config), "--quiet"]) != 0
    assert "(the contents or the order of data.files)" in capsys.readouterr().err


def test_states_of_earlier_releases_name_no_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    path = tmp_path / "model" / STATE
    replace(TrainState.load(path), settings={}).save(path)
    write_config(tmp_path, loss={"mixing": 0.3})
    assert main(["train", str(config), "--quiet"]) != 0
    assert "(or of an older version)" in capsys.readouterr().err


@pytest.mark.parametrize("settings", ["[]", "{", "[" * 100_000])
def test_state_with_damaged_settings_is_refused(tmp_path: Path, settings: str) -> None:
    numbers = {"step": "1", "seconds": "1.0", "updates": "1", "settings": settings}
    save_file({"parameters": torch.zeros(2)}, tmp_path / STATE, metadata=numbers)
    with pytest.raises(CheckpointError, match="Delete it"):
        TrainState.load(tmp_path / STATE)


def test_run_that_is_made_shorter_than_it_is_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    assert main(["train", str(config)]) == 0
    assert "optimizer.steps" not in capsys.readouterr().err
    write_config(tmp_path, optimizer={"steps": 2, "batch_size": 2})
    assert main(["train", str(config)]) == 0
    assert "optimizer.steps = 2, but the run has had 4 updates already" in capsys.readouterr().err
    assert ModelFile.load(tmp_path / "model").training["steps"] == 4
    write_config(tmp_path, optimizer={"minutes": 1e-9, "batch_size": 2})
    assert main(["train", str(config)]) == 0
    assert "optimizer.minutes = 1e-09, but the run has had 0.0 minutes already" in capsys.readouterr().err


def test_length_of_a_staged_run_is_fixed(tmp_path: Path) -> None:
    """A longer one would go back to the first stage alone."""
    config = write_config(tmp_path, stages={"mode": "staged"})
    assert main(["train", str(config), "--quiet"]) == 0
    write_config(tmp_path, stages={"mode": "staged"}, optimizer={"steps": 40, "batch_size": 2})
    assert main(["train", str(config), "--quiet"]) != 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_resumes_on_a_gpu(tmp_path: Path) -> None:
    first = trainer(tiny_config(device="cuda"))
    run(first, 2)
    first.state().save(tmp_path / STATE)
    second = trainer(tiny_config(device="cuda"))
    second.restore(TrainState.load(tmp_path / STATE))
    assert np.isfinite(run(second, 2)).all()

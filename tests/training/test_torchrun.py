"""``torchrun`` of the command: two processes learn what one learns, and what they learned a first time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_training import write_config

from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.training.folder import LOG

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
"""What the command ``torchrun`` runs."""

ROUNDING = 2e-3
"""Relative; sums in another order are amplified by four updates of a tiny model."""


def train(folder: Path, *launch: str) -> tuple[list[dict[str, float]], ModelFile]:
    """The training log and the model of a run of four updates in a process, or processes, of its own."""
    folder.mkdir()
    config = write_config(folder)
    process = subprocess.run(
        [sys.executable, *launch, "-m", "harmose_dft", "train", str(config), "--quiet"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    log = [json.loads(line) for line in (folder / "model" / LOG).read_text().splitlines()]
    return log, ModelFile.load(folder / "model")


@pytest.mark.skipif(sys.platform != "linux", reason="gloo over the loopback interface")
def test_two_processes_learn_what_one_does_and_the_same_each_time(tmp_path: Path) -> None:
    alone, model = train(tmp_path / "alone")
    together, shared = train(tmp_path / "together", *LAUNCH)
    again, repeated = train(tmp_path / "again", *LAUNCH)
    assert [entry["step"] for entry in together] == [entry["step"] for entry in alone] == [2, 4]
    for name in ("valid_mae_stage1", "valid_mae_all"):
        results, expected = ([entry[name] for entry in log] for log in (together, alone))
        np.testing.assert_allclose(results, expected, rtol=ROUNDING)
    assert shared.sha256 == repeated.sha256
    assert [entry["valid_mae_all"] for entry in together] == [entry["valid_mae_all"] for entry in again]
    weights = (m.network.state_dict() for m in (model, shared))
    for (name, left), right in zip(next(weights).items(), next(weights).values(), strict=True):
        np.testing.assert_allclose(right, left, atol=1e-3, rtol=1e-2, err_msg=name)

"""Several processes learn together."""

from __future__ import annotations

import math
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import run, trainer, waters

from harmose_dft.testing.models import tiny_config


def _one_process(rank: int, folder: Path, batch: int) -> None:
    torch.distributed.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    subject = trainer(tiny_config(optimizer={"batch_size": batch}))
    run(subject, 1)
    np.save(folder / f"gradient{rank}.npy", subject.course.flat.gradient.numpy())
    run(subject, 12)
    if rank == 1:
        plain = subject.objective
        subject.objective = lambda *a, **o: (plain(*a, **o)[0], torch.tensor(math.nan))  # type: ignore[assignment]
    updates = subject.course.flat.updates
    assert not math.isfinite(subject.update()[1])
    assert subject.course.flat.updates == updates
    np.save(folder / f"weights{rank}.npy", subject.course.flat.vector.detach().numpy())
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, which only Linux does safely here")
def test_two_processes_give_the_gradient_of_the_joint_batch(tmp_path: Path, batch: int) -> None:
    """Also where their shares differ, or where there is none for the second one."""
    waters()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_one_process, args=(rank, tmp_path, batch)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    alone = trainer(tiny_config(optimizer={"batch_size": batch}))
    run(alone, 1)
    found = [np.load(tmp_path / f"gradient{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(found[0], found[1])
    weights = [np.load(tmp_path / f"weights{rank}.npy") for rank in range(2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    expected = alone.course.flat.gradient.numpy()
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * np.abs(expected).max(), rtol=1e-3)

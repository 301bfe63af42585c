"""Labelling and prediction by Dask's workers: killed workers lose nothing, files are those of one process, refusals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harmose_dft.cli import main
from harmose_dft.core.errors import ArgumentError, DataError, HarmoseError
from harmose_dft.core.structure import Structure
from harmose_dft.data import open_dataset, structure_id
from harmose_dft.workflows.cluster import Workers, open_cluster
from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_run import PARTS_SUFFIX
from harmose_dft.workflows.label_settings import LabelSettings

distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

FAST = LabelSettings("lda", "sto-3g", 0)


def hydrogens(count: int) -> list[Structure]:
    """H2 of different lengths."""
    return [Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, x]])) for x in np.linspace(1.2, 1.8, count)]


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """Two worker processes of this machine, which are started again when they die."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


def kill_a_worker(cluster: Any) -> None:
    """kill -9 of a worker process, as a machine's out-of-memory killer does it."""
    pids = [nanny.pid for nanny in cluster.workers.values() if nanny.pid is not None]
    os.kill(pids[0], signal.SIGKILL)


def test_labels_of_killed_workers_are_calculated_by_others(workers: Any, tmp_path: Path) -> None:
    structures, out = hydrogens(24), tmp_path / "a.h5"
    parts = out.with_name(out.name + PARTS_SUFFIX)
    killed: list[int] = []

    def kill_twice() -> None:
        deadline = time.monotonic() + 240
        for least in (2, 6):
            while len(list(parts.glob("[!.]*.h5"))) < least and time.monotonic() < deadline:
                time.sleep(0.02)
            kill_a_worker(workers)
            killed.append(len(list(parts.glob("[!.]*.h5"))))

    thread = threading.Thread(target=kill_twice)
    thread.start()
    summary = label(structures, out, FAST, jobs=2, scheduler=workers.scheduler_address)
    thread.join()
    assert len(killed) == 2
    assert max(killed) < 24, "the workers were killed when all was done"
    assert (summary.records, summary.failures) == (24, ())
    assert [structure_id(r.structure) for r in open_dataset(out)] == [structure_id(s) for s in structures]
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    again = label(structures, out, FAST, jobs=2, scheduler=workers.scheduler_address)
    assert (again.done, again.skipped) == (0, 24)


def test_records_are_those_of_one_process(workers: Any, tmp_path: Path) -> None:
    structures = hydrogens(3)
    label(structures, tmp_path / "a.h5", FAST)
    label(structures, tmp_path / "b.h5", FAST, scheduler=workers.scheduler_address)
    for alone, shared in zip(open_dataset(tmp_path / "a.h5"), open_dataset(tmp_path / "b.h5"), strict=True):
        np.testing.assert_allclose(shared.hamiltonian[0].values, alone.hamiltonian[0].values, atol=1e-8)
        np.testing.assert_array_equal(shared.structure.positions, alone.structure.positions)


def test_failures_are_kept_apart(workers: Any, tmp_path: Path) -> None:
    ion = Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 1.4]]), charge=1)
    summary = label([*hydrogens(2), ion], tmp_path / "a.h5", FAST, scheduler=workers.scheduler_address)
    assert (summary.records, len(summary.failures)) == (2, 1)
    assert "odd number of electrons" in summary.failures[0].reason


DEADLY = ("0", "__import__('os')._exit(1)", "2", "3", "4")
"""Tasks for ``eval``, which workers can import; this module they cannot."""


def test_task_that_kills_its_workers_is_given_up_and_the_others_are_done(workers: Any) -> None:
    done: list[int] = []
    with open_cluster(workers.scheduler_address, 2) as cluster, pytest.raises(DataError, match="1 tasks were given up"):
        done.extend(result for _, result in cluster.run(eval, [(text,) for text in DEADLY]))
    assert sorted(done) == [0, 2, 3, 4]


def test_results_come_in_the_order_of_the_tasks_and_values_are_shared(workers: Any) -> None:
    with open_cluster(workers.scheduler_address, 2) as cluster:
        shared = cluster.share(np.arange(5))
        assert list(cluster.run_in_order(np.multiply, [(n, 2) for n in range(30)])) == [2 * n for n in range(30)]
        assert [int(total) for total in cluster.run_in_order(np.sum, [(shared,)])] == [10]


def test_values_are_shared_once_the_first_worker_is_there() -> None:
    """As jobs that wait in a queue; Dask's own patience is cut from 30 s."""
    import dask

    patience = dask.config.set({"distributed.comm.timeouts.connect": "2s"})
    alone = distributed.LocalCluster(n_workers=0, threads_per_worker=1, processes=True, dashboard_address=":0")
    with patience, alone, open_cluster(alone.scheduler_address, 1) as cluster:
        threading.Timer(4.0, alone.scale, [1]).start()
        shared = cluster.share(np.arange(5))
        assert [int(total) for total in cluster.run_in_order(np.sum, [(shared,)])] == [10]


def test_a_scheduler_without_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harmose_dft.workflows.cluster.PATIENCE", 1.0)
    alone = distributed.LocalCluster(n_workers=0, threads_per_worker=1, processes=True, dashboard_address=":0")
    refusal = pytest.raises(HarmoseError, match="no worker for 1 s")
    with alone, open_cluster(alone.scheduler_address, 1) as cluster, refusal:
        cluster.share(1)


def test_tasks_whose_workers_are_all_gone_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """They ran once; a task that takes longer than the patience does not end it."""
    monkeypatch.setattr("harmose_dft.workflows.cluster.PATIENCE", 1.0)
    alone = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0")
    with alone, open_cluster(alone.scheduler_address, 1) as cluster:
        assert list(cluster.run(time.sleep, [(3.0,)])) == [(0, None)]
        alone.scale(0)
        with pytest.raises(HarmoseError, match="no worker for 1 s"):
            list(cluster.run(abs, [(-1,)]))


def test_error_of_a_task_is_raised(workers: Any) -> None:
    with open_cluster(workers.scheduler_address, 1) as cluster, pytest.raises(ValueError, match="invalid literal"):
        list(cluster.run(int, [("seven",)]))


def test_predictions_by_workers_give_the_same_files(workers: Any, tmp_path: Path) -> None:
    from harmose_dft.output import read_results
    from harmose_dft.workflows.predict import predict_files

    paths = []
    for name, length in (("a", 1.09), ("b", 1.10), ("c", 1.08)):
        text = "5\n\nC 0 0 0\n" + "".join(
            f"H {x * length / 3**0.5} {y * length / 3**0.5} {z * length / 3**0.5}\n"
            for x, y, z in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        )
        paths.append(tmp_path / f"{name}.xyz")
        paths[-1].write_text(text)
    alone = predict_files(paths, out=tmp_path / "alone.h5", refine=False)
    shared = predict_files(
        paths, out=tmp_path / "shared.h5", refine=False, workers=Workers(workers.scheduler_address, 2)
    )
    assert [s.source for s in shared] == [s.source for s in alone]
    for left, right in zip(read_results(tmp_path / "alone.h5"), read_results(tmp_path / "shared.h5"), strict=True):
        np.testing.assert_allclose(right.spectrum.energies, left.spectrum.energies, atol=1e-5)
        np.testing.assert_allclose(
            right.record.hamiltonian[0].values, left.record.hamiltonian[0].values, atol=1e-5
        )


def test_command_starts_its_own_workers(tmp_path: Path) -> None:
    (tmp_path / "h2.xyz").write_text("".join(f"2\n\nH 0 0 0\nH 0 0 {x}\n" for x in (0.7, 0.72, 0.74)))
    arguments = ["label", "h2.xyz", "-o", "a.h5", "--scheduler", "local", "--jobs", "2", "--xc", "lda", "--basis",
                 "sto-3g", "--grid-level", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "harmose_dft", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(open_dataset(tmp_path / "a.h5")) == 3


def test_slurm_jobs_are_asked_for_through_dask_jobqueue(monkeypatch: pytest.MonkeyPatch, workers: Any) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    asked: list[int] = []

    class Recorder:
        """Stands for SLURM: the workers of this machine."""

        def __init__(self) -> None:
            self.scheduler_address = workers.scheduler_address

        def scale(self, jobs: int) -> None:
            asked.append(jobs)

        def close(self) -> None:
            asked.append(0)

    monkeypatch.setattr(jobqueue, "SLURMCluster", Recorder)
    monkeypatch.setattr(distributed, "Client", lambda cluster: Client(cluster.scheduler_address))
    with open_cluster("slurm", 7) as cluster:
        assert list(cluster.run_in_order(abs, [(-3,)])) == [3]
    assert asked == [7, 0]


Client = distributed.Client


def test_incomplete_description_of_slurm_jobs_is_explained() -> None:
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(HarmoseError, match=r"Give cores, memory, queue and walltime"):
        open_cluster("slurm", 1).__enter__()


def test_unknown_schedulers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArgumentError, match=r"no scheduler 'pbs'; give local, slurm, or the address"):
        open_cluster("pbs", 1).__enter__()
    (tmp_path / "h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    arguments = ["label", str(tmp_path / "h2.xyz"), "-o", str(tmp_path / "a.h5"), "--scheduler", "pbs"]
    assert main(arguments) == 2
    assert "no scheduler 'pbs'" in capsys.readouterr().err

"""Who calculates the structures of a labelling run: this process, processes of one thread each, or Dask's workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ..core.errors import DataError, HarmoseError
from ..core.structure import Structure
from .cluster import open_cluster
from .label_run import LabelRun

QUEUE_FACTOR = 4
"""Tasks handed out per process at a time."""


def calculate_all(todo: dict[str, Structure], run: LabelRun, jobs: int, scheduler: str | None) -> Iterator[str]:
    """Calculate structures and write their parts.

    Args:
        todo: Identity -> structure.
        run: Where the parts go.
        jobs: Number of processes or workers.
        scheduler: Whose workers calculate, see :func:`~harmose_dft.workflows.cluster.open_cluster`; None: this
            machine's processes.

    Yields:
        The identity of each structure when its part, or the note of its failure, is on disk.

    Raises:
        DataError: A process or worker died.
    """
    if scheduler is not None:
        with open_cluster(scheduler, jobs) as cluster:
            for _, done in cluster.run(_calculate, ((key, structure, run) for key, structure in todo.items())):
                yield done
        return
    if jobs == 1 or len(todo) <= 1:
        for key, structure in todo.items():
            yield _calculate(key, structure, run)
        return
    with _pool(min(jobs, len(todo))) as pool:
        waiting = iter(todo.items())
        running: set[Future[str]] = set()
        while True:
            while len(running) < QUEUE_FACTOR * jobs and (item := next(waiting, None)) is not None:
                with _hold_interrupts():
                    running.add(pool.submit(_calculate, *item, run))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()


@contextmanager
def _hold_interrupts() -> Iterator[None]:
    """Block Ctrl-C while processes may start: they inherit that, and would else end in the midst of their imports."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes of one thread each, ended at once if the block is left by an error or Ctrl-C."""
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    other_children = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise DataError(
            "A process that was calculating died, probably for lack of memory. What was finished is kept; run the "
            "command again with fewer --jobs."
        ) from error
    except BaseException:
        for process in set(multiprocessing.active_children()) - other_children:
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _calculate(key: str, structure: Structure, run: LabelRun) -> str:
    """Calculate one structure and write its part, or a note of its failure."""
    try:
        record = run.settings.calculate(structure)
    except Exception as error:  # whatever goes wrong with one molecule must not stop the others
        reason = str(error) if isinstance(error, HarmoseError) else f"{type(error).__name__}: {error}"
        run.add_failure(key, structure, reason)
    else:
        run.add(key, record)
    return key

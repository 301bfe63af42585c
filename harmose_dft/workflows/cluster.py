"""Many structures on many machines: tasks handed to Dask's workers, on this machine, by SLURM, or at an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import ArgumentError, DataError, HarmoseError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")

ADDRESSES = ("tcp://", "tls://")
"""How addresses of running schedulers begin."""

SCHEDULERS = "local, slurm, or the address of a running scheduler (tcp://HOST:PORT, tls://HOST:PORT)"

PATIENCE = 300.0
"""Seconds in which a scheduler has to have a worker, unless it puts jobs into a queue."""

QUEUE_FACTOR = 4
"""Tasks handed out per worker at a time."""


@dataclass(frozen=True)
class Workers:
    """Workers to which tasks are handed; this process writes the files all the same.

    Args:
        scheduler: See :func:`open_cluster`; None: no workers.
        count: Processes or SLURM jobs that the scheduler starts.
    """

    scheduler: str | None = None
    count: int = 1


NO_WORKERS = Workers()
"""All tasks run in this process."""


class Cluster:
    """Workers that run tasks; a task whose worker dies is run again by another one, up to three times.

    Dask blames every task that a dead worker held, so that a task may be given up for its neighbour. Those that are
    given up are therefore run once more at the end, one by one, where the guilty ones alone fail.

    Args:
        client: Dask's client.
        jobs: Number of workers that were asked for; there may be more or fewer at times.
        patience: Seconds without any worker after which to give up; None where workers may wait in a queue.
    """

    def __init__(self, client: Client, jobs: int, patience: float | None = None) -> None:
        self.client, self.jobs, self.patience = client, jobs, patience

    def share(self, value: T) -> T:
        """Send a value, such as a model, to every worker once; the result stands for it among a task's arguments.

        Waits for the first worker; Dask itself would give up after 30 s, which a queue of jobs may exceed.

        Raises:
            HarmoseError: There is none in time.
        """
        self._wait_for_worker()
        shared: T = self.client.scatter([value], broadcast=True)[0]
        return shared

    def run(self, function: Callable[..., T], tasks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Run a function on the arguments of each task.

        Args:
            function: Of a module that workers can import; it may be run twice for a task.
            tasks: Arguments.

        Yields:
            Number of a task and its result, as they are finished.

        Raises:
            DataError: Tasks were given up because the workers that ran them died; the others are done.
            HarmoseError: All workers have died, and no other one came in time.
        """
        from distributed import KilledWorker

        suspects: list[tuple[int, tuple[Any, ...]]] = []
        yield from self._run_queue(function, enumerate(tasks), suspects)
        lost = 0
        for number, arguments in suspects:
            future = self.client.submit(function, *arguments, pure=False)
            self._wait_for_first([future])
            try:
                result: T = future.result()
            except KilledWorker:
                lost += 1
            else:
                yield number, result
        if lost:
            raise DataError(
                f"{lost} tasks were given up because the workers that ran them died several times, probably for lack "
                "of memory. What was finished is kept; run the command again with fewer or larger workers."
            )

    def _run_queue(
        self,
        function: Callable[..., T],
        waiting: Iterator[tuple[int, tuple[Any, ...]]],
        suspects: list[tuple[int, tuple[Any, ...]]],
    ) -> Iterator[tuple[int, T]]:
        """Run numbered tasks, several for each worker at a time; those that are given up join the suspects."""
        from distributed import KilledWorker

        running: dict[Any, tuple[int, tuple[Any, ...]]] = {}

        def submit(count: int) -> None:
            for task in islice(waiting, count):
                running[self.client.submit(function, *task[1], pure=False)] = task

        submit(QUEUE_FACTOR * max(self.jobs, len(self.client.scheduler_info()["workers"])))
        while running:
            for future in self._wait_for_first(list(running)):
                error, task = future.exception(), running.pop(future)
                if isinstance(error, KilledWorker):
                    suspects.append(task)
                elif error is not None:
                    raise error
                else:
                    result = future.result()
                    future.release()  # or it would be computed again if its worker died later
                    yield task[0], result
                submit(1)

    def _wait_for_first(self, futures: list[Any]) -> set[Any]:
        """Wait until some of the tasks are done, and return these.

        Raises:
            HarmoseError: Nothing has been done, and there has been no worker for too long.
        """
        from distributed import wait

        while True:
            try:
                done: set[Any] = wait(futures, timeout=self.patience, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                self._wait_for_worker()
            else:
                return done

    def _wait_for_worker(self) -> None:
        """Wait for a worker.

        Raises:
            HarmoseError: There is none in time.
        """
        try:
            self.client.wait_for_workers(1, timeout=self.patience)
        except TimeoutError as error:
            raise HarmoseError(
                f"The scheduler has had no worker for {self.patience:g} s. Have its workers died, or were none started?"
            ) from error

    def run_in_order(self, function: Callable[..., T], tasks: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """The results of :meth:`run` in the order of the tasks."""
        early: dict[int, T] = {}
        n_done = 0
        for number, result in self.run(function, tasks):
            early[number] = result
            while n_done in early:
                yield early.pop(n_done)
                n_done += 1


@contextmanager
def open_cluster(scheduler: str, jobs: int) -> Iterator[Cluster]:
    """Start workers, or connect to those of a running scheduler; what was started is ended with the block.

    Args:
        scheduler: "local": processes of one thread on this machine; "slurm": jobs as the section ``jobqueue.slurm`` of
            Dask's configuration describes them; "tcp://HOST:PORT": a scheduler that is running.
        jobs: Number of processes or jobs to start.

    Raises:
        ArgumentError: It is none of these.
        HarmoseError: Dask is not installed, or the scheduler does not answer.
    """
    if scheduler not in ("local", "slurm") and not scheduler.startswith(ADDRESSES):
        raise ArgumentError(f"There is no scheduler {scheduler!r}; give {SCHEDULERS}.")
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise HarmoseError(
            "A scheduler needs Dask, which is not installed. Install it with: pip install 'harmose-dft[distributed]'"
        ) from error
    workers: Any = None
    if scheduler == "local":
        workers = LocalCluster(n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=":0")
    elif scheduler == "slurm":
        workers = _open_slurm(jobs)
    try:
        client = Client(workers or scheduler)
    except (OSError, ValueError) as error:
        raise HarmoseError(f"The scheduler {scheduler} does not answer ({error}). Is it running?") from error
    try:
        yield Cluster(client, jobs, None if scheduler == "slurm" else PATIENCE)
    finally:
        client.close()
        if workers is not None:
            workers.close()


def open_workers(workers: Workers) -> AbstractContextManager[Cluster | None]:
    """The cluster of :func:`open_cluster`; None where no workers are asked for."""
    return nullcontext(None) if workers.scheduler is None else open_cluster(workers.scheduler, workers.count)


def _open_slurm(jobs: int) -> Any:
    """Workers in SLURM jobs.

    Raises:
        HarmoseError: dask-jobqueue is not installed, or its configuration is incomplete.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise HarmoseError(
            "SLURM needs dask-jobqueue, which is not installed. Install it with: pip install 'harmose-dft[distributed]'"
        ) from error
    try:
        cluster = SLURMCluster()
    except ValueError as error:
        raise HarmoseError(
            f"The SLURM jobs are not described completely: {error} Give cores, memory, queue and walltime in the "
            "section jobqueue.slurm of ~/.config/dask/jobqueue.yaml; see docs/howto/many-machines.md."
        ) from error
    cluster.scale(jobs=jobs)
    return cluster

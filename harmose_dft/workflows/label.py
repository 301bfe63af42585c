"""Labelling structures with PySCF: several processes, resumable, nothing finished is lost or done twice.

While the work goes on, every finished molecule is a small data set of its own in the folder ``<output>.parts``, put
there by an atomic rename; a failed one is a text file. When all is done, or the work is interrupted, the parts are
joined with what the output holds already, and the output is replaced atomically. A killed run leaves the parts, and
the next run with the same output goes on from them. Structures are known by their content (:func:`structure_id`).
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..core.errors import DataError, HarmoseError
from ..core.files import atomic_path, require_absent
from ..core.progress import Progress, silent
from ..core.record import Record
from ..core.structure import Structure
from ..data import DatasetWriter, Failure, HDF5Dataset, structure_id
from .cluster import open_cluster
from .sources import Source, collect_structures

PARTS_SUFFIX = ".parts"
SETTINGS_FILE = "settings.json"
FAILED_SUFFIX = ".failed"

QUANTUM = 1e-9
"""Matrix elements are kept to this many Hartree, well below the convergence of the SCF."""

NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""How file systems say that they cannot lock a folder."""

ACCELERATED = "accelerated"
"""The recipe that is not the adapter's: it needs a model."""

QUEUE_FACTOR = 4
"""Tasks handed out per process at a time."""


@dataclass(frozen=True)
class LabelSettings:
    """How structures are calculated; one data set has one.

    Args:
        xc: PySCF's name of the functional.
        basis: PySCF's name of the basis.
        grid_level: Integration grid of the stored matrices, 0 to 9.
        recipe: "full", "staged" or "corrected", see :func:`harmose_dft.adapters.pyscf.reference`; or "accelerated",
            see :func:`harmose_dft.plugins.pyscf.reference_from_prediction`.
        kpoint_spacing: Of crystals, 1/Bohr, see :func:`harmose_dft.adapters.pyscf.reference_crystal`.
        ke_cutoff: Of crystals with pseudopotentials, Hartree.
    """

    xc: str = "b3lyp"
    basis: str = "def2-svp"
    grid_level: int = 3
    recipe: str = "full"
    kpoint_spacing: float | None = None
    ke_cutoff: float | None = None

    def texts(self) -> dict[str, str]:
        """The settings as text, as files keep them; those that are left to the program have none."""
        return {key: str(value) for key, value in asdict(self).items() if value is not None}

    def calculate(self, structure: Structure) -> Record:
        """The calculation of a molecule or a crystal."""
        from ..adapters.pyscf import KPOINT_SPACING, reference, reference_crystal

        if structure.periodic:
            spacing = self.kpoint_spacing or KPOINT_SPACING
            return reference_crystal(structure, self.xc, self.basis, spacing=spacing, ke_cutoff=self.ke_cutoff)
        if self.recipe == ACCELERATED:
            from ..plugins.pyscf import reference_from_prediction

            return reference_from_prediction(structure, self.xc, self.basis, grid_level=self.grid_level)
        return reference(structure, self.xc, self.basis, grid_level=self.grid_level, recipe=self.recipe)


@dataclass(frozen=True)
class LabelSummary:
    """What a labelling run found and did.

    Args:
        records: Molecules in the output.
        done: Molecules calculated by this run.
        skipped: Given structures that were there already, or given twice.
        failures: Structures of the output that could not be calculated.
    """

    records: int
    done: int
    skipped: int
    failures: tuple[Failure, ...]


def label(
    structures: Iterable[Source],
    out: str | Path,
    settings: LabelSettings | None = None,
    *,
    jobs: int = 1,
    force: bool = False,
    retry_failed: bool = False,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> LabelSummary:
    """Calculate structures with PySCF and add them to a data set, in the order in which they are given.

    Args:
        structures: Closed-shell molecules or crystals, or paths of files with them.
        out: The data set; if it exists it is extended.
        settings: Functional, basis, grid and recipe.
        jobs: Number of processes, of one thread each.
        force: Discard what the data set (and an unfinished run) holds and begin anew.
        retry_failed: Calculate again those of the structures that failed before.
        scheduler: Hands the work to Dask's workers instead, which must see the folder of ``out``; see
            :func:`~harmose_dft.workflows.cluster.open_cluster`.
        progress: Shows progress over the structures to be calculated.

    Returns:
        Counts and failures.

    Raises:
        DataError: The data set was made with other settings or is being written by another run, or a process died.
        FileFormatError: ``out`` exists and is not a data set.
        StructureError: A structure file cannot be read.
        HarmoseError: PySCF does not know the functional or the basis.
        OutputExistsError: ``out`` is a folder.
    """
    molecules = collect_structures(structures)
    require_absent(out, force=True)  # an existing data set is extended, a folder is refused
    run = _Run(Path(out).absolute() if scheduler else Path(out), settings or LabelSettings())
    _require_known(run.settings, molecules)
    queue = {structure_id(s): s for s in molecules}
    with run.open(force):
        finished_ids, failed_ids = run.list_ids()
        retried_ids = failed_ids & set(queue) if retry_failed else set()
        run.forget(retried_ids)
        pending = {key: s for key, s in queue.items() if key not in finished_ids | (failed_ids - retried_ids)}
        n_done = 0
        try:
            with progress("labelling", len(pending)) as steps:
                for _ in _calculate_all(pending, run, jobs, scheduler):
                    n_done += 1
                    steps.advance()
        finally:
            records, failures = run.join(list(queue), retried_ids)
    return LabelSummary(records, n_done, len(molecules) - len(pending), tuple(failures))


@dataclass(frozen=True)
class _Run:
    """Files of a labelling run."""

    output: Path
    settings: LabelSettings

    @property
    def parts(self) -> Path:
        """Folder of finished molecules."""
        return self.output.with_name(self.output.name + PARTS_SUFFIX)

    @contextmanager
    def open(self, force: bool) -> Iterator[None]:
        """The folder of parts, locked against other runs and checked to belong to these settings."""
        if not self.output.parent.is_dir():
            raise HarmoseError(f"{self.output} cannot be written: the folder {self.output.parent} does not exist.")
        if self.output.exists() and not force:
            with HDF5Dataset(self.output) as dataset:
                self._require_settings(dataset.attributes, self.output)
        if self.parts.is_symlink():
            raise DataError(f"{self.parts} is a symbolic link, not the folder of an unfinished run. Remove it.")
        self.parts.mkdir(exist_ok=True)
        settings = self.parts / SETTINGS_FILE
        with _lock(self.parts):
            if not settings.exists() and any(self.parts.iterdir()):
                raise DataError(f"{self.parts} is not the folder of an unfinished run. Remove it or rename it.")
            if force:
                for path in (*self.parts.iterdir(), self.output):
                    path.unlink(missing_ok=True)
            if not settings.exists():
                with atomic_path(settings) as path:
                    path.write_text(json.dumps(self.settings.texts()), "utf-8")
            self._require_settings(json.loads(settings.read_text("utf-8")), self.parts)
            yield

    def _require_settings(self, stored: dict[str, str], folder: Path) -> None:
        asked = self.settings.texts()
        keys = [field.name for field in fields(self.settings)]
        changes = [
            f"{k} {stored.get(k, 'left to the program')} (asked for: {asked.get(k, 'nothing')})"
            for k in keys
            if stored.get(k) != asked.get(k)
        ]
        if changes:
            raise DataError(
                f"{folder} was made with other settings: {', '.join(changes)}. Use the same settings, another output, "
                "or --force to begin anew."
            )

    def list_ids(self) -> tuple[set[str], set[str]]:
        """Identities of finished and of failed structures."""
        finished_ids, failed_ids = {p.stem for p in self._finished_files()}, {p.stem for p in self._failed_files()}
        if self.output.exists():
            with HDF5Dataset(self.output) as dataset:
                finished_ids |= set(dataset.ids)
                failed_ids |= {f.id for f in dataset.failures}
        return finished_ids, failed_ids - finished_ids

    def forget(self, ids: set[str]) -> None:
        """Remove notes of failures, so that they count as not tried."""
        for key in ids:
            (self.parts / f"{key}{FAILED_SUFFIX}").unlink(missing_ok=True)

    def join(self, order: Sequence[str], retried_ids: set[str]) -> tuple[int, list[Failure]]:
        """Replace the output by its records and those of the parts, and remove the parts.

        Args:
            order: Identities in the order in which the records shall come; others come first.
            retried_ids: Failures of the output that have been tried again.

        Returns:
            Number of records, and failures, in the output.
        """
        part_files = {p.stem: p for p in self._finished_files()}
        notes = [Failure(**json.loads(p.read_text("utf-8"))) for p in self._failed_files()]
        if part_files or notes or retried_ids:
            self._write(part_files, notes, {key: k for k, key in enumerate(order)}, retried_ids)
        shutil.rmtree(self.parts)
        if not self.output.exists():
            return 0, []
        with HDF5Dataset(self.output) as dataset:
            return len(dataset), dataset.failures

    def _write(
        self, part_files: dict[str, Path], notes: Sequence[Failure], target: dict[str, int], retried_ids: set[str]
    ) -> None:
        with ExitStack() as stack:
            old_dataset = stack.enter_context(HDF5Dataset(self.output)) if self.output.exists() else None
            writer = stack.enter_context(DatasetWriter(self.output, force=True, attributes=self.settings.texts()))
            old_index = {} if old_dataset is None else {key: i for i, key in enumerate(old_dataset.ids)}
            for key in sorted({**old_index, **part_files}, key=lambda key: target.get(key, -1)):
                if old_dataset is not None and key in old_index:
                    writer.copy(old_dataset, old_index[key])
                else:
                    writer.add_dataset(part_files[key])
            old_failures = [] if old_dataset is None else [f for f in old_dataset.failures if f.id not in retried_ids]
            for failure in (*old_failures, *notes):
                writer.add_failure(failure)

    def _finished_files(self) -> list[Path]:
        return sorted(p for p in self.parts.glob("*.h5") if not p.name.startswith("."))

    def _failed_files(self) -> list[Path]:
        return sorted(p for p in self.parts.glob(f"*{FAILED_SUFFIX}") if not p.name.startswith("."))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """An exclusive lock on a folder, which the operating system lifts when the process ends in whatever way."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(folder)
        raise DataError(f"Another run is labelling into {path}. Wait for it, or use another output.") from error
    except OSError as error:  # network file systems without such locks
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        os.close(folder)


def _require_known(settings: LabelSettings, structures: Sequence[Structure]) -> None:
    """Refuse an unknown functional, basis, grid or recipe before any work is done."""
    from ..adapters.pyscf import RECIPES, kohn_sham, orbital_basis, to_mole
    from ..adapters.pyscf.known_names import parsed_functional

    if not structures:
        raise DataError("There are no structures to label.")
    if settings.recipe not in (recipes := (*RECIPES, ACCELERATED)):
        raise HarmoseError(f"There is no recipe {settings.recipe!r}; choose one of {', '.join(recipes)}.")
    orbital_basis(settings.basis, {int(z) for s in structures for z in s.numbers})
    parsed_functional(settings.xc)
    molecule = next((s for s in structures if not s.periodic), None)
    if molecule is not None:
        kohn_sham(to_mole(molecule, settings.basis), settings.xc, settings.grid_level)


def _calculate_all(todo: dict[str, Structure], run: _Run, jobs: int, scheduler: str | None) -> Iterator[str]:
    """Calculate structures, yielding the identity of each when its part is on disk."""
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


def _calculate(key: str, structure: Structure, run: _Run) -> str:
    """Calculate one structure and write its part, or a note of its failure."""
    try:
        record = run.settings.calculate(structure)
    except Exception as error:  # whatever goes wrong with one molecule must not stop the others
        reason = str(error) if isinstance(error, HarmoseError) else f"{type(error).__name__}: {error}"
        with atomic_path(run.parts / f"{key}{FAILED_SUFFIX}", force=True) as path:
            path.write_text(json.dumps(asdict(Failure(key, structure.name or structure.formula, reason))), "utf-8")
        return key
    with DatasetWriter(run.parts / f"{key}.h5", force=True, quantum=QUANTUM) as writer:
        writer.add(record)
    return key

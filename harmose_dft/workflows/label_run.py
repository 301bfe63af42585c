"""The files of a labelling run: its data set, and the folder of parts beside it while the work goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..core.errors import DataError, FileFormatError, HarmoseError
from ..core.files import atomic_path
from ..core.record import Record
from ..core.structure import Structure
from ..data import DatasetWriter, Failure, HDF5Dataset
from .label_settings import LabelSettings

PARTS_SUFFIX = ".parts"
SETTINGS_FILE = "settings.json"
FAILED_SUFFIX = ".failed"
ANEW_FILE = "anew"
"""In the folder of parts: they will replace the data set when all are there, instead of adding to it."""

QUANTUM = 1e-9
"""Matrix elements are kept to this many Hartree, well below the convergence of the SCF."""

NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""How file systems say that they cannot lock a folder."""


@dataclass(frozen=True)
class LabelRun:
    """Files of a labelling run.

    Args:
        output: The data set.
        settings: Those of the data set and of the parts.
    """

    output: Path
    settings: LabelSettings

    @property
    def parts(self) -> Path:
        """Folder of finished molecules."""
        return self.output.with_name(self.output.name + PARTS_SUFFIX)

    @property
    def begins_anew(self) -> bool:
        """Whether the parts will replace what the data set holds."""
        return (self.parts / ANEW_FILE).exists()

    @contextmanager
    def open(self, force: bool) -> Iterator[None]:
        """The folder of parts, locked against other runs and checked to belong to these settings."""
        if not self.output.parent.is_dir():
            raise HarmoseError(f"{self.output} cannot be written: the folder {self.output.parent} does not exist.")
        if self.output.exists() and not (force or self.begins_anew):
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
                for path in self.parts.iterdir():
                    path.unlink()
                if self.output.exists():
                    (self.parts / ANEW_FILE).touch()
            if not settings.exists():
                with atomic_path(settings) as path:
                    path.write_text(json.dumps(self.settings.texts()), "utf-8")
            self._require_settings(_read_texts(settings), self.parts)
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

    def add(self, key: str, record: Record) -> None:
        """Write the part of a finished structure."""
        with DatasetWriter(self.parts / f"{key}.h5", force=True, quantum=QUANTUM) as writer:
            writer.add(record)

    def add_failure(self, key: str, structure: Structure, reason: str) -> None:
        """Note that a structure could not be calculated."""
        with atomic_path(self.parts / f"{key}{FAILED_SUFFIX}", force=True) as path:
            path.write_text(json.dumps(asdict(Failure(key, structure.name or structure.formula, reason))), "utf-8")

    def list_ids(self) -> tuple[set[str], set[str]]:
        """Identities of finished and of failed structures."""
        finished_ids, failed_ids = {p.stem for p in self._finished_files()}, {p.stem for p in self._failed_files()}
        if self.output.exists() and not self.begins_anew:
            with HDF5Dataset(self.output) as dataset:
                finished_ids |= set(dataset.ids)
                failed_ids |= {f.id for f in dataset.failures}
        return finished_ids, failed_ids - finished_ids

    def forget(self, ids: set[str]) -> None:
        """Remove notes of failures, so that they count as not tried."""
        for key in ids:
            (self.parts / f"{key}{FAILED_SUFFIX}").unlink(missing_ok=True)

    def end_early(self, order: Sequence[str], retried_ids: set[str]) -> str:
        """Keep what is finished when a run ends before all is; arguments as for :meth:`join`.

        Returns:
            Where that is, and how it goes on.
        """
        if self.begins_anew:
            return f"wait in {self.parts}; {self.output} is as it was. The same command without --force goes on."
        self.join(order, retried_ids)
        return f"kept in {self.output}. The same command without --force goes on."

    def join(self, order: Sequence[str], retried_ids: set[str]) -> tuple[int, list[Failure]]:
        """Replace the output by its records and those of the parts, and remove the parts.

        Args:
            order: Identities in the order in which the records shall come; others come first.
            retried_ids: Failures of the output that have been tried again.

        Returns:
            Number of records, and failures, in the output.
        """
        part_files = {p.stem: p for p in self._finished_files()}
        notes = [Failure(**_read_texts(p, {field.name for field in fields(Failure)})) for p in self._failed_files()]
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
            extends = self.output.exists() and not self.begins_anew
            old_dataset = stack.enter_context(HDF5Dataset(self.output)) if extends else None
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


def _read_texts(path: Path, keys: set[str] | None = None) -> dict[str, str]:
    """The texts by name that a file of this run holds.

    Args:
        path: The file.
        keys: The names that it must have; None for any.

    Raises:
        FileFormatError: It holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict) or (keys is not None and set(content) != keys):
            raise ValueError("it has other entries")
    except (ValueError, RecursionError) as error:
        advice = (
            "Keep what is finished by harmose-dft convert of the .h5 files beside it, then remove the folder."
            if keys is None else "Remove the file; the same command calculates its structure again."
        )
        raise FileFormatError(f"The file is damaged ({error}). {advice}", path=path) from error
    return {str(key): str(value) for key, value in content.items()}


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

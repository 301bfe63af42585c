"""Folders that one run uses at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DataError, OutputExistsError
from .files import require_regular

LOCK = ".lock"
"""Name of the lock's file in a folder; it stays there and means nothing unless a living process holds it."""


@contextmanager
def hold_folder(folder: str | Path, purpose: str) -> Iterator[None]:
    """Sole use of a folder, which is created where there is none, for the time of the block.

    The operating system lifts the lock when the process ends in whatever way. A folder that is still empty at the end
    of the block is removed.

    Args:
        folder: The folder.
        purpose: What a run does there, for the error: "training".

    Raises:
        DataError: Another run holds the folder.
        OutputExistsError: The folder is a file, or its lock a link.
    """
    from filelock import FileLock, Timeout

    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputExistsError(f"{path} is a file and was left as it is. Name a folder as output.")
    path.mkdir(parents=True, exist_ok=True)
    require_regular(path / LOCK)
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(
            f"Another run is {purpose} in {path} at this moment. Wait for it, stop it, or choose another output."
        ) from error
    try:
        yield
    finally:
        _remove_empty(path)
        lock.release()


def _remove_empty(path: Path) -> None:
    """Remove a folder in which nothing is but a lock."""
    with suppress(OSError):
        if [entry.name for entry in path.iterdir()] == [LOCK]:
            (path / LOCK).unlink()
            path.rmdir()

"""Writing files so that a failure leaves nothing half-written and nothing overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from .errors import HarmoseError, OutputExistsError
from .leftovers import sweep, temporary_name

DISK_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
"""How the operating system, and libraries that quote it (HDF5, safetensors), say that a file cannot grow."""


def sha256(path: str | Path) -> str:
    """Hash of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names of files, with their folders where several have the same one."""
    names = [path.name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def require_absent(path: str | Path, force: bool) -> None:
    """Refuse to overwrite a file, and whatever is no regular file.

    A symbolic link is neither followed nor replaced, whether it leads anywhere or not: who put it there decides what
    it names, and what it names may be a copy that others share (git-annex, the caches of model hubs).

    Args:
        path: The file to be written.
        force: Whether overwriting is allowed.

    Raises:
        OutputExistsError: The file exists and ``force`` is false, or it is a folder, a link, a device, a pipe or a
            socket.
    """
    require_regular(path)
    if not force and os.path.lexists(path):
        raise OutputExistsError(f"{path} exists already and was left as it is. Use --force to overwrite it.")


def require_place(path: str | Path, force: bool) -> None:
    """Before any computing: refuse a file that could not be written at the end.

    Args:
        path: The file to be written.
        force: Whether overwriting is allowed.

    Raises:
        OutputExistsError: As :func:`require_absent`.
        HarmoseError: The folder does not exist or takes no files.
    """
    require_absent(path, force)
    _make_temporary(Path(path)).unlink()


def require_no_input(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse to write over what is read, however its name is spelled; ``--force`` does not permit it.

    Args:
        path: The file or folder to be written.
        inputs: Files and folders that are read.

    Raises:
        OutputExistsError: The output is one of the inputs, or a folder that holds one.
    """
    require_no_inputs([path], inputs)


def require_no_inputs(paths: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """:func:`require_no_input` of many outputs, in a time that is linear in the number of outputs and inputs.

    Args:
        paths: Files and folders to be written.
        inputs: Files and folders that are read.

    Raises:
        OutputExistsError: An output is one of the inputs, or a folder that holds one.
    """
    places = {Path(source).resolve(): source for source in inputs}
    holders = {folder: source for place, source in places.items() for folder in place.parents}
    for path in paths:
        target = Path(path).resolve()
        if target in places:
            kind = "folders" if target.is_dir() else "files"
            raise OutputExistsError(f"{path} is one of the input {kind} and was left as it is. Choose another output.")
        if target in holders and target.is_dir():
            raise OutputExistsError(
                f"{path} holds the input {holders[target]} and was left as it is. Choose another output."
            )


def require_regular(path: str | Path) -> None:
    """Refuse to write where something else than a regular file is.

    Raises:
        OutputExistsError: There is a folder, a link, a device, a pipe or a socket.
    """
    if not os.path.lexists(path) or _is_regular(path):
        return
    if os.path.isdir(path):
        raise OutputExistsError(f"{path} is a folder and was left as it is. Name a file.")
    if os.path.islink(path):
        raise OutputExistsError(
            f"{path} is a symbolic link to {os.readlink(path)} and was left as it is; only regular files are replaced. "
            "Name the file that it points to, or remove the link."
        )
    raise OutputExistsError(
        f"{path} is a device, a pipe or a socket and was left as it is; only regular files are replaced. Name a file."
    )


@contextmanager
def atomic_path(path: str | Path, force: bool = False) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends without an error.

    The temporary file keeps the suffix of ``path``, is flushed to disk before it is renamed, and is removed on every
    error, Ctrl-C included. Those of processes that were killed are removed from the folder first. Where something has
    taken the place of ``path`` meanwhile, it is left as it is and the new file keeps a name beside it.

    Args:
        path: The file to be written.
        force: Whether an existing file may be replaced.

    Yields:
        Path of the (empty) temporary file.

    Raises:
        OutputExistsError: The file exists and ``force`` is false, or it is no regular file; also at the end of the
            block.
        HarmoseError: The folder does not exist or takes no files, or the disk is full.
    """
    target = Path(path)
    require_absent(target, force)
    if target.parent.is_dir():
        sweep(target.parent)
    temporary = _make_temporary(target)
    try:
        yield temporary
        if not _is_regular(temporary):
            raise HarmoseError(f"{target} was not written: something else took the place of {temporary} meanwhile.")
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        place = _take_place(temporary, target, force)
        _flush(target.parent)
        if place != target:
            raise OutputExistsError(
                f"{target} was written by something else meanwhile and was left as it is; what was to go there is kept "
                f"in {place}."
            )
    except Exception as error:
        reason = next((text for text in DISK_FULL if text in str(error)), None)
        if reason is None:
            raise
        raise HarmoseError(
            f"{target} was not written: {reason.lower()}. Free some space or write to another disk, then run the "
            "command again."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _make_temporary(target: Path) -> Path:
    """An empty file beside ``target``, whose name says that it is temporary.

    Raises:
        HarmoseError: The folder does not exist or takes no files.
    """
    if not target.parent.is_dir():
        raise HarmoseError(f"{target} cannot be written: the folder {target.parent} does not exist. Create it first.")
    prefix, suffix = temporary_name(target)
    try:
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=target.parent)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise HarmoseError(
            f"{target} cannot be written: no file can be made in {target.parent.resolve()} "
            f"({os.strerror(error.errno).lower()}). Name a file in another folder."
        ) from error
    os.close(handle)
    return Path(name)


def _take_place(temporary: Path, target: Path, force: bool) -> Path:
    """Rename a finished file to its name, or to ``stem-2.suffix``, ... where that is taken; returns the name."""
    names = (target.with_stem(f"{target.stem}-{number}") for number in count(2))
    try:
        require_absent(target, force)
        place = target
    except OutputExistsError:
        place = next(name for name in names if not os.path.lexists(name))
    temporary.replace(place)
    return place


def require_space(folder: Path, size: int) -> None:
    """Make sure that a disk takes ``size`` more bytes, by reserving them for a moment.

    For libraries that crash, rather than report an error, when a disk runs full under them.

    Raises:
        OSError: The disk is full or the quota is used up.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(size, 1))


def _is_regular(path: str | Path) -> bool:
    """Whether a path is a regular file itself, not a link to one."""
    return stat.S_ISREG(os.lstat(path).st_mode)


def _flush(path: Path) -> None:
    """Make the operating system write a file (or a folder's entries) to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's file-creation mask; the mask can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

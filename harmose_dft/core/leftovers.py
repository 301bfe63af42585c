"""Temporary files that a killed process leaves behind: their names, and their removal by the next one."""

from __future__ import annotations

import os
import platform
import re
import time
import zlib
from functools import cache
from pathlib import Path

LONGEST_STEM = 40
"""Characters of the file's name that its temporary file repeats."""

SHARE = 0.01
"""Part of the time that a process may spend looking for leftovers in one folder."""

QUICK = 0.05
"""Seconds that may be spent at every file; folders of ten thousands of files take longer."""

CLOCKS_AGREE = 60.0
"""Seconds that the start of a process and the time of a file may be off."""

_PATTERN = re.compile(r"\..*-(?P<place>[0-9a-f]{8})-(?P<process>\d{1,10})-\w{8}\.part(\.[^.]*)?", re.DOTALL)
_next: dict[str, float] = {}


def temporary_name(path: Path) -> tuple[str, str]:
    """Beginning and end of the name of a temporary file: hidden, with this machine and process, and the suffix.

    Args:
        path: The file that it will become.
    """
    return f".{path.stem[:LONGEST_STEM]}-{_place()}-{os.getpid()}-", f".part{path.suffix}"


def sweep(folder: Path) -> None:
    """Remove temporary files whose process, of this machine, is no more.

    Args:
        folder: Where they are; large folders are looked through now and then only.
    """
    start, key = time.monotonic(), os.path.abspath(folder)
    if start < _next.get(key, 0.0):
        return
    with os.scandir(folder) as entries:
        candidates = [entry for entry in entries if _PATTERN.fullmatch(entry.name)]
    now = time.monotonic()
    _next[key] = now + (now - start) / SHARE if now - start > QUICK else 0.0
    for entry in candidates:
        if _is_left(entry):
            Path(entry).unlink(missing_ok=True)


def _is_left(entry: os.DirEntry[str]) -> bool:
    match = _PATTERN.fullmatch(entry.name)
    if match is None or match["place"] != _place():
        return False
    try:
        return entry.is_file(follow_symlinks=False) and not _is_alive(int(match["process"]), entry.stat().st_mtime)
    except FileNotFoundError:  # its process has just finished it
        return False


def _is_alive(process: int, written: float) -> bool:
    """Whether a process runs that ran when a file was written; numbers of processes are used again."""
    import psutil

    try:
        started: float = psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return started < written + CLOCKS_AGREE


@cache
def _place() -> str:
    """Eight digits for the machine, or the container, within which a process's number means something."""
    space = os.readlink("/proc/self/ns/pid") if os.path.islink("/proc/self/ns/pid") else ""
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"

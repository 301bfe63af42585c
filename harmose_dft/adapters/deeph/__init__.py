"""Folders of DeepH, both layouts, both directions: ``legacy`` (DeepH-pack) and ``chunked`` (DeepH-dock)."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ...errors import FileFormatError, HarmoseError, OutputExistsError
from ...record import Record
from . import chunked, legacy

__all__ = ["LAYOUTS", "read", "recognise", "write"]

LAYOUTS = {"chunked": chunked, "legacy": legacy}
"""Name -> module with ``recognise``, ``read`` and ``write``."""


def recognise(path: Path) -> bool:
    """Whether a path is a DeepH folder of either layout."""
    return path.is_dir() and any(module.recognise(path) for module in LAYOUTS.values())


def read(path: Path) -> list[Record]:
    """The calculation in a DeepH folder; shells have no radial functions.

    Raises:
        FileFormatError: The folder has neither layout, or a file is damaged.
    """
    for module in LAYOUTS.values():
        if path.is_dir() and module.recognise(path):
            return [module.read(path)]
    raise FileFormatError(
        "This is no DeepH folder. Expected POSCAR, info.json, overlap.h5 and hamiltonian.h5, or "
        f"{', '.join(legacy.FILES)}, info.json, overlaps.h5 and hamiltonians.h5.", path=path,
    )  # fmt: skip


def write(record: Record, folder: Path, *, layout: str = "chunked", force: bool = False) -> None:
    """Write a record as a DeepH folder, which appears when it is complete.

    Args:
        record: The calculation.
        folder: The folder to make.
        layout: "chunked" (DeepH-dock) or "legacy" (DeepH-pack).
        force: Whether an existing DeepH folder may be replaced.

    Raises:
        OutputExistsError: The folder exists, and ``force`` is false or it is no DeepH folder.
        HarmoseError: The layout is not known, or the parent folder does not exist.
    """
    if layout not in LAYOUTS:
        raise HarmoseError(f"There is no DeepH layout {layout!r}; expected one of {', '.join(LAYOUTS)}.")
    if folder.exists() and not (force and recognise(folder)):
        raise OutputExistsError(f"{folder} exists already and was left as it is. Choose another name, or use force.")
    if not folder.parent.is_dir():
        raise HarmoseError(f"{folder} cannot be written: the folder {folder.parent} does not exist. Create it first.")
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".part", dir=folder.parent))
    try:
        LAYOUTS[layout].write(record, part)
        if folder.exists():
            shutil.rmtree(folder)
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)

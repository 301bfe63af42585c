"""Reading and writing folders of DeepH in either layout."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, TracebackType

from ...core.errors import FileFormatError, HarmoseError, OutputExistsError
from ...core.record import Record
from . import chunked, legacy

LAYOUTS: dict[str, ModuleType] = {"chunked": chunked, "legacy": legacy}
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
    module = _module(layout)
    with _atomic_folder(folder, force and recognise(folder)) as part:
        module.write(record, part)


class FolderWriter:
    """A folder of DeepH folders 0, 1, 2, ... being written; it appears when the ``with`` block ends without an error.

    Args:
        folder: The folder to make.
        layout: "chunked" or "legacy".
        force: Whether an existing folder may be replaced, if it holds nothing but DeepH folders.

    Raises:
        OutputExistsError: The folder exists, and ``force`` is false or it holds something else.
        HarmoseError: The layout is not known, or the parent folder does not exist.
    """

    def __init__(self, folder: Path, layout: str, *, force: bool = False) -> None:
        self._module, self._count, self._stack = _module(layout), 0, ExitStack()
        may_replace = force and folder.is_dir() and all(recognise(child) for child in folder.iterdir())
        self._target = folder, may_replace

    def __enter__(self) -> FolderWriter:
        self._part = self._stack.enter_context(_atomic_folder(*self._target))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, record: Record) -> None:
        """Write a record into a folder of its own."""
        folder = self._part / str(self._count)
        folder.mkdir()
        self._module.write(record, folder)
        self._count += 1


def _module(layout: str) -> ModuleType:
    if layout not in LAYOUTS:
        raise HarmoseError(f"There is no DeepH layout {layout!r}; expected one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout]


@contextmanager
def _atomic_folder(folder: Path, replace: bool) -> Iterator[Path]:
    """A temporary folder that takes the place of ``folder`` when the block ends without an error."""
    if os.path.lexists(folder) and (not replace or folder.is_symlink()):
        raise OutputExistsError(
            f"{folder} exists already and was left as it is. Choose another name; --force replaces DeepH folders only."
        )
    if not folder.parent.is_dir():
        raise HarmoseError(f"{folder} cannot be written: the folder {folder.parent} does not exist. Create it first.")
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", suffix=".part", dir=folder.parent))
    try:
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        part.chmod(0o755)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)

"""Calculations of OpenMX in a folder: which files make one, and which reader takes it."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import FileFormatError
from ...core.record import Record
from ..text import plain_name, read_bytes
from .input import MARK

HEAD_BYTES = 65536
"""How much of a text file is looked at to recognise an OpenMX input or output."""


def recognise(path: Path) -> bool:
    """Whether a file or folder is of an OpenMX calculation, by names and the first lines of ``.dat`` and ``.out``."""
    if path.is_dir():
        if _overlaps(path) or _scfout_files(path):
            return True
        return any(_is_text_of_openmx(f) for f in sorted(path.iterdir()) if plain_name(f).endswith((".dat", ".out")))
    name = plain_name(path)
    if name.endswith(".scfout"):
        return True
    return (name.startswith("overlaps_") and name.endswith(".h5")) or (
        name.endswith((".dat", ".out")) and path.is_file() and _is_text_of_openmx(path)
    )


def read(path: Path, *, pao_dir: Path | None = None) -> list[Record]:
    """All calculations of a folder, or that of one file.

    Args:
        path: A folder; a ``.scfout`` file, compressed by xz or not; or an input, output or ``overlaps_<rank>.h5``
            that has its ``.scfout`` or its input beside it.
        pao_dir: Folder with the ``.pao`` files; searched for if not given.

    Raises:
        FileFormatError: A file is damaged, or there are no matrices.
    """
    from .overlaps import read_overlap_only
    from .reader import read_calculation

    if not path.exists():
        raise FileFormatError("There is no such file or folder. Check the path.", path=path)
    if not path.is_dir():
        name = plain_name(path)
        if name.endswith(".scfout"):
            return [read_calculation(path, pao_dir)]
        if name.startswith("overlaps_"):
            return [read_overlap_only(path.absolute().parent.parent, pao_dir)]
        stem = name.rsplit(".", 1)[0]
        own_scfouts = [f for f in _scfout_files(path.parent) if plain_name(f) == f"{stem}.scfout"]
        if own_scfouts:
            return [read_calculation(own_scfouts[0], pao_dir)]
        path = path.parent
    if files := _scfout_files(path):
        return [read_calculation(f, pao_dir) for f in files]
    if _overlaps(path):
        return [read_overlap_only(path, pao_dir)]
    raise FileFormatError(
        "An OpenMX calculation without matrices: there is no .scfout file. Put 'HS.fileout on' into the input and run "
        "OpenMX again.", path=path,
    )  # fmt: skip


def _scfout_files(folder: Path) -> list[Path]:
    """The .scfout files of a folder; of a file and its compressed copy the first."""
    files = {plain_name(f): f for f in sorted(folder.iterdir(), reverse=True) if plain_name(f).endswith(".scfout")}
    return [files[name] for name in sorted(files)]


def _overlaps(folder: Path) -> bool:
    """Whether the folder is that of an overlap-only run."""
    return any((folder / "output").glob("overlaps_*.h5"))


def _is_text_of_openmx(path: Path) -> bool:
    """Whether a text file is an input or an output of OpenMX."""
    try:
        head = read_bytes(path)[:HEAD_BYTES].tobytes().lower()
    except FileFormatError:
        return False
    return MARK.encode() in head or b"openmx ver" in head

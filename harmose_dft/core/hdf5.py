"""Opening HDF5 files to read, without following what they hold out of the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import FileFormatError, shorten

if TYPE_CHECKING:
    import h5py

DEEPEST = 32
"""Groups in groups; HDF5 visits them by recursion."""


def open_hdf5(path: str | Path, **options: Any) -> h5py.File:
    """An HDF5 file, open for reading, whose content is all in the file.

    Args:
        path: The file.
        options: Of ``h5py.File``.

    Raises:
        FileFormatError: There is no such file, or it has links, external or virtual storage, or references.
        OSError: It is no HDF5 file, or damaged.
    """
    import h5py

    if not Path(path).is_file():
        raise FileFormatError("There is no such file." if not Path(path).exists() else "This is not a file.", path=path)
    file = h5py.File(path, "r", **options)
    try:
        outside = _leading_out(file)
    except (RuntimeError, KeyError, ValueError) as error:
        file.close()
        raise OSError(f"its table of contents is damaged: {error}") from error
    if outside is not None:
        file.close()
        raise FileFormatError(
            f"{shorten(outside[0])!r} is {outside[1]}; expected a file that holds everything itself. Copy what it "
            "refers to into the file.",
            path=path,
        )
    return file


def _leading_out(file: h5py.File) -> tuple[str, str] | None:
    """Name and kind of the first object that is not plain content of the file, None where all are."""
    from h5py import h5d, h5l, h5o, h5t

    def kind(name: bytes, info: Any) -> str | None:
        if info.type != h5l.TYPE_HARD:
            return "a link to another name or file"
        if name.count(b"/") > DEEPEST:
            return f"more than {DEEPEST} groups deep"
        opened = h5o.open(file.id, name)
        if not isinstance(opened, h5d.DatasetID):
            return None
        storage = opened.get_create_plist()
        if storage.get_layout() == h5d.VIRTUAL:
            return "a virtual data set"
        if storage.get_external_count():
            return "stored in another file"
        return "a table of references" if opened.get_type().detect_class(h5t.REFERENCE) else None

    def visit(name: bytes, info: Any) -> tuple[str, str] | None:
        described = kind(name, info)
        return None if described is None else (name.decode("utf-8", "replace"), described)

    first: tuple[str, str] | None = file.id.links.visit(visit, info=True)
    return first

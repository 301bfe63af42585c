"""Opening HDF5 files to read, without following what they hold out of the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FileFormatError, shorten

if TYPE_CHECKING:
    import h5py

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How every HDF5 file begins."""

MOST_COMPRESSED, SPARE = 1100, 1 << 20
"""Bytes that a stored byte may stand for (deflate: 1032 at most), and those that an array may have beside."""

DESCRIPTOR = 16
"""Bytes of an entry of variable length in its data set."""

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
        outside = _leading_out(file, path)
    except (RuntimeError, KeyError, ValueError, TypeError, OSError, OverflowError, SystemError) as error:
        file.close()
        raise OSError(f"its table of contents is damaged: {error}") from error
    if outside is not None:
        file.close()
        raise FileFormatError(
            f"{shorten(outside[0])!r} is {outside[1]}; expected a file that holds everything itself. Copy what it "
            "refers to into the file, or create the file again.",
            path=path,
        )
    return file


def _leading_out(file: h5py.File, path: str | Path) -> tuple[str, str] | None:
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
        stored_type = opened.get_type()
        if stored_type.detect_class(h5t.REFERENCE):
            return "a table of references"
        size = opened.get_space().get_simple_extent_npoints() * stored_type.get_size()
        if size > MOST_COMPRESSED * opened.get_storage_size() + SPARE:
            return f"an array of {size:.2g} bytes of which {opened.get_storage_size()} are in the file"
        if stored_type.get_class() == h5t.VLEN or (
            stored_type.get_class() == h5t.STRING and stored_type.is_variable_str()
        ):
            length, available = _length_of_texts(opened, Path(path)), Path(path).stat().st_size
            return f"a table of texts of {length:.2g} bytes in a file of {available}" if length > available else None
        return None

    def visit(name: bytes, info: Any) -> tuple[str, str] | None:
        described = kind(name, info)
        return None if described is None else (name.decode("utf-8", "replace"), described)

    first: tuple[str, str] | None = file.id.links.visit(visit, info=True)
    return first


def _length_of_texts(dataset: h5py.h5d.DatasetID, path: Path) -> int:
    """Bytes that the entries of variable length of a data set announce, as far as they are stored without a filter.

    HDF5 takes memory for an entry before it looks where the entry is. What it reads is a length (4 bytes), the place of
    the collection (8) and the number in it (4).
    """
    from h5py import h5d

    storage = dataset.get_create_plist()
    if storage.get_nfilters() or storage.get_layout() == h5d.COMPACT:
        return 0
    if storage.get_layout() == h5d.CHUNKED:
        chunks = [dataset.get_chunk_info(n) for n in range(dataset.get_num_chunks())]
        places = [(chunk.byte_offset, chunk.size) for chunk in chunks]
    else:
        places = [(dataset.get_offset(), dataset.get_storage_size())]
    total = 0
    with path.open("rb") as file:
        for offset, size in places:
            if offset is None or not size:  # nothing has been written yet
                continue
            file.seek(offset)
            raw = file.read(size)
            entries = np.frombuffer(raw[: len(raw) // DESCRIPTOR * DESCRIPTOR], dtype="<u4").reshape(-1, 4)
            total += int(entries[:, 0].sum(dtype=np.int64))
    return total


Shape = tuple[int | None, ...]
"""Lengths of the axes of an array; None for any."""


def check_arrays(group: h5py.Group, schema: Mapping[str, tuple[str, Shape]], path: str | Path) -> None:
    """Refuse a group whose arrays are not of their layout.

    Args:
        group: The group.
        schema: Name -> kinds of the elements (of numpy's "iufcbSO"; "O" is text), and shape.
        path: The file, for the error.

    Raises:
        FileFormatError: An array is missing, a group, or of another type or shape.
    """
    import h5py

    for name, (kinds, shape) in schema.items():
        item = group.get(name)
        if not isinstance(item, h5py.Dataset):
            problem = "An array or column is missing" if item is None else "A group is where an array is expected"
            raise FileFormatError(f"{problem}: {group.name.rstrip('/')}/{name}.", path=path)
        got = item.shape
        fits = got is not None and len(got) == len(shape) and all(
            b is None or a == b for a, b in zip(got, shape, strict=True)
        )
        no_text = item.dtype.kind == "O" and not h5py.check_string_dtype(item.dtype)
        if not fits or item.dtype.kind not in kinds or no_text:
            expected = ", ".join("n" if n is None else str(n) for n in shape)
            raise FileFormatError(
                f"The array {group.name.rstrip('/')}/{name} has type {item.dtype} and shape {got}; expected type "
                f"{' or '.join(kinds)} and shape ({expected}).", path=path,
            )  # fmt: skip

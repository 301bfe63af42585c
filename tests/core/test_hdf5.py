"""HDF5 files whose texts are longer than the file take no memory."""

from __future__ import annotations

import resource
from pathlib import Path

import h5py
import numpy as np
import pytest

from harmose_dft.core.errors import FileFormatError
from harmose_dft.core.hdf5 import open_hdf5


def write(path: Path, *, chunked: bool) -> int:
    """A file with a text, or a column of them; returns where the length of the first one is in the file."""
    with h5py.File(path, "w") as file:
        text = h5py.string_dtype()
        if chunked:
            file.create_dataset("texts", data=np.array(["abc", "de"] * 50, dtype=object), dtype=text, chunks=(64,))
            return int(file["texts"].id.get_chunk_info(0).byte_offset)
        file.create_dataset("texts", data="abc", dtype=text)
        return int(file["texts"].id.get_offset())


@pytest.mark.parametrize("chunked", [False, True])
def test_texts_are_read_and_their_lengths_are_not_believed(tmp_path: Path, chunked: bool) -> None:
    path = tmp_path / "a.h5"
    place = write(path, chunked=chunked)
    with open_hdf5(path) as file:
        first = file["texts"][0] if chunked else file["texts"][()]
        assert first == b"abc"
    data = bytearray(path.read_bytes())
    assert int.from_bytes(data[place : place + 4], "little") == 3
    data[place : place + 4] = b"\xff" * 4
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileFormatError, match=r"texts' is a table of texts of 4\.3e\+09 bytes"):
        open_hdf5(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_columns_of_texts_without_any_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", shape=(0,), maxshape=(None,), dtype=h5py.string_dtype(), chunks=(64,))
        file.create_dataset("more", shape=(4,), dtype=h5py.string_dtype())
    with open_hdf5(path) as file:
        assert len(file["texts"]) == 0
        assert file["more"][0] == b""

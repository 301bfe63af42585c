"""Text and binary files of DFT codes, compressed or not: ``name`` and ``name.xz`` are the same file to every reader."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import FileFormatError

COMPRESSED = ".xz"
"""Suffix of files that are read through :mod:`lzma`."""


def plain_name(path: Path) -> str:
    """File name without the suffix of a compressed file."""
    return path.name.removesuffix(COMPRESSED)


def find_existing(folder: Path, name: str) -> Path | None:
    """The file of this name in a folder, or its compressed form; None if there is neither."""
    return next((p for p in (folder / name, folder / (name + COMPRESSED)) if p.is_file()), None)


def read_bytes(path: Path) -> NDArray[np.uint8]:
    """Content of a file as bytes, read-only; mapped into memory where it is not compressed.

    Raises:
        FileFormatError: The file is missing, empty, cannot be read, or its compression is damaged.
    """
    try:
        if path.suffix == COMPRESSED:
            return np.frombuffer(lzma.decompress(path.read_bytes()), dtype=np.uint8)
        if path.stat().st_size == 0:
            raise FileFormatError("The file is empty. The calculation may have stopped early; run it again.", path=path)
        return np.memmap(path, dtype=np.uint8, mode="r")
    except FileNotFoundError as error:
        raise FileFormatError("The file does not exist. Check the path.", path=path) from error
    except (OSError, lzma.LZMAError) as error:
        raise FileFormatError(f"The file cannot be read ({error}). Copy it again.", path=path) from error


def read_text(path: Path) -> str:
    """Content of a text file; bytes that are not UTF-8 become replacement characters."""
    return read_bytes(path).tobytes().decode("utf-8", errors="replace")


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without their line ends."""
    return read_text(path).splitlines()

"""ASE's trajectories: one frame after the other, after a look at the sizes that the file announces."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...core.errors import FileFormatError
from .elements import LineError

if TYPE_CHECKING:
    from ase import Atoms

MAGIC = b"- of Ulm"
"""First bytes of the file; a tag of 16 bytes, the version, the number of frames and the place of their table follow."""


def read_trajectory(path: Path) -> Iterator[Atoms]:
    """Every frame of a trajectory; energies and forces in it are left out.

    Raises:
        FileFormatError: There is no such file.
        LineError: It is no trajectory, or announces frames or arrays that are not in it.
    """
    from ase.io import ulm
    from ase.io.trajectory import Trajectory

    if not path.is_file():
        raise FileFormatError("There is no such file." if not path.exists() else "This is not a file.", path=path)
    size = path.stat().st_size
    with path.open("rb") as file:
        _require_descriptions(file, size)
    with ulm.open(path) as content:
        _require_inside(content._data, size)
    with Trajectory(path) as trajectory:
        for n in range(len(trajectory)):
            _require_inside(trajectory.backend[n]._data, size)
            atoms = trajectory[n]
            atoms.calc = None
            yield atoms


def _require_descriptions(file: BinaryIO, size: int) -> None:
    """Refuse frames whose descriptions the file cannot hold."""
    header = file.read(48)
    if len(header) < 48 or not header.startswith(MAGIC):
        raise LineError("it is no trajectory as ASE writes it")
    _, count, place = struct.unpack("<3q", header[24:])
    if not (0 < count <= size and place > 0 and place + 8 * count <= size):
        raise LineError(f"it announces {count} frames, which are not in the file")
    file.seek(place)
    for begin in struct.unpack(f"<{count}q", file.read(8 * count)):
        if not 0 < begin <= size - 8:
            raise LineError("a frame begins behind the end of the file")
        file.seek(begin)
        (length,) = struct.unpack("<q", file.read(8))
        if not 0 < length <= size - begin - 8:
            raise LineError(f"a frame's description of {length} bytes is not in the file")


def _require_inside(items: dict[str, Any], size: int) -> None:
    """Refuse arrays that reach beyond the end of the file, before memory is taken for them."""
    for name, item in items.items():
        shape = getattr(item, "shape", None)
        if shape is not None:
            count = 1
            for n in shape:
                count *= int(n)
            inside = item.offset >= 0 and item.offset + count * item.itemsize <= size
            if item.dtype.hasobject or min(shape, default=0) < 0 or not inside:
                raise LineError(f"the array {name!r} of shape {tuple(shape)} is not in the file")
        elif hasattr(item, "_data"):
            _require_inside(item._data, size)

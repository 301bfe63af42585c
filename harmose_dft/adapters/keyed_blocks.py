"""HDF5 files of matrix blocks under keys "[Rx, Ry, Rz, i, j]", as DeepH and its patch of OpenMX write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import FileFormatError
from ..core.hdf5 import open_hdf5
from ..core.matrix import BlockMatrix

Blocks = dict[tuple[int, int, int, int, int], NDArray[Any]]
"""(i, j, Rx, Ry, Rz), atoms from 0 -> block."""


def read_keyed_blocks(path: Path) -> Blocks:
    """Blocks of an HDF5 file with keys "[Rx, Ry, Rz, i, j]" (atoms from 1) as (i, j, Rx, Ry, Rz) from 0 -> block.

    Raises:
        FileFormatError: The file is no HDF5 file, or a key has another form.
    """
    out = {}
    try:
        with open_hdf5(path) as file:
            for key, block in file.items():
                x, y, z, i, j = json.loads(key)
                out[int(i) - 1, int(j) - 1, int(x), int(y), int(z)] = block[()]
    except OSError as error:
        raise FileFormatError(f"This is not a readable HDF5 file ({error}). Copy it again.", path=path) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(
            f"Expected matrices with keys like '[0, 0, 1, 1, 2]' (cell, atoms from 1); got {key!r}.", path=path
        ) from error
    return out


def assemble_matrix(
    blocks: Blocks,
    orbitals: NDArray[np.int64],
    path: Path,
    *,
    spinor: bool = False,
) -> BlockMatrix:
    """Blocks as a matrix, after checking their atoms and shapes.

    Raises:
        FileFormatError: There are no blocks, an atom does not exist, or a block has the wrong shape.
    """
    width = orbitals * (2 if spinor else 1)
    if not blocks:
        raise FileFormatError("The file holds no blocks.", path=path)
    for (i, j, *shift), block in blocks.items():
        if not (0 <= i < len(width) and 0 <= j < len(width)):
            raise FileFormatError(f"A block names atoms {i + 1} and {j + 1} of {len(width)}.", path=path)
        if block.shape != (width[i], width[j]):
            raise FileFormatError(
                f"The block of atoms {i + 1} and {j + 1}, cell {shift}, has shape {block.shape}; the basis needs "
                f"{(int(width[i]), int(width[j]))}. Do structure and matrices belong together?", path=path,
            )  # fmt: skip
    return BlockMatrix.from_blocks(orbitals, blocks, spinor=spinor)

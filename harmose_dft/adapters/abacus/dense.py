"""Dense H(k) and S(k) of one k-point (``out_mat_hs 1``): ``data-<ik>-H``, ``data-<ik>-S``.

The first number is the dimension N, then the upper triangle row by row: real numbers with ``gamma_only 1``, else
``(re,im)``. H is in Rydberg.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.conventions import ABACUS
from ...core.errors import FileFormatError, StructureError
from ...core.matrix import BlockMatrix
from ...core.structure import Structure
from ..text import read_bytes
from .text import parse_complex, parse_numbers


def read_dense(path: Path) -> NDArray[Any]:
    """The full Hermitian matrix of one k-point in ABACUS's order and units, (row, row).

    Raises:
        FileFormatError: The file does not hold N(N+1)/2 numbers.
    """
    words = read_bytes(path).tobytes().split(maxsplit=1)
    if len(words) != 2 or not words[0].isdigit():
        raise FileFormatError("Expected the matrix dimension and the upper triangle.", path=path, line=1)
    size, body = int(words[0]), words[1]
    numbers = parse_complex(body) if body.startswith(b"(") else parse_numbers(body)
    if len(numbers) != size * (size + 1) // 2 or len(body.split()) != len(numbers):
        raise FileFormatError(
            f"A matrix of dimension {size} has {size * (size + 1) // 2} numbers in its upper triangle; got "
            f"{len(numbers)}. The file is truncated or damaged.", path=path, line=1
        )  # fmt: skip
    upper = np.zeros((size, size), dtype=numbers.dtype)
    upper[np.triu_indices(size)] = numbers
    return np.asarray(upper + np.triu(upper, 1).conj().T)


def gamma_blocks(dense: NDArray[Any], structure: Structure, basis: OrbitalBasis, spinor: bool) -> BlockMatrix:
    """Pair blocks of a matrix at Gamma, in our conventions, each given to the nearest image.

    Args:
        dense: In ABACUS's orbital order (spin fastest).
        structure: The folded structure.
        basis: Its basis.
        spinor: Whether rows carry spin.
    """
    numbers = structure.numbers.tolist()
    orbitals = basis.orbitals_per_atom(numbers)
    if spinor:
        spatial = int(orbitals.sum())
        dense = dense.reshape(spatial, 2, spatial, 2).transpose(1, 0, 3, 2).reshape(2 * spatial, 2 * spatial)
    plain = BlockMatrix.from_dense(dense, orbitals, spinor=spinor)
    return nearest_image(plain, structure).reorder(*ABACUS.to_ours(basis.shell_sequence(numbers)))


def nearest_image(matrix: BlockMatrix, structure: Structure) -> BlockMatrix:
    """A matrix at Gamma, stored at R = 0, with each block moved to the nearest image of its pair.

    A(Gamma) is the sum over all lattice vectors, which cannot be undone; but a molecule in a box that is larger than
    its orbitals has its true blocks afterwards, and at Gamma nothing changes.

    Raises:
        StructureError: The structure has no cell.
    """
    if structure.cell is None:
        raise StructureError(f"{structure.formula} has no cell, so its atoms have no images.")
    fractional = structure.positions @ np.linalg.inv(structure.cell)
    shifts = -np.round(fractional[matrix.pairs[:, 1]] - fractional[matrix.pairs[:, 0]]).astype(np.int64)
    return BlockMatrix(matrix.orbitals, matrix.pairs, shifts, matrix.values, matrix.spinor)

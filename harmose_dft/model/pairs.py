"""The directed pairs of a structure that a model predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import DataError
from ..core.matrix import BlockMatrix
from ..core.structure import Structure


@dataclass(frozen=True, eq=False)
class PairList:
    """Directed pairs of a structure without self-pairs.

    Args:
        pairs: (edge, 2).
        shifts: (edge, 3).
        reverse: Position of (j, i, -shift), (edge,).
    """

    pairs: NDArray[np.int64]
    shifts: NDArray[np.int64]
    reverse: NDArray[np.int64]

    @classmethod
    def within(cls, structure: Structure, matrix: BlockMatrix, cutoff: float) -> PairList:
        """Pairs that a matrix stores, up to a distance in Bohr, in both directions.

        Raises:
            DataError: The matrix stores a pair in one direction only.
        """
        itself = (matrix.pairs[:, 0] == matrix.pairs[:, 1]) & (matrix.shifts == 0).all(axis=1)
        within_cutoff = np.linalg.norm(structure.pair_vectors(matrix.pairs, matrix.shifts), axis=1) < cutoff
        selected = ~itself & within_cutoff
        pairs, shifts = matrix.pairs[selected], matrix.shifts[selected]
        reverse = matrix.find(pairs[:, ::-1], -shifts)
        if (reverse < 0).any():
            raise DataError("A matrix stores a pair of atoms in one direction only; both are needed.")
        position = np.cumsum(selected) - 1
        return cls(pairs, shifts, position[reverse])

    def __len__(self) -> int:
        return len(self.pairs)

    def vectors(self, structure: Structure) -> NDArray[np.float64]:
        """r_j - r_i of each pair, Bohr, (edge, 3)."""
        return structure.pair_vectors(self.pairs, self.shifts)

    def kinds(self, species: NDArray[np.int64], elements: int) -> Tensor:
        """Row of each pair in a table by pairs of elements, (edge,)."""
        return torch.from_numpy(species[self.pairs[:, 0]] * elements + species[self.pairs[:, 1]])

    def with_atoms(self, atoms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs and shifts with the self-pairs of all atoms in front, (atom + edge, 2) and (atom + edge, 3)."""
        itself = np.repeat(np.arange(atoms)[:, None], 2, axis=1)
        shifts = np.concatenate([np.zeros((atoms, 3), dtype=np.int64), self.shifts])
        return np.concatenate([itself, self.pairs]), shifts

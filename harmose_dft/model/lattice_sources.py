"""Charges of a crystal that is predicted in parts: collected atom by atom, then their potential in the lattice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.conventions import E3NN_AXES
from ..core.matrix import BlockMatrix
from ..core.structure import Structure
from ..nn.potential import Potential
from .lattice_sum import sum_over_lattice

Indices = NDArray[np.int64]


class LatticeSources:
    """Charges and dipoles of all atoms of a crystal, zero before any are added.

    Args:
        structure: The crystal.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.charges, self.dipoles = np.zeros(len(structure)), np.zeros((len(structure), 3))

    def add(self, atoms: Indices, potentials: Sequence[Potential], rows: Indices) -> None:
        """Take charges and dipoles of some atoms from the potentials of a part of the crystal.

        Args:
            atoms: The atoms.
            potentials: Of each member network, whose mean counts; none adds nothing.
            rows: Where the atoms are in the part.
        """
        for potential in potentials:
            self.charges[atoms] += potential.charges.numpy()[rows] / len(potentials)
            self.dipoles[atoms] += potential.dipoles.numpy()[rows] / len(potentials)

    @property
    def is_zero(self) -> bool:
        """Whether no atom has a charge or a dipole."""
        return not (self.charges.any() or self.dipoles.any())

    def potential(self) -> Tensor:
        """Potential energy of an electron at the atoms and its gradient in the order y, z, x, (atom, 4), Hartree."""
        assert self.structure.cell is not None
        dipoles = self.dipoles[:, np.argsort(E3NN_AXES)]
        value, slope = sum_over_lattice(self.charges, dipoles, self.structure.positions, self.structure.cell)
        return -torch.from_numpy(np.hstack([value[:, None], slope[:, E3NN_AXES]]))


def potential_matrix(structure: Structure, overlap: BlockMatrix, potential: Tensor, cutoff: float) -> BlockMatrix:
    """S_ij (v_i + v_j) / 2 for the pairs within a cutoff, zero for others.

    Args:
        structure: The crystal.
        overlap: S.
        potential: v, Hartree, (atom,).
        cutoff: Bohr.
    """
    distances = np.linalg.norm(structure.pair_vectors(overlap.pairs, overlap.shifts), axis=1)
    mean = np.where(distances < cutoff, potential.numpy()[overlap.pairs].mean(axis=1), 0.0)
    return overlap.with_values(overlap.values * np.repeat(mean, np.diff(overlap.pointers)))

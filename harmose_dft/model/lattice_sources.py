"""Charges of a crystal that is predicted in parts: collected atom by atom, then their potential in the lattice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.matrix import BlockMatrix
from ..core.structure import Structure
from ..nn.lattice import potential_of_waves
from ..nn.potential import Potential
from .waves import reciprocal_waves

Indices = NDArray[np.int64]


class LatticeSources:
    """Charges and dipoles of all atoms of a crystal, zero before any are added.

    Args:
        structure: The crystal.
    """

    def __init__(self, structure: Structure) -> None:
        self.structure = structure
        self.charges = torch.zeros(len(structure), dtype=torch.float64)
        self.dipoles = torch.zeros(len(structure), 3, dtype=torch.float64)

    def add(self, atoms: Indices, potentials: Sequence[Potential], rows: Indices) -> None:
        """Take charges and dipoles of some atoms from the potentials of a part of the crystal.

        Args:
            atoms: The atoms.
            potentials: Of each member network, whose mean counts; none adds nothing.
            rows: Where the atoms are in the part.
        """
        for potential in potentials:
            self.charges[atoms] += potential.charges[rows].double() / len(potentials)
            self.dipoles[atoms] += potential.dipoles[rows].double() / len(potentials)

    def potential(self) -> Tensor:
        """Potential energy of an electron at the atoms and its gradient in the order y, z, x, (atom, 4), Hartree."""
        assert self.structure.cell is not None
        positions, waves, weights = (
            torch.tensor(x, dtype=torch.float64)
            for x in (self.structure.positions, *reciprocal_waves(self.structure.cell))
        )
        value, gradient = potential_of_waves(self.charges, self.dipoles, positions, waves, weights)
        return -torch.cat([value[:, None], gradient], dim=1)


def potential_matrix(structure: Structure, overlap: BlockMatrix, potential: Tensor, cutoff: float) -> BlockMatrix:
    """S_ij (v_i + v_j) / 2 for the pairs within a cutoff, zero for others.

    Args:
        structure: The crystal.
        overlap: S.
        potential: v, Hartree, (atom,).
        cutoff: Bohr.
    """
    assert structure.cell is not None
    (i, j), v = overlap.pairs.T, potential.numpy()
    vectors = structure.positions[j] - structure.positions[i] + overlap.shifts @ structure.cell
    mean = np.where(np.linalg.norm(vectors, axis=1) < cutoff, 0.5 * (v[i] + v[j]), 0.0)
    return overlap.with_values(overlap.values * np.repeat(mean, np.diff(overlap.pointers)))

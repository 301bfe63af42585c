"""The density matrix of stage 1's Hamiltonian, which the second stage may take as input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.matrix import BlockMatrix
from ..core.spin import SPIN_OF_PARTS, decompose
from ..nn.axis import MatrixAxis
from ..nn.blocks import Blocks
from ..solver import Filling, density_blocks, solve_structure
from ..solver.orthogonal import root
from .featurize import Featurizer
from .inputs import Integrals, lowdin_density
from .normalizer import Normalizer
from .padding import pad


class DensityInput:
    """Computes the density of stage 1's Hamiltonian of a structure.

    H depends on the density of its own orbitals. A network that takes positions alone misses the effect of the
    occupation of a few levels, such as those that a small cell folds to the Fermi level; the density of a first
    Hamiltonian contains it.

    Args:
        featurizer: The model's.
        normalizer: The model's.
        filling: How crystals are filled.
    """

    def __init__(self, featurizer: Featurizer, normalizer: Normalizer, filling: Filling) -> None:
        self.featurizer, self.normalizer, self.filling = featurizer, normalizer, filling

    def __call__(self, integrals: Integrals, stage1: Blocks) -> Blocks:
        """The density matrix on the pairs of a structure, in the symmetrically orthogonalised basis.

        It has the matrices of a Hamiltonian: one, and those that depend on spin.

        Args:
            integrals: Of the structure.
            stage1: Stage 1's output for it, Hartree, on the CPU.

        Raises:
            SolverError: The eigenproblem cannot be solved.
        """
        (hamiltonians,) = self.featurizer.assemble_hamiltonians(integrals, [stage1], self.normalizer)
        density = orthogonal_density(integrals, hamiltonians, self.filling)
        axis = MatrixAxis.hamiltonian(SPIN_OF_PARTS[len(density) - 1])
        return pad(density, integrals.pairs, integrals.species, self.featurizer.layout, axis)


def orthogonal_density(
    integrals: Integrals, hamiltonians: Sequence[BlockMatrix], filling: Filling
) -> tuple[BlockMatrix, ...]:
    """S^(1/2) P S^(1/2) on the pairs of S, as the real matrices of :func:`~harmose_dft.core.spin.decompose`.

    Molecules hold two electrons in each of the lowest orbitals; crystals are filled on a mesh of k-points:
    P_ij(R) = sum_k w_k sum_n f_nk c_i,nk c_j,nk^* exp(-2 pi i k.R), c = S(k)^(1/2) C.

    Args:
        integrals: The structure and S.
        hamiltonians: H, Hartree: one matrix, of spinors or not, or two (up, down).
        filling: k-points and smearing of a crystal.
    """
    overlap, electrons = integrals.overlap, integrals.n_electrons
    if not integrals.structure.periodic:
        dense = lowdin_density(hamiltonians[0].to_dense(), overlap.to_dense(), round(electrons))
        return (BlockMatrix.from_dense(dense, overlap.orbitals),)
    spectrum = solve_structure(integrals.structure, hamiltonians, overlap, electrons, filling, multiple=1)
    assert spectrum.kpoints is not None
    spinor = hamiltonians[0].spinor
    roots = np.stack([_root(overlap, k, spinor=spinor) for k in spectrum.kpoints])  # (k, ao, ao), before any spin axis
    orthogonal = replace(spectrum, coefficients=roots @ spectrum.coefficients)
    return decompose(density_blocks(orthogonal, overlap.with_spin() if spinor else overlap))


def _root(overlap: BlockMatrix, kpoint: NDArray[np.float64], *, spinor: bool) -> NDArray[Any]:
    """S(k)^(1/2), of spinors 1_2 kron S(k)^(1/2)."""
    half = root(overlap.at(kpoint))
    return np.kron(np.eye(2), half) if spinor else half

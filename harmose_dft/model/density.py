"""The density matrix of stage 1's Hamiltonian, which the second stage may take as input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.matrix import BlockMatrix
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
        """The density matrix on the pairs of a structure, one matrix, in the symmetrically orthogonalised basis.

        Args:
            integrals: Of the structure.
            stage1: Stage 1's output for it, Hartree, on the CPU.

        Raises:
            SolverError: The eigenproblem cannot be solved.
        """
        ((hamiltonian,),) = self.featurizer.assemble_hamiltonians(integrals, [stage1], self.normalizer)
        density = orthogonal_density(integrals, hamiltonian, self.filling)
        return pad([density], integrals.pairs, integrals.species, self.featurizer.layout)


def orthogonal_density(integrals: Integrals, hamiltonian: BlockMatrix, filling: Filling) -> BlockMatrix:
    """S^(1/2) P S^(1/2) of a closed shell, on the pairs of S.

    Molecules hold two electrons in each of the lowest orbitals; crystals are filled on a mesh of k-points:
    P_ij(R) = sum_k w_k sum_n f_nk c_i,nk c_j,nk^* exp(-2 pi i k.R), c = S(k)^(1/2) C.

    Args:
        integrals: The structure and S.
        hamiltonian: H, Hartree.
        filling: k-points and smearing of a crystal.
    """
    overlap, electrons = integrals.overlap, integrals.n_electrons
    if not integrals.structure.periodic:
        dense = lowdin_density(hamiltonian.to_dense(), overlap.to_dense(), round(electrons))
        return BlockMatrix.from_dense(dense, overlap.orbitals)
    spectrum = solve_structure(integrals.structure, [hamiltonian], overlap, electrons, filling, multiple=1)
    assert spectrum.kpoints is not None
    orthogonal = [root(overlap.at(k)) @ c for k, c in zip(spectrum.kpoints, spectrum.coefficients, strict=True)]
    return density_blocks(replace(spectrum, coefficients=np.stack(orthogonal)), overlap)[0]

"""The density matrix of stage 1's Hamiltonian, which the second stage may take as input."""

from __future__ import annotations

from ..core.spin import SPIN_OF_PARTS
from ..nn.axis import MatrixAxis
from ..nn.blocks import Blocks
from ..solver import Filling
from .featurize import Featurizer
from .integrals import Integrals
from .lowdin import orthogonal_density
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

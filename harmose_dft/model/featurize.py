"""From a structure and its matrices to what the model sees, the same way in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ..core.basis import OrbitalBasis
from ..core.matrix import BlockMatrix
from ..core.spin import decompose, recombine
from ..core.structure import Structure
from ..nn.geometry import FrameBuilder
from ..nn.graph import PreparedGraph
from ..nn.heads import Blocks
from ..nn.layout import OrbitalLayout
from .inputs import (
    InputName,
    Normalizer,
    PaddedMatrix,
    PairList,
    lowdin_density,
    pad,
    pair_graph,
    unpad,
)

OVERLAP_FLOOR = 3e-3
"""s0 of :func:`damping`; chosen on validation molecules (journal/results.md)."""


@dataclass(frozen=True, eq=False)
class Integrals:
    """A structure with what is computed for it before a model sees it.

    Args:
        structure: The atoms.
        species: Species index of each atom, (atom,).
        pairs: Pairs within the cutoff.
        overlap: S.
        h0: H0, Hartree.
        n_electrons: Electrons.
    """

    structure: Structure
    species: NDArray[np.int64]
    pairs: PairList
    overlap: BlockMatrix
    h0: BlockMatrix
    n_electrons: float


@dataclass(frozen=True, eq=False)
class Features:
    """Padded matrices of a structure before normalisation, float64.

    Args:
        integrals: The structure and its matrices.
        inputs: The input matrices.
        target: H - H0, where H is known, and behind it the matrices that depend on spin.
        overlap: S.
    """

    integrals: Integrals
    inputs: PaddedMatrix
    target: PaddedMatrix | None
    overlap: PaddedMatrix


class Featurizer:
    """Builds input matrices, picks pairs, pads blocks.

    Args:
        basis: The model's basis.
        names: Input matrices, in order.
        cutoff: Pairs up to this distance, Bohr.
        damped: Whether :func:`damping` acts on corrections; not where H0 is zero, nor on crystals.
    """

    def __init__(
        self, basis: OrbitalBasis, names: Sequence[InputName], cutoff: float, *, damped: bool = True
    ) -> None:
        self.basis, self.names, self.cutoff, self.damped = basis, tuple(names), cutoff, damped
        self.layout = OrbitalLayout.of(basis)

    def featurize(
        self,
        structure: Structure,
        overlap: BlockMatrix,
        h0: BlockMatrix,
        n_electrons: float,
        hamiltonian: Sequence[BlockMatrix] = (),
    ) -> Features:
        """Padded matrices of one structure.

        Args:
            structure: The atoms.
            overlap: S.
            h0: H0, Hartree.
            n_electrons: Electrons, for the density of H0.
            hamiltonian: H, Hartree, where it is known: one matrix, or one per spin direction.

        Raises:
            DataError: A spinor Hamiltonian is magnetic.
        """
        matrices = [self._input(name, overlap, h0, n_electrons) for name in self.names]
        matrices.append(overlap)
        if hamiltonian:
            spinless, *spin = decompose(hamiltonian)
            matrices += [spinless - h0, *spin]
        species = self.layout.species(structure.numbers)
        pairs = PairList.within(structure, overlap, self.cutoff)
        blocks = pad(matrices, pairs, species, self.layout)
        count = len(self.names)
        inputs, padded_overlap, target = (
            PaddedMatrix(blocks.node[:, k], blocks.edge[:, k])
            for k in (slice(count), slice(count, count + 1), slice(count + 1, None))
        )
        integrals = Integrals(structure, species, pairs, overlap, h0, n_electrons)
        return Features(integrals, inputs, target if hamiltonian else None, padded_overlap)

    def make_graph(self, raw: Features, normalizer: Normalizer, frames: FrameBuilder) -> PreparedGraph:
        """The prepared graph of one structure, targets included where they are known."""
        target, integrals = raw.target, raw.integrals
        if target is not None:
            means = [normalizer.target_mean[:, None], *([] if normalizer.spin_mean is None else [normalizer.spin_mean])]
            target = PaddedMatrix(target.node - np.concatenate(means, axis=1)[integrals.species], target.edge)
        inputs = normalizer.normalize(raw.inputs, integrals.species, integrals.pairs)
        return frames.prepare(
            pair_graph(integrals.structure, integrals.pairs, inputs, integrals.species, target, raw.overlap)
        )

    def assemble_hamiltonians(
        self, integrals: Integrals, outputs: Sequence[Blocks], normalizer: Normalizer
    ) -> list[tuple[BlockMatrix, ...]]:
        """H = H0 + mean + predicted blocks, float64, exactly Hermitian: one matrix, or one per spin direction.

        Pairs of H0 beyond the cutoff are kept as they are. A correction may be damped: see :func:`damping`.

        Args:
            integrals: Of the structure.
            outputs: Blocks for this structure alone, Hartree: of the model, of its first stage.
            normalizer: The model's.
        """
        damp = damping(integrals.overlap) if self.damped else None
        return [self._hamiltonian(integrals, blocks, normalizer, damp) for blocks in outputs]

    def _hamiltonian(
        self, integrals: Integrals, blocks: Blocks, normalizer: Normalizer, damp: NDArray[np.float64] | None
    ) -> tuple[BlockMatrix, ...]:
        h0 = integrals.h0
        correction = self._matrix(integrals, blocks, normalizer.target_mean)
        if damp is not None:
            dense = damp @ correction.to_dense() @ damp
            correction = BlockMatrix.from_dense(0.5 * (dense + dense.T), correction.orbitals)
        matrices = [h0 + correction.on_pairs_of(h0)]
        if blocks.spin is not None and normalizer.spin_mean is not None:
            for k, mean in enumerate(normalizer.spin_mean.swapaxes(0, 1)):
                part = self._matrix(integrals, Blocks(blocks.spin.node[:, k], blocks.spin.edge[:, k]), mean)
                matrices.append(part.on_pairs_of(h0))
        return recombine(matrices)

    def _matrix(self, integrals: Integrals, blocks: Blocks, mean: NDArray[np.float64]) -> BlockMatrix:
        """Predicted blocks and the on-site mean (species, n, n) of one matrix, without padding, float64."""
        node, edge = blocks.node.double().numpy() + mean[integrals.species], blocks.edge.double().numpy()
        return unpad(node, edge, integrals.pairs, integrals.structure.numbers, self.basis, self.layout)

    def slots(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each orbital among the padded slots of a structure, (ao,)."""
        n = self.layout.size
        return np.concatenate([a * n + self.layout.orbital_index[s] for a, s in enumerate(species)])

    def _input(
        self, name: InputName, overlap: BlockMatrix, h0: BlockMatrix, n_electrons: float
    ) -> BlockMatrix:
        match name:
            case "overlap":
                return overlap
            case "baseline":
                return h0
            case "density":
                dense = lowdin_density(h0.to_dense(), overlap.to_dense(), round(n_electrons))
                return BlockMatrix.from_dense(dense, overlap.orbitals)


def damping(overlap: BlockMatrix) -> NDArray[np.float64]:
    """f(S), f(s) = s^4 / (s^4 + s0^4), (ao, ao): f(S) D f(S) is a correction D to H0 without what it cannot know.

    Along an eigenvector of S with eigenvalue s the matrix of a bounded operator is of order s, but the error of a
    network is not: divided by s in the eigenproblem it puts intruder orbitals into the gap. There H0, whose matrix is
    that of an operator, is kept. f(S) turns with the molecule, so covariance is untouched. The fourth power leaves
    corrections alone where S is well conditioned: of a molecule of water (smallest s 0.033) all but 7e-5 is kept.
    """
    values, vectors = eigh(overlap.to_dense())
    return np.asarray((vectors * (values**4 / (values**4 + OVERLAP_FLOOR**4))) @ vectors.T)

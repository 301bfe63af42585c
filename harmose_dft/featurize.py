"""From a structure and its matrices to what the model sees, the same way in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from .basis import OrbitalBasis
from .graph import PreparedGraph
from .inputs import (
    InputName,
    Normalizer,
    PaddedMatrix,
    PairList,
    lowdin_density,
    padded,
    pair_graph,
    unpadded,
)
from .matrix import BlockMatrix
from .nn.geometry import FrameBuilder
from .nn.heads import Blocks
from .nn.layout import OrbitalLayout
from .spin import decomposed, recombined
from .structure import Structure

OVERLAP_FLOOR = 3e-3
"""s0 of :func:`damping`; chosen on validation molecules (docs/results.md)."""


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """Padded matrices of a structure before normalisation, float64.

    Args:
        structure: The atoms.
        species: Species index of each atom, (atom,).
        pairs: Pairs within the cutoff.
        inputs: The input matrices.
        target: H - H0, where H is known, and behind it the matrices that depend on spin.
        metric: S.
    """

    structure: Structure
    species: NDArray[np.int64]
    pairs: PairList
    inputs: PaddedMatrix
    target: PaddedMatrix | None
    metric: PaddedMatrix


class Featurizer:
    """Builds input matrices, picks pairs, pads blocks.

    Args:
        basis: The model's basis.
        names: Input matrices, in order.
        cutoff: Pairs up to this distance, Bohr.
    """

    def __init__(self, basis: OrbitalBasis, names: Sequence[InputName], cutoff: float) -> None:
        self.basis, self.names, self.cutoff = basis, tuple(names), cutoff
        self.layout = OrbitalLayout.of(basis)

    def raw(
        self,
        structure: Structure,
        overlap: BlockMatrix,
        baseline: BlockMatrix,
        n_electrons: float,
        hamiltonian: Sequence[BlockMatrix] = (),
    ) -> RawFeatures:
        """Padded matrices of one structure.

        Args:
            structure: The atoms.
            overlap: S.
            baseline: H0, Hartree.
            n_electrons: Electrons, for the density of H0.
            hamiltonian: H, Hartree, where it is known: one matrix, or one per spin direction.

        Raises:
            DataError: A spinor Hamiltonian is magnetic.
        """
        matrices = [self._input(name, overlap, baseline, n_electrons) for name in self.names]
        matrices.append(overlap)
        if hamiltonian:
            first, *spin = decomposed(hamiltonian)
            matrices += [first - baseline, *spin]
        species = self.layout.species(structure.numbers)
        pairs = PairList.within(structure, overlap, self.cutoff)
        blocks = padded(matrices, pairs, species, self.layout)
        count = len(self.names)
        inputs, metric, target = (
            PaddedMatrix(blocks.node[:, k], blocks.edge[:, k])
            for k in (slice(count), slice(count, count + 1), slice(count + 1, None))
        )
        return RawFeatures(structure, species, pairs, inputs, target if hamiltonian else None, metric)

    def graph(self, raw: RawFeatures, normalizer: Normalizer, frames: FrameBuilder) -> PreparedGraph:
        """The prepared graph of one structure, targets included where they are known."""
        target = raw.target
        if target is not None:
            means = [normalizer.target_mean[:, None], *([] if normalizer.spin_mean is None else [normalizer.spin_mean])]
            target = PaddedMatrix(target.node - np.concatenate(means, axis=1)[raw.species], target.edge)
        inputs = normalizer.inputs(raw.inputs, raw.species, raw.pairs)
        return frames.prepare(pair_graph(raw.structure, raw.pairs, inputs, raw.species, target, raw.metric))

    def hamiltonians(
        self,
        raw: RawFeatures,
        blocks: Blocks,
        normalizer: Normalizer,
        baseline: BlockMatrix,
        damping: NDArray[np.float64] | None = None,
    ) -> tuple[BlockMatrix, ...]:
        """H = H0 + mean + predicted blocks, float64, exactly Hermitian: one matrix, or one per spin direction.

        Args:
            raw: Features of the structure.
            blocks: The model's output for this structure alone, Hartree.
            normalizer: The model's.
            baseline: H0; its pairs beyond the cutoff are kept as they are.
            damping: Multiplies a molecule's correction from both sides; see :func:`damping`, (ao, ao).
        """
        correction = self._matrix(raw, blocks, normalizer.target_mean)
        if damping is not None:
            dense = damping @ correction.to_dense() @ damping
            correction = BlockMatrix.from_dense(0.5 * (dense + dense.T), correction.orbitals)
        parts = [baseline + correction.on_pairs_of(baseline)]
        if blocks.spin is not None and normalizer.spin_mean is not None:
            for k, mean in enumerate(normalizer.spin_mean.swapaxes(0, 1)):
                part = self._matrix(raw, Blocks(blocks.spin.node[:, k], blocks.spin.edge[:, k]), mean)
                parts.append(part.on_pairs_of(baseline))
        return recombined(parts)

    def _matrix(self, raw: RawFeatures, blocks: Blocks, mean: NDArray[np.float64]) -> BlockMatrix:
        """Predicted blocks and the on-site mean (species, n, n) of one matrix, without padding, float64."""
        node, edge = blocks.node.double().numpy() + mean[raw.species], blocks.edge.double().numpy()
        return unpadded(node, edge, raw.pairs, raw.structure.numbers, self.basis, self.layout)

    def slots(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each orbital among the padded slots of a structure, (ao,)."""
        n = self.layout.size
        return np.concatenate([a * n + self.layout.orbital_index[s] for a, s in enumerate(species)])

    def _input(
        self, name: InputName, overlap: BlockMatrix, baseline: BlockMatrix, n_electrons: float
    ) -> BlockMatrix:
        match name:
            case "overlap":
                return overlap
            case "baseline":
                return baseline
            case "density":
                dense = lowdin_density(baseline.to_dense(), overlap.to_dense(), round(n_electrons))
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

"""From a structure and its matrices to the graph that a model takes, the same way in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from ..core.basis import OrbitalBasis
from ..core.matrix import BlockMatrix
from ..core.spin import SPIN_OF_PARTS, decompose, recombine
from ..core.structure import Structure
from ..nn.axis import MatrixAxis
from ..nn.blocks import Blocks, symmetrize
from ..nn.geometry import FrameBuilder
from ..nn.graph import PairGraph
from ..nn.layout import OrbitalLayout
from ..physics.integrals.net_charge import share_net_charge
from ..solver import Filling
from .inputs import input_matrices
from .integrals import Integrals
from .normalizer import Normalizer
from .padding import pad, unpad
from .pairs import PairList
from .waves import reciprocal_waves

if TYPE_CHECKING:
    from ..physics.base import Physics
    from .two_stage import ModelConfig

OVERLAP_FLOOR = 3e-3
"""s0 of :func:`damping`; chosen on validation molecules (journal/results.md)."""


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
    inputs: Blocks
    target: Blocks | None
    overlap: Blocks


class Featurizer:
    """Builds input matrices, picks pairs, pads blocks.

    Args:
        basis: The model's basis.
        names: Input matrices, in order.
        cutoff: Pairs up to this distance, Bohr.
        damped: Whether :func:`damping` acts on corrections; not where H0 is zero, nor on crystals.
        lattice: Whether graphs of crystals have the waves of their reciprocal lattice.
        filling: How crystals are filled for the density of H0, where it is among the input matrices.
    """

    @classmethod
    def of_model(
        cls, basis: OrbitalBasis, names: Sequence[str], physics: Physics, config: ModelConfig, filling: Filling | None
    ) -> Featurizer:
        """What a model's network takes.

        Args:
            basis: The model's basis.
            names: Input matrices, in order.
            physics: The model's S and H0.
            config: The network's sizes.
            filling: How crystals are filled for densities; None where the model sees none.
        """
        return cls(
            basis, names, config.first.cutoff, damped=physics.damped, lattice=config.lattice, filling=filling
        )

    def __init__(
        self, basis: OrbitalBasis, names: Sequence[str], cutoff: float, *, damped: bool, lattice: bool,
        filling: Filling | None = None,
    ) -> None:
        self.basis, self.inputs, self.cutoff, self.damped = basis, input_matrices(names), cutoff, damped
        self.lattice, self.filling = lattice, filling
        self.layout = OrbitalLayout.of(basis)

    def featurize(
        self,
        structure: Structure,
        overlap: BlockMatrix,
        h0: BlockMatrix,
        n_electrons: float,
        hamiltonian: Sequence[BlockMatrix] = (),
        h0_spin: tuple[BlockMatrix, ...] = (),
    ) -> Features:
        """Padded matrices of one structure.

        Args:
            structure: The atoms.
            overlap: S.
            h0: H0, Hartree.
            n_electrons: Electrons, for the density of H0.
            hamiltonian: H, Hartree, where it is known: one matrix, or one per spin direction.
            h0_spin: What H0 has of the matrices that depend on spin.

        Raises:
            DataError: A spinor Hamiltonian is magnetic.
        """
        species = self.layout.species(structure.numbers)
        pairs = PairList.within(structure, overlap, self.cutoff)
        integrals = Integrals(structure, species, pairs, overlap, h0, n_electrons, h0_spin, self.filling)
        matrices = [*(matrix.compute(integrals) for matrix in self.inputs), overlap]
        count, axis = len(self.inputs), MatrixAxis.scalars(len(matrices))
        if hamiltonian:
            spinless, *spin = decompose(hamiltonian)
            if h0_spin:
                spin = [part - fitted for part, fitted in zip(spin, h0_spin, strict=True)]
            matrices += [spinless - h0, *spin]
            axis += MatrixAxis.hamiltonian(SPIN_OF_PARTS[len(spin)])
        blocks = pad(matrices, pairs, species, self.layout, axis)
        target = blocks[count + 1 :] if hamiltonian else None
        return Features(integrals, blocks[:count], target, blocks[count : count + 1])

    def make_graph(
        self, raw: Features, normalizer: Normalizer, frames: FrameBuilder, *, with_waves: bool = True
    ) -> PairGraph:
        """The prepared graph of one structure, targets included where they are known.

        Args:
            raw: Its matrices.
            normalizer: The model's.
            frames: The model's.
            with_waves: Whether the graph of a crystal has waves, if those of this featurizer do; not that of a part.
        """
        integrals, target = raw.integrals, raw.target
        if target is not None:
            target = normalizer.shift_target(target, integrals.species)
        inputs = normalizer.normalize_inputs(raw.inputs, integrals.species, integrals.pairs)
        return frames.prepare(
            build_graph(
                integrals.structure, integrals.pairs, integrals.species, inputs, target=target, overlap=raw.overlap,
                lattice=self.lattice and with_waves,
            )
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
        blocks = normalizer.shift_target(blocks.to(torch.float64), integrals.species, sign=1.0)
        correction, *spin = unpad(blocks, integrals.pairs, integrals.structure.numbers, self.basis, self.layout)
        if damp is not None:
            dense = damp @ correction.to_dense() @ damp
            correction = BlockMatrix.from_dense(0.5 * (dense + dense.T), correction.orbitals)
        h0 = integrals.h0
        spin = [part.on_pairs_of(h0) for part in spin]
        if integrals.h0_spin:
            spin = [fitted + part for fitted, part in zip(integrals.h0_spin, spin, strict=True)]
        return recombine([h0 + correction.on_pairs_of(h0), *spin])

    def slots(self, species: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each orbital among the padded slots of a structure, (ao,)."""
        n = self.layout.size
        return np.concatenate([a * n + self.layout.orbital_index[s] for a, s in enumerate(species)])


def build_graph(
    structure: Structure,
    pairs: PairList,
    species: NDArray[np.int64],
    inputs: Blocks,
    *,
    target: Blocks | None = None,
    overlap: Blocks | None = None,
    lattice: bool = False,
    dtype: torch.dtype = torch.float32,
) -> PairGraph:
    """The graph of a structure: the one place where float64 becomes the network's precision."""
    far = None if structure.periodic else np.stack(np.nonzero(~np.eye(len(species), dtype=bool)))
    reverse = torch.from_numpy(pairs.reverse)
    if overlap is not None:
        overlap = replace(overlap, edge=symmetrize(overlap.edge, overlap.edge[reverse], overlap.axis))

    def cast(array: NDArray[np.float64]) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=dtype)

    graph = PairGraph(
        species=torch.from_numpy(species),
        edges=torch.from_numpy(np.ascontiguousarray(pairs.pairs.T)),
        reverse=reverse,
        vectors=cast(pairs.vectors(structure)),
        inputs=inputs.to(dtype),
        target=None if target is None else target.to(dtype),
        overlap=None if overlap is None else overlap.to(dtype),
        charge=None if structure.periodic else cast(share_net_charge(structure)),
        far_edges=None if far is None else torch.from_numpy(far),
        far_vectors=None if far is None else cast(structure.positions[far[1]] - structure.positions[far[0]]),
    )
    if not lattice or structure.cell is None:
        return graph
    waves, weights = reciprocal_waves(structure.cell)
    return graph.replace(
        positions=cast(structure.positions), waves=cast(waves), wave_weights=cast(weights),
        wave_structure=torch.zeros(len(waves), dtype=torch.int64),
    )


def damping(overlap: BlockMatrix) -> NDArray[np.float64]:
    """f(S), f(s) = s^4 / (s^4 + s0^4), (ao, ao): f(S) D f(S) is a correction D to H0 without what it cannot know.

    Along an eigenvector of S with eigenvalue s the matrix of a bounded operator is of order s, but the error of a
    network is not: divided by s in the eigenproblem it puts intruder orbitals into the gap. There H0, whose matrix is
    that of an operator, is kept. f(S) turns with the molecule, so covariance is untouched. The fourth power leaves
    corrections alone where S is well conditioned: of a molecule of water (smallest s 0.033) all but 7e-5 is kept.
    """
    values, vectors = eigh(overlap.to_dense())
    return np.asarray((vectors * (values**4 / (values**4 + OVERLAP_FLOOR**4))) @ vectors.T)

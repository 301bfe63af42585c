"""H(R) of large cells in bounded memory: chunks of atoms, each predicted within as many neighbours as it depends on.

A network of L layers sees an atom's surroundings through at most L + 1 pairs, one after the other. The blocks of a
chunk of atoms are therefore those of the whole cell, up to rounding, if the network is run on the chunk with all atoms
that so many pairs reach. A cell that fits into memory is one chunk, and nothing is computed twice.

Where charges act through the lattice, a first pass finds those of all atoms, and a second one takes their potential.
Stage 2's corrections to the charges act on its last blocks alone, so that what they add is added at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import DomainError
from ..core.matrix import BlockMatrix
from ..core.progress import Progress, silent
from ..core.structure import Structure
from ..nn.graph import PairGraph
from ..nn.potential import Potential
from .featurize import Features
from .lattice_sources import LatticeSources, potential_matrix
from .predictor import PredictedMatrices, Predictor
from .two_stage import CORRECTION_UNIT, TwoStageModel

Indices = NDArray[np.int64]

MEMORY = 2.6e9
"""Bytes that the network may take for a chunk, roughly."""

PAIR_COPIES, BLOCK_COPIES = 6, 16
"""Copies of a pair's features and of its blocks that are alive at once (measured)."""

UNSLICED = 10
"""Times as much memory is needed by second stages that do not run in slices."""

MOST_AT_ONCE = 1000
"""Charges of more atoms act through the lattice in two passes, whose sum over waves is faster than the network's."""

SMALLEST = 32
"""Chunks of so few atoms are not divided further."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Atoms that are predicted together.

    Args:
        atoms: Those whose pairs are kept, ascending.
        surroundings: Those and all that they depend on, ascending.
    """

    atoms: Indices
    surroundings: Indices

    @property
    def rows(self) -> Indices:
        """Where its atoms are among their surroundings."""
        return np.searchsorted(self.surroundings, self.atoms)


def predict_matrices(
    predictor: Predictor, structure: Structure, *, memory: float = MEMORY, progress: Progress = silent
) -> PredictedMatrices:
    """S, H0 and H of one structure of any size, without a diagonalisation, in time linear in the number of atoms.

    Where charges act through the lattice, their sum takes time that is quadratic in it, 11 s for 10 000 atoms.

    Args:
        predictor: The model.
        structure: A crystal.
        memory: Bytes that the network may take besides the matrices, roughly.
        progress: Shows progress over the atoms.

    Raises:
        DomainError: The structure lies outside the model's domain or is a molecule, whose atoms all see each other, or
            the model needs a diagonalisation of it.
    """
    predictor.check(structure)
    if not structure.periodic:
        raise DomainError(
            f"{structure.formula} is a molecule; chunks are for crystals, whose atoms do not all see each other. Use "
            "predict."
        )
    if predictor.density is not None or "density" in predictor.model.inputs:
        raise DomainError(
            f"{predictor.info.name} needs the density of a first Hamiltonian, which takes a diagonalisation of the "
            f"whole cell of {len(structure)} atoms. Train a model without density (inputs: [overlap, baseline], "
            "model.second.density: false)."
        )
    overlap = predictor.physics.overlap(structure)
    h0 = predictor.physics.h0(structure), *predictor.physics.h0.spin_parts(structure)
    chunks = plan_chunks(structure, overlap, predictor.network, memory)
    cell = WholeCell(predictor, structure, overlap, h0)
    if len(chunks) == 1 and not (predictor.network.config.lattice and len(structure) > MOST_AT_ONCE):
        with progress("predicting", len(structure)) as steps:
            target = list(cell.run(chunks[0]).hamiltonians)
            steps.advance(len(structure))
    else:
        target = _predict_chunks(cell, chunks, progress)
    return PredictedMatrices(overlap, h0[0], tuple(target))


def _predict_chunks(cell: WholeCell, chunks: Sequence[Chunk], progress: Progress) -> list[BlockMatrix]:
    """The Hamiltonians of a cell, chunk by chunk; where charges act through the lattice, in two passes."""
    network, structure, h0 = cell.predictor.network, cell.structure, cell.h0[0]
    target: list[BlockMatrix] = []
    outer = None
    with progress("predicting", (2 if network.config.lattice else 1) * len(structure)) as steps:
        if network.config.lattice:
            sources = LatticeSources(structure)
            for chunk in chunks:
                sources.add(chunk.atoms, [cell.stage1_potential(chunk)], chunk.rows)
                steps.advance(len(chunk.atoms))
            outer = sources.potential()
        corrections = LatticeSources(structure)
        for chunk in chunks:
            part = cell.run(chunk, outer=None if outer is None else outer[chunk.surroundings])
            target = target or [_empty_like(h0, matrix) for matrix in part.hamiltonians]
            for whole_matrix, matrix in zip(target, part.hamiltonians, strict=True):
                _insert(whole_matrix, part.edges, matrix, chunk)
            corrections.add(chunk.atoms, part.potential_corrections, chunk.rows)
            steps.advance(len(chunk.atoms))
    if outer is not None and not corrections.is_zero:
        potential = CORRECTION_UNIT * corrections.potential()[:, 0]
        shift = potential_matrix(structure, cell.overlap, potential, network.cutoff)
        target = [m + (shift.with_spin() if m.spinor else shift).on_pairs_of(m) for m in target]
    return [m.with_values(0.5 * (m.values + m.adjoint().on_pairs_of(m).values)) for m in target]


def reach(network: TwoStageModel) -> int:
    """Number of pairs, one after the other, through which blocks depend on other atoms."""
    second = network.config.second
    return network.config.first.layers + 1 + (0 if second is None else second.reach)


def bytes_per_pair(network: TwoStageModel) -> float:
    """Memory that the network takes at prediction, roughly."""
    first, second = network.config.first, network.second
    numbers = PAIR_COPIES * network.first.pair_dims.size + (first.l_max + 1) ** 4
    numbers += BLOCK_COPIES * network.axis.size * network.layout.size**2
    return 4.0 * numbers * (1 if second is None or second.runs_in_slices else UNSLICED)


def plan_chunks(
    structure: Structure, overlap: BlockMatrix, network: TwoStageModel, memory: float = MEMORY
) -> list[Chunk]:
    """Divide the atoms into halves, quarters, ... until the network's memory suffices for each part.

    Args:
        structure: The atoms.
        overlap: S, whose pairs within the cutoff join atoms.
        network: The network.
        memory: Bytes that it may take, roughly.
    """
    from scipy.sparse import csr_array

    n_atoms, (i, j) = len(structure), overlap.pairs.T
    adjacency = csr_array((np.ones(len(i), dtype=np.int32), (i, j)), shape=(n_atoms, n_atoms))
    n_pairs = np.bincount(i, minlength=n_atoms)
    allowed, hops = memory / bytes_per_pair(network), reach(network)

    def divide(atoms: Indices) -> Iterator[Chunk]:
        is_needed = np.zeros(n_atoms, dtype=np.int32)
        is_needed[atoms] = 1
        for _ in range(hops):
            is_needed = (adjacency @ is_needed > 0).astype(np.int32)
        if n_pairs[is_needed > 0].sum() <= allowed or len(atoms) <= SMALLEST:
            yield Chunk(atoms, np.flatnonzero(is_needed))
            return
        spread = structure.positions[atoms]
        axis = int(np.argmax(spread.max(axis=0) - spread.min(axis=0)))
        order = np.argsort(spread[:, axis], kind="stable")
        for half in np.array_split(order, 2):
            yield from divide(np.sort(atoms[half]))

    return list(divide(np.arange(n_atoms)))


@dataclass(frozen=True, eq=False)
class PartOfCell:
    """What the network says of a chunk and its surroundings.

    Args:
        edges: Where its pairs are among those of the whole H0.
        hamiltonians: Hamiltonians on them.
        potential_corrections: What each member of stage 2 adds to stage 1's potential, in units of ``CORRECTION_UNIT``.
    """

    edges: Indices
    hamiltonians: tuple[BlockMatrix, ...]
    potential_corrections: tuple[Potential, ...]


@dataclass(frozen=True, eq=False)
class WholeCell:
    """A cell whose chunks are predicted one by one.

    Args:
        predictor: The model.
        structure: The cell.
        overlap: Its S.
        h0: Its H0, and behind it what H0 has of the matrices that depend on spin.
    """

    predictor: Predictor
    structure: Structure
    overlap: BlockMatrix
    h0: tuple[BlockMatrix, ...]

    @torch.no_grad()
    def run(self, chunk: Chunk, *, outer: Tensor | None = None) -> PartOfCell:
        """Run the network on a chunk and its surroundings.

        Args:
            chunk: The atoms.
            outer: What the charges of the whole cell add to the potential and its gradient, (atom, 4); None: the
                chunk is all of the cell, or charges act on no lattice.
        """
        features, edges = self._features(chunk)
        integrals = features.integrals
        graph = self._graph(features, with_waves=outer is None)
        del features
        if outer is not None:
            graph = graph.replace(outer=outer.to(graph.vectors))
        output = self.predictor.network(graph)
        del graph
        (hamiltonians,) = self.predictor.featurizer.assemble_hamiltonians(
            integrals, [output.total.to("cpu")], self.predictor.model.normalizer
        )
        return PartOfCell(edges, hamiltonians, tuple(p.to("cpu") for p in output.potential_corrections))

    @torch.no_grad()
    def stage1_potential(self, chunk: Chunk) -> Potential:
        """Stage 1's charges and dipoles on a chunk and its surroundings, before they act through the lattice."""
        graph = self._graph(self._features(chunk)[0], with_waves=False)
        potential = self.predictor.network(graph, stage1_only=True).stage1_potential
        assert potential is not None
        return cast(Potential, potential).to("cpu")

    def _features(self, chunk: Chunk) -> tuple[Features, Indices]:
        """Padded matrices of a chunk and its surroundings, and where its pairs are among those of the whole H0."""
        atoms = chunk.surroundings
        overlap, _ = _restrict(self.overlap, atoms)
        (h0, edges), *spin = (_restrict(matrix, atoms) for matrix in self.h0)
        part = Structure(self.structure.numbers[atoms], self.structure.positions[atoms], self.structure.cell)
        features = self.predictor.featurizer.featurize(
            part, overlap, h0, self.predictor.physics.n_electrons(self.structure), h0_spin=tuple(m for m, _ in spin)
        )
        return features, edges

    def _graph(self, features: Features, *, with_waves: bool) -> PairGraph:
        """The graph of a chunk on the device of the network."""
        predictor = self.predictor
        graph = predictor.featurizer.make_graph(
            features, predictor.model.normalizer, predictor.frames, with_waves=with_waves
        )
        return graph.to(predictor.device)


def _restrict(matrix: BlockMatrix, atoms: Indices) -> tuple[BlockMatrix, Indices]:
    """The pairs of a matrix among some atoms, which are numbered anew, and where they were."""
    if len(atoms) == len(matrix.orbitals):
        return matrix, np.arange(len(matrix))
    position = np.full(len(matrix.orbitals), -1)
    position[atoms] = np.arange(len(atoms))
    renumbered = position[matrix.pairs]
    is_inside = (renumbered >= 0).all(axis=1)
    values = matrix.values[np.repeat(is_inside, np.diff(matrix.pointers))]
    shifts = matrix.shifts[is_inside]
    return BlockMatrix(matrix.orbitals[atoms], renumbered[is_inside], shifts, values), np.flatnonzero(is_inside)


def _empty_like(frame: BlockMatrix, matrix: BlockMatrix) -> BlockMatrix:
    """Zeros on the pairs of a frame, of the type and the spin layout of another matrix."""
    size = len(frame.values) * (4 if matrix.spinor else 1)
    return BlockMatrix(frame.orbitals, frame.pairs, frame.shifts, np.zeros(size, matrix.values.dtype), matrix.spinor)


def _insert(target: BlockMatrix, edges: Indices, matrix: BlockMatrix, chunk: Chunk) -> None:
    """Write the blocks of a chunk's own atoms into the matrix of the whole cell."""
    is_kept = np.isin(chunk.surroundings[matrix.pairs[:, 0]], chunk.atoms)
    sizes = np.diff(matrix.pointers)
    values = matrix.values[np.repeat(is_kept, sizes)]
    kept_sizes, starts = sizes[is_kept], target.pointers[edges[is_kept]]
    inside = np.arange(len(values)) - np.repeat(np.cumsum(kept_sizes) - kept_sizes, kept_sizes)
    target.values[np.repeat(starts, kept_sizes) + inside] = values

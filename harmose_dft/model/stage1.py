"""Stage 1: the equivariant network that regresses a baseline Hamiltonian and covariant features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from ..core.sections import Count, Number, Section
from ..core.spin import Spin
from ..nn.blocks import Blocks, symmetrize
from ..nn.convolution import BondConvolution
from ..nn.geometry import FrameBuilder, PairGeometry
from ..nn.graph import PairGraph
from ..nn.heads import BlockHead
from ..nn.layout import OrbitalLayout, ParameterLabels
from ..nn.node import BlockEmbedding, ScalarBlocks
from ..nn.o2 import O2Dims, O2Features, O2Linear
from ..nn.potential import Potential, PotentialHead
from ..nn.radial import RadialBasis, envelope
from ..nn.spin import SpinHead

CHARGE_SCALE = 0.1
"""Elementary charges; typical share of an atom in the net charge of a molecule."""


class FirstStageConfig(Section):
    """Size of the first stage."""

    layers: Count = Field(3, ge=1, le=64, description="number of convolutions")
    channels: Count = Field(48, ge=2, le=1024, description="node channels for each l")
    l_max: Count = Field(3, ge=1, le=6, description="highest l of node features")
    pair_channels: Count = Field(64, ge=4, le=1024, description="pair channels of m = 0; higher m get fewer")
    hidden_channels: Count = Field(
        128, ge=4, le=2048, description="channels of m = 0 inside a convolution; higher m get fewer"
    )
    radial: Count = Field(24, ge=4, le=512, description="number of radial functions")
    cutoff: Number = Field(12.0, gt=0, le=100.0, description="Bohr; pairs beyond it keep their physics baseline")
    neighbours: Number = Field(6.0, gt=0, le=1e4, description="typical sum of cutoff factors over the pairs of an atom")


def taper(channels: int, m_max: int, odd: int) -> O2Dims:
    """Channel counts that fall with m: c, 3c/4, c/2, c/4, c/4, ..."""
    fractions = (0.75, 0.5, 0.25)
    pairs = tuple(max(2, 2 * round(channels * fractions[min(m, 2)] / 2)) for m in range(m_max))
    return O2Dims(channels, odd, pairs)


@dataclass
class StageOneOutput:
    """Output of the first stage, which is the input of the second one.

    Args:
        nodes: Covariant node features, (atom, (L+1)^2, channel).
        pairs: Covariant pair features in the bond frames.
        blocks: The baseline Hamiltonian, in units of the model's scales.
        radial: Radial functions, (edge, radial).
        cutoff: Cutoff factors, (edge, 1).
        potential: Of learned charges, where the model has them; not part of the blocks.
    """

    nodes: Tensor
    pairs: O2Features
    blocks: Blocks
    radial: Tensor
    cutoff: Tensor
    potential: Potential | None

    @staticmethod
    def cat(outputs: Sequence[StageOneOutput]) -> StageOneOutput:
        """Put the outputs for several graphs side by side."""
        potentials = [p.potential for p in outputs if p.potential is not None]
        return StageOneOutput(
            torch.cat([p.nodes for p in outputs]),
            O2Features.stack([p.pairs for p in outputs]),
            Blocks.cat([p.blocks for p in outputs]),
            torch.cat([p.radial for p in outputs]),
            torch.cat([p.cutoff for p in outputs]),
            Potential.cat(potentials) if potentials else None,
        )


class FirstStage(nn.Module):
    """Embedding, bond-frame convolutions, Wigner-Eckart head.

    SO(3) and inversion covariance are exact. Input matrices (overlap, physics baseline, ...) enter as features of
    natural parity: on-site blocks through Clebsch-Gordan coupling, pair blocks through their O(2) components.

    Args:
        layout: Orbital slots of the basis.
        frames: Defines the layout of the input components.
        matrices: Number of input matrices.
        config: Sizes.
        potential: Whether learned charges and dipoles add their potential.
        spin: Which matrices depend on spin.
        charged: Whether the net charge of molecules is an input.
    """

    def __init__(
        self,
        layout: OrbitalLayout,
        frames: FrameBuilder,
        matrices: int,
        config: FirstStageConfig,
        *,
        potential: bool,
        spin: Spin,
        charged: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.layout = config, layout
        species, c = len(layout.elements), config.channels
        m_max = max(2 * layout.l_max, config.l_max)
        self.pair_dims = taper(config.pair_channels, m_max, odd=config.pair_channels // 4)
        hidden = taper(config.hidden_channels, m_max, odd=config.hidden_channels // 4)
        self._matrices, self._components = matrices, frames.components
        block = frames.components.dims
        self.inputs = O2Dims(block.even * matrices, block.odd * matrices, tuple(p * matrices for p in block.pairs))
        self.radial = RadialBasis(config.radial, config.cutoff)
        self.embed_node = nn.Embedding(species, c)
        self.embed_charge = nn.Parameter(torch.zeros(c)) if charged else None
        self.embed_onsite = BlockEmbedding(frames.harmonics, matrices, c)
        self.embed_species = nn.Embedding(species**2, self.pair_dims.even)
        self.embed_distance = nn.Linear(config.radial, self.pair_dims.even)
        self.embed_scale = nn.Linear(config.radial, self.pair_dims.even)
        self.embed_pair = O2Linear(self.inputs, self.pair_dims)
        self.layers = nn.ModuleList(
            BondConvolution(config.l_max, c, self.pair_dims, hidden, config.radial, config.neighbours)
            for _ in range(config.layers)
        )
        self.head = BlockHead(frames.components, self.pair_dims, config.neighbours)
        self.scalars = ScalarBlocks(layout, c)
        self.potential = PotentialHead(config.l_max, c, self.pair_dims.even, layout.elements) if potential else None
        self.spin = None if spin == "none" else SpinHead(layout, spin, self.pair_dims, c, config.neighbours)

    def forward(self, graph: PairGraph, geometry: PairGeometry) -> StageOneOutput:
        """Baseline Hamiltonian and features of a graph."""
        radial = self.radial(geometry.distance)
        cutoff = envelope(geometry.distance, self.config.cutoff)[:, None]
        nodes = self.embed_onsite(graph.components.node)
        nodes[:, 0] = nodes[:, 0] + self.embed_node(graph.species)
        if self.embed_charge is not None and graph.charge is not None:
            nodes[:, 0] = nodes[:, 0] + (graph.charge / CHARGE_SCALE)[:, None] * self.embed_charge
        pairs = self._embed_pairs(graph, geometry, radial)
        for layer in self.layers:
            nodes, pairs = layer(nodes, pairs, geometry, radial, cutoff)
        blocks = self.head(pairs, graph, geometry, cutoff)
        invariant = self.scalars(nodes[:, 0])
        blocks = Blocks(blocks.node + symmetrize(invariant, invariant, blocks.axis), blocks.edge, blocks.axis)
        if self.spin is not None:
            blocks = Blocks.join([blocks, self.spin(nodes[:, 0], pairs, graph, geometry, cutoff)])
        potential = None if self.potential is None else self.potential(nodes, pairs.even, cutoff, graph)
        if potential is not None and graph.outer is not None:
            potential = potential.with_outer(graph.outer)
        return StageOneOutput(nodes, pairs, blocks, radial, cutoff, potential)

    def labels(self) -> ParameterLabels:
        """What the inputs are, and the elements of the embeddings."""
        inputs = self._components.labels().repeat(self._matrices)
        return {
            **inputs.of_inputs("embed_pair", self.embed_pair),
            "embed_node.weight": {0: self.layout.elements},
            "embed_species.weight": {0: self.layout.pair_labels()},
        }

    def _embed_pairs(self, graph: PairGraph, geometry: PairGeometry, radial: Tensor) -> O2Features:
        pairs: O2Features = self.embed_pair(O2Features.split(graph.components.edge, self.inputs))
        species_pair = graph.species[geometry.source] * len(self.layout.elements) + graph.species[geometry.target]
        species = self.embed_species(species_pair)
        pairs.even = pairs.even + species * self.embed_scale(radial) + self.embed_distance(radial)
        return pairs

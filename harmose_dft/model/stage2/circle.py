"""Stage 2 with exact covariance: a graph Transformer whose non-linear layers act on circles about the bonds."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ...core.sections import Count
from ...core.spin import Spin
from ...nn.attention import attention_weights
from ...nn.blocks import Blocks
from ...nn.circle import CircleGrid, CircleMLP
from ...nn.convolution import O2Products, node_dims
from ...nn.geometry import FrameBuilder, PairGeometry, sum_over
from ...nn.graph import PairGraph
from ...nn.heads import BlockHead
from ...nn.layout import OrbitalLayout, ParameterLabels
from ...nn.node import BlockEmbedding, NodeNorm, NodeUpdate
from ...nn.o2 import BlockComponents, O2Dims, O2Features, O2Linear
from ...nn.potential import Potential, PotentialEmbedding, PotentialHead
from ...nn.slices import run_in_slices
from ...nn.spin import DensityComponents, spin_components
from ..stage1 import FirstStageConfig, StageOneOutput, taper
from .base import SecondStage, SecondStageConfig, StageSetting, TrainingMoment

POINTS_PER_FREQUENCY = 3
"""Angles of the circle in training, in units of the highest frequency."""

CIRCLE_POINTS = 48
"""Angles of the circle at prediction; more than in training, which makes aliasing errors negligible."""

PHASES = 2
"""Stream of random numbers: angles of the first point of the circle, and seeds of what dropout leaves out."""

WITH_MEMBERS = 6
"""Format version of models since which this stage has several members."""


class CircleTransformerConfig(SecondStageConfig):
    """Size of the covariant second stage."""

    spins: ClassVar[tuple[Spin, ...]] = ("none", "collinear", "spin-orbit")
    takes_dropout: ClassVar[bool] = True

    kind: Literal["circle"] = "circle"
    layers: Count = Field(2, ge=1, le=64, description="number of Transformer layers")
    width: Count = Field(48, ge=4, le=2048, description="channels on the circle")
    expansion: Count = Field(
        2, ge=1, le=16, description="hidden width of the point-wise layers, in units of width"
    )
    heads: Count = Field(4, ge=1, le=256, description="attention heads")
    points: Count | None = Field(
        None, ge=5, le=1024, description="angles of the circle in training; default: 3 times the highest frequency"
    )
    members: Count = Field(
        1, ge=1, le=64, description="networks that learn the same apart; the correction is their mean, for few data"
    )
    density: bool = Field(
        False, description="whether it sees the density matrix of stage 1's Hamiltonian; needs stages.mode staged"
    )

    @property
    def sees_density(self) -> bool:
        """Whether graphs must hold the density matrix of stage 1's Hamiltonian."""
        return self.density

    @property
    def reach(self) -> int:
        """One pair for each layer."""
        return self.layers


class CircleLayer(nn.Module):
    """One Transformer layer: triples [n_i, e_ij, n_j] on the circle, attention over the pairs of an atom, updates.

    Args:
        first: Configuration of the first stage.
        config: Sizes.
        pair: Channels of pair features.
        attends: Whether atoms are updated too, by attention over their pairs; nothing reads those of a last layer
            without a potential.
    """

    def __init__(
        self, first: FirstStageConfig, config: CircleTransformerConfig, pair: O2Dims, *, attends: bool
    ) -> None:
        super().__init__()
        c, w = first.channels, config.width
        m_max = pair.m_max
        hidden = O2Dims(w, 0, (w,) * m_max)
        self.channels, self.heads, self.width = c, config.heads, w
        self.norm = NodeNorm(first.l_max, c)
        self.enter = O2Linear(node_dims(first.l_max, 2 * c) + pair, hidden)
        self.grid = CircleGrid(m_max, config.points or POINTS_PER_FREQUENCY * m_max)
        self.mlp = CircleMLP(w, config.expansion * w, w, first.radial)
        self.products = O2Products(hidden)
        self.odd = nn.Linear(self.products.size, pair.odd, bias=False)
        self.pair_update = O2Linear(hidden, pair, gain=0.5)
        self.attends = attends
        if attends:
            self.scores = nn.Sequential(nn.Linear(w, w), nn.SiLU(), nn.Linear(w, config.heads))
            self.values = O2Linear(hidden, node_dims(first.l_max, c))
            self.node_update = NodeUpdate(first.l_max, c)

    def forward(
        self, nodes: Tensor, pairs: O2Features, geometry: PairGeometry, stage1_output: StageOneOutput
    ) -> tuple[Tensor, O2Features]:
        """Updated nodes and pairs."""
        return run_in_slices(self._update, nodes, pairs, geometry, stage1_output.radial, stage1_output.cutoff)

    def _update(
        self, nodes: Tensor, pairs: O2Features, geometry: PairGeometry, radial: Tensor, cutoff: Tensor
    ) -> tuple[Tensor, O2Features]:
        x = self.enter(O2Features.cat([geometry.to_frame(self.norm(nodes)), pairs]))
        even, rest = self.grid.project(self.mlp(self.grid.sample(x), radial))
        x = O2Features(even, even.new_zeros(len(even), 0), rest)
        updated = pairs + self.pair_update(x)
        updated.odd = updated.odd + self.odd(self.products(x.pairs)[1])
        if self.attends:
            nodes = self.node_update(nodes, self._receive(x, geometry, cutoff, len(nodes)))
        return nodes, updated

    def _receive(self, x: O2Features, geometry: PairGeometry, cutoff: Tensor, atoms: int) -> Tensor:
        """What attention over its pairs brings to each atom, (atom, (L+1)^2, channel)."""
        weights = attention_weights(self.scores(x.even), geometry.source, atoms, cutoff)
        sent = geometry.to_lab(self.values(x), self.channels)
        sent = (sent.unflatten(2, (self.heads, -1)) * weights[:, None, :, None]).flatten(2)
        return sum_over(sent, geometry.source, atoms)


class SpinCorrection(nn.Module):
    """What of stage 1's baseline depends on spin as input, and the head that corrects it.

    Args:
        layout: Orbital slots.
        spin: Collinear or spin-orbit.
        pair: Channels of pair features.
        neighbours: Shares of on-site blocks are divided by this number.
    """

    def __init__(self, layout: OrbitalLayout, spin: Spin, pair: O2Dims, neighbours: float) -> None:
        super().__init__()
        self.components = spin_components(layout, spin)
        self.embed = O2Linear(self.components.dims, pair, gain=1 / math.sqrt(2))
        self.head = BlockHead(self.components, pair, neighbours, start_at_zero=True)

    def labels(self) -> ParameterLabels:
        """What the inputs are."""
        return self.components.labels().of_inputs("embed", self.embed)

    def embed_stage1(self, stage1: StageOneOutput, geometry: PairGeometry) -> O2Features:
        """Pair features of stage 1's blocks."""
        spin = stage1.blocks[1:]
        blocks = geometry.blocks_to_frame(spin.edge.detach(), spin.axis)
        features: O2Features = self.embed(self.components.split(blocks))
        return features


class DensityEmbedding(nn.Module):
    """Features of the density matrix of stage 1's Hamiltonian.

    Args:
        setting: Defines the layout of its components.
        channels: Node channels.
        pair: Channels of pair features.
    """

    def __init__(self, setting: StageSetting, channels: int, pair: O2Dims) -> None:
        super().__init__()
        self.components = DensityComponents(setting.layout, setting.spin)
        self.dims = self.components.dims
        self.node = BlockEmbedding(setting.frames.harmonics, self.components.scalars, channels)
        self.pair = O2Linear(self.dims, pair)

    def labels(self) -> ParameterLabels:
        """What the inputs of pairs are."""
        return self.components.labels().of_inputs("pair", self.pair)

    def forward(self, graph: PairGraph) -> tuple[Tensor, O2Features]:
        """Node features (atom, (L+1)^2, channel) and pair features."""
        assert graph.density is not None
        return self.node(graph.density.node), self.pair(O2Features.split(graph.density.edge, self.dims))


class CircleNetwork(nn.Module):
    """Correction to the baseline Hamiltonian from stage 1's features and its baseline Hamiltonian.

    Args:
        config: Sizes.
        setting: What it is built into.
    """

    def __init__(self, config: CircleTransformerConfig, setting: StageSetting) -> None:
        super().__init__()
        layout, first, potential = setting.layout, setting.first, setting.potential
        m_max = max(2 * layout.l_max, first.l_max)
        pair = taper(first.pair_channels, m_max, odd=first.pair_channels // 4)
        if first.channels % config.heads:
            raise ValueError(f"{first.channels} node channels cannot be shared by {config.heads} heads.")
        self.components = BlockComponents(layout)
        self.embed_blocks = O2Linear(self.components.dims, pair, gain=1 / math.sqrt(2))
        self.embed_density = DensityEmbedding(setting, first.channels, pair) if config.density else None
        last = config.layers - 1
        self.layers = nn.ModuleList(
            CircleLayer(first, config, pair, attends=k < last or potential) for k in range(config.layers)
        )
        self.head = BlockHead(self.components, pair, first.neighbours, start_at_zero=True)
        self.embed_potential = PotentialEmbedding(first.channels) if potential else None
        self.potential = PotentialHead(first.l_max, first.channels, pair.even, layout.elements) if potential else None
        self.spin = None
        if setting.spin != "none":
            self.spin = SpinCorrection(layout, setting.spin, pair, first.neighbours)

    def labels(self) -> ParameterLabels:
        """What the inputs are."""
        return self.components.labels().of_inputs("embed_blocks", self.embed_blocks)

    def forward(
        self, stage1_output: StageOneOutput, graph: PairGraph, geometry: PairGeometry
    ) -> tuple[Blocks, Potential | None]:
        """The correction, in units of the model's scales, and that of the potential."""
        scalar = stage1_output.blocks[:1]
        stage1_blocks = geometry.blocks_to_frame(scalar.edge.detach(), scalar.axis)
        pairs = stage1_output.pairs + self.embed_blocks(self.components.split(stage1_blocks))
        if self.spin is not None:
            pairs = pairs + self.spin.embed_stage1(stage1_output, geometry)
        nodes = stage1_output.nodes
        if self.embed_potential is not None and stage1_output.potential is not None:
            nodes = self.embed_potential(nodes, stage1_output.potential)
        if self.embed_density is not None:
            more_nodes, more_pairs = self.embed_density(graph)
            nodes, pairs = nodes + more_nodes, pairs + more_pairs
        for layer in self.layers:
            nodes, pairs = layer(nodes, pairs, geometry, stage1_output)
        potential = None if self.potential is None else self.potential(nodes, pairs.even, stage1_output.cutoff, graph)
        blocks = self.head(pairs, graph, geometry, stage1_output.cutoff)
        if self.spin is not None:
            blocks = Blocks.join([blocks, self.spin.head(pairs, graph, geometry, stage1_output.cutoff)])
        return blocks, potential


class CircleTransformer(SecondStage):
    """The covariant second stage: one network, or several that learn apart and are averaged.

    Args:
        config: Sizes.
        setting: What it is built into.

    Raises:
        ValueError: The sizes contradict each other.
    """

    Config = CircleTransformerConfig
    runs_in_slices = True

    def __init__(self, config: CircleTransformerConfig, setting: StageSetting) -> None:
        super().__init__(config, setting)
        self.members = nn.ModuleList(CircleNetwork(config, setting) for _ in range(config.members))

    def forward(
        self, stage1_output: StageOneOutput, graph: PairGraph, geometry: PairGeometry
    ) -> list[tuple[Blocks, Potential | None]]:
        """Correction of each network, in units of the model's scales, and that of the potential."""
        return [member(stage1_output, graph, geometry) for member in self.members]

    @property
    def points(self) -> int:
        """Number of angles."""
        return int(self._layers[0].grid.synthesis.shape[0])

    def set_points(self, points: int, phase: float = 0.0) -> None:
        """Change the number of angles of every layer, for smaller aliasing at prediction, and the first of them."""
        for layer in self._layers:
            layer.grid.set_points(points, phase)

    def prepare_training(self, dropout: float) -> None:
        """Set the share of the hidden channels of every layer that training leaves out at random."""
        for layer in self._layers:
            layer.mlp.dropout = dropout

    def training_view(self, graph: PairGraph, frames: FrameBuilder, moment: TrainingMoment) -> PairGraph:
        """The graph itself; the circle starts at a random angle, and dropout leaves out other channels."""
        rng = moment.generator(PHASES)
        self.set_points(self.points, float(rng.uniform(0, 2 * math.pi)))
        torch.manual_seed(int(rng.integers(2**31)) + moment.rank)
        return graph

    def prepare_prediction(self) -> None:
        """Raise the number of angles, so that aliasing is negligible."""
        self.set_points(CIRCLE_POINTS)

    @classmethod
    def upgraded_name(cls, parameter: str, version: int) -> str:
        """Today's name of a parameter; the network was once the stage itself."""
        return f"members.0.{parameter}" if version < WITH_MEMBERS else parameter

    @property
    def _layers(self) -> list[CircleLayer]:
        networks = [cast(CircleNetwork, member) for member in self.members]
        return [cast(CircleLayer, layer) for network in networks for layer in network.layers]

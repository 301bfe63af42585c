"""The two-stage model: a baseline Hamiltonian and its correction, on top of a physics baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ..basis import OrbitalBasis
from ..graph import PairGraph, PreparedGraph
from ..nn.geometry import FrameBuilder
from ..nn.heads import Blocks
from ..nn.layout import OrbitalLayout
from ..nn.potential import Potential
from ..spin import Spin
from .circle_transformer import CircleTransformer, CircleTransformerConfig
from .first_stage import FirstStage, FirstStageConfig
from .lab_transformer import LabTransformer, LabTransformerConfig

CORRECTION_UNIT = 0.2
"""Unit of stage 2's correction, in units of what stage 1 predicts: an update of its weights moves it by less."""

SecondStageConfig = Annotated[CircleTransformerConfig | LabTransformerConfig, Field(discriminator="kind")]


class ModelConfig(BaseModel):
    """Both stages; without a second one the model is stage 1 alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: FirstStageConfig = FirstStageConfig()
    potential: bool = Field(True, description="whether learned charges and dipoles add their potential to H")
    second: SecondStageConfig | None = CircleTransformerConfig()
    spin: Spin = Field("none", description="which H: none (one matrix), collinear or spin-orbit; crystals: as the data")


@dataclass(frozen=True)
class TwoStageOutput:
    """Blocks of H minus the physics baseline, in Hartree.

    Args:
        baseline: Stage 1's.
        total: Stage 1's plus the correction of stage 2.
    """

    baseline: Blocks
    total: Blocks


class TwoStageModel(nn.Module):
    """H - H0 of a graph: scales and on-site means of the training set, stage 1, stage 2.

    Args:
        basis: The orbital basis.
        matrices: Number of input matrices.
        config: Sizes.
    """

    orbital_mask: Tensor
    node_scale: Tensor
    edge_scale: Tensor
    node_spin_scale: Tensor
    edge_spin_scale: Tensor

    def __init__(self, basis: OrbitalBasis, matrices: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = OrbitalLayout.of(basis)
        self.frames = FrameBuilder(self.layout, config.first.l_max)
        self.first = FirstStage(
            self.layout, self.frames, matrices, config.first, potential=config.potential, spin=config.spin
        )
        self.second = _second_stage(self.layout, config)
        z, n = len(self.layout.elements), self.layout.size
        self.register_buffer("orbital_mask", torch.from_numpy(self.layout.masks()).to(torch.get_default_dtype()))
        self.register_buffer("node_scale", torch.ones(z, n, n))
        self.register_buffer("edge_scale", torch.ones(z, z, n, n))
        if config.spin != "none":
            self.register_buffer("node_spin_scale", torch.ones(z, n, n))
            self.register_buffer("edge_spin_scale", torch.ones(z, z, n, n))

    @property
    def cutoff(self) -> float:
        """Pairs up to this distance (Bohr) are predicted."""
        return self.config.first.cutoff

    def set_scales(self, node: Tensor, edge: Tensor) -> None:
        """Typical size of target elements, (species, n, n) and (species, species, n, n), one for each shell pair."""
        self.node_scale.copy_(node)
        self.edge_scale.copy_(edge)

    def set_spin_scales(self, node: Tensor, edge: Tensor) -> None:
        """The same of the matrices that depend on spin."""
        self.node_spin_scale.copy_(node)
        self.edge_spin_scale.copy_(edge)

    def prepare(self, graph: PairGraph) -> PreparedGraph:
        """Bond frames and input components of a graph, which no weight enters."""
        return self.frames.prepare(graph)

    def forward(self, graph: PreparedGraph, *, first_only: bool = False) -> TwoStageOutput:
        """Predict the blocks of a graph; ``first_only`` leaves the correction out."""
        geometry = self.frames(graph)
        stage1 = self.first(graph, geometry)
        scales = self.scales(graph)
        baseline = _in_hartree(stage1.blocks, stage1.potential, graph, scales)
        if self.second is None or first_only:
            return TwoStageOutput(baseline, baseline)
        blocks, potential = self.second(stage1, graph, geometry)
        correction = _in_hartree(blocks, potential, graph, scales).map(lambda x: CORRECTION_UNIT * x)
        return TwoStageOutput(baseline, baseline + correction)

    def scales(self, graph: PreparedGraph) -> Blocks:
        """Scale of every on-site and pair element, zero where a species has no orbital; (..., 1, n, n) with spin."""
        source, target = graph.species[graph.edges[0]], graph.species[graph.edges[1]]
        own, first, second = (self.orbital_mask[s] for s in (graph.species, source, target))
        node, edge = own[:, :, None] * own[:, None], first[:, :, None] * second[:, None]
        spin = None
        if self.config.spin != "none":
            own, pair = self.node_spin_scale[graph.species] * node, self.edge_spin_scale[source, target] * edge
            spin = Blocks(own[:, None], pair[:, None])
        return Blocks(self.node_scale[graph.species] * node, self.edge_scale[source, target] * edge, spin)


def _in_hartree(blocks: Blocks, potential: Potential | None, graph: PreparedGraph, scales: Blocks) -> Blocks:
    scaled = blocks * scales
    return scaled if potential is None else scaled + potential.blocks(graph)


def _second_stage(layout: OrbitalLayout, config: ModelConfig) -> CircleTransformer | LabTransformer | None:
    match config.second:
        case CircleTransformerConfig():
            return CircleTransformer(
                layout, config.first, config.second, potential=config.potential, spin=config.spin
            )
        case LabTransformerConfig() if config.spin != "none":
            raise ValueError(f"The second stage 'lab' has no spin ({config.spin}); choose model.second.kind: circle.")
        case LabTransformerConfig():
            return LabTransformer(layout, config.first, config.second)
        case _:
            return None

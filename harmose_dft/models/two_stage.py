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
from .circle_transformer import CircleTransformer, CircleTransformerConfig
from .first_stage import FirstStage, FirstStageConfig
from .lab_transformer import LabTransformer, LabTransformerConfig

SecondStageConfig = Annotated[CircleTransformerConfig | LabTransformerConfig, Field(discriminator="kind")]


class ModelConfig(BaseModel):
    """Both stages; without a second one the model is stage 1 alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: FirstStageConfig = FirstStageConfig()
    potential: bool = Field(True, description="whether learned charges and dipoles add their potential to H")
    second: SecondStageConfig | None = CircleTransformerConfig()


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

    def __init__(self, basis: OrbitalBasis, matrices: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = OrbitalLayout.of(basis)
        self.frames = FrameBuilder(self.layout, config.first.l_max)
        self.first = FirstStage(self.layout, self.frames, matrices, config.first, potential=config.potential)
        self.second = _second_stage(self.layout, config)
        z, n = len(self.layout.elements), self.layout.size
        self.register_buffer("orbital_mask", torch.from_numpy(self.layout.masks()).to(torch.get_default_dtype()))
        self.register_buffer("node_scale", torch.ones(z, n, n))
        self.register_buffer("edge_scale", torch.ones(z, z, n, n))

    @property
    def cutoff(self) -> float:
        """Pairs up to this distance (Bohr) are predicted."""
        return self.config.first.cutoff

    def set_scales(self, node: Tensor, edge: Tensor) -> None:
        """Typical size of target elements, (species, n, n) and (species, species, n, n), one for each shell pair."""
        self.node_scale.copy_(node)
        self.edge_scale.copy_(edge)

    def prepare(self, graph: PairGraph) -> PreparedGraph:
        """Bond frames and input components of a graph, which no weight enters."""
        return self.frames.prepare(graph)

    def forward(self, graph: PreparedGraph, *, first_only: bool = False) -> TwoStageOutput:
        """Predict the blocks of a graph; ``first_only`` leaves the correction out."""
        geometry = self.frames(graph)
        stage1 = self.first(graph, geometry)
        node, edge = self.scales(graph)
        baseline = _in_hartree(stage1.blocks, stage1.potential, graph, node, edge)
        if self.second is None or first_only:
            return TwoStageOutput(baseline, baseline)
        blocks, potential = self.second(stage1, graph, geometry)
        return TwoStageOutput(baseline, baseline + _in_hartree(blocks, potential, graph, node, edge))

    def scales(self, graph: PreparedGraph) -> tuple[Tensor, Tensor]:
        """Scale of every on-site (atom, n, n) and pair element (edge, n, n), zero where a species has no orbital."""
        source, target = graph.species[graph.edges[0]], graph.species[graph.edges[1]]
        mask = self.orbital_mask
        node = self.node_scale[graph.species] * mask[graph.species][:, :, None] * mask[graph.species][:, None]
        edge = self.edge_scale[source, target] * mask[source][:, :, None] * mask[target][:, None]
        return node, edge


def _in_hartree(
    blocks: Blocks, potential: Potential | None, graph: PreparedGraph, node_scale: Tensor, edge_scale: Tensor
) -> Blocks:
    scaled = Blocks(blocks.node * node_scale, blocks.edge * edge_scale)
    return scaled if potential is None else scaled + potential.blocks(graph)


def _second_stage(layout: OrbitalLayout, config: ModelConfig) -> CircleTransformer | LabTransformer | None:
    match config.second:
        case CircleTransformerConfig():
            return CircleTransformer(layout, config.first, config.second, potential=config.potential)
        case LabTransformerConfig():
            return LabTransformer(layout, config.first, config.second)
        case _:
            return None

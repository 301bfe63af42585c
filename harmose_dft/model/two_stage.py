"""The two-stage model: a baseline Hamiltonian and its correction, on top of a physics baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Union

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ..core.basis import OrbitalBasis
from ..core.discovery import discover
from ..core.spin import Spin
from ..nn.geometry import FrameBuilder
from ..nn.graph import PairGraph, PreparedGraph
from ..nn.heads import Blocks
from ..nn.layout import OrbitalLayout
from .stage1 import FirstStage, FirstStageConfig, StageOneOutput
from .stage2.base import SecondStage, SecondStageConfig, StageSetting
from .stage2.circle import CircleTransformerConfig

CORRECTION_UNIT = 0.2
"""Unit of stage 2's correction, in units of what stage 1 predicts: an update of its weights moves it by less. That of
blocks changes once training has found out how much stage 1 leaves (``stages.mode: staged``)."""

SECOND_STAGES = discover("harmose_dft.model.stage2", SecondStage)  # type: ignore[type-abstract]
"""Every kind of second stage."""

if TYPE_CHECKING:
    AnySecondStage = SecondStageConfig
else:
    AnySecondStage = Annotated[Union[tuple(s.Config for s in SECOND_STAGES)], Field(discriminator="kind")]  # noqa: UP007


class ModelConfig(BaseModel):
    """Both stages; without a second one the model is stage 1 alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: FirstStageConfig = FirstStageConfig()
    potential: bool = Field(True, description="whether learned charges and dipoles add their potential to H")
    second: AnySecondStage | None = CircleTransformerConfig()
    spin: Spin = Field("none", description="which H: none (one matrix), collinear or spin-orbit; crystals: as the data")

    @property
    def sees_density(self) -> bool:
        """Whether stage 2 sees the density of stage 1's Hamiltonian."""
        return self.second is not None and self.second.sees_density


@dataclass(frozen=True)
class TwoStageOutput:
    """Blocks of H minus the physics baseline, in Hartree.

    Args:
        stage1: Stage 1's.
        members: Stage 1's plus the correction of stage 2, as each of its networks has it.
    """

    stage1: Blocks
    members: tuple[Blocks, ...]

    @property
    def total(self) -> Blocks:
        """The mean of the members."""
        summed, count = sum(self.members[1:], start=self.members[0]), len(self.members)
        return summed if count == 1 else summed.map(lambda x: x / count)

    @property
    def spread(self) -> Blocks:
        """Mean absolute deviation of the members from their mean."""
        total, count = self.total, len(self.members)
        deviations = [(m + total.map(torch.neg)).map(torch.abs) for m in self.members]
        return sum(deviations[1:], start=deviations[0]).map(lambda x: x / count)


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
    density_mean: Tensor
    density_node_scale: Tensor
    density_edge_scale: Tensor
    node_unit: Tensor
    edge_unit: Tensor
    node_spin_unit: Tensor
    edge_spin_unit: Tensor

    def __init__(self, basis: OrbitalBasis, matrices: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.layout = OrbitalLayout.of(basis)
        self.frames = FrameBuilder(self.layout, config.first.l_max)
        self.first = FirstStage(
            self.layout, self.frames, matrices, config.first, potential=config.potential, spin=config.spin
        )
        setting = StageSetting(self.layout, self.frames, config.first, config.potential, config.spin)
        self.second = None if config.second is None else build_second_stage(config.second, setting)
        z, n = len(self.layout.elements), self.layout.size
        self.register_buffer("orbital_mask", torch.from_numpy(self.layout.masks()).to(torch.get_default_dtype()))
        self.register_buffer("node_scale", torch.ones(z, n, n))
        self.register_buffer("edge_scale", torch.ones(z, z, n, n))
        if config.spin != "none":
            self.register_buffer("node_spin_scale", torch.ones(z, n, n))
            self.register_buffer("edge_spin_scale", torch.ones(z, z, n, n))
        if self.sees_density:
            self.register_buffer("density_mean", torch.zeros(z, n, n))
            self.register_buffer("density_node_scale", torch.ones(z, n, n))
            self.register_buffer("density_edge_scale", torch.ones(z, z, n, n))
        if self.second is not None:
            for name in self.unit_names:
                scale = getattr(self, name.replace("unit", "scale"))
                self.register_buffer(name, torch.full_like(scale, CORRECTION_UNIT))

    @property
    def cutoff(self) -> float:
        """Pairs up to this distance (Bohr) are predicted."""
        return self.config.first.cutoff

    @property
    def sees_density(self) -> bool:
        """Whether stage 2 takes graphs with the density of stage 1's Hamiltonian: :meth:`with_density`."""
        return self.config.sees_density

    def with_density(self, graph: PreparedGraph, node: Tensor, edge: Tensor) -> PreparedGraph:
        """The graph with a density matrix for stage 2.

        Args:
            graph: Prepared graph.
            node: On-site blocks, (atom, n, n).
            edge: Pair blocks, (edge, n, n).
        """
        source, target = graph.species[graph.edges[0]], graph.species[graph.edges[1]]
        node = (node - self.density_mean[graph.species]) / self.density_node_scale[graph.species]
        return self.frames.with_density(graph, node, edge / self.density_edge_scale[source, target])

    def set_density_scales(self, mean: Tensor, node: Tensor, edge: Tensor) -> None:
        """On-site mean (species, n, n) and typical sizes of a density's elements, the last (species, species, n, n)."""
        self.density_mean.copy_(mean)
        self.density_node_scale.copy_(node)
        self.density_edge_scale.copy_(torch.where(edge == 0, 1.0, edge))

    def first_stage(self, graph: PreparedGraph) -> StageOneOutput:
        """What stage 1 finds for a graph."""
        return self.first(graph, self.frames(graph))

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

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Names of the units of stage 2's correction, in units of the scales: tables of species like them."""
        return ("node_unit", "edge_unit", *(("node_spin_unit", "edge_spin_unit") if self.config.spin != "none" else ()))

    def forward(
        self, graph: PreparedGraph, *, stage1_only: bool = False, stage1_output: StageOneOutput | None = None
    ) -> TwoStageOutput:
        """Predict the blocks of a graph.

        Args:
            graph: Prepared graph.
            stage1_only: Leave the correction out.
            stage1_output: What stage 1 has found for the graph before: :meth:`first_stage`.
        """
        geometry = self.frames(graph)
        if stage1_output is None:
            stage1_output = self.first(graph, geometry)
        scales = self.scales(graph)
        stage1 = stage1_output.blocks * scales
        if stage1_output.potential is not None:
            stage1 = stage1 + stage1_output.potential.blocks(graph)
        if self.second is None or stage1_only:
            return TwoStageOutput(stage1, (stage1,))
        units, members = scales * self._of_species(graph, "unit"), []
        for blocks, potential in self.second(stage1_output, graph, geometry):
            correction = blocks * units
            if potential is not None:
                correction = correction + potential.blocks(graph).map(lambda x: CORRECTION_UNIT * x)
            members.append(stage1 + correction)
        return TwoStageOutput(stage1, tuple(members))

    def scales(self, graph: PreparedGraph) -> Blocks:
        """Scale of every on-site and pair element, zero where a species has no orbital; (..., 1, n, n) with spin."""
        source, target = graph.species[graph.edges[0]], graph.species[graph.edges[1]]
        atom_mask, source_mask, target_mask = (self.orbital_mask[s] for s in (graph.species, source, target))
        node, edge = atom_mask[:, :, None] * atom_mask[:, None], source_mask[:, :, None] * target_mask[:, None]
        return self._of_species(graph, "scale") * Blocks(node, edge, Blocks(node[:, None], edge[:, None]))

    def _of_species(self, graph: PreparedGraph, table: str) -> Blocks:
        """Scales ("scale") or units of the correction ("unit") of the atoms and pairs of a graph."""
        source, target = graph.species[graph.edges[0]], graph.species[graph.edges[1]]
        spin = None
        if self.config.spin != "none":
            node, edge = getattr(self, f"node_spin_{table}"), getattr(self, f"edge_spin_{table}")
            spin = Blocks(node[graph.species][:, None], edge[source, target][:, None])
        node, edge = getattr(self, f"node_{table}"), getattr(self, f"edge_{table}")
        return Blocks(node[graph.species], edge[source, target], spin)


def build_second_stage(config: SecondStageConfig, setting: StageSetting) -> SecondStage:
    """An untrained second stage of the kind that a configuration names.

    Raises:
        ValueError: The kind has no such spin, or its sizes do not fit.
    """
    if setting.spin not in config.spins:
        able = [str(s.Config.model_fields["kind"].default) for s in SECOND_STAGES if setting.spin in s.Config.spins]
        raise ValueError(
            f"The second stage {config.kind!r} has no spin ({setting.spin}); choose model.second.kind: "
            f"{' or '.join(able)}."
        )
    kind = next(s for s in SECOND_STAGES if s.Config is type(config))
    return kind(config, setting)

"""The two-stage model: a baseline Hamiltonian and its correction, on top of a physics baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Union

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ..core.basis import OrbitalBasis
from ..core.discovery import discover
from ..core.sections import Section
from ..core.spin import Spin
from ..nn.axis import SCALAR, MatrixAxis
from ..nn.blocks import Blocks
from ..nn.geometry import FrameBuilder
from ..nn.graph import PairGraph
from ..nn.layout import OrbitalLayout, ParameterLabels
from ..nn.potential import Potential
from ..nn.spin import DensityComponents
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


class ModelConfig(Section):
    """Both stages; without a second one the model is stage 1 alone."""

    first: FirstStageConfig = FirstStageConfig()
    potential: bool = Field(True, description="whether learned charges and dipoles add their potential to H")
    lattice: bool = Field(
        False, description="whether charges of crystals act through the lattice; default: where model.potential is on"
    )
    charged: bool = Field(False, description="whether the net charge of molecules is an input; default: as the data")
    second: AnySecondStage | None = CircleTransformerConfig()
    spin: Spin = Field("none", description="which H: none (one matrix), collinear or spin-orbit; crystals: as the data")

    @model_validator(mode="after")
    def _has_charges_for_the_lattice(self) -> ModelConfig:
        if self.lattice and not self.potential:
            raise ValueError("model.lattice is about the charges of model.potential, which is false")
        return self

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
        stage1_potential: Stage 1's, part of its blocks; None in a model without.
        potential_corrections: What each member adds to it, in units of ``CORRECTION_UNIT``; part of its blocks.
    """

    stage1: Blocks
    members: tuple[Blocks, ...]
    stage1_potential: Potential | None = None
    potential_corrections: tuple[Potential, ...] = ()

    @property
    def total(self) -> Blocks:
        """The mean of the members."""
        summed, count = sum(self.members[1:], start=self.members[0]), len(self.members)
        return summed if count == 1 else summed.map(lambda x: x / count)

    @property
    def spread(self) -> Blocks:
        """Mean absolute deviation of the members from their mean."""
        total, count = self.total, len(self.members)
        deviations = [(m - total).map(torch.abs) for m in self.members]
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
    density_node_spin_scale: Tensor
    density_edge_spin_scale: Tensor
    node_unit: Tensor
    edge_unit: Tensor
    node_spin_unit: Tensor
    edge_spin_unit: Tensor

    def __init__(self, basis: OrbitalBasis, matrices: int, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.axis = config, MatrixAxis.hamiltonian(config.spin)
        self.layout = OrbitalLayout.of(basis)
        self.frames = FrameBuilder(self.layout, config.first.l_max)
        self.first = FirstStage(
            self.layout, self.frames, matrices, config.first,
            potential=config.potential, spin=config.spin, charged=config.charged,
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
            if config.spin != "none":
                self.register_buffer("density_node_spin_scale", torch.ones(z, n, n))
                self.register_buffer("density_edge_spin_scale", torch.ones(z, z, n, n))
            self.density_components = DensityComponents(self.layout, config.spin)
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

    def with_density(self, graph: PairGraph, density: Blocks) -> PairGraph:
        """Add a density matrix for stage 2 to a graph.

        Args:
            graph: Prepared graph.
            density: On its atoms and pairs.
        """
        scales = self._target_table("density_{}_scale").take(*self._rows(graph))
        first, spin = density.node[:, :1] - self.density_mean[graph.species][:, None], density.node[:, 1:]
        node = torch.cat([first, spin], dim=1) / scales.node
        scaled = Blocks(node, density.edge / scales.edge, density.axis)
        return graph.replace(density=self.density_components.split(self.frames, graph, scaled))

    def set_density_scales(self, mean: Tensor, scales: Blocks) -> None:
        """Set the on-site mean and the typical sizes of a density's elements.

        Args:
            mean: Of the matrix that does not depend on spin, (species, n, n).
            scales: By elements; the matrices that depend on spin share theirs.
        """
        self.density_mean.copy_(mean)
        self._set_tables("density_{}_scale", scales.map(lambda x: torch.where(x == 0, 1.0, x)))

    def first_stage(self, graph: PairGraph) -> StageOneOutput:
        """Run stage 1 on a graph."""
        output: StageOneOutput = self.first(graph, self.frames(graph))
        return output

    def set_scales(self, scales: Blocks) -> None:
        """Set the typical sizes of target elements by elements; the matrices that depend on spin share theirs."""
        self._set_tables("{}_scale", scales)

    def _set_tables(self, table: str, scales: Blocks) -> None:
        for name, matrix in zip(self._names(table), (0, 1), strict=False):
            for part, values in (("node", scales.node), ("edge", scales.edge)):
                buffer: Tensor = getattr(self, name.format(part))
                buffer.copy_(values[:, matrix].reshape(buffer.shape))

    def prepare(self, graph: PairGraph) -> PairGraph:
        """Bond frames and input components of a graph, which no weight enters."""
        return self.frames.prepare(graph)

    def labels(self) -> ParameterLabels:
        """What the rows of tables by elements and orbitals mean."""
        components, elements = self.layout.labels(), self.layout.elements
        labels: dict[str, dict[int, Sequence[object]]] = {"orbital_mask": {0: elements, 1: components}}
        for name, buffer in self.named_buffers(recurse=False):
            if name != "orbital_mask":
                species = dict.fromkeys(range(buffer.ndim - 2), elements)
                labels[name] = {**species, buffer.ndim - 2: components, buffer.ndim - 1: components}
        return labels

    @property
    def unit_names(self) -> tuple[str, ...]:
        """Names of the units of stage 2's correction, in units of the scales: tables by elements like them."""
        return tuple(name.format(part) for name in self._names("{}_unit") for part in ("node", "edge"))

    def _names(self, table: str) -> tuple[str, ...]:
        """Names of the buffers of a table of the target, with a gap for "node" or "edge": without spin, with spin."""
        return (table, table.replace("{}", "{}_spin")) if self.axis.size > 1 else (table,)

    def forward(
        self, graph: PairGraph, *, stage1_only: bool = False, stage1_output: StageOneOutput | None = None
    ) -> TwoStageOutput:
        """Predict the blocks of a graph.

        Args:
            graph: Prepared graph.
            stage1_only: Leave the correction out.
            stage1_output: Stage 1's output for the graph, where it is known: :meth:`first_stage`.
        """
        geometry = self.frames(graph)
        if stage1_output is None:
            stage1_output = self.first(graph, geometry)
        table, rows = self._scales(), self._rows(graph)
        stage1 = stage1_output.blocks * table.take(*rows)
        stage1_potential = stage1_output.potential
        if stage1_potential is not None:
            stage1 = stage1 + stage1_potential.blocks(graph).extend(self.axis)
        if self.second is None or stage1_only:
            return TwoStageOutput(stage1, (stage1,), stage1_potential)
        units, members, corrections = (table * self._target_table("{}_unit")).take(*rows), [], []
        for blocks, potential in self.second(stage1_output, graph, geometry):
            correction = blocks * units
            if potential is not None:
                correction = correction + potential.blocks(graph).extend(self.axis) * CORRECTION_UNIT
                corrections.append(potential)
            members.append(stage1 + correction)
        return TwoStageOutput(stage1, tuple(members), stage1_potential, tuple(corrections))

    def scales(self, graph: PairGraph) -> Blocks:
        """Scale of every on-site and pair element, zero where a species has no orbital."""
        return self._scales().take(*self._rows(graph))

    def _scales(self) -> Blocks:
        """Scales by elements, zero where an element has no orbital."""
        mask, scales = self.orbital_mask, self._target_table("{}_scale")
        pairs = mask[:, None, :, None] * mask[None, :, None, :]
        node, edge = pairs.diagonal().permute(2, 0, 1), pairs.flatten(0, 1)
        return Blocks(scales.node * node[:, None], scales.edge * edge[:, None], scales.axis)

    def _target_table(self, name: str) -> Blocks:
        """Scales or units of all matrices of the target by elements; those that depend on spin share one."""
        first, *spin = (self._table(n) for n in self._names(name))
        if not spin:
            return first
        node, edge = (x.expand(-1, self.axis.size - 1, -1, -1) for x in spin[0])
        return Blocks.join([first, Blocks(node, edge, self.axis[1:])])

    def _table(self, name: str) -> Blocks:
        """The two buffers of a table of one matrix by elements."""
        node, edge = (getattr(self, name.format(part)) for part in ("node", "edge"))
        return Blocks(node[:, None], edge.flatten(0, 1)[:, None], MatrixAxis((SCALAR,)))

    def _rows(self, graph: PairGraph) -> tuple[Tensor, Tensor]:
        """Rows of tables by elements that belong to the atoms and to the pairs of a graph."""
        source, target = graph.species[graph.edges].unbind()
        return graph.species, source * len(self.layout.elements) + target


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

"""Results of a first stage that no longer learns, for the second stage alone, and the errors that it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..model.density import DensityInput
from ..model.normalizer import BlockStatistics, density_scales
from ..model.stage1 import StageOneOutput
from ..model.two_stage import TwoStageModel
from ..nn.blocks import Blocks
from .losses.errors import remainder
from .samples import Batch, Sample, collate

STORED_BYTES = 4 * 2**30
"""Results of stage 1 are stored up to this size; those of larger data sets are recomputed at every update."""

SMALLEST_UNIT = 1e-4
"""Smallest unit of corrections, in units of the scales of H; smaller remainders are rounding."""


@torch.no_grad()
def add_stage1(model: TwoStageModel, samples: Sequence[Sample], device: str) -> list[Sample]:
    """The samples with stage 1's results, if those are the same at every update and not too large.

    A second stage that sees rotated copies needs stage 1's results for those copies.
    """
    if model.second is None or not model.second.sees_stored_stage1:
        return list(samples)
    stored, size = [], 0
    for sample in samples:
        graph = sample.graph.to(device)
        stage1_output = model.first_stage(graph)
        size += _count_bytes(stage1_output)
        if size > STORED_BYTES:
            return list(samples)
        stored.append(replace(sample, stage1_output=stage1_output))
    return stored


@torch.no_grad()
def add_densities(
    model: TwoStageModel, samples: Sequence[Sample], density: DensityInput, device: str, *, set_scales: bool
) -> list[Sample]:
    """The samples with the density of stage 1's Hamiltonian, as stage 2 sees it.

    Args:
        model: Both stages; stage 1 no longer learns.
        samples: With their integrals, and with stage 1's results where those are stored.
        density: Computes densities.
        device: Where the model is.
        set_scales: Whether the model's mean and scales of densities are to be those of these samples.
    """
    statistics, matrices = BlockStatistics(model.layout, model.axis), []
    for sample in samples:
        assert sample.integrals is not None
        blocks = model(sample.graph.to(device), stage1_only=True, stage1_output=sample.stage1_output).stage1
        matrix = density(sample.integrals, blocks.to("cpu"))
        statistics.add(sample.integrals.species, sample.integrals.pairs, matrix)
        matrices.append(matrix)
    if set_scales:
        node, edge = (torch.from_numpy(a) for a in density_scales(statistics))
        mean = torch.from_numpy(statistics.mean()[:, 0])
        model.set_density_scales(mean, Blocks(node, edge.flatten(0, 1), model.axis))
    extended = []
    for sample, matrix in zip(samples, matrices, strict=True):
        graph = sample.graph.to(device)
        extended.append(replace(sample, graph=model.with_density(graph, matrix.to(graph.vectors)).to("cpu")))
    return extended


def _count_bytes(stage1_output: StageOneOutput) -> int:
    """Bytes of the large tensors of a result."""
    pairs, blocks = stage1_output.pairs, stage1_output.blocks
    tensors = (stage1_output.nodes, pairs.even, pairs.odd, *pairs.pairs, blocks.node, blocks.edge, stage1_output.radial)
    return sum(t.numel() * t.element_size() for t in tensors)


@torch.no_grad()
def set_correction_units(model: TwoStageModel, samples: Iterable[Sample], device: str) -> None:
    """Give the corrections of each pair of shells the root mean square of what stage 1 leaves of it, as their unit.

    So corrections are of order one, whatever stage 1 has reached: those of shell pairs that it describes well are
    learned as closely as those of others. Pairs of elements that no sample has keep their unit.
    """
    sums = {name: torch.zeros_like(getattr(model, name), dtype=torch.float64) for name in model.unit_names}
    counts = {name: t.new_zeros(t.shape[:-2]) for name, t in sums.items()}
    for sample in samples:
        batch = collate([sample]).to(device)
        for name, rows, squares in _squares(model, batch):
            sums[name].index_put_(rows, squares, accumulate=True)
            counts[name].index_put_(rows, squares.new_ones(len(squares)), accumulate=True)
    for name, total in sums.items():
        count = counts[name][..., None, None]
        square = model.layout.per_shell_pair((total / count.clamp(min=1)).cpu().numpy())
        unit = torch.from_numpy(square).to(total).sqrt().clamp(min=SMALLEST_UNIT)
        # (z, n, n) of on-site blocks, (z, z, n, n) of pairs: H is Hermitian, so units of transposed blocks agree.
        transposed = unit.mT if unit.ndim == 3 else unit.permute(1, 0, 3, 2)
        current = getattr(model, name)
        current.copy_(torch.where(count > 0, 0.5 * (unit + transposed), current))


def _squares(model: TwoStageModel, batch: Batch) -> Iterable[tuple[str, tuple[Tensor, ...], Tensor]]:
    """Name of a unit, rows of its table, and squares of what is left in units of the scales, (row, n, n)."""
    stage1 = model(batch.graph, stage1_only=True, stage1_output=batch.stage1_output).stage1
    scales = model.scales(batch.graph)
    inverse = scales.map(lambda s: torch.where(s != 0, 1.0 / s, 0.0))
    remainders = (remainder(stage1, batch) * inverse).map(lambda x: x.double().square())
    species, (source, target) = batch.graph.species, batch.graph.edges
    atoms, pairs = (species,), (species[source], species[target])
    yield "node_unit", atoms, remainders.node[:, 0]
    yield "edge_unit", pairs, remainders.edge[:, 0]
    if remainders.axis.size > 1:
        yield "node_spin_unit", atoms, remainders.node[:, 1:].mean(dim=1)
        yield "edge_spin_unit", pairs, remainders.edge[:, 1:].mean(dim=1)

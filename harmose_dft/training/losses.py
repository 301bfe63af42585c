"""Losses: matrix elements, and the error seen by the reference orbitals."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ..nn.blocks import Blocks
from ..nn.graph import PairGraph
from .samples import Batch, OrbitalTargets


class LossConfig(BaseModel):
    """Weights of the terms, each a mean absolute error in Hartree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    elements: float = Field(1.0, ge=0, description="all matrix elements")
    orbital_energies: float = Field(0.1, ge=0, description="<i|dH|i> of occupied orbitals and the LUMO")
    occupied: float = Field(0.1, ge=0, description="<i|dH|j>, both occupied")
    mixing: float = Field(0.1, ge=0, description="<i|dH|a>, occupied and virtual: what rotates the occupied space")
    gauge: float = Field(0.0, ge=0, description="crystals: the multiple of S by which their H is off; 0 leaves it free")
    stage1: float = Field(0.2, ge=0, description="weight of stage 1's own baseline Hamiltonian in joint training")


def element_error(predicted: Blocks, batch: Batch, mask: Blocks) -> Tensor:
    """Mean absolute error of all matrix elements of a batch, Hartree (mae_all); crystals: after the best shift.

    Of a complex element of spinors the real and the imaginary part count, which is mae_all or up to 1.41 times as much.
    """
    error = _errors(predicted, batch.graph) * mask
    node, edge = _of_spins(error)
    if batch.gauge:
        node, edge = without_shift(node, edge, batch.graph)
    total = node.abs().sum() + edge.abs().sum()
    if error.axis.has_vectors:
        total = 2.0 * (total + error.node[:, 1:].abs().sum() + error.edge[:, 1:].abs().sum())
    return total / batch.n_elements


def gauge_error(predicted: Blocks, batch: Batch, mask: Blocks) -> Tensor:
    """Mean absolute multiple of S that the matrices of crystals are off by, from least squares, Hartree."""
    graph, error = batch.graph, _of_spins(_errors(predicted, batch.graph) * mask)
    overlap = _overlaps(*error, graph)
    of_edge = graph.structure[graph.edges[0]]

    def summed(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
        node, edge = ((a * b).flatten(1).sum(1) for a, b in zip(first, second, strict=True))
        return node.new_zeros(graph.n_structures).index_add(0, graph.structure, node).index_add(0, of_edge, edge)

    return (summed(error, overlap) / summed(overlap, overlap)).abs().mean()


def _of_spins(error: Blocks) -> tuple[Tensor, Tensor]:
    """On-site and pair errors of the matrix, or of both spins of a collinear crystal, (atom, 2, n, n)."""
    if error.axis.size != 2:
        return error.node[:, 0], error.edge[:, 0]
    node, edge = (torch.stack([x[:, 0] + x[:, 1], x[:, 0] - x[:, 1]], 1) for x in error)
    return node, edge


def _errors(predicted: Blocks, graph: PairGraph) -> Blocks:
    """Prediction minus target."""
    assert graph.target is not None
    return predicted - graph.target


def remainder(predicted: Blocks, batch: Batch) -> Blocks:
    """Prediction minus target, Hartree; crystals: after the best shift of what does not depend on spin."""
    error = _errors(predicted, batch.graph)
    if not batch.gauge:
        return error
    node, edge = without_shift(error.node[:, 0], error.edge[:, 0], batch.graph)
    return Blocks.join([Blocks(node[:, None], edge[:, None], error.axis[:1]), error[1:]])


def without_shift(node: Tensor, edge: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
    """Errors of a crystal's matrix less the shift mu S, for each structure, that makes them smallest in the 1-norm.

    mu is the median of error / S weighted by |S|. No gradient flows through it: at the minimum there is none.

    Args:
        node: On-site blocks, (atom, n, n), or of two spins with one shift, (atom, 2, n, n).
        edge: Pair blocks, likewise.
        graph: Holds S.
    """
    own_overlap, pair_overlap = _overlaps(node, edge, graph)
    of_edge = graph.structure[graph.edges[0]]
    shifts = []
    with torch.no_grad():
        for k in range(graph.n_structures):
            own, pairs = graph.structure == k, of_edge == k
            error = torch.cat([node[own].flatten(), edge[pairs].flatten()])
            overlap = torch.cat([own_overlap[own].flatten(), pair_overlap[pairs].flatten()])
            shifts.append(_weighted_median(error, overlap))
    mu = torch.stack(shifts).reshape(-1, *(1,) * (node.ndim - 1))
    return node - mu[graph.structure] * own_overlap, edge - mu[of_edge] * pair_overlap


def _overlaps(node: Tensor, edge: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
    """S in the shape of the errors."""
    assert graph.overlap is not None
    own, pair = (s[:, 0].reshape(len(s), *(1,) * (node.ndim - 3), *s.shape[2:]) for s in graph.overlap)
    return own.expand_as(node), pair.expand_as(edge)


def _weighted_median(error: Tensor, overlap: Tensor) -> Tensor:
    chosen = overlap != 0
    ratio, order = (error[chosen] / overlap[chosen]).sort()
    weight = overlap[chosen][order].abs().double().cumsum(0)
    return ratio[torch.searchsorted(weight, 0.5 * weight[-1])]


def orbital_errors(predicted: Blocks, graph: PairGraph, orbitals: OrbitalTargets) -> tuple[Tensor, Tensor, Tensor]:
    """Mean absolute errors of (energies, occupied-occupied, occupied-virtual) elements in the reference orbitals.

    To first order the error of an orbital energy is <i|dH|i>, and the error of the occupied space comes from <i|dH|a>.
    """
    dense = dense_error(predicted, graph, orbitals.coefficients.shape[1])
    c = orbitals.coefficients
    columns = torch.arange(c.shape[2], device=c.device)[None]
    occupied = columns < orbitals.occupied[:, None]
    virtual = ~occupied & (columns < orbitals.kept[:, None])
    most = int(orbitals.occupied.max())
    projected = (c[:, :, :most].transpose(1, 2) @ (dense @ c)).abs()
    rows = occupied[:, :most, None]
    oo = (projected * (rows & occupied[:, None])).sum() / (orbitals.occupied**2).sum()
    ov = (projected * (rows & virtual[:, None])).sum() / (orbitals.occupied * (orbitals.kept - orbitals.occupied)).sum()
    frontier = (columns <= orbitals.occupied[:, None]) & (columns < orbitals.kept[:, None])
    up_to_lumo = min(most + 1, c.shape[2])
    diagonal = torch.einsum("bpi,bpi->bi", c[:, :, :up_to_lumo], dense @ c[:, :, :up_to_lumo]).abs()
    chosen = frontier[:, :up_to_lumo]
    return (diagonal * chosen).sum() / chosen.sum(), oo, ov


def dense_error(predicted: Blocks, graph: PairGraph, rows: int) -> Tensor:
    """Prediction minus target as dense padded matrices, (structure, atom * n, atom * n)."""
    n = predicted.node.shape[-1]
    structures, atoms = graph.n_structures, rows // n
    first = torch.searchsorted(graph.structure, torch.arange(structures, device=graph.structure.device))
    place = torch.arange(len(graph.structure), device=graph.structure.device) - first[graph.structure]
    source, target = graph.edges[0], graph.edges[1]
    flat = torch.cat([
        (graph.structure * atoms + place) * atoms + place,
        (graph.structure[source] * atoms + place[source]) * atoms + place[target],
    ])
    error = _errors(predicted, graph)
    errors = torch.cat([error.node[:, 0], error.edge[:, 0]])
    blocks = errors.new_zeros(structures * atoms * atoms, n, n).index_copy(0, flat, errors)
    return blocks.reshape(structures, atoms, atoms, n, n).transpose(2, 3).reshape(structures, rows, rows)

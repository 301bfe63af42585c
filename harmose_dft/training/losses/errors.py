"""Errors of predicted Hamiltonians: matrix elements, and what the reference orbitals see of them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ...nn.blocks import Blocks
from ...nn.graph import PairGraph
from ..median import weighted_median
from ..samples import Batch, OrbitalTargets


class OrbitalErrors(NamedTuple):
    """Mean absolute elements of the error in the reference orbitals, Hartree.

    To first order the error of an orbital energy is <i|dH|i>, and the error of the occupied space comes from <i|dH|a>.

    Args:
        energies: <i|dH|i> of occupied orbitals and the LUMO.
        occupied: <i|dH|j>, both occupied.
        mixing: <i|dH|a>, occupied and virtual.
    """

    energies: Tensor
    occupied: Tensor
    mixing: Tensor


class Errors:
    """Errors of a batch, each worked out when a term of the loss first asks for it.

    Args:
        predicted: Predicted blocks, Hartree.
        batch: The batch with its targets.
        mask: One where a species has an orbital, else zero.
    """

    def __init__(self, predicted: Blocks, batch: Batch, mask: Blocks) -> None:
        self.predicted, self.batch, self.mask = predicted, batch, mask

    @cached_property
    def blocks(self) -> Blocks:
        """Prediction minus target."""
        return _errors(self.predicted, self.batch.graph)

    @cached_property
    def elements(self) -> Tensor:
        """Mean absolute error of all matrix elements (mae_all), Hartree; crystals: after the best shift."""
        return _element_error(self.blocks * self.mask, self.batch)

    @cached_property
    def gauge(self) -> Tensor:
        """Mean absolute multiple of S that the matrices of crystals are off by, Hartree."""
        return _gauge_error(self.blocks * self.mask, self.batch.graph)

    @cached_property
    def orbitals(self) -> OrbitalErrors:
        """Errors in the reference orbitals, which the batch must hold."""
        assert self.batch.orbitals is not None
        return _orbital_errors(self.blocks, self.batch.graph, self.batch.orbitals)


def _element_error(error: Blocks, batch: Batch) -> Tensor:
    """Mean absolute error of all matrix elements of a batch, Hartree (mae_all); crystals: after the best shift.

    Of a complex element of spinors the real and the imaginary part count, which is mae_all or up to 1.41 times as much.
    """
    node, edge = _split_spins(error)
    if batch.gauge:
        node, edge = subtract_shift(node, edge, batch.graph)
    total = node.abs().sum() + edge.abs().sum()
    if error.axis.has_vectors:
        total = 2.0 * (total + error.node[:, 1:].abs().sum() + error.edge[:, 1:].abs().sum())
    return total / batch.n_elements


def _gauge_error(blocks: Blocks, graph: PairGraph) -> Tensor:
    """Mean absolute multiple of S that the matrices of crystals are off by, from least squares, Hartree."""
    error = _split_spins(blocks)
    overlap = _expand_overlap(*error, graph)
    edge_structure = graph.structure[graph.edges[0]]

    def sum_products(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
        node, edge = ((a * b).flatten(1).sum(1) for a, b in zip(first, second, strict=True))
        return node.new_zeros(graph.n_structures).index_add(0, graph.structure, node).index_add(0, edge_structure, edge)

    return (sum_products(error, overlap) / sum_products(overlap, overlap)).abs().mean()


def _split_spins(error: Blocks) -> tuple[Tensor, Tensor]:
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
    node, edge = subtract_shift(error.node[:, 0], error.edge[:, 0], batch.graph)
    return Blocks.join([Blocks(node[:, None], edge[:, None], error.axis[:1]), error[1:]])


def subtract_shift(node: Tensor, edge: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
    """Errors of a crystal's matrix less the shift mu S, for each structure, that makes them smallest in the 1-norm.

    mu is the median of error / S weighted by |S|. No gradient flows through it: at the minimum there is none.

    Args:
        node: On-site blocks, (atom, n, n), or of two spins with one shift, (atom, 2, n, n).
        edge: Pair blocks, likewise.
        graph: Holds S.
    """
    node_overlap, edge_overlap = _expand_overlap(node, edge, graph)
    edge_structure = graph.structure[graph.edges[0]]
    shifts = []
    with torch.no_grad():
        for k in range(graph.n_structures):
            atoms, is_pair = graph.structure == k, edge_structure == k
            error = torch.cat([node[atoms].flatten(), edge[is_pair].flatten()])
            overlap = torch.cat([node_overlap[atoms].flatten(), edge_overlap[is_pair].flatten()])
            shifts.append(_best_shift(error, overlap))
    mu = torch.stack(shifts).reshape(-1, *(1,) * (node.ndim - 1))
    return node - mu[graph.structure] * node_overlap, edge - mu[edge_structure] * edge_overlap


def _best_shift(error: Tensor, overlap: Tensor) -> Tensor:
    """The mu that makes the 1-norm of error - mu S smallest."""
    nonzero = overlap != 0
    weight = overlap[nonzero]
    return weighted_median(error[nonzero] / weight, weight.abs())


def _expand_overlap(node: Tensor, edge: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
    """S in the shape of the errors."""
    assert graph.overlap is not None
    on_site, pair = (s[:, 0].reshape(len(s), *(1,) * (node.ndim - 3), *s.shape[2:]) for s in graph.overlap)
    return on_site.expand_as(node), pair.expand_as(edge)


def _orbital_errors(error: Blocks, graph: PairGraph, orbitals: OrbitalTargets) -> OrbitalErrors:
    """Mean absolute elements of an error in the reference orbitals."""
    dense = _dense(error, graph, orbitals.coefficients.shape[1])
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
    return OrbitalErrors((diagonal * chosen).sum() / chosen.sum(), oo, ov)


def _dense(error: Blocks, graph: PairGraph, rows: int) -> Tensor:
    """Blocks as dense padded matrices, (structure, atom * n, atom * n)."""
    n = error.node.shape[-1]
    structures, atoms = graph.n_structures, rows // n
    first = torch.searchsorted(graph.structure, torch.arange(structures, device=graph.structure.device))
    place = torch.arange(len(graph.structure), device=graph.structure.device) - first[graph.structure]
    source, target = graph.edges[0], graph.edges[1]
    # Block (i, j) of structure s is number (s * atoms + i) * atoms + j among all dense blocks.
    flat = torch.cat([
        (graph.structure * atoms + place) * atoms + place,
        (graph.structure[source] * atoms + place[source]) * atoms + place[target],
    ])
    errors = torch.cat([error.node[:, 0], error.edge[:, 0]])
    blocks = errors.new_zeros(structures * atoms * atoms, n, n).index_copy(0, flat, errors)
    return blocks.reshape(structures, atoms, atoms, n, n).transpose(2, 3).reshape(structures, rows, rows)

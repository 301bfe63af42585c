"""Heads that turn features into Hamiltonian blocks, exactly Hermitian."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .geometry import PairGeometry, sum_over
from .graph import PreparedGraph
from .o2 import O2Dims, O2Features, O2Linear


@dataclass(frozen=True)
class Blocks:
    """On-site and pair blocks in the lab frame.

    Args:
        node: (atom, n, n), symmetric.
        edge: (edge, n, n), block (j, i) is the transpose of block (i, j).
        spin: The same of the C matrices that depend on spin, (atom, C, n, n) and (edge, C, n, n); those of spin-orbit
            coupling are antisymmetric.
    """

    node: Tensor
    edge: Tensor
    spin: Blocks | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Blocks:
        """A function of every tensor."""
        spin = None if self.spin is None else self.spin.map(function)
        return Blocks(function(self.node), function(self.edge), spin)

    @staticmethod
    def cat(blocks: Sequence[Blocks]) -> Blocks:
        """Blocks of several graphs side by side."""
        spin = [p.spin for p in blocks if p.spin is not None]
        node, edge = torch.cat([p.node for p in blocks]), torch.cat([p.edge for p in blocks])
        return Blocks(node, edge, Blocks.cat(spin) if spin else None)

    def __add__(self, other: Blocks) -> Blocks:
        spin = self.spin + other.spin if self.spin is not None and other.spin is not None else self.spin or other.spin
        return Blocks(self.node + other.node, self.edge + other.edge, spin)

    def __mul__(self, other: Blocks) -> Blocks:
        spin = None if self.spin is None or other.spin is None else self.spin * other.spin
        return Blocks(self.node * other.node, self.edge * other.edge, spin)


class Components(Protocol):
    """O(2) components of a kind of blocks; ``sign`` is that of the transpose of the reverse pair's block."""

    dims: O2Dims
    sign: float

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks in the bond frame from their components."""

    def to_lab(self, blocks: Tensor, geometry: PairGeometry) -> Tensor:
        """Blocks from the bond frame to the lab frame."""


class BlockHead(nn.Module):
    """Wigner-Eckart head in bond frames.

    A linear map to the O(2) components of a block, turned back into the lab frame, gives the pair block; a second one
    gives the pair's share of the on-site block of its first atom.

    Args:
        components: What the blocks are made of.
        pair: Channels of pair features.
        neighbours: Shares of on-site blocks are divided by this number.
        start_at_zero: Whether an untrained head returns zeros (for corrections).
    """

    def __init__(self, components: Components, pair: O2Dims, neighbours: float, *, start_at_zero: bool = False) -> None:
        super().__init__()
        self.components = components
        self.neighbours = neighbours
        gain = 0.0 if start_at_zero else 0.3
        self.pair = O2Linear(pair, self.components.dims, gain=gain)
        self.share = O2Linear(pair, self.components.dims, gain=gain)

    def forward(self, features: O2Features, graph: PreparedGraph, geometry: PairGeometry, cutoff: Tensor) -> Blocks:
        """Blocks in units of the model's scales."""
        outputs = torch.cat([self.pair(features).flat(), self.share(features).flat()])
        frames = self.components.assemble(O2Features.split(outputs, self.components.dims))
        pair, share = frames.chunk(2)
        weight, sign = cutoff.reshape(-1, *(1,) * (pair.ndim - 1)), self.components.sign
        edge = self.components.to_lab(pair * weight, geometry)
        shares = self.components.to_lab(share * (weight / self.neighbours), geometry)
        node = sum_over(shares, geometry.source, len(graph.species))
        reverse_blocks = edge.index_select(0, graph.reverse)
        return Blocks(
            0.5 * torch.add(node, node.transpose(-1, -2), alpha=sign),
            0.5 * torch.add(edge, reverse_blocks.transpose(-1, -2), alpha=sign),
        )

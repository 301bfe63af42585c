"""Heads that turn features into Hamiltonian blocks, exactly Hermitian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..graph import PreparedGraph
from .geometry import PairGeometry, sum_over
from .layout import OrbitalLayout
from .o2 import BlockComponents, O2Dims, O2Features, O2Linear


@dataclass(frozen=True)
class Blocks:
    """On-site and pair blocks in the lab frame.

    Args:
        node: (atom, n, n), symmetric.
        edge: (edge, n, n), block (j, i) is the transpose of block (i, j).
    """

    node: Tensor
    edge: Tensor

    def __add__(self, other: Blocks) -> Blocks:
        return Blocks(self.node + other.node, self.edge + other.edge)


class BlockHead(nn.Module):
    """Wigner-Eckart head in bond frames.

    A linear map to the O(2) components of a block, turned back into the lab frame, gives the pair block; a second one
    gives the pair's share of the on-site block of its first atom.

    Args:
        layout: Orbital slots.
        pair: Channels of pair features.
        neighbours: Shares of on-site blocks are divided by this number.
        start_at_zero: Whether an untrained head returns zeros (for corrections).
    """

    def __init__(self, layout: OrbitalLayout, pair: O2Dims, neighbours: float, *, start_at_zero: bool = False) -> None:
        super().__init__()
        self.components = BlockComponents(layout)
        self.neighbours = neighbours
        gain = 0.0 if start_at_zero else 0.3
        self.pair = O2Linear(pair, self.components.dims, gain=gain)
        self.share = O2Linear(pair, self.components.dims, gain=gain)

    def forward(self, features: O2Features, graph: PreparedGraph, geometry: PairGeometry, cutoff: Tensor) -> Blocks:
        """Blocks in units of the model's scales."""
        both = torch.cat([self.pair(features).flat(), self.share(features).flat()])
        frames = self.components.assemble(O2Features.split(both, self.components.dims))
        pair, share = frames.chunk(2)
        edge = geometry.blocks_to_lab(pair * cutoff[..., None])
        shares = geometry.blocks_to_lab(share * (cutoff / self.neighbours)[..., None])
        node = sum_over(shares, geometry.source, len(graph.species))
        return Blocks(
            0.5 * (node + node.transpose(1, 2)), 0.5 * (edge + edge.index_select(0, graph.reverse).transpose(1, 2))
        )

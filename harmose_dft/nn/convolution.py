"""Equivariant convolution in bond frames, the layer of the first stage."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .geometry import PairGeometry, sum_over
from .node import NodeNorm, NodeUpdate
from .o2 import O2Dims, O2Features, O2Linear
from .slices import run_in_slices


def node_dims(l_max: int, channels: int) -> O2Dims:
    """O(2) channels of node features of natural parity seen in a bond frame."""
    return O2Dims((l_max + 1) * channels, 0, tuple((l_max + 1 - m) * channels for m in range(1, l_max + 1)))


class O2Products(nn.Module):
    """Scalars and pseudoscalars from pairs: Re and Im of z_a z_b^* for the two halves of the channels of each m."""

    def __init__(self, dims: O2Dims) -> None:
        super().__init__()
        self.halves = tuple(c // 2 for c in dims.pairs)
        self.size = sum(self.halves)

    def forward(self, pairs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Both (edge, size)."""
        even, odd = [], []
        for x, h in zip(pairs, self.halves, strict=True):
            a, b = x[..., :h], x[..., h : 2 * h]
            even.append(a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1])
            odd.append(a[:, 1] * b[:, 0] - a[:, 0] * b[:, 1])
        return torch.cat(even, -1), torch.cat(odd, -1)


class BondConvolution(nn.Module):
    """Both atoms and their pair, seen in the bond frame, update the pair and send a message to the first atom.

    Linear O(2) maps; scalars, which also receive the invariant products of the other features and the radial
    functions, pass through SiLU and gate everything else. Messages are rotated back and summed over the pairs of
    an atom.

    Args:
        l_max: Highest l of node features.
        channels: Channels of node features for each l.
        pair: Channels of pair features.
        hidden: Channels inside the layer.
        radial: Number of radial functions.
        neighbours: Typical sum of cutoff factors over the pairs of an atom; messages are divided by it.
    """

    def __init__(
        self, l_max: int, channels: int, pair: O2Dims, hidden: O2Dims, radial: int, neighbours: float
    ) -> None:
        super().__init__()
        self.channels, self.neighbours, self.pair = channels, neighbours, pair
        self.norm = NodeNorm(l_max, channels)
        self.enter = O2Linear(node_dims(l_max, 2 * channels) + pair, hidden)
        self.products = O2Products(hidden)
        self.radial = nn.Linear(radial, hidden.even, bias=False)
        self.even_products = nn.Linear(self.products.size, hidden.even, bias=False)
        self.odd_products = nn.Linear(self.products.size, hidden.odd, bias=False)
        self.mix = nn.Linear(hidden.even, hidden.even)
        self.gates = nn.Linear(hidden.even, hidden.odd + sum(hidden.pairs))
        self.splits = [hidden.odd, *hidden.pairs]
        self.leave_pair = O2Linear(hidden, pair, gain=0.5)
        self.leave_node = O2Linear(hidden, node_dims(l_max, channels))
        self.update = NodeUpdate(l_max, channels)

    def forward(
        self, nodes: Tensor, pairs: O2Features, geometry: PairGeometry, radial: Tensor, cutoff: Tensor
    ) -> tuple[Tensor, O2Features]:
        """Updated nodes (atom, (L+1)^2, channel) and pairs.

        Args:
            nodes: Node features.
            pairs: Pair features in the bond frames.
            geometry: The bond frames.
            radial: Radial functions, (edge, radial).
            cutoff: Cutoff factors, (edge, 1).
        """
        return run_in_slices(self._update, nodes, pairs, geometry, radial, cutoff)

    def _update(
        self, nodes: Tensor, pairs: O2Features, geometry: PairGeometry, radial: Tensor, cutoff: Tensor
    ) -> tuple[Tensor, O2Features]:
        x = self.enter(O2Features.cat([geometry.to_frame(self.norm(nodes)), pairs]))
        even, odd = self.products(x.pairs)
        scalars = nn.functional.silu(x.even + self.even_products(even) + self.radial(radial))
        scalars = nn.functional.silu(self.mix(scalars))
        gates = self.gates(scalars).split(self.splits, dim=-1)
        gated_pairs = [p * g[:, None] for p, g in zip(x.pairs, gates[1:], strict=True)]
        x = O2Features(scalars, (x.odd + self.odd_products(odd)) * gates[0], gated_pairs)
        messages = geometry.to_lab(self.leave_node(x), self.channels) * (cutoff / self.neighbours)[..., None]
        summed_messages = sum_over(messages, geometry.source, len(nodes))
        return self.update(nodes, summed_messages), pairs + self.leave_pair(x)

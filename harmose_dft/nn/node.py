"""Layers on atoms: spherical-tensor features of natural parity, (atom, (L+1)^2, channel)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .frames import coupling
from .layout import OrbitalLayout


class NodeLinear(nn.Module):
    """Channel mixing with one matrix for each l (and a bias for l = 0)."""

    def __init__(self, l_max: int, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.l_max = l_max
        self.weight = nn.Parameter(torch.randn(l_max + 1, inputs, outputs) * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(atom, (L+1)^2, inputs) -> (atom, (L+1)^2, outputs)."""
        parts = [x[:, l * l : (l + 1) ** 2] @ self.weight[l] for l in range(self.l_max + 1)]
        parts[0] = parts[0] + self.bias
        return torch.cat(parts, dim=1)


class NodeNorm(nn.Module):
    """Each l divided by its root mean square over components and channels, times a learned scale.

    The floor keeps small features small, so that an atom without neighbours is not amplified.
    """

    def __init__(self, l_max: int, channels: int, floor: float = 1e-2) -> None:
        super().__init__()
        self.floor = floor
        self.scale = nn.Parameter(torch.ones(l_max + 1, channels))
        degree = torch.cat([torch.full((2 * l + 1,), l) for l in range(l_max + 1)])
        self.register_buffer("degree", degree, persistent=False)
        average = nn.functional.one_hot(degree).T.float()
        self.register_buffer("average", average / average.sum(1, keepdim=True), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(atom, (L+1)^2, channel) -> the same shape."""
        power = self.average @ x.square().mean(dim=-1, keepdim=True)
        return x * (power + self.floor).rsqrt()[:, self.degree] * self.scale[self.degree]


class NodeUpdate(nn.Module):
    """Gated residual update of node features by what their pairs sent."""

    def __init__(self, l_max: int, channels: int) -> None:
        super().__init__()
        self.l_max, self.channels = l_max, channels
        self.mix = NodeLinear(l_max, 2 * channels, channels)
        self.scalars = nn.Linear(channels, channels)
        self.gates = nn.Linear(channels, (l_max + 1) * channels)
        self.register_buffer(
            "degree", torch.cat([torch.full((2 * l + 1,), l) for l in range(l_max + 1)]), persistent=False
        )

    def forward(self, x: Tensor, received: Tensor) -> Tensor:
        """Both (atom, (L+1)^2, channel)."""
        mixed = self.mix(torch.cat([x, received], dim=-1))
        scalars = nn.functional.silu(self.scalars(mixed[:, 0]))
        gates = self.gates(scalars).reshape(len(x), self.l_max + 1, self.channels)
        return x + mixed * gates[:, self.degree]


class BlockEmbedding(nn.Module):
    """Node features from on-site blocks: shells (l1, l2) couple to l = |l1 - l2|..l1 + l2 of natural parity.

    Args:
        layout: Orbital slots of the blocks.
        matrices: Number K of matrices.
        l_max: Highest l kept.
        channels: Channels out.
    """

    def __init__(self, layout: OrbitalLayout, matrices: int, l_max: int, channels: int) -> None:
        super().__init__()
        self.l_max, self.layout = l_max, layout
        counts = [len(_paths(layout, l)) * matrices for l in range(l_max + 1)]
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(c, channels) / math.sqrt(max(c, 1))) for c in counts]
        )

    def forward(self, blocks: Tensor) -> Tensor:
        """(atom, K, n, n) -> (atom, (L+1)^2, channel)."""
        starts = [0]
        for l in self.layout.slots:
            starts.append(starts[-1] + 2 * l + 1)
        out = []
        for l, weight in enumerate(self.weights):
            parts = []
            for a, b in _paths(self.layout, l):
                w = coupling(self.layout.slots[a], self.layout.slots[b], l, blocks.dtype).to(blocks.device)
                piece = blocks[:, :, starts[a] : starts[a + 1], starts[b] : starts[b + 1]]
                parts.append(torch.einsum("nkab,abm->nmk", piece, w) * math.sqrt(2 * l + 1))
            if parts:
                out.append(torch.cat(parts, dim=-1) @ weight)
            else:
                out.append(blocks.new_zeros(len(blocks), 2 * l + 1, weight.shape[1]))
        return torch.cat(out, dim=1)


def _paths(layout: OrbitalLayout, l: int) -> list[tuple[int, int]]:
    """Slot pairs (a <= b) that couple to l with natural parity."""
    found = []
    for a, l1 in enumerate(layout.slots):
        for b, l2 in enumerate(layout.slots[a:], start=a):
            if abs(l1 - l2) <= l <= l1 + l2 and (l1 + l2 + l) % 2 == 0:
                found.append((a, b))
    return found


class ScalarBlocks(nn.Module):
    """The rotation-invariant part of on-site blocks from node scalars: w_ab(scalars) delta_mm' for shells of equal l."""

    def __init__(self, layout: OrbitalLayout, channels: int) -> None:
        super().__init__()
        self.width = layout.size
        index, group = [], []
        starts = [0]
        for l in layout.slots:
            starts.append(starts[-1] + 2 * l + 1)
        count = 0
        for a, l1 in enumerate(layout.slots):
            for b, l2 in enumerate(layout.slots):
                if l1 == l2:
                    index += [(starts[a] + m) * self.width + starts[b] + m for m in range(2 * l1 + 1)]
                    group += [count] * (2 * l1 + 1)
                    count += 1
        self.register_buffer("index", torch.tensor(index), persistent=False)
        self.register_buffer("group", torch.tensor(group), persistent=False)
        self.linear = nn.Linear(channels, count)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, scalars: Tensor) -> Tensor:
        """(atom, channel) -> (atom, n, n)."""
        flat = scalars.new_zeros(len(scalars), self.width**2)
        return flat.index_copy(1, self.index, self.linear(scalars)[:, self.group]).reshape(-1, self.width, self.width)

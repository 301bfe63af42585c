"""Layers on atoms: spherical-tensor features of natural parity, (atom, (L+1)^2, channel)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .couplings import coupling
from .layout import OrbitalLayout, ParameterLabels


class NodeLinear(nn.Module):
    """Channel mixing with one matrix for each l (and a bias for l = 0)."""

    degree: Tensor

    def __init__(self, l_max: int, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(l_max + 1, inputs, outputs) * gain / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("degree", _degrees(l_max), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(atom, (L+1)^2, inputs) -> (atom, (L+1)^2, outputs)."""
        product = torch.bmm(x.transpose(0, 1), self.weight[self.degree])
        return torch.cat([product[:1] + self.bias, product[1:]]).transpose(0, 1)


def _degrees(l_max: int) -> Tensor:
    """l of each component, ((L+1)^2,)."""
    return torch.cat([torch.full((2 * l + 1,), l) for l in range(l_max + 1)])


class NodeNorm(nn.Module):
    """Each l divided by its root mean square over components and channels, times a learned scale.

    The floor keeps small features small, so that an atom without neighbours is not amplified.
    """

    degree: Tensor
    average: Tensor

    def __init__(self, l_max: int, channels: int, floor: float = 1e-2) -> None:
        super().__init__()
        self.floor = floor
        self.scale = nn.Parameter(torch.ones(l_max + 1, channels))
        degree = _degrees(l_max)
        self.register_buffer("degree", degree, persistent=False)
        average = nn.functional.one_hot(degree).T.to(torch.get_default_dtype())
        self.register_buffer("average", average / average.sum(1, keepdim=True), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(atom, (L+1)^2, channel) -> the same shape."""
        power = self.average @ x.square().mean(dim=-1, keepdim=True)
        return x * (power + self.floor).rsqrt()[:, self.degree] * self.scale[self.degree]


class NodeUpdate(nn.Module):
    """Gated residual update of node features by the messages of their pairs."""

    def __init__(self, l_max: int, channels: int) -> None:
        super().__init__()
        self.l_max, self.channels = l_max, channels
        self.mix = NodeLinear(l_max, 2 * channels, channels)
        self.scalars = nn.Linear(channels, channels)
        self.gates = nn.Linear(channels, (l_max + 1) * channels)
        self.register_buffer("degree", _degrees(l_max), persistent=False)

    def forward(self, x: Tensor, received: Tensor) -> Tensor:
        """Both (atom, (L+1)^2, channel)."""
        update = self.mix(torch.cat([x, received], dim=-1))
        scalars = nn.functional.silu(self.scalars(update[:, 0]))
        gates = self.gates(scalars).reshape(len(x), self.l_max + 1, self.channels)
        updated: Tensor = x + update * gates[:, self.degree]
        return updated


class BlockHarmonics(nn.Module):
    """Spherical-tensor components of on-site blocks: shells (l1, l2) couple to l = |l1 - l2|..l1 + l2, natural parity.

    Components are laid out by l, then m, then matrix and path.

    Args:
        layout: Orbital slots of the blocks.
        l_max: Highest l kept.
    """

    def __init__(self, layout: OrbitalLayout, l_max: int) -> None:
        super().__init__()
        starts = [0]
        for l in layout.slots:
            starts.append(starts[-1] + 2 * l + 1)
        self.l_max, self.paths = l_max, [len(_paths(layout, l)) for l in range(l_max + 1)]
        self._layout = layout
        for l in range(l_max + 1):
            table = torch.zeros(layout.size, layout.size, 2 * l + 1, self.paths[l])
            for k, (a, b) in enumerate(_paths(layout, l)):
                w = coupling(layout.slots[a], layout.slots[b], l, table.dtype) * math.sqrt(2 * l + 1)
                table[starts[a] : starts[a + 1], starts[b] : starts[b + 1], :, k] = w
            self.register_buffer(f"table{l}", table.reshape(layout.size**2, -1), persistent=False)

    def forward(self, blocks: Tensor) -> Tensor:
        """(atom, K, n, n) -> (atom, sum_l (2 l + 1) K paths_l)."""
        atoms, matrices = blocks.shape[:2]
        harmonics = []
        for l, paths in enumerate(self.paths):
            components = blocks.flatten(2) @ getattr(self, f"table{l}")
            harmonics.append(components.reshape(atoms, matrices, 2 * l + 1, paths).transpose(1, 2).flatten(1))
        return torch.cat(harmonics, dim=1)

    def channel_labels(self, l: int, matrices: int) -> list[object]:
        """Matrix and both shells of each channel of l."""
        slots = self._layout.slot_labels()
        return [(k, slots[a], slots[b]) for k in range(matrices) for a, b in _paths(self._layout, l)]

    def split(self, components: Tensor) -> list[Tensor]:
        """For each l: (atom, 2 l + 1, K paths_l)."""
        per_matrix = sum((2 * l + 1) * p for l, p in enumerate(self.paths))
        matrices = components.shape[1] // per_matrix
        sizes = [(2 * l + 1) * p * matrices for l, p in enumerate(self.paths)]
        return [
            c.reshape(len(c), 2 * l + 1, -1) for l, c in enumerate(components.split(sizes, dim=1))
        ]

    def rotate(self, components: Tensor, wigner: list[Tensor]) -> Tensor:
        """Rotate components; Wigner matrices (2 l + 1, 2 l + 1) for each l."""
        return torch.cat(
            [(w @ c).flatten(1) for w, c in zip(wigner, self.split(components), strict=False)], dim=1
        )


class BlockEmbedding(nn.Module):
    """Node features from the spherical-tensor components of on-site blocks.

    Args:
        harmonics: How the components are laid out.
        matrices: Number of matrices.
        channels: Channels out.
    """

    def __init__(self, harmonics: BlockHarmonics, matrices: int, channels: int) -> None:
        super().__init__()
        self.split = harmonics.split
        self._input_labels = [harmonics.channel_labels(l, matrices) for l in range(harmonics.l_max + 1)]
        counts = [p * matrices for p in harmonics.paths]
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.randn(c, channels) / math.sqrt(max(c, 1))) for c in counts]
        )

    def labels(self) -> ParameterLabels:
        """What the inputs are."""
        return {f"weights.{l}": {0: labels} for l, labels in enumerate(self._input_labels)}

    def forward(self, components: Tensor) -> Tensor:
        """(atom, size) -> (atom, (L+1)^2, channel)."""
        return torch.cat([c @ w for c, w in zip(self.split(components), self.weights, strict=True)], dim=1)


def _paths(layout: OrbitalLayout, l: int) -> list[tuple[int, int]]:
    """Slot pairs (a <= b) that couple to l with natural parity."""
    pairs = []
    for a, l1 in enumerate(layout.slots):
        for b, l2 in enumerate(layout.slots[a:], start=a):
            if abs(l1 - l2) <= l <= l1 + l2 and (l1 + l2 + l) % 2 == 0:
                pairs.append((a, b))
    return pairs


class ScalarBlocks(nn.Module):
    """The invariant part of on-site blocks from node scalars: w_ab(scalars) delta_mm' for shells of equal l."""

    index: Tensor
    group: Tensor

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
        slots = layout.slot_labels()
        self._output_labels = [(a, b) for a in slots for b in slots if a[0] == b[0]]
        self.register_buffer("index", torch.tensor(index), persistent=False)
        self.register_buffer("group", torch.tensor(group), persistent=False)
        self.linear = nn.Linear(channels, count)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def labels(self) -> ParameterLabels:
        """Both shells of each output."""
        return {"linear.weight": {0: self._output_labels}, "linear.bias": {0: self._output_labels}}

    def forward(self, scalars: Tensor) -> Tensor:
        """(atom, channel) -> (atom, 1, n, n)."""
        flat = scalars.new_zeros(len(scalars), self.width**2)
        flat = flat.index_copy(1, self.index, self.linear(scalars)[:, self.group])
        return flat.reshape(-1, 1, self.width, self.width)

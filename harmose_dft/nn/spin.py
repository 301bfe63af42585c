"""What of a Hamiltonian depends on spin: its blocks, their O(2) components, and their invariant on-site part.

Blocks have shape (edge, C, n, n). Collinear spin: C = 1, half the difference of up and down, which turns like an
ordinary Hamiltonian. Spin-orbit: C = 3, the real antisymmetric matrices A_y, A_z, A_x of
:mod:`harmose_dft.core.spin`, an axial vector.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..core.spin import Spin
from .frames import coupling
from .geometry import PairGeometry
from .graph import PreparedGraph
from .heads import BlockHead, Blocks
from .layout import OrbitalLayout
from .node import ScalarBlocks
from .o2 import BlockComponents, Entries, O2Dims, O2Features, TwoGathers, two_gathers


class CollinearComponents:
    """O(2) components of half the difference of up and down, those of an ordinary block.

    Args:
        layout: Orbital slots.
    """

    sign = 1.0

    def __init__(self, layout: OrbitalLayout) -> None:
        self.blocks = BlockComponents(layout)
        self.dims = self.blocks.dims

    def split(self, blocks: Tensor) -> O2Features:
        """O(2) components of blocks (edge, 1, n, n) given in the bond frame."""
        return self.blocks.split(blocks[:, 0])

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks (edge, 1, n, n) in the bond frame from their components."""
        return self.blocks.assemble(features)[:, None]

    def to_lab(self, blocks: Tensor, geometry: PairGeometry) -> Tensor:
        """Blocks (edge, 1, n, n) from the bond frame to the lab frame."""
        return geometry.blocks_to_lab(blocks[:, 0])[:, None]

    def to_frame(self, blocks: Tensor, geometry: PairGeometry) -> Tensor:
        """Blocks (edge, 1, n, n) from the lab frame to the bond frame."""
        return geometry.blocks_to_frame(blocks[:, 0])[:, None]


class SpinOrbitComponents:
    """O(2) components of the blocks of an axial vector of matrices, (edge, 3, n, n), order y, z, x.

    Seen along the bond A_z is a pseudoscalar and (A_y, -A_x) a pair (cosine, sine) of m = 1. With the components of a
    block (:class:`~harmose_dft.nn.o2.BlockComponents`) they couple to an orthogonal set with at most two entries a row:
    scalars and pseudoscalars change places and pairs turn by 90 degrees with A_z; with the pair, m goes to m + 1 and
    m - 1. Frequencies up to 2 l + 1 occur; where features stop at 2 l, the highest stays zero.

    Args:
        layout: Orbital slots.
    """

    sign = -1.0

    def __init__(self, layout: OrbitalLayout) -> None:
        self.blocks = BlockComponents(layout)
        rows, self.dims = _axial_rows(self.blocks.dims)
        self.analysis, self.synthesis = two_gathers(rows)

    def split(self, blocks: Tensor) -> O2Features:
        """O(2) components of blocks (edge, 3, n, n) given in the bond frame."""
        raw = self.blocks.split(blocks.flatten(0, 1)).flat().reshape(len(blocks), self.dims.size)
        return O2Features.split(TwoGathers.apply(raw, self.analysis, self.synthesis), self.dims)

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks (edge, 3, n, n) in the bond frame from their components."""
        raw = TwoGathers.apply(features.flat(), self.synthesis, self.analysis).reshape(-1, self.blocks.dims.size)
        return self.blocks.assemble(O2Features.split(raw, self.blocks.dims)).unflatten(0, (-1, 3))

    def to_lab(self, blocks: Tensor, geometry: PairGeometry) -> Tensor:
        """Blocks (edge, 3, n, n) from the bond frame to the lab frame, the axial vector included."""
        turn = geometry.orbitals[:, None]
        in_lab = turn.transpose(2, 3) @ blocks @ turn
        return (geometry.axes.transpose(1, 2) @ in_lab.flatten(2)).reshape(blocks.shape)

    def to_frame(self, blocks: Tensor, geometry: PairGeometry) -> Tensor:
        """Blocks (edge, 3, n, n) from the lab frame to the bond frame, the axial vector included."""
        turn = geometry.orbitals[:, None]
        return turn @ (geometry.axes @ blocks.flatten(2)).reshape(blocks.shape) @ turn.transpose(2, 3)


SpinComponents = CollinearComponents | SpinOrbitComponents


def spin_components(layout: OrbitalLayout, spin: Spin) -> SpinComponents:
    """Components of what depends on spin; there is none for closed shells."""
    return CollinearComponents(layout) if spin == "collinear" else SpinOrbitComponents(layout)


def _axial_rows(block: O2Dims) -> tuple[list[Entries], O2Dims]:
    """Rows in the order even, odd, cosine and sine of m = 1, 2, ...; columns: components y, z, x of a block's."""
    y, z, x = (k * block.size for k in range(3))
    half, longest = math.sqrt(0.5), block.m_max + 1
    even: list[Entries] = []
    odd: list[Entries] = []
    cosine: list[list[Entries]] = [[] for _ in range(longest + 1)]
    sine: list[list[Entries]] = [[] for _ in range(longest + 1)]
    for e in range(block.even):
        odd.append([(z + e, 1.0)])
        cosine[1].append([(y + e, 1.0)])
        sine[1].append([(x + e, -1.0)])
    for o in range(block.even, block.even + block.odd):
        even.append([(z + o, 1.0)])
        cosine[1].append([(x + o, 1.0)])
        sine[1].append([(y + o, 1.0)])
    start = block.even + block.odd
    for m, channels in enumerate(block.pairs, start=1):
        for c in range(start, start + channels):
            s = c + channels
            cosine[m].append([(z + s, 1.0)])
            sine[m].append([(z + c, -1.0)])
            cosine[m + 1].append([(y + c, half), (x + s, half)])
            sine[m + 1].append([(y + s, half), (x + c, -half)])
            lower = ([(y + c, half), (x + s, -half)], [(y + s, half), (x + c, half)])
            for rows, entries in zip((even, odd) if m == 1 else (cosine[m - 1], sine[m - 1]), lower, strict=True):
                rows.append(entries)
        start += 2 * channels
    dims = O2Dims(len(even), len(odd), tuple(len(rows) for rows in cosine[1:]))
    pair_rows = [row for c, s in zip(cosine[1:], sine[1:], strict=True) for row in (*c, *s)]
    return [*even, *odd, *pair_rows], dims


def angular_momentum(layout: OrbitalLayout) -> Tensor:
    """Real antisymmetric matrices of the angular momentum between slots of equal l, float64.

    They are the one invariant of two shells and an axial vector: all products l.s of an atom are made of them.

    Returns:
        (pair of slots, 3, n, n), order y, z, x, normalised to a mean square of one over the 3 (2 l + 1)^2 components.
    """
    starts = np.concatenate([[0], np.cumsum([2 * l + 1 for l in layout.slots])])
    pairs = [
        (a, b) for a, la in enumerate(layout.slots) for b, lb in enumerate(layout.slots) if la == lb and la > 0
    ]
    out = torch.zeros(len(pairs), 3, layout.size, layout.size, dtype=torch.float64)
    for k, (a, b) in enumerate(pairs):
        l = layout.slots[a]
        generator = coupling(l, 1, l, torch.float64).transpose(0, 1) * math.sqrt(3) * (2 * l + 1)
        out[k, :, starts[a] : starts[a + 1], starts[b] : starts[b + 1]] = generator
    return out


class SpinOrbitScalars(nn.Module):
    """The invariant part of on-site blocks from node scalars: w_ab(scalars) L_k for shells of equal l."""

    table: Tensor

    def __init__(self, layout: OrbitalLayout, channels: int) -> None:
        super().__init__()
        table = angular_momentum(layout).to(torch.get_default_dtype())
        self.shape = table.shape[1:]
        self.register_buffer("table", table.flatten(1), persistent=False)
        self.linear = nn.Linear(channels, len(table))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, scalars: Tensor) -> Tensor:
        """(atom, channel) -> (atom, 3, n, n)."""
        return (self.linear(scalars) @ self.table).unflatten(1, self.shape)


class CollinearScalars(ScalarBlocks):
    """The invariant part of half the on-site difference of up and down, (atom, 1, n, n)."""

    def forward(self, scalars: Tensor) -> Tensor:
        """(atom, channel) -> (atom, 1, n, n)."""
        return super().forward(scalars)[:, None]


class SpinHead(nn.Module):
    """Stage 1's head for what depends on spin: shares of pairs, and an invariant on-site part from node scalars.

    Args:
        layout: Orbital slots.
        spin: Collinear or spin-orbit.
        pair: Channels of pair features.
        channels: Channels of node features.
        neighbours: Shares of on-site blocks are divided by this number.
    """

    def __init__(self, layout: OrbitalLayout, spin: Spin, pair: O2Dims, channels: int, neighbours: float) -> None:
        super().__init__()
        self.components = spin_components(layout, spin)
        self.blocks = BlockHead(self.components, pair, neighbours)
        self.scalars: nn.Module = (
            CollinearScalars(layout, channels) if spin == "collinear" else SpinOrbitScalars(layout, channels)
        )

    def forward(
        self, scalars: Tensor, pairs: O2Features, graph: PreparedGraph, geometry: PairGeometry, cutoff: Tensor
    ) -> Blocks:
        """Blocks (atom, C, n, n) and (edge, C, n, n) in units of the model's scales.

        Args:
            scalars: Node features of l = 0, (atom, channel).
            pairs: Pair features.
            graph: The atoms and pairs.
            geometry: The bond frames.
            cutoff: Cutoff factors, (edge, 1).
        """
        blocks, invariant = self.blocks(pairs, graph, geometry, cutoff), self.scalars(scalars)
        invariant = 0.5 * torch.add(invariant, invariant.transpose(-1, -2), alpha=self.components.sign)
        return Blocks(blocks.node + invariant, blocks.edge)

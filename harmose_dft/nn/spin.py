"""The matrices of a Hamiltonian that depend on spin: components of their blocks, and their invariant on-site part.

Collinear spin adds one scalar matrix, half the difference of up and down, which rotates like an ordinary Hamiltonian.
Spin-orbit coupling adds an axial vector of real antisymmetric matrices A_y, A_z, A_x (:mod:`harmose_dft.core.spin`).
"""

from __future__ import annotations

import math
from itertools import zip_longest

import torch
from torch import Tensor, nn

from ..core.arrays import running_sum
from ..core.spin import Spin
from .axis import AXIAL, MatrixAxis
from .blocks import BlockFeatures, Blocks, symmetrize
from .couplings import coupling
from .geometry import FrameBuilder, PairGeometry
from .graph import PairGraph
from .heads import BlockHead, Components
from .layout import OrbitalLayout, ParameterLabels
from .node import ScalarBlocks
from .o2 import BlockComponents, Entries, O2Dims, O2Features, O2Labels, apply_gathers, two_gathers


class SpinOrbitComponents:
    """O(2) components of the blocks of an axial vector of matrices, (edge, 3, n, n), order y, z, x.

    Seen along the bond A_z is a pseudoscalar and (A_y, -A_x) a pair (cosine, sine) of m = 1. With the components of a
    block (:class:`~harmose_dft.nn.o2.BlockComponents`) they couple to an orthogonal set with at most two entries a row:
    scalars and pseudoscalars change places and pairs turn by 90 degrees with A_z; with the pair, m goes to m + 1 and
    m - 1. Frequencies up to 2 l + 1 occur; where features stop at 2 l, the highest stays zero.

    Args:
        layout: Orbital slots.
    """

    axis = MatrixAxis((AXIAL,))

    def __init__(self, layout: OrbitalLayout) -> None:
        self.blocks = BlockComponents(layout)
        self._rows, self.dims = _axial_rows(self.blocks.dims)
        self.analysis, self.synthesis = two_gathers(self._rows)

    def labels(self) -> O2Labels:
        """The components of blocks of the three matrices that each component is made of."""
        inner = self.blocks.labels()
        pairs = [(part, label) for of_m in inner.pairs for part in ("cosine", "sine") for label in of_m]
        flat = [*inner.even, *inner.odd, *pairs]
        rows = [tuple((p // len(flat), flat[p % len(flat)], round(w, 6)) for p, w in row) for row in self._rows]
        even, odd = self.dims.even, self.dims.odd
        starts = even + odd + running_sum([2 * count for count in self.dims.pairs])
        of_pairs = [rows[start : start + count] for start, count in zip(starts, self.dims.pairs, strict=False)]
        return O2Labels(rows[:even], rows[even : even + odd], of_pairs)

    def split(self, blocks: Tensor) -> O2Features:
        """O(2) components of blocks (edge, 3, n, n) given in the bond frame."""
        raw = self.blocks.split(blocks.flatten(0, 1)).flat().reshape(len(blocks), self.dims.size)
        return O2Features.split(apply_gathers(raw, self.analysis, self.synthesis), self.dims)

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks (edge, 3, n, n) in the bond frame from their components."""
        raw = apply_gathers(features.flat(), self.synthesis, self.analysis).reshape(-1, self.blocks.dims.size)
        blocks: Tensor = self.blocks.assemble(O2Features.split(raw, self.blocks.dims)).unflatten(0, (-1, 3)).squeeze(2)
        return blocks


def spin_components(layout: OrbitalLayout, spin: Spin) -> Components:
    """Components of the matrices that depend on spin; closed shells have none."""
    return BlockComponents(layout) if spin == "collinear" else SpinOrbitComponents(layout)


class DensityComponents:
    """Covariant components of a density matrix that has the matrices of a Hamiltonian.

    On-site blocks of an axial vector of matrices have none: atoms receive them through their pairs.

    Args:
        layout: Orbital slots.
        spin: Which matrices depend on spin.
    """

    def __init__(self, layout: OrbitalLayout, spin: Spin) -> None:
        self._scalar = BlockComponents(layout)
        scalar = self._scalar.dims
        self.scalars = 2 if spin == "collinear" else 1
        self.axial = SpinOrbitComponents(layout) if spin == "spin-orbit" else None
        self.scalar_dims = scalar + scalar if self.scalars == 2 else scalar
        self.dims = self.scalar_dims if self.axial is None else self.scalar_dims + self.axial.dims

    def labels(self) -> O2Labels:
        """What each component is made of, those of pairs of different operators apart."""
        scalar = self._scalar.labels().repeat(self.scalars)
        if self.axial is None:
            return scalar
        axial = self.axial.labels()
        pairs = [[*a, *b] for a, b in zip_longest(scalar.pairs, axial.pairs, fillvalue=())]
        return O2Labels([*scalar.even, *axial.even], [*scalar.odd, *axial.odd], pairs)

    def split(self, frames: FrameBuilder, graph: PairGraph, blocks: Blocks) -> BlockFeatures:
        """Components on the atoms and pairs of a graph that has its bond frames.

        Args:
            frames: Of the graph's layout.
            graph: Prepared graph.
            blocks: The density.
        """
        components = frames.decompose(graph, blocks[: self.scalars])
        if self.axial is None:
            return components
        vector = blocks[self.scalars :]
        framed = frames(graph).blocks_to_frame(vector.edge, vector.axis)
        pairs = O2Features.cat([O2Features.split(components.edge, self.scalar_dims), self.axial.split(framed)])
        return BlockFeatures(components.node, pairs.flat())


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
    starts = running_sum([2 * l + 1 for l in layout.slots])
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
        slots = layout.slot_labels()
        self._output_labels = [(a, b) for a in slots for b in slots if a[0] == b[0] > 0]

    def labels(self) -> ParameterLabels:
        """Both shells of each output."""
        return {"linear.weight": {0: self._output_labels}, "linear.bias": {0: self._output_labels}}

    def forward(self, scalars: Tensor) -> Tensor:
        """(atom, channel) -> (atom, 3, n, n)."""
        blocks: Tensor = (self.linear(scalars) @ self.table).unflatten(1, self.shape)
        return blocks


class SpinHead(nn.Module):
    """Stage 1's head for the matrices that depend on spin: a block head, and an invariant on-site part.

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
            ScalarBlocks(layout, channels) if spin == "collinear" else SpinOrbitScalars(layout, channels)
        )

    def forward(
        self, scalars: Tensor, pairs: O2Features, graph: PairGraph, geometry: PairGeometry, cutoff: Tensor
    ) -> Blocks:
        """Blocks of the matrices that depend on spin, in units of the model's scales.

        Args:
            scalars: Node features of l = 0, (atom, channel).
            pairs: Pair features.
            graph: The atoms and pairs.
            geometry: The bond frames.
            cutoff: Cutoff factors, (edge, 1).
        """
        blocks, invariant = self.blocks(pairs, graph, geometry, cutoff), self.scalars(scalars)
        return Blocks(blocks.node + symmetrize(invariant, invariant, blocks.axis), blocks.edge, blocks.axis)

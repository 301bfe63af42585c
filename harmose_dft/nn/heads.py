"""Heads that turn features into Hamiltonian blocks, exactly Hermitian."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .axis import MatrixAxis
from .blocks import Blocks
from .geometry import PairGeometry, sum_over
from .graph import PairGraph
from .layout import ParameterLabels
from .o2 import O2Dims, O2Features, O2Labels, O2Linear


class Components(Protocol):
    """O(2) components of the blocks of one operator."""

    dims: O2Dims

    @property
    def axis(self) -> MatrixAxis:
        """The matrices of the blocks."""

    def labels(self) -> O2Labels:
        """What each component is."""

    def split(self, blocks: Tensor) -> O2Features:
        """Components of blocks (edge, K, n, n) given in the bond frame."""

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks (edge, K, n, n) in the bond frame from their components."""


class BlockHead(nn.Module):
    """Wigner-Eckart head in bond frames.

    A linear map to the O(2) components of a block, turned back into the lab frame, gives the pair block; a second one
    gives the pair's share of the on-site block of its first atom.

    Args:
        components: O(2) components of the operator's blocks.
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

    def labels(self) -> ParameterLabels:
        """What the outputs are."""
        outputs = self.components.labels()
        return {**outputs.of_outputs("pair", self.pair), **outputs.of_outputs("share", self.share)}

    def forward(self, features: O2Features, graph: PairGraph, geometry: PairGeometry, cutoff: Tensor) -> Blocks:
        """Blocks in units of the model's scales."""
        outputs = torch.cat([self.pair(features).flat(), self.share(features).flat()])
        frames = self.components.assemble(O2Features.split(outputs, self.components.dims))
        pair, share = frames.chunk(2)
        weight, axis = cutoff[..., None, None], self.components.axis
        edge = geometry.blocks_to_lab(pair * weight, axis)
        shares = geometry.blocks_to_lab(share * (weight / self.neighbours), axis)
        node = sum_over(shares, geometry.source, len(graph.species))
        return Blocks(node, edge, axis).symmetrize(graph.reverse)

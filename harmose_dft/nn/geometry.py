"""Everything the layers need to know about the pairs of a graph, computed once for each forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..graph import PairGraph
from .frames import bond_rotations, wigner_matrices
from .layout import OrbitalLayout
from .o2 import O2Features


@dataclass
class PairGeometry:
    """Rotations into the bond frames, distances and cutoffs.

    Args:
        source: Atom i of each pair, (edge,).
        target: Atom j of each pair, (edge,).
        distance: Bohr, (edge,).
        features: Rotation of node features into the bond frame, rows sorted by |m|, (edge, (L+1)^2, (L+1)^2).
        orbitals: Rotation of padded orbitals into the bond frame, (edge, n, n).
    """

    source: Tensor
    target: Tensor
    distance: Tensor
    features: Tensor
    orbitals: Tensor
    l_max: int

    @classmethod
    def of(cls, graph: PairGraph, l_max: int, layout: OrbitalLayout) -> PairGeometry:
        """Geometry of a graph for node features up to l_max and the orbitals of a layout."""
        matrices = wigner_matrices(bond_rotations(graph.vectors), max(l_max, layout.l_max))
        return cls(
            source=graph.edges[0],
            target=graph.edges[1],
            distance=graph.vectors.norm(dim=-1),
            features=_sorted_by_m(matrices[: l_max + 1]),
            orbitals=_block_diagonal([matrices[l] for l in layout.slots]),
            l_max=l_max,
        )

    def to_frame(self, nodes: Tensor, atoms: Tensor) -> O2Features:
        """Node features of one end of each pair in the bond frame.

        Args:
            nodes: (atom, (L+1)^2, channel).
            atoms: ``source`` or ``target``.
        """
        turned = self.features @ nodes.index_select(0, atoms)
        edges, _, channels = turned.shape
        size = self.l_max + 1
        pairs, start = [], size
        for m in range(1, size):
            width = size - m
            pairs.append(turned[:, start : start + 2 * width].reshape(edges, 2, width * channels))
            start += 2 * width
        return O2Features(turned[:, :size].reshape(edges, -1), turned.new_zeros(edges, 0), pairs)

    def to_lab(self, features: O2Features, channels: int) -> Tensor:
        """Inverse of :meth:`to_frame`: (edge, (L+1)^2, channel) in the lab frame."""
        edges, size = len(features.even), self.l_max + 1
        parts = [features.even.reshape(edges, size, channels)]
        parts += [features.pairs[m - 1].reshape(edges, 2 * (size - m), channels) for m in range(1, size)]
        return self.features.transpose(1, 2) @ torch.cat(parts, dim=1)

    def blocks_to_lab(self, blocks: Tensor) -> Tensor:
        """Blocks (edge, n, n) from the bond frame to the lab frame."""
        return self.orbitals.transpose(1, 2) @ blocks @ self.orbitals

    def blocks_to_frame(self, blocks: Tensor) -> Tensor:
        """Blocks (edge, K, n, n) from the lab frame to the bond frame."""
        turn = self.orbitals[:, None]
        return turn @ blocks @ turn.transpose(2, 3)


def sum_over(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum of rows that share an index; (size, ...)."""
    return values.new_zeros(size, *values.shape[1:]).index_add(0, index, values)


def _sorted_by_m(matrices: list[Tensor]) -> Tensor:
    """Block-diagonal Wigner matrix with rows ordered m = 0; cosine, sine of m = 1; ...; columns ordered by l."""
    size = len(matrices)
    whole = matrices[0].new_zeros(len(matrices[0]), size**2, size**2)
    row = 0
    for m in range(size):
        for sign in (1, -1) if m else (1,):
            for l in range(m, size):
                whole[:, row, l * l : (l + 1) ** 2] = matrices[l][:, l + sign * m]
                row += 1
    return whole


def _block_diagonal(matrices: list[Tensor]) -> Tensor:
    size = sum(m.shape[-1] for m in matrices)
    whole = matrices[0].new_zeros(len(matrices[0]), size, size)
    start = 0
    for m in matrices:
        end = start + m.shape[-1]
        whole[:, start:end, start:end] = m
        start = end
    return whole

"""Everything the layers need to know about the pairs of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .axis import MatrixAxis
from .blocks import BlockFeatures, Blocks, rotate_matrices
from .frames import bond_rotations, wigner_matrices
from .graph import FIELDS, PairGraph, Role
from .layout import OrbitalLayout
from .node import BlockHarmonics
from .o2 import BlockComponents, O2Features


@dataclass
class PairGeometry:
    """Rotations into the bond frames and distances.

    Args:
        source: Atom i of each pair, (edge,).
        target: Atom j of each pair, (edge,).
        distance: Bohr, (edge,).
        features: Rotation of node features into the bond frame, rows sorted by |m|, (edge, (L+1)^2, (L+1)^2).
        orbitals: Rotation of padded orbitals into the bond frame, (edge, n, n).
        axes: Rotation of vectors into the bond frame, order y, z, x, (edge, 3, 3).
        l_max: Highest l of node features.
    """

    source: Tensor
    target: Tensor
    distance: Tensor
    features: Tensor
    orbitals: Tensor
    axes: Tensor
    l_max: int

    def to_frame(self, nodes: Tensor) -> O2Features:
        """Node features of both ends of each pair in the bond frame, channels side by side.

        Args:
            nodes: (atom, (L+1)^2, channel).
        """
        ends = torch.cat([nodes.index_select(0, self.source), nodes.index_select(0, self.target)], dim=-1)
        rotated = self.features @ ends
        edges, size, channels = len(rotated), self.l_max + 1, rotated.shape[-1]
        even, *pairs = rotated.split([size, *(2 * (size - m) for m in range(1, size))], dim=1)
        shaped_pairs = [p.reshape(edges, 2, p.shape[1] // 2 * channels) for p in pairs]
        return O2Features(even.flatten(1), rotated.new_zeros(edges, 0), shaped_pairs)

    def to_lab(self, features: O2Features, channels: int) -> Tensor:
        """Features with (L + 1 - m) channels-fold pairs back in the lab frame, (edge, (L+1)^2, channel)."""
        edges, size = len(features.even), self.l_max + 1
        components = [features.even.reshape(edges, size, channels)]
        components += [features.pairs[m - 1].reshape(edges, 2 * (size - m), channels) for m in range(1, size)]
        return self.features.transpose(1, 2) @ torch.cat(components, dim=1)

    def blocks_to_lab(self, blocks: Tensor, axis: MatrixAxis) -> Tensor:
        """Rotate blocks (edge, K, n, n) from the bond frames to the lab frame."""
        return rotate_matrices(blocks, axis, self.orbitals.transpose(1, 2), self.axes.transpose(1, 2))

    def blocks_to_frame(self, blocks: Tensor, axis: MatrixAxis) -> Tensor:
        """Rotate blocks (edge, K, n, n) from the lab frame to the bond frames."""
        return rotate_matrices(blocks, axis, self.orbitals, self.axes)


class FrameBuilder(nn.Module):
    """Computes bond frames and the components of matrices in them; holds index tables, no weights.

    Args:
        layout: Orbital slots.
        l_max: Highest l of node features.
    """

    feature_index: Tensor
    orbital_index: Tensor

    def __init__(self, layout: OrbitalLayout, l_max: int) -> None:
        super().__init__()
        self.l_max, self.width = l_max, layout.size
        self.highest = max(l_max, layout.l_max)
        self.components = BlockComponents(layout)
        self.harmonics = BlockHarmonics(layout, l_max)
        self.register_buffer("feature_index", _feature_index(l_max, self.highest), persistent=False)
        self.register_buffer("orbital_index", _orbital_index(layout, self.highest), persistent=False)

    @torch.no_grad()
    def prepare(self, graph: PairGraph) -> PairGraph:
        """Replace the input matrices of a graph by bond frames and components, which depend on no weights."""
        inputs = graph.inputs
        assert inputs is not None
        matrices = wigner_matrices(bond_rotations(graph.vectors), self.highest)
        graph = graph.replace(inputs=None, wigner=torch.cat([m.flatten(1) for m in matrices], dim=1))
        return graph.replace(components=self.decompose(graph, inputs))

    @torch.no_grad()
    def decompose(self, graph: PairGraph, blocks: Blocks) -> BlockFeatures:
        """Covariant components of scalar matrices on the atoms and pairs of a graph that has its bond frames."""
        rotations = self._gather(graph.wigner, self.orbital_index).reshape(-1, self.width, self.width)
        framed = rotate_matrices(blocks.edge, blocks.axis, rotations, graph.wigner[:, 1:10].reshape(-1, 3, 3))
        edges, count, n, _ = framed.shape
        split = self.components.split(framed.reshape(edges * count, 1, n, n)).flat().reshape(edges, count, n * n)
        pairs = O2Features.cat([O2Features.split(x, self.components.dims) for x in split.unbind(dim=1)])
        return BlockFeatures(self.harmonics(blocks.node), pairs.flat())

    def forward(self, graph: PairGraph) -> PairGeometry:
        """Geometry of a prepared graph."""
        n_components = (self.l_max + 1) ** 2
        return PairGeometry(
            source=graph.edges[0],
            target=graph.edges[1],
            distance=graph.vectors.norm(dim=-1),
            features=self._gather(graph.wigner, self.feature_index).reshape(-1, n_components, n_components),
            orbitals=self._gather(graph.wigner, self.orbital_index).reshape(-1, self.width, self.width),
            axes=graph.wigner[:, 1:10].reshape(-1, 3, 3),
            l_max=self.l_max,
        )

    @torch.no_grad()
    def rotate(self, graph: PairGraph, rotation: Tensor) -> PairGraph:
        """Rotate all structures of a prepared graph; O(2) components stay, everything else rotates.

        Args:
            graph: Prepared graph.
            rotation: Proper rotation matrix, (3, 3).
        """
        matrices = [m[0] for m in wigner_matrices(rotation[None], self.highest)]
        flat = torch.cat([m.flatten() for m in matrices])[None]
        orbitals = self._gather(flat, self.orbital_index).reshape(self.width, self.width)
        parts = graph.wigner.split([m.numel() for m in matrices], dim=1)
        frames = [(p.reshape(-1, *m.shape) @ m.T).flatten(1) for p, m in zip(parts, matrices, strict=True)]
        changes: dict[str, object] = {"wigner": torch.cat(frames, dim=1)}
        for name, role in FIELDS.items():
            value = getattr(graph, name)
            if isinstance(value, Blocks):
                changes[name] = value.rotate(orbitals, matrices[1])
            elif isinstance(value, BlockFeatures):
                changes[name] = BlockFeatures(self.harmonics.rotate(value.node, matrices), value.edge)
            elif role is Role.VECTORS and value is not None:
                changes[name] = value @ rotation.T
        return graph.replace(**changes)

    def _gather(self, flat: Tensor, index: Tensor) -> Tensor:
        """Pick entries of Wigner matrices at the positions of a table; the last position stands for zero."""
        return nn.functional.pad(flat, (0, 1)).index_select(1, index)


def sum_over(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum the rows that share an index.

    ``torch_geometric.utils.scatter`` gives the same, but its gradient takes two to four times as long on a CPU, because
    it expands the index to the shape of the values.

    Args:
        values: (row, ...).
        index: (row,).
        size: Number of sums.

    Returns:
        (size, ...).
    """
    return values.new_zeros(size, *values.shape[1:]).index_add(0, index, values)


def _offsets(l_max: int) -> list[int]:
    """Where each Wigner matrix starts in the flattened run, and the total length."""
    starts = [0]
    for l in range(l_max + 1):
        starts.append(starts[-1] + (2 * l + 1) ** 2)
    return starts


def _feature_index(l_max: int, highest: int) -> Tensor:
    """Block-diagonal Wigner matrix with rows ordered m = 0; cosine, sine of m = 1; ...; columns ordered by l."""
    starts, n_components = _offsets(highest), (l_max + 1) ** 2
    table = torch.full((n_components, n_components), starts[-1])
    row = 0
    for m in range(l_max + 1):
        for sign in (1, -1) if m else (1,):
            for l in range(m, l_max + 1):
                begin = starts[l] + (l + sign * m) * (2 * l + 1)
                table[row, l * l : (l + 1) ** 2] = torch.arange(begin, begin + 2 * l + 1)
                row += 1
    return table.flatten()


def _orbital_index(layout: OrbitalLayout, highest: int) -> Tensor:
    """Block-diagonal Wigner matrix over the orbital slots."""
    starts = _offsets(highest)
    table = torch.full((layout.size, layout.size), starts[-1])
    begin = 0
    for l in layout.slots:
        end = begin + 2 * l + 1
        table[begin:end, begin:end] = torch.arange(starts[l], starts[l + 1]).reshape(2 * l + 1, -1)
        begin = end
    return table.flatten()

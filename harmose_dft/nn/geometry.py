"""Everything the layers need to know about the pairs of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .frames import bond_rotations, wigner_matrices
from .graph import PairGraph, PreparedGraph
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
        in_frame = self.features @ ends
        edges, size, channels = len(in_frame), self.l_max + 1, in_frame.shape[-1]
        even, *pairs = in_frame.split([size, *(2 * (size - m) for m in range(1, size))], dim=1)
        shaped_pairs = [p.reshape(edges, 2, p.shape[1] // 2 * channels) for p in pairs]
        return O2Features(even.flatten(1), in_frame.new_zeros(edges, 0), shaped_pairs)

    def to_lab(self, features: O2Features, channels: int) -> Tensor:
        """Features with (L + 1 - m) channels-fold pairs back in the lab frame, (edge, (L+1)^2, channel)."""
        edges, size = len(features.even), self.l_max + 1
        components = [features.even.reshape(edges, size, channels)]
        components += [features.pairs[m - 1].reshape(edges, 2 * (size - m), channels) for m in range(1, size)]
        return self.features.transpose(1, 2) @ torch.cat(components, dim=1)

    def blocks_to_lab(self, blocks: Tensor) -> Tensor:
        """Blocks (edge, n, n) from the bond frame to the lab frame."""
        return self.orbitals.transpose(1, 2) @ blocks @ self.orbitals

    def blocks_to_frame(self, blocks: Tensor) -> Tensor:
        """Blocks (edge, n, n) from the lab frame to the bond frame."""
        return self.orbitals @ blocks @ self.orbitals.transpose(1, 2)


class FrameBuilder(nn.Module):
    """Works out bond frames and input components of graphs; holds index tables, no weights.

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
    def prepare(self, graph: PairGraph) -> PreparedGraph:
        """Frames and input components of a graph."""
        matrices = wigner_matrices(bond_rotations(graph.vectors), self.highest)
        flat = torch.cat([m.flatten(1) for m in matrices], dim=1)
        return PreparedGraph(
            species=graph.species,
            structure=graph.structure,
            edges=graph.edges,
            reverse=graph.reverse,
            vectors=graph.vectors,
            wigner=flat,
            node_components=self.harmonics(graph.node_inputs),
            edge_components=self._pair_components(flat, graph.edge_inputs),
            node_target=graph.node_target,
            edge_target=graph.edge_target,
            node_spin_target=graph.node_spin_target,
            edge_spin_target=graph.edge_spin_target,
            node_overlap=graph.node_overlap,
            edge_overlap=graph.edge_overlap,
            far_edges=graph.far_edges,
            far_vectors=graph.far_vectors,
        )

    @torch.no_grad()
    def with_density(self, graph: PreparedGraph, node: Tensor, edge: Tensor) -> PreparedGraph:
        """A prepared graph with the components of a density matrix's blocks, (atom, n, n) and (edge, n, n)."""
        pairs = self._pair_components(graph.wigner, edge[:, None])
        return replace(graph, node_density=self.harmonics(node[:, None]), edge_density=pairs)

    def _pair_components(self, wigner: Tensor, blocks: Tensor) -> Tensor:
        """O(2) components (edge, size) of pair blocks (edge, K, n, n)."""
        turn = self._gather_wigner(wigner, self.orbital_index).reshape(-1, 1, self.width, self.width)
        in_frame = turn @ blocks @ turn.transpose(2, 3)
        edges, count, n, _ = in_frame.shape
        components = self.components.split(in_frame.reshape(edges * count, n, n)).flat().reshape(edges, count, n * n)
        return O2Features.cat([O2Features.split(x, self.components.dims) for x in components.unbind(dim=1)]).flat()

    def forward(self, graph: PreparedGraph) -> PairGeometry:
        """Geometry of a prepared graph."""
        n_components = (self.l_max + 1) ** 2
        return PairGeometry(
            source=graph.edges[0],
            target=graph.edges[1],
            distance=graph.vectors.norm(dim=-1),
            features=self._gather_wigner(graph.wigner, self.feature_index).reshape(-1, n_components, n_components),
            orbitals=self._gather_wigner(graph.wigner, self.orbital_index).reshape(-1, self.width, self.width),
            axes=graph.wigner[:, 1:10].reshape(-1, 3, 3),
            l_max=self.l_max,
        )

    @torch.no_grad()
    def rotate(self, graph: PreparedGraph, rotation: Tensor) -> PreparedGraph:
        """The graph of the rotated structures; O(2) components stay, everything else turns.

        Args:
            graph: Prepared graph.
            rotation: Proper rotation matrix, (3, 3).
        """
        matrices = wigner_matrices(rotation[None], self.highest)
        sizes = [m.shape[-1] for m in matrices]
        wigner_parts = graph.wigner.split([s * s for s in sizes], dim=1)
        rotated_parts = [
            (p.reshape(-1, s, s) @ m[0].T).flatten(1) for p, s, m in zip(wigner_parts, sizes, matrices, strict=True)
        ]
        flat = torch.cat([m.flatten(1) for m in matrices], dim=1)
        orbitals = self._gather_wigner(flat, self.orbital_index).reshape(self.width, self.width)

        def turn(blocks: Tensor | None) -> Tensor | None:
            return None if blocks is None else orbitals @ blocks @ orbitals.T

        def turn_spin(blocks: Tensor | None) -> Tensor | None:
            if blocks is None or blocks.shape[1] == 1:
                return turn(blocks)
            return torch.einsum("pq,eqmn->epmn", matrices[1][0], orbitals @ blocks @ orbitals.T)

        return replace(
            graph,
            vectors=graph.vectors @ rotation.T,
            far_vectors=None if graph.far_vectors is None else graph.far_vectors @ rotation.T,
            wigner=torch.cat(rotated_parts, dim=1),
            node_components=self.harmonics.rotate(graph.node_components, [m[0] for m in matrices]),
            node_density=None if graph.node_density is None else self.harmonics.rotate(
                graph.node_density, [m[0] for m in matrices]
            ),
            node_target=turn(graph.node_target),
            edge_target=turn(graph.edge_target),
            node_spin_target=turn_spin(graph.node_spin_target),
            edge_spin_target=turn_spin(graph.edge_spin_target),
            node_overlap=turn(graph.node_overlap),
            edge_overlap=turn(graph.edge_overlap),
        )

    def _gather_wigner(self, flat: Tensor, index: Tensor) -> Tensor:
        """Entries of Wigner matrices at the positions of a table; the last position stands for zero."""
        return nn.functional.pad(flat, (0, 1)).index_select(1, index)


def sum_over(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum of rows that share an index; (size, ...)."""
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

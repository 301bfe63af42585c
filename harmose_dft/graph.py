"""Atoms and directed atom pairs as tensors: what the networks see."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairGraph:
    """One or several structures as a graph of atoms and directed pairs, both directions stored.

    Matrices are padded blocks over orbital slots (:class:`harmose_dft.nn.layout.OrbitalLayout`), n wide; K counts the
    input matrices. Targets are absent at prediction.

    Args:
        species: Species index of each atom, (atom,).
        structure: Structure each atom belongs to, (atom,).
        edges: Atoms i and j of each pair, (2, edge).
        reverse: Position of the pair (j, i), (edge,).
        vectors: r_j - r_i in Bohr, (edge, 3).
        node_inputs: On-site blocks of the input matrices, (atom, K, n, n).
        edge_inputs: Pair blocks of the input matrices, (edge, K, n, n).
        node_target: On-site blocks to predict, (atom, n, n).
        edge_target: Pair blocks to predict, (edge, n, n).
    """

    species: Tensor
    structure: Tensor
    edges: Tensor
    reverse: Tensor
    vectors: Tensor
    node_inputs: Tensor
    edge_inputs: Tensor
    node_target: Tensor | None = None
    edge_target: Tensor | None = None

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return int(self.structure[-1]) + 1

    def to(self, device: torch.device | str) -> PairGraph:
        """The graph on another device."""
        moved = {f.name: v.to(device) for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(self, **moved)

    def rotated(self, rotation: Tensor) -> PairGraph:
        """The graph with its bond vectors rotated (3, 3); blocks are left as they are."""
        return replace(self, vectors=self.vectors @ rotation.T)


def batch_graphs(graphs: list[PairGraph]) -> PairGraph:
    """Several graphs side by side."""
    atoms = [len(g.species) for g in graphs]
    pairs = [g.edges.shape[1] for g in graphs]
    structures = [g.n_structures for g in graphs]
    atom_start = torch.tensor([0, *atoms]).cumsum(0).tolist()
    edge_start = torch.tensor([0, *pairs]).cumsum(0).tolist()
    structure_start = torch.tensor([0, *structures]).cumsum(0).tolist()

    def joined(name: str) -> Tensor | None:
        parts = [getattr(g, name) for g in graphs]
        return None if parts[0] is None else torch.cat(parts)

    return PairGraph(
        species=torch.cat([g.species for g in graphs]),
        structure=torch.cat([g.structure + s for g, s in zip(graphs, structure_start, strict=False)]),
        edges=torch.cat([g.edges + a for g, a in zip(graphs, atom_start, strict=False)], dim=1),
        reverse=torch.cat([g.reverse + e for g, e in zip(graphs, edge_start, strict=False)]),
        vectors=torch.cat([g.vectors for g in graphs]),
        node_inputs=torch.cat([g.node_inputs for g in graphs]),
        edge_inputs=torch.cat([g.edge_inputs for g in graphs]),
        node_target=joined("node_target"),
        edge_target=joined("edge_target"),
    )

"""Atoms and directed atom pairs as tensors: what the networks see."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

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
        node_spin_target: On-site blocks of the C matrices that depend on spin, (atom, C, n, n).
        edge_spin_target: Their pair blocks, (edge, C, n, n).
        node_overlap: On-site blocks of S, (atom, n, n).
        edge_overlap: Pair blocks of S, (edge, n, n).
        far_edges: Atoms i and j of all ordered pairs of a molecule, whatever their distance, (2, pair).
        far_vectors: r_j - r_i in Bohr, (pair, 3).
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
    node_spin_target: Tensor | None = None
    edge_spin_target: Tensor | None = None
    node_overlap: Tensor | None = None
    edge_overlap: Tensor | None = None
    far_edges: Tensor | None = None
    far_vectors: Tensor | None = None


@dataclass(frozen=True)
class PreparedGraph:
    """A graph with all that does not depend on weights worked out once: bond frames and components of the inputs.

    Args:
        species: Species index of each atom, (atom,).
        structure: Structure each atom belongs to, (atom,).
        edges: Atoms i and j of each pair, (2, edge).
        reverse: Position of the pair (j, i), (edge,).
        vectors: r_j - r_i in Bohr, (edge, 3).
        wigner: Wigner matrices of the bond frames for l = 0, 1, ..., flattened one after the other, (edge, size).
        node_components: Spherical-tensor components of the on-site input blocks, (atom, size).
        edge_components: O(2) components of the input blocks in the bond frame, (edge, size).
        node_density: Components of the on-site blocks of the density of stage 1's Hamiltonian, (atom, size).
        edge_density: Those of its pair blocks in the bond frame, (edge, size).
        node_target: On-site blocks to predict, (atom, n, n).
        edge_target: Pair blocks to predict, (edge, n, n).
        node_spin_target: On-site blocks of the C matrices that depend on spin, (atom, C, n, n).
        edge_spin_target: Their pair blocks, (edge, C, n, n).
        node_overlap: On-site blocks of S, (atom, n, n).
        edge_overlap: Pair blocks of S, (edge, n, n).
        far_edges: Atoms i and j of all ordered pairs of a molecule, (2, pair).
        far_vectors: r_j - r_i in Bohr, (pair, 3).
    """

    species: Tensor
    structure: Tensor
    edges: Tensor
    reverse: Tensor
    vectors: Tensor
    wigner: Tensor
    node_components: Tensor
    edge_components: Tensor
    node_density: Tensor | None = None
    edge_density: Tensor | None = None
    node_target: Tensor | None = None
    edge_target: Tensor | None = None
    node_spin_target: Tensor | None = None
    edge_spin_target: Tensor | None = None
    node_overlap: Tensor | None = None
    edge_overlap: Tensor | None = None
    far_edges: Tensor | None = None
    far_vectors: Tensor | None = None

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return int(self.structure[-1]) + 1

    def to(self, device: torch.device | str) -> PreparedGraph:
        """The graph on another device."""
        tensors = {f.name: v.to(device) for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(self, **tensors)


def batch_graphs(graphs: list[PreparedGraph]) -> PreparedGraph:
    """Several graphs side by side."""
    atoms = [0, *(len(g.species) for g in graphs)]
    pairs = [0, *(g.edges.shape[1] for g in graphs)]
    structures = [0, *(g.n_structures for g in graphs)]
    atom_start, edge_start, structure_start = (torch.tensor(x).cumsum(0).tolist() for x in (atoms, pairs, structures))

    def join(name: str) -> Any:
        tensors = [getattr(g, name) for g in graphs]
        return None if tensors[0] is None else torch.cat(tensors)

    far_edges = [g.far_edges + a for g, a in zip(graphs, atom_start, strict=False) if g.far_edges is not None]
    return replace(
        graphs[0],
        far_edges=torch.cat(far_edges, dim=1) if far_edges else None,
        structure=torch.cat([g.structure + s for g, s in zip(graphs, structure_start, strict=False)]),
        edges=torch.cat([g.edges + a for g, a in zip(graphs, atom_start, strict=False)], dim=1),
        reverse=torch.cat([g.reverse + e for g, e in zip(graphs, edge_start, strict=False)]),
        **{
            name: join(name)
            for name in (
                "species", "vectors", "wigner", "node_components", "edge_components", "node_density", "edge_density",
                "node_target", "edge_target", "node_spin_target", "edge_spin_target", "node_overlap", "edge_overlap",
                "far_vectors",
            )
        },
    )

"""Atoms and directed atom pairs as one graph: what the networks see.

torch-geometric's ``Data`` and ``Batch`` would do the same, but importing them takes 0.6 s of CPU time and more, most of
it for ``torch._dynamo``, before every prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from .blocks import BlockFeatures, Blocks, Paired


class Role(Enum):
    """What the numbers of a field mean when graphs are batched or rotated."""

    PLAIN = "plain"
    ATOMS = "positions of atoms, in the last dimension"
    PAIRS = "positions of pairs"
    STRUCTURES = "positions of structures"
    VECTORS = "Cartesian vectors"


def _empty() -> Tensor:
    return torch.zeros(0)


def _no_components() -> BlockFeatures:
    return BlockFeatures(_empty(), _empty())


ATOMS, PAIRS, STRUCTURES, VECTORS = (
    {"role": role} for role in (Role.ATOMS, Role.PAIRS, Role.STRUCTURES, Role.VECTORS)
)


@dataclass(frozen=True, eq=False)
class PairGraph:
    """One or several structures as atoms and directed pairs, both directions stored.

    A field is declared once, here, with its role; batching, moving to a device and rotating follow from it.

    Args:
        species: Species index of each atom, (atom,).
        edges: Atoms i and j of each pair, (2, edge).
        reverse: Position of the pair (j, i), (edge,).
        vectors: r_j - r_i in Bohr, (edge, 3).
        structure: Structure that each atom belongs to, (atom,); all to one by default.
        inputs: Input matrices, before :meth:`~harmose_dft.nn.geometry.FrameBuilder.prepare`.
        wigner: Wigner matrices of the bond frames for l = 0, 1, ..., flattened one after the other, (edge, size); empty
            before ``prepare``.
        components: Components of the input matrices; empty before ``prepare``.
        density: Components of the density of stage 1's Hamiltonian.
        target: Blocks to predict, Hartree.
        overlap: S.
        far_edges: Atoms i and j of all ordered pairs of a molecule, whatever their distance, (2, pair).
        far_vectors: r_j - r_i in Bohr, (pair, 3).
        charge: Share of each atom in the net charge of its molecule, in units of e, (atom,); None: not given.
        positions: Positions in Bohr, (atom, 3), where charges act through a lattice.
        waves: Vectors of the reciprocal lattice in 1/Bohr, one of each pair G and -G, (wave, 3).
        wave_weights: Contribution of a wave of unit charge density to the potential, 1/Bohr, (wave,).
        wave_structure: Structure that each wave belongs to, (wave,).
        outer: What charges of the whole crystal add to stage 1's potential and, in the order y, z, x, to its gradient,
            where that has been worked out for a part of the crystal, (atom, 4).
        n_structures: Number of structures.
    """

    species: Tensor
    edges: Tensor = field(metadata=ATOMS)
    reverse: Tensor = field(metadata=PAIRS)
    vectors: Tensor = field(metadata=VECTORS)
    structure: Tensor = field(default_factory=_empty, metadata=STRUCTURES)
    inputs: Blocks | None = None
    wigner: Tensor = field(default_factory=_empty)
    components: BlockFeatures = field(default_factory=_no_components)
    density: BlockFeatures | None = None
    target: Blocks | None = None
    overlap: Blocks | None = None
    far_edges: Tensor | None = field(default=None, metadata=ATOMS)
    far_vectors: Tensor | None = field(default=None, metadata=VECTORS)
    charge: Tensor | None = None
    positions: Tensor | None = field(default=None, metadata=VECTORS)
    waves: Tensor | None = field(default=None, metadata=VECTORS)
    wave_weights: Tensor | None = None
    wave_structure: Tensor | None = field(default=None, metadata=STRUCTURES)
    outer: Tensor | None = None
    n_structures: int = 1

    def __post_init__(self) -> None:
        if len(self.structure) != len(self.species):
            object.__setattr__(self, "structure", torch.zeros_like(self.species))

    def replace(self, **changes: Any) -> PairGraph:
        """Copy the graph with other values of some fields; tensors of the others are shared."""
        return replace(self, **changes)

    def to(self, device: torch.device | str) -> PairGraph:
        """Copy the graph to another device."""
        values = ((name, getattr(self, name)) for name in FIELDS)
        return replace(self, **{name: value.to(device) for name, value in values if value is not None})

    def __repr__(self) -> str:
        return f"PairGraph({self.n_structures} structures, {len(self.species)} atoms, {len(self.reverse)} pairs)"


FIELDS: dict[str, Role] = {
    f.name: f.metadata.get("role", Role.PLAIN) for f in fields(PairGraph) if f.name != "n_structures"
}
"""Every field of a graph that holds tensors, with its role."""


def batch_graphs(graphs: Sequence[PairGraph]) -> PairGraph:
    """Put several graphs side by side; positions of atoms, pairs and structures go on counting from one to the next."""
    counts = {
        Role.ATOMS: [len(graph.species) for graph in graphs],
        Role.PAIRS: [len(graph.reverse) for graph in graphs],
        Role.STRUCTURES: [graph.n_structures for graph in graphs],
    }
    starts = {role: list(accumulate(numbers, initial=0)) for role, numbers in counts.items()}
    values: dict[str, Any] = {}
    for name, role in FIELDS.items():
        parts = [getattr(graph, name) for graph in graphs]
        if isinstance(parts[0], Paired):
            values[name] = type(parts[0]).cat(parts)
        elif parts[0] is not None:
            if role in starts:
                parts = [part + start for part, start in zip(parts, starts[role], strict=False)]
            values[name] = torch.cat(parts, dim=-1 if role is Role.ATOMS else 0)
    return PairGraph(**values, n_structures=starts[Role.STRUCTURES][-1])

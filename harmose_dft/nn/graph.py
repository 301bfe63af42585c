"""Atoms and directed atom pairs as one graph: what the networks see.

Annotations are read at runtime here (see :data:`FIELDS`), so this module does not postpone their evaluation.
"""

import copy
from collections.abc import Sequence
from enum import Enum
from itertools import accumulate
from typing import Annotated, Any, Self, get_args

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from .blocks import BlockFeatures, Blocks, Paired


class Role(Enum):
    """What the numbers of a field mean when graphs are batched or rotated."""

    PLAIN = "plain"
    ATOMS = "positions of atoms, in the last dimension"
    PAIRS = "positions of pairs"
    VECTORS = "Cartesian vectors"


class PairGraph(Data):  # type: ignore[misc]  # torch-geometric has no annotations
    """One or several structures as atoms and directed pairs, both directions stored.

    A field is declared once, here, with its role; batching, moving to a device and rotating follow from it. Fields that
    were not given are None.

    Args:
        species: Species index of each atom, (atom,).
        edges: Atoms i and j of each pair, (2, edge).
        reverse: Position of the pair (j, i), (edge,).
        vectors: r_j - r_i in Bohr, (edge, 3).
        inputs: Input matrices, before :meth:`~harmose_dft.nn.geometry.FrameBuilder.prepare`.
        wigner: Wigner matrices of the bond frames for l = 0, 1, ..., flattened one after the other, (edge, size).
        components: Components of the input matrices.
        density: Components of the density of stage 1's Hamiltonian.
        target: Blocks to predict, Hartree.
        overlap: S.
        far_edges: Atoms i and j of all ordered pairs of a molecule, whatever their distance, (2, pair).
        far_vectors: r_j - r_i in Bohr, (pair, 3).
    """

    species: Tensor
    edges: Annotated[Tensor, Role.ATOMS]
    reverse: Annotated[Tensor, Role.PAIRS]
    vectors: Annotated[Tensor, Role.VECTORS]
    inputs: Blocks | None
    wigner: Tensor
    components: BlockFeatures
    density: BlockFeatures | None
    target: Blocks | None
    overlap: Blocks | None
    far_edges: Annotated[Tensor | None, Role.ATOMS]
    far_vectors: Annotated[Tensor | None, Role.VECTORS]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        self._set(kwargs)

    def _set(self, fields: dict[str, Any]) -> None:
        if unknown := fields.keys() - FIELDS.keys():
            raise TypeError(f"A PairGraph has no field {', '.join(sorted(unknown))}; it has {', '.join(FIELDS)}.")
        for name, value in fields.items():
            setattr(self._store, name, value)
        if fields.get("species") is not None:
            self.num_nodes = len(fields["species"])

    def __getattr__(self, name: str) -> Any:
        return self._store.get(name) if name in FIELDS else super().__getattr__(name)

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return -1 if FIELDS.get(key) is Role.ATOMS else 0

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        match FIELDS.get(key):
            case Role.ATOMS:
                return len(self.species)
            case Role.PAIRS:
                return len(self.reverse)
            case _:
                return 0

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return self.num_graphs if isinstance(self, Batch) else 1

    @property
    def structure(self) -> Tensor:
        """Structure that each atom belongs to, (atom,)."""
        return self.batch if isinstance(self, Batch) else torch.zeros_like(self.species)

    def replace(self, **fields: Any) -> Self:
        """Copy the graph with other values of some fields; tensors of the others are shared."""
        other = copy.copy(self)
        other._set(fields)
        return other

    def to(self, device: torch.device | str, **kwargs: Any) -> Self:
        """Copy the graph to another device."""
        moved: Self = super(PairGraph, copy.copy(self)).to(device, **kwargs)
        return moved

    def __repr__(self) -> str:
        counts = f"{self.n_structures} structures, {self.num_nodes} atoms, {len(self.reverse)} pairs"
        return f"{type(self).__name__}({counts})"


FIELDS: dict[str, Role] = {
    name: next((a for a in get_args(annotation)[1:] if isinstance(a, Role)), Role.PLAIN)
    for name, annotation in PairGraph.__annotations__.items()
}
"""Every field of a graph with its role, read from the annotations of :class:`PairGraph`."""


def batch_graphs(graphs: Sequence[PairGraph]) -> PairGraph:
    """Put several graphs of one structure each side by side.

    The result is torch-geometric's ``Batch``, with its rules for increments and dimensions. ``Batch.from_data_list``
    also keeps how to take a batch apart again, which is never done here and takes as long as the batch itself.
    """
    batch: PairGraph = Batch(_base_cls=PairGraph)
    for name in FIELDS:
        values = [getattr(graph, name) for graph in graphs]
        if isinstance(values[0], Paired):
            batch[name] = type(values[0]).cat(values)
        elif values[0] is not None:
            steps = [graph.__inc__(name, value) for graph, value in zip(graphs, values, strict=True)]
            if any(steps):
                values = [value + start for value, start in zip(values, accumulate(steps, initial=0), strict=False)]
            batch[name] = torch.cat(values, dim=graphs[0].__cat_dim__(name, values[0]))
    counts = torch.tensor([len(graph.species) for graph in graphs], device=batch.species.device)
    batch.batch = torch.repeat_interleave(counts)
    batch.num_nodes, batch._num_graphs = len(batch.species), len(graphs)
    return batch

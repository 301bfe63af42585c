"""Blocks: the one currency for matrices over atoms and pairs of atoms.

Input matrices, targets, overlaps, densities, outputs, and the scales and units of all of them are blocks over padded
orbital slots (:class:`~harmose_dft.nn.layout.OrbitalLayout`), with a typed matrix axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from .axis import MatrixAxis


@dataclass(frozen=True, eq=False)
class Paired:
    """A tensor over atoms and one over directed pairs of atoms.

    Args:
        node: (atom, ...).
        edge: (edge, ...).
    """

    node: Tensor
    edge: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.node, self.edge))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(node={list(self.node.shape)}, edge={list(self.edge.shape)})"

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply a function to both tensors."""
        return replace(self, node=function(self.node), edge=function(self.edge))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move or cast both tensors; takes what ``Tensor.to`` takes."""
        return self.map(lambda x: x.to(*args, **kwargs))

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Put several structures side by side."""
        return replace(parts[0], node=torch.cat([p.node for p in parts]), edge=torch.cat([p.edge for p in parts]))

    def split(self, atoms: Sequence[int], pairs: Sequence[int]) -> list[Self]:
        """Take several structures apart again.

        Args:
            atoms: Number of atoms of each structure.
            pairs: Number of pairs of each structure.
        """
        parts = zip(self.node.split(list(atoms)), self.edge.split(list(pairs)), strict=True)
        return [replace(self, node=node, edge=edge) for node, edge in parts]

    def take(self, atoms: Tensor, pairs: Tensor) -> Self:
        """Pick rows of both tensors."""
        return replace(self, node=self.node.index_select(0, atoms), edge=self.edge.index_select(0, pairs))


@dataclass(frozen=True, eq=False, repr=False)
class Blocks(Paired):
    """On-site blocks and pair blocks of one or several operators, in the lab frame.

    Tables by element (scales, units) are blocks too: their atoms are the elements, and their pairs all ordered pairs of
    elements, pair (a, b) at ``a * elements + b``.

    Args:
        node: (atom, K, n, n).
        edge: (edge, K, n, n).
        axis: The K matrices.
    """

    axis: MatrixAxis

    def __post_init__(self) -> None:
        assert self.node.ndim == self.edge.ndim == 4, (self.node.shape, self.edge.shape)
        assert self.node.shape[1] == self.edge.shape[1] == self.axis.size, (self.node.shape, self.axis)

    @staticmethod
    def join(parts: Sequence[Blocks]) -> Blocks:
        """Put the matrices of several blocks on the same atoms and pairs one behind the other."""
        if len(parts) == 1:
            return parts[0]
        node, edge = (torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True))
        return Blocks(node, edge, sum((p.axis for p in parts[1:]), start=parts[0].axis))

    def __getitem__(self, operators: slice) -> Blocks:
        """Some of the operators; their matrices are views."""
        chosen, before = self.axis[operators], self.axis[: operators.start or 0].size
        matrices = slice(before, before + chosen.size)
        return Blocks(self.node[:, matrices], self.edge[:, matrices], chosen)

    def extend(self, axis: MatrixAxis) -> Blocks:
        """Append zero matrices up to an axis that begins with this one."""
        if axis == self.axis:
            return self
        assert axis.kinds[: len(self.axis.kinds)] == self.axis.kinds, (axis, self.axis)
        more = axis.size - self.axis.size
        node, edge = (torch.cat([x, x.new_zeros(len(x), more, *x.shape[2:])], dim=1) for x in self)
        return Blocks(node, edge, axis)

    def rotate(self, orbitals: Tensor, vectors: Tensor) -> Blocks:
        """Rotate the structures by one rotation Q: D(Q) A D(Q)^T, vectors of matrices included.

        Args:
            orbitals: D(Q) over the padded slots, (n, n).
            vectors: Q in the order y, z, x, (3, 3).
        """
        return self.map(lambda x: rotate_matrices(x, self.axis, orbitals, vectors))

    def symmetrize(self, reverse: Tensor) -> Blocks:
        """Impose A_ji = sign A_ij^T exactly, pair by pair and on every atom.

        Args:
            reverse: Position of the pair (j, i), (edge,).
        """
        return Blocks(
            symmetrize(self.node, self.node, self.axis),
            symmetrize(self.edge, self.edge.index_select(0, reverse), self.axis),
            self.axis,
        )

    def __add__(self, other: Blocks) -> Blocks:
        return self._combine(other, torch.add)

    def __sub__(self, other: Blocks) -> Blocks:
        return self._combine(other, torch.sub)

    def __mul__(self, other: Blocks | float) -> Blocks:
        if not isinstance(other, Blocks):
            return self.map(lambda x: x * other)
        return self._combine(other, torch.mul)

    def _combine(self, other: Blocks, function: Callable[[Tensor, Tensor], Tensor]) -> Blocks:
        assert self.axis == other.axis, (self.axis, other.axis)
        return Blocks(function(self.node, other.node), function(self.edge, other.edge), self.axis)


@dataclass(frozen=True, eq=False, repr=False)
class BlockFeatures(Paired):
    """Covariant components of blocks.

    Args:
        node: Spherical-tensor components of the on-site blocks, (atom, size).
        edge: O(2) components of the pair blocks in the bond frame, (edge, size).
    """


def rotate_matrices(blocks: Tensor, axis: MatrixAxis, orbitals: Tensor, vectors: Tensor) -> Tensor:
    """D A D^T of every block, vectors of matrices included.

    Args:
        blocks: (row, K, n, n).
        axis: The K matrices.
        orbitals: D over the padded slots, one for all rows (n, n) or one for each (row, n, n).
        vectors: The rotation in the order y, z, x, (3, 3) or (row, 3, 3).
    """
    back = orbitals.transpose(-1, -2)
    if axis.size == 1:  # three dimensions rather than four: half of the operations
        return (orbitals @ blocks.squeeze(1) @ back).unsqueeze(1)
    if orbitals.ndim == 3:
        orbitals, back = orbitals[:, None], back[:, None]
    rotated = orbitals @ blocks @ back
    if not axis.has_vectors:
        return rotated
    parts = rotated.split(axis.sizes, dim=1)
    return torch.cat(
        [
            (vectors @ part.flatten(2)).reshape(part.shape) if kind.vector else part
            for kind, part in zip(axis.kinds, parts, strict=True)
        ],
        dim=1,
    )


def symmetrize(blocks: Tensor, reverse: Tensor, axis: MatrixAxis) -> Tensor:
    """(A + sign B^T) / 2 for blocks A and those of the reverse pairs B, both (row, K, n, n)."""
    transposed = reverse.transpose(-1, -2)
    if len(set(axis.signs)) == 1:
        return 0.5 * torch.add(blocks, transposed, alpha=axis.signs[0])
    signs = transposed.new_tensor(axis.signs)[:, None, None]
    return 0.5 * (blocks + signs * transposed)

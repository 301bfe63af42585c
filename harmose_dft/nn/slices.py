"""Layers in slices: a layer that updates atoms and their pairs runs on a few atoms with their pairs at a time.

At prediction this bounds memory: the intermediate features of a layer take ten times as much as what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .geometry import PairGeometry
from .o2 import O2Features

PAIRS_PER_SLICE = 2048
"""Pairs that a layer handles at once where no gradient is needed."""

Layer = Callable[[Tensor, O2Features, PairGeometry, Tensor, Tensor], tuple[Tensor, O2Features]]
"""From nodes, pairs, geometry, radial functions and cutoff factors to updated nodes and pairs."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Some atoms with all their pairs.

    Args:
        atoms: First atom, and the one behind the last.
        pairs: First pair, and the one behind the last.
    """

    atoms: tuple[int, int]
    pairs: tuple[int, int]


def run_in_slices(
    layer: Layer, nodes: Tensor, pairs: O2Features, geometry: PairGeometry, radial: Tensor, cutoff: Tensor
) -> tuple[Tensor, O2Features]:
    """What a layer returns, worked out slice by slice where no gradient is needed; equal up to rounding.

    Args:
        layer: Updates each atom from its pairs and the atoms at their other ends, and each pair from its two atoms.
        nodes: (atom, (L+1)^2, channel).
        pairs: Pair features, sorted by their first atoms.
        geometry: The bond frames.
        radial: Radial functions, (edge, radial).
        cutoff: Cutoff factors, (edge, 1).
    """
    if torch.is_grad_enabled() or len(radial) <= PAIRS_PER_SLICE or not _is_sorted(geometry.source):
        return layer(nodes, pairs, geometry, radial, cutoff)
    updated_nodes = torch.empty_like(nodes)
    updated_pairs = O2Features(
        torch.empty_like(pairs.even), torch.empty_like(pairs.odd), [torch.empty_like(p) for p in pairs.pairs]
    )
    for part in _slices(geometry.source, len(nodes)):
        rows, (first, last) = slice(*part.pairs), part.atoms
        ends = torch.stack([geometry.source[rows], geometry.target[rows]])
        used, inverse = torch.unique(torch.cat([torch.arange(first, last, device=ends.device), ends.flatten()]),
                                     return_inverse=True)
        own, source, target = inverse.split([last - first, ends.shape[1], ends.shape[1]])
        local = replace(
            geometry, source=source, target=target, distance=geometry.distance[rows],
            features=geometry.features[rows], orbitals=geometry.orbitals[rows], axes=geometry.axes[rows],
        )  # fmt: skip
        some_nodes, some_pairs = layer(nodes[used], _rows(pairs, rows), local, radial[rows], cutoff[rows])
        updated_nodes[first:last] = some_nodes[own]
        for total, some in zip(_tensors(updated_pairs), _tensors(some_pairs), strict=True):
            total[rows] = some
    return updated_nodes, updated_pairs


def _tensors(features: O2Features) -> list[Tensor]:
    return [features.even, features.odd, *features.pairs]


def _rows(features: O2Features, rows: slice) -> O2Features:
    return O2Features(features.even[rows], features.odd[rows], [p[rows] for p in features.pairs])


def _is_sorted(source: Tensor) -> bool:
    return bool((source[1:] >= source[:-1]).all())


def _slices(source: Tensor, n_atoms: int) -> Iterator[Slice]:
    """Atoms in their order, as many at a time as have no more than the allowed number of pairs, at least one."""
    ends = torch.bincount(source, minlength=n_atoms).cumsum(0).cpu()
    atom = pair = 0
    while atom < n_atoms:
        last = max(int(torch.searchsorted(ends, pair + PAIRS_PER_SLICE, right=True)), atom + 1)
        behind = int(ends[last - 1])
        yield Slice((atom, last), (pair, behind))
        atom, pair = last, behind

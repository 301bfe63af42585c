"""Means and scales of a training set, which bring matrices to order one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.arrays import running_sum
from ..core.errors import DataError
from ..core.spin import Spin
from ..nn.axis import MatrixAxis
from ..nn.blocks import Blocks
from ..nn.layout import OrbitalLayout
from ..nn.spin import angular_momentum
from .pairs import PairList

Floats = NDArray[np.float64]

FLOOR = 1e-6
"""Smallest scale. Inputs that vary by less keep scale one, targets get this one: what hardly varied in training, such
as the elements between the cores of two elements that were never bonded, keeps its H0 where they are. Pairs of elements
that never occur get target scale zero."""


SMALLEST_SHARE = 0.03
"""Scales of the inputs of a pair of elements are at least this share of the largest among all pairs, shell by shell."""


@dataclass(frozen=True, eq=False)
class Normalizer:
    """Means and scales of a training set, constant within shell pairs, hence covariant.

    Inputs are shifted by the isotropic mean of on-site blocks of each element and divided by scales; targets are
    shifted by their on-site mean. Everything is done in float64; the result is cast once.

    Args:
        input_mean: (species, K, n, n).
        input_node_scale: (species, K, n, n).
        input_edge_scale: (species, species, K, n, n).
        target_mean: (species, n, n), Hartree.
        target_node_scale: (species, n, n), Hartree.
        target_edge_scale: (species, species, n, n), Hartree.
        spin_mean: On-site mean of the C matrices that depend on spin, (species, C, n, n), Hartree; None without spin.
        spin_node_scale: (species, n, n), Hartree.
        spin_edge_scale: (species, species, n, n), Hartree.
    """

    input_mean: Floats
    input_node_scale: Floats
    input_edge_scale: Floats
    target_mean: Floats
    target_node_scale: Floats
    target_edge_scale: Floats
    spin_mean: Floats | None = None
    spin_node_scale: Floats | None = None
    spin_edge_scale: Floats | None = None

    def arrays(self) -> dict[str, Floats]:
        """All arrays by name."""
        return {name: a for name in self.__dataclass_fields__ if (a := getattr(self, name)) is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Floats]) -> Normalizer:
        """The inverse of :meth:`arrays`."""
        names = [n for n, f in cls.__dataclass_fields__.items() if f.default is MISSING or n in arrays]
        return cls(**{name: np.asarray(arrays[name], dtype=np.float64) for name in names})

    def normalize_inputs(self, inputs: Blocks, species: NDArray[np.int64], pairs: PairList) -> Blocks:
        """Bring the input matrices of a structure to order one, float64."""
        tables = (self.input_mean, self.input_node_scale, self.input_edge_scale)
        mean, node, edge = (torch.from_numpy(table) for table in tables)
        atoms, kinds = torch.from_numpy(species), pairs.kinds(species, len(mean))
        return Blocks(
            (inputs.node - mean[atoms]) / node[atoms], inputs.edge / edge.flatten(0, 1)[kinds], inputs.axis
        )

    def shift_target(self, target: Blocks, species: NDArray[np.int64], sign: float = -1.0) -> Blocks:
        """Subtract the on-site means from the target of a structure, or add them to a prediction (sign 1), float64."""
        mean = torch.from_numpy(self.target_mean)[:, None]
        if self.spin_mean is not None:
            mean = torch.cat([mean, torch.from_numpy(self.spin_mean)], dim=1)
        return replace(target, node=torch.add(target.node, mean[torch.from_numpy(species)], alpha=sign))

    def scales(self, axis: MatrixAxis) -> Blocks:
        """Scales of the target by elements; the matrices that depend on spin share one.

        Args:
            axis: The matrices of the target.
        """
        tables = [(self.target_node_scale, self.target_edge_scale)]
        if self.spin_node_scale is not None and self.spin_edge_scale is not None:
            tables += [(self.spin_node_scale, self.spin_edge_scale)] * (axis.size - 1)
        node, edge = (torch.from_numpy(np.stack(arrays, axis=-3)) for arrays in zip(*tables, strict=True))
        return Blocks(node, edge.flatten(0, 1), axis)


class BlockStatistics:
    """Sums over the blocks of a training set, from which means and scales follow.

    Args:
        layout: Orbital slots.
        axis: The matrices of the blocks.
    """

    def __init__(self, layout: OrbitalLayout, axis: MatrixAxis) -> None:
        self.layout, self.axis = layout, axis
        z, n, k = len(layout.elements), layout.size, axis.size
        self._node_count, self._edge_count = np.zeros(z), np.zeros((z, z))
        self._node_sum = np.zeros((z, k, n, n))
        self._node_square = np.zeros((z, k, n, n))
        self._edge_square = np.zeros((z, z, k, n, n))

    def add(self, species: NDArray[np.int64], pairs: PairList, blocks: Blocks) -> None:
        """Add the blocks of one structure, float64."""
        i, j = species[pairs.pairs[:, 0]], species[pairs.pairs[:, 1]]
        node, edge = (x.numpy() for x in blocks)
        np.add.at(self._node_count, species, 1)
        np.add.at(self._edge_count, (i, j), 1)
        np.add.at(self._node_sum, species, node)
        np.add.at(self._node_square, species, node**2)
        np.add.at(self._edge_square, (i, j), edge**2)

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """Pairs of elements that never occurred, (species, species)."""
        return np.asarray(self._edge_count == 0)

    def mean(self) -> Floats:
        """Mean of the on-site blocks, only the part that no rotation changes, (species, K, n, n).

        Raises:
            DataError: Nothing was added.
        """
        if not self._node_count.any():
            raise DataError("The training set is empty.")
        blocks = self._node_sum / np.maximum(self._node_count, 1)[:, None, None, None]
        *parts, none = np.split(blocks, np.cumsum(self.axis.sizes, dtype=np.int64), axis=1)
        invariants = [
            _momentum(part, self.layout) if kind.vector else _isotropic(part, self.layout)
            for kind, part in zip(self.axis.kinds, parts, strict=True)
        ]
        return np.concatenate([*invariants, none], axis=1)

    def variances(self) -> tuple[Floats, Floats]:
        """Variance of on-site elements and mean square of pair elements by shell pairs.

        Returns:
            (species, K, n, n) and (species, species, K, n, n).
        """
        node = self._node_square / np.maximum(self._node_count, 1)[:, None, None, None]
        edge = self._edge_square / np.maximum(self._edge_count, 1)[..., None, None, None]
        average = self.layout.per_shell_pair
        return average(node) - average(self.mean() ** 2), average(edge)


class NormalizerFit:
    """Collects the statistics of a training set in one pass.

    Args:
        layout: Orbital slots.
        matrices: Number of input matrices.
        spin: Which matrices of the target depend on spin.
    """

    def __init__(self, layout: OrbitalLayout, matrices: int, spin: Spin = "none") -> None:
        self.inputs = BlockStatistics(layout, MatrixAxis.scalars(matrices))
        self.target = BlockStatistics(layout, MatrixAxis.hamiltonian(spin))

    def add(self, species: NDArray[np.int64], pairs: PairList, inputs: Blocks, target: Blocks) -> None:
        """Add one structure."""
        self.inputs.add(species, pairs, inputs)
        self.target.add(species, pairs, target)

    def result(self) -> Normalizer:
        """The normalizer.

        Raises:
            DataError: Nothing was added.
        """
        mean = self.target.mean()
        input_node, input_edge = self.inputs.variances()
        # Elements that were only far apart in training must not give huge numbers when they are bonded.
        smallest = SMALLEST_SHARE**2 * input_edge.max(axis=(0, 1))
        input_edge = np.where(input_edge > FLOOR**2, np.maximum(input_edge, smallest), input_edge)
        return Normalizer(
            self.inputs.mean(),
            *symmetrize_scales(_root(input_node), _root(input_edge)),
            mean[:, 0],
            *target_scales(self.target),
            *((mean[:, 1:], *spin_scales(self.target)) if mean.shape[1] > 1 else ()),
        )


def spin_scales(statistics: BlockStatistics) -> tuple[Floats, Floats]:
    """Scales of the matrices that depend on spin, one for all of them; zero for pairs of elements that never occurred.

    Scales stop at the floor: shell pairs that do not couple in the training data stay that small.

    Returns:
        (species, n, n) and (species, species, n, n).
    """
    node, edge = (np.sqrt(np.maximum(v[..., 1:, :, :].mean(axis=-3), FLOOR**2)) for v in statistics.variances())
    edge[statistics.unseen] = 0.0
    return symmetrize_scales(node, edge)


def target_scales(statistics: BlockStatistics) -> tuple[Floats, Floats]:
    """Scales of the first matrix of blocks; zero for pairs of elements that never occurred.

    Returns:
        (species, n, n) and (species, species, n, n).
    """
    node, edge = (np.sqrt(np.maximum(v[..., 0, :, :], FLOOR**2)) for v in statistics.variances())
    edge[statistics.unseen] = 0.0
    return symmetrize_scales(node, edge)


def density_scales(statistics: BlockStatistics) -> tuple[Floats, Floats]:
    """Scales of all matrices of a density; those that depend on spin share one.

    Returns:
        (species, K, n, n) and (species, species, K, n, n).
    """
    node, edge = (_root(v[..., 0, :, :]) for v in statistics.variances())
    edge[statistics.unseen] = 0.0
    count = statistics.axis.size - 1
    tables = [symmetrize_scales(node, edge), *([spin_scales(statistics)] * count if count else [])]
    first, second = (np.stack(parts, axis=-3) for parts in zip(*tables, strict=True))
    return first, second


def symmetrize_scales(node: Floats, edge: Floats) -> tuple[Floats, Floats]:
    """Make scales of (i, j) and (j, i) agree to the last bit, without which blocks would not be exactly Hermitian.

    Args:
        node: (species, ..., n, n).
        edge: (species, species, ..., n, n).
    """
    return 0.5 * (node + node.swapaxes(-1, -2)), 0.5 * (edge + edge.swapaxes(0, 1).swapaxes(-1, -2))


def _isotropic(blocks: Floats, layout: OrbitalLayout) -> Floats:
    """The part proportional to delta_mm' of pairs of slots of equal l."""
    starts = running_sum([2 * l + 1 for l in layout.slots])
    out = np.zeros_like(blocks)
    for a, la in enumerate(layout.slots):
        for b, lb in enumerate(layout.slots):
            if la != lb:
                continue
            rows, columns = starts[a] + np.arange(2 * la + 1), starts[b] + np.arange(2 * lb + 1)
            out[..., rows, columns] = blocks[..., rows, columns].mean(axis=-1, keepdims=True)
    return out


def _momentum(blocks: Floats, layout: OrbitalLayout) -> Floats:
    """The part of three matrices proportional to the angular momentum of pairs of slots of equal l (l.s coupling)."""
    table = angular_momentum(layout).numpy()
    weights = np.einsum("zkmn,pkmn->zp", blocks, table) / np.einsum("pkmn,pkmn->p", table, table)
    momentum = np.einsum("zp,pkmn->zkmn", weights, table)
    return np.asarray(0.5 * (momentum - momentum.swapaxes(-1, -2)))


def _root(variance: Floats) -> Floats:
    root = np.sqrt(np.maximum(variance, 0.0))
    return np.where(root > FLOOR, root, 1.0)

"""From matrices to graphs: padded blocks, input matrices, and the scales that bring them to order one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh

from ..core.basis import OrbitalBasis
from ..core.errors import DataError, SolverError
from ..core.matrix import BlockMatrix
from ..core.spin import Spin, spin_parts
from ..core.structure import Structure
from ..nn.graph import PairGraph
from ..nn.layout import OrbitalLayout
from ..nn.spin import angular_momentum

InputName = Literal["overlap", "baseline", "density"]
"""Matrices a model may take as features: S, H0, and the Loewdin density matrix of H0's occupied orbitals."""

FLOOR = 1e-6
"""Smallest scale. Shell pairs that never occur keep scale one; pairs of elements that never occur get target scale zero
and so keep their baseline."""


def lowdin_density(
    h0: NDArray[np.float64], overlap: NDArray[np.float64], n_electrons: int
) -> NDArray[np.float64]:
    """Density matrix of the orbitals of H0 in the symmetrically orthogonalised basis, 2 sum_occ c c^T.

    Block-diagonal rotations commute with symmetric orthogonalisation, so it is as covariant as H0.

    Args:
        h0: H0, (ao, ao), Hartree.
        overlap: S, (ao, ao).
        n_electrons: Electrons to fill in, two per orbital.

    Raises:
        SolverError: S is not positive definite.
    """
    values, vectors = eigh(overlap)
    if values[0] <= 0:
        raise SolverError(
            f"The overlap matrix is not positive definite (smallest eigenvalue {values[0]:.1e}): are atoms too close?"
        )
    half = (vectors / np.sqrt(values)) @ vectors.T
    occupied = eigh(half @ h0 @ half)[1][:, : n_electrons // 2]
    return np.asarray(2.0 * occupied @ occupied.T)


@dataclass(frozen=True, eq=False)
class PaddedMatrix:
    """Blocks of one or more matrices on common pairs, padded to the orbital slots, float64.

    Args:
        node: On-site blocks, (atom, K, n, n).
        edge: Pair blocks, (edge, K, n, n).
    """

    node: NDArray[np.float64]
    edge: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairList:
    """Directed pairs of a structure without self-pairs.

    Args:
        pairs: (edge, 2).
        shifts: (edge, 3).
        reverse: Position of (j, i, -shift), (edge,).
    """

    pairs: NDArray[np.int64]
    shifts: NDArray[np.int64]
    reverse: NDArray[np.int64]

    @classmethod
    def within(cls, structure: Structure, matrix: BlockMatrix, cutoff: float) -> PairList:
        """Pairs that a matrix stores, up to a distance in Bohr, in both directions."""
        on_site = (matrix.pairs[:, 0] == matrix.pairs[:, 1]) & (matrix.shifts == 0).all(axis=1)
        within_cutoff = np.linalg.norm(_vectors(structure, matrix.pairs, matrix.shifts), axis=1) < cutoff
        selected = ~on_site & within_cutoff
        pairs, shifts = matrix.pairs[selected], matrix.shifts[selected]
        reverse = matrix.find(pairs[:, ::-1], -shifts)
        if (reverse < 0).any():
            raise DataError("A matrix stores a pair of atoms in one direction only; both are needed.")
        position = np.cumsum(selected) - 1
        return cls(pairs, shifts, position[reverse])


def _vectors(structure: Structure, pairs: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.float64]:
    vectors = structure.positions[pairs[:, 1]] - structure.positions[pairs[:, 0]]
    return vectors if structure.cell is None else vectors + shifts @ structure.cell


def pad(
    matrices: Sequence[BlockMatrix], pairs: PairList, species: NDArray[np.int64], layout: OrbitalLayout
) -> PaddedMatrix:
    """Blocks of matrices on the atoms and on a pair list; pairs that a matrix does not store are zero."""
    atoms, n = len(species), layout.size
    on_site = np.repeat(np.arange(atoms)[:, None], 2, axis=1)
    blocks_needed = np.concatenate([on_site, pairs.pairs])
    shifts = np.concatenate([np.zeros((atoms, 3), dtype=np.int64), pairs.shifts])
    out = np.zeros((len(blocks_needed), len(matrices), n, n))
    kinds = species[blocks_needed[:, 0]] * len(layout.elements) + species[blocks_needed[:, 1]]
    for k, matrix in enumerate(matrices):
        edge_index = matrix.find(blocks_needed, shifts)
        start = np.where(edge_index >= 0, matrix.pointers[edge_index], -1)
        for kind in np.unique(kinds):
            rows, columns = (layout.orbital_index[s] for s in divmod(int(kind), len(layout.elements)))
            rows_of_kind = np.flatnonzero((kinds == kind) & (start >= 0))
            size = len(rows) * len(columns)
            values = matrix.values[start[rows_of_kind][:, None] + np.arange(size)]
            out[rows_of_kind[:, None, None], k, rows[:, None], columns] = values.reshape(-1, len(rows), len(columns))
    return PaddedMatrix(out[:atoms], out[atoms:])


def unpad(
    node: NDArray[np.float64],
    edge: NDArray[np.float64],
    pairs: PairList,
    numbers: NDArray[np.int64],
    basis: OrbitalBasis,
    layout: OrbitalLayout,
) -> BlockMatrix:
    """The matrix whose padded on-site blocks (atom, n, n) and pair blocks (edge, n, n) are given."""
    species = layout.species(numbers)
    atoms = len(species)
    on_site = np.repeat(np.arange(atoms)[:, None], 2, axis=1)
    all_pairs = np.concatenate([on_site, pairs.pairs])
    shifts = np.concatenate([np.zeros((atoms, 3), dtype=np.int64), pairs.shifts])
    blocks = np.concatenate([node, edge])
    orbitals = basis.orbitals_per_atom(numbers)
    starts = np.concatenate([[0], np.cumsum(orbitals[all_pairs[:, 0]] * orbitals[all_pairs[:, 1]])])
    values = np.empty(starts[-1])
    kinds = species[all_pairs[:, 0]] * len(layout.elements) + species[all_pairs[:, 1]]
    for kind in np.unique(kinds):
        rows, columns = (layout.orbital_index[s] for s in divmod(int(kind), len(layout.elements)))
        rows_of_kind = np.flatnonzero(kinds == kind)
        size = len(rows) * len(columns)
        block_values = blocks[rows_of_kind[:, None, None], rows[:, None], columns].reshape(len(rows_of_kind), size)
        values[starts[rows_of_kind][:, None] + np.arange(size)] = block_values
    return BlockMatrix(orbitals, all_pairs, shifts, values)


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

    input_mean: NDArray[np.float64]
    input_node_scale: NDArray[np.float64]
    input_edge_scale: NDArray[np.float64]
    target_mean: NDArray[np.float64]
    target_node_scale: NDArray[np.float64]
    target_edge_scale: NDArray[np.float64]
    spin_mean: NDArray[np.float64] | None = None
    spin_node_scale: NDArray[np.float64] | None = None
    spin_edge_scale: NDArray[np.float64] | None = None

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All arrays by name."""
        return {name: a for name in self.__dataclass_fields__ if (a := getattr(self, name)) is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Normalizer:
        """Inverse of :meth:`arrays`."""
        names = [n for n, f in cls.__dataclass_fields__.items() if f.default is MISSING or n in arrays]
        return cls(**{name: np.asarray(arrays[name], dtype=np.float64) for name in names})

    def extend(self, other: Normalizer) -> Normalizer:
        """This normalizer with the other one's target scales for pairs of elements that only the other one saw."""
        def fill_zeros(
            mine: NDArray[np.float64] | None, extra: NDArray[np.float64] | None
        ) -> NDArray[np.float64] | None:
            return mine if mine is None or extra is None else np.where(mine == 0, extra, mine)

        edge = fill_zeros(self.target_edge_scale, other.target_edge_scale)
        assert edge is not None
        return replace(
            self, target_edge_scale=edge, spin_edge_scale=fill_zeros(self.spin_edge_scale, other.spin_edge_scale)
        )

    def normalize(self, matrices: PaddedMatrix, species: NDArray[np.int64], pairs: PairList) -> PaddedMatrix:
        """Input blocks at order one."""
        i, j = species[pairs.pairs[:, 0]], species[pairs.pairs[:, 1]]
        return PaddedMatrix(
            (matrices.node - self.input_mean[species]) / self.input_node_scale[species],
            matrices.edge / self.input_edge_scale[i, j],
        )


class NormalizerFit:
    """Collects the statistics of a training set in one pass.

    Args:
        layout: Orbital slots.
        matrices: Number of input matrices.
        spin: Which matrices of the target depend on spin.
    """

    def __init__(self, layout: OrbitalLayout, matrices: int, spin: Spin = "none") -> None:
        self.layout, self.matrices, self.spin = layout, matrices, spin
        z, n, k = len(layout.elements), layout.size, matrices + 1 + spin_parts(spin)
        self._node_count, self._edge_count = np.zeros(z), np.zeros((z, z))
        self._node_sum = np.zeros((z, k, n, n))
        self._node_square = np.zeros((z, k, n, n))
        self._edge_square = np.zeros((z, z, k, n, n))

    def add(self, species: NDArray[np.int64], pairs: PairList, matrices: PaddedMatrix) -> None:
        """Add one structure; behind the input matrices come those of the target."""
        i, j = species[pairs.pairs[:, 0]], species[pairs.pairs[:, 1]]
        np.add.at(self._node_count, species, 1)
        np.add.at(self._edge_count, (i, j), 1)
        np.add.at(self._node_sum, species, matrices.node)
        np.add.at(self._node_square, species, matrices.node**2)
        np.add.at(self._edge_square, (i, j), matrices.edge**2)

    def result(self) -> Normalizer:
        """The normalizer.

        Raises:
            DataError: Nothing was added.
        """
        if not self._node_count.any():
            raise DataError("The training set is empty.")
        nodes = np.maximum(self._node_count, 1)[:, None, None, None]
        k = self.matrices
        mean = self._invariant(self._node_sum / nodes)
        variance = self.layout.per_shell_pair(self._node_square / nodes) - self.layout.per_shell_pair(mean**2)
        square = self.layout.per_shell_pair(self._edge_square / np.maximum(self._edge_count, 1)[..., None, None, None])
        node, edge = _root(variance[:, : k + 1]), _root(square[:, :, : k + 1])
        edge[self._edge_count == 0, -1] = 0.0
        node, edge = _mean_with(node, node.swapaxes(-1, -2)), _mean_with(edge, edge.swapaxes(0, 1).swapaxes(-1, -2))
        spin = self._spin(mean[:, k + 1 :], variance[:, k + 1 :], square[:, :, k + 1 :])
        return Normalizer(mean[:, :k], node[:, :k], edge[:, :, :k], mean[:, k], node[:, k], edge[:, :, k], *spin)

    def _spin(
        self, mean: NDArray[np.float64], variance: NDArray[np.float64], square: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], ...]:
        """Mean and scales of the matrices that depend on spin, one scale for all of them; nothing without spin.

        Scales stop at the floor: shell pairs that do not couple in the training data stay that small.
        """
        if self.spin == "none":
            return ()
        node, edge = (np.sqrt(np.maximum(a.mean(axis=-3), FLOOR**2)) for a in (variance, square))
        edge[self._edge_count == 0] = 0.0
        node, edge = _mean_with(node, node.swapaxes(-1, -2)), _mean_with(edge, edge.swapaxes(0, 1).swapaxes(-1, -2))
        return mean, node, edge

    def _invariant(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of on-site blocks that no rotation changes; of spin-orbit coupling l.s of shells of equal l."""
        if self.spin != "spin-orbit":
            return self._isotropic(blocks)
        isotropic_part = self._isotropic(blocks[:, :-3])
        table = angular_momentum(self.layout).numpy()
        weights = np.einsum("zkmn,pkmn->zp", blocks[:, -3:], table) / np.einsum("pkmn,pkmn->p", table, table)
        momentum = np.einsum("zp,pkmn->zkmn", weights, table)
        return np.concatenate([isotropic_part, 0.5 * (momentum - momentum.swapaxes(-1, -2))], axis=1)

    def _isotropic(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part proportional to delta_mm' of pairs of slots of equal l."""
        slots = self.layout.slots
        starts = np.concatenate([[0], np.cumsum([2 * l + 1 for l in slots])])
        out = np.zeros_like(blocks)
        for a, la in enumerate(slots):
            for b, lb in enumerate(slots):
                if la != lb:
                    continue
                rows, columns = starts[a] + np.arange(2 * la + 1), starts[b] + np.arange(2 * lb + 1)
                out[..., rows, columns] = blocks[..., rows, columns].mean(axis=-1, keepdims=True)
        return out


def _mean_with(scale: NDArray[np.float64], transposed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scales that agree to the last bit for (i, j) and (j, i), without which blocks would not be exactly Hermitian."""
    return 0.5 * (scale + transposed)


def _root(variance: NDArray[np.float64]) -> NDArray[np.float64]:
    root = np.sqrt(np.maximum(variance, 0.0))
    return np.where(root > FLOOR, root, 1.0)


def _symmetric(edge: NDArray[np.float64], pairs: PairList) -> NDArray[np.float64]:
    return _mean_with(edge, edge[pairs.reverse].swapaxes(-1, -2))


def pair_graph(
    structure: Structure,
    pairs: PairList,
    inputs: PaddedMatrix,
    species: NDArray[np.int64],
    target: PaddedMatrix | None = None,
    overlap: PaddedMatrix | None = None,
    dtype: torch.dtype = torch.float32,
) -> PairGraph:
    """The graph of a structure: the one place where float64 becomes the network's precision."""
    def cast(array: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)

    far = None if structure.periodic else np.stack(np.nonzero(~np.eye(len(species), dtype=bool)))
    return PairGraph(
        species=torch.from_numpy(species),
        structure=torch.zeros(len(species), dtype=torch.int64),
        edges=torch.from_numpy(np.ascontiguousarray(pairs.pairs.T)),
        reverse=torch.from_numpy(pairs.reverse),
        vectors=cast(_vectors(structure, pairs.pairs, pairs.shifts)),
        node_inputs=cast(inputs.node),
        edge_inputs=cast(inputs.edge),
        node_target=None if target is None else cast(target.node[:, 0]),
        edge_target=None if target is None else cast(target.edge[:, 0]),
        node_spin_target=None if target is None or target.node.shape[1] == 1 else cast(target.node[:, 1:]),
        edge_spin_target=None if target is None or target.edge.shape[1] == 1 else cast(target.edge[:, 1:]),
        node_overlap=None if overlap is None else cast(overlap.node[:, 0]),
        edge_overlap=None if overlap is None else cast(_symmetric(overlap.edge[:, 0], pairs)),
        far_edges=None if far is None else torch.from_numpy(far),
        far_vectors=None if far is None else cast(structure.positions[far[1]] - structure.positions[far[0]]),
    )

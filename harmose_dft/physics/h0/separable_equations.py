"""The linear equations from which the separable potentials of :mod:`harmose_dft.physics.h0.separable` are fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import logm
from scipy.spatial.transform import Rotation

from ...core.arrays import running_sum
from ...core.basis import OrbitalBasis
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.rotations import wigner_d
from ...core.spin import decompose
from ...core.structure import Structure
from ..integrals import kinetic, overlap
from ..integrals.projectors import Projectors, Surroundings, find_edges, sum_equal, surroundings
from ..least_absolute import least_absolute

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

RIDGE = 1e-10
"""Penalty on squared parameters; the functions beta overlap strongly, so that large ones may nearly cancel."""

SPIN_ORBIT_L_MAX = 2
"""Highest l with spin-orbit coupling."""

AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""y, z, x: the order of the matrices of spin-orbit coupling."""


@cache
def momentum(l: int) -> Floats:
    """Real antisymmetric generators of rotations about y, z and x of the harmonics of degree l, (3, 2l+1, 2l+1)."""
    generators = [np.real(logm(wigner_d(l, Rotation.from_rotvec(0.5 * axis).as_matrix()))) / 0.5 for axis in AXES]
    return np.stack([0.5 * (g - g.T) for g in generators])


def on_site_edges(matrix: BlockMatrix, structure: Structure, z: int) -> Indices:
    """Pairs of an element's atoms with themselves."""
    itself = (matrix.pairs[:, 0] == matrix.pairs[:, 1]) & (matrix.shifts == 0).all(axis=1)
    return np.flatnonzero(itself & (structure.numbers[matrix.pairs[:, 0]] == z))


Linear = tuple[Floats, Floats, Floats]
"""Matrices of unit parameters (element, parameter), what they are to add up to, and weights, (element,) each."""


@dataclass(frozen=True, eq=False)
class Equations:
    """Equations of some matrix elements of a calculation.

    Args:
        scalar: For mu and then, one element after the other, D_l,kk' for l = 0, 1, ... and k' <= k.
        spin_orbit: The same for D^so_l,kk', without mu, l = 1, 2, ...; None without spin-orbit coupling.
    """

    scalar: Linear
    spin_orbit: Linear | None

    @classmethod
    def of(
        cls, record: Record, basis: OrbitalBasis, projectors: Projectors, count: int, rng: np.random.Generator
    ) -> Equations:
        """Equations of about ``count`` matrix elements."""
        structure = record.structure
        t = kinetic(structure, basis)
        edges, edge_weights = _choose_edges(t, structure, count, rng)
        sizes = np.diff(t.pointers)[edges]
        place = np.full(len(t), -1)
        place[edges] = running_sum(sizes)[:-1]  # where the elements of a chosen pair begin
        elements = np.concatenate([np.arange(t.pointers[e], t.pointers[e + 1]) for e in edges])
        around = list(chain.from_iterable(surroundings(structure, basis, projectors)))
        of_element = [[s for s in around if structure.numbers[s.atom] == z] for z in basis.elements]
        weights = np.repeat(edge_weights, sizes)

        def columns(middle: Mapping[int, Floats]) -> list[Floats]:
            return [_potential_columns(t, atoms, place, projectors, middle) for atoms in of_element]

        first, *spin = (part.on_pairs_of(t) for part in decompose(record.hamiltonian))
        shift = overlap(structure, basis).values[elements][:, None]
        scalar = [shift, *columns({l: np.eye(2 * l + 1) for l in range(projectors.l_max + 1)})]
        equations = np.concatenate(scalar, axis=1), (first - t).values[elements], weights
        if len(spin) < len(AXES):
            return cls(equations, None)
        parts = [
            np.concatenate(columns({l: momentum(l)[q] for l in range(1, SPIN_ORBIT_L_MAX + 1)}), axis=1)
            for q in range(len(AXES))
        ]
        target = np.concatenate([part.values[elements] for part in spin])
        return cls(equations, (np.concatenate(parts), target, np.tile(weights, len(AXES))))


def solve_equations(equations: Sequence[Linear]) -> Floats:
    """Parameters that fit the equations of several calculations."""
    columns, target, weights = (np.concatenate(parts) for parts in zip(*equations, strict=True))
    norms = np.sqrt(np.mean(columns**2, axis=0))
    norms[norms == 0] = 1.0
    return np.asarray(least_absolute(columns / norms, target, weights, ridge=RIDGE) / norms)


def subtract_potentials(
    equations: Linear, fitted: Mapping[int, Floats], basis: OrbitalBasis, projectors: Projectors, before: int
) -> Linear:
    """Equations for the potentials of those elements that have none yet.

    Args:
        equations: For all elements of the basis.
        fitted: Element -> D_l, (l, k, k').
        basis: Its elements are in the order of the parameters.
        projectors: The functions beta.
        before: Number of parameters in front of the potentials, which stay.
    """
    columns, target, weights = equations
    rows, lower = _lower(projectors)
    is_free = np.ones(columns.shape[1], dtype=np.bool_)
    size = (columns.shape[1] - before) // len(basis.elements)
    for n, z in enumerate(basis.elements):
        if z in fitted:
            of_element = slice(before + n * size, before + (n + 1) * size)
            target = target - columns[:, of_element] @ fitted[z][:, rows, lower].ravel()
            is_free[of_element] = False
    return columns[:, is_free], target, weights


def unpack_potentials(
    solution: Floats, elements: Sequence[int], projectors: Projectors, degrees: int
) -> dict[int, Floats]:
    """D_l of every element, (l, k, k'), from parameters in the order of :class:`Equations`."""
    rows, columns = _lower(projectors)
    count = len(projectors.exponents)
    free = solution.reshape(len(elements), degrees, len(rows))
    potentials = np.zeros((len(elements), degrees, count, count))
    potentials[:, :, rows, columns] = potentials[:, :, columns, rows] = free
    return dict(zip(elements, potentials, strict=True))


def _lower(projectors: Projectors) -> tuple[Indices, Indices]:
    """k and k' <= k of the free elements of a symmetric D_l."""
    rows, columns = np.tril_indices(len(projectors.exponents))
    return rows, columns


def _choose_edges(
    matrix: BlockMatrix, structure: Structure, count: int, rng: np.random.Generator
) -> tuple[Indices, Floats]:
    """All on-site pairs and others at random, about ``count`` elements in all; weights that make up for the choice."""
    itself = np.concatenate([on_site_edges(matrix, structure, z) for z in set(structure.numbers.tolist())])
    others = np.setdiff1d(np.arange(len(matrix)), itself)
    mean_size = len(matrix.values) / len(matrix)
    n_others = min(len(others), max(int(count / mean_size) - len(itself), len(itself)))
    picked = np.sort(rng.permutation(others)[:n_others])
    weights = np.concatenate([np.ones(len(itself)), np.full(len(picked), len(others) / max(len(picked), 1))])
    return np.concatenate([itself, picked]), weights / len(matrix.values)


def _potential_columns(
    matrix: BlockMatrix,
    around: Sequence[Surroundings],
    place: Indices,
    projectors: Projectors,
    middle: Mapping[int, Floats],
) -> Floats:
    """sum_A |beta_k> M_l <beta_k'| + |beta_k'> M_l <beta_k| (one of them for k = k') on chosen pairs.

    Args:
        matrix: Names the pairs.
        around: Surroundings of the atoms of one element.
        place: Where the elements of each pair begin; -1 for pairs that were not chosen.
        projectors: The functions beta.
        middle: l -> M_l, (2l+1, 2l+1).

    Returns:
        (element, l and k, k').
    """
    rows, columns = _lower(projectors)
    members = dict(projectors.slices())
    out = np.zeros((int(np.diff(matrix.pointers)[place >= 0].sum()), len(middle) * len(rows)))
    for s, (a, b, edges) in zip(around, _chosen_ends(matrix, around, place), strict=True):
        for left, right, first, second, selected in _by_kinds(s, a, b):
            for n, (l, matrix_l) in enumerate(middle.items()):
                shape = (len(first), -1, len(projectors.exponents), 2 * l + 1)
                bra = left[first][..., members[l]].reshape(shape) @ matrix_l
                ket = right[second][..., members[l]].reshape(shape)
                product = np.einsum("eakm,ebqm->eabkq", bra, ket, optimize=True)
                mirrored = np.where(rows == columns, 0.0, product[..., columns, rows])
                product = (product[..., rows, columns] + mirrored).reshape(len(first), -1, len(rows))
                each, sums = sum_equal(edges[selected], product)
                elements = place[each][:, None] + np.arange(sums.shape[1])
                out[elements, n * len(rows) : (n + 1) * len(rows)] += sums
    return out


def _chosen_ends(
    matrix: BlockMatrix, around: Sequence[Surroundings], place: Indices
) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Positions of two neighbours of each atom that are a chosen pair, and the pair."""
    for s in around:
        n = len(s.neighbours)
        a, b = (x.ravel() for x in np.indices((n, n)))
        (edges,) = find_edges(matrix, [s], [(a, b)])
        chosen = np.flatnonzero((edges >= 0) & (place[np.maximum(edges, 0)] >= 0))
        yield a[chosen], b[chosen], edges[chosen]


def _by_kinds(s: Surroundings, a: Indices, b: Indices) -> Iterator[tuple[Floats, Floats, Indices, Indices, Indices]]:
    """Pairs of neighbours by their elements: overlaps of both elements, positions among them, and among the pairs."""
    for z, first in s.kinds.items():
        for y, second in s.kinds.items():
            selected = np.flatnonzero((a >= first.start) & (a < first.stop) & (b >= second.start) & (b < second.stop))
            if len(selected):
                yield s.overlaps[z], s.overlaps[y], a[selected] - first.start, b[selected] - second.start, selected

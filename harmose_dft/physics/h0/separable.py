"""H0 of crystals fitted to calculations: the kinetic energy and a separable potential on every atom.

H0 = T + mu S + sum_A sum_l sum_kk' D_l,kk'(Z_A) sum_m |beta_lkm A> <beta_lk'm A|.

The functions beta and the sum over atoms, which has terms of one, two and three centres, are those of
:mod:`harmose_dft.physics.integrals.projectors`. The symmetric matrices D_l(Z) stand for everything that an atom does to
electrons nearby: its pseudopotential, and the Hartree, exchange and correlation potential of its density. They are
fitted to Kohn-Sham matrices by least absolute deviations, sixty numbers for an element. H0 is exactly covariant.
With spin, the part that does not depend on it is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import DataError, DomainError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.spin import decompose
from ...core.structure import SYMBOLS, Structure
from ..integrals import kinetic, orbital_cutoffs, overlap
from ..integrals.projectors import Projectors, Surroundings, find_edges, separable, sum_equal, surroundings
from ..least_absolute import least_absolute
from .base import H0Settings, NumericalH0

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

RADIUS = 0.8
"""Radius at which the functions beta of an element end, relative to that of its orbitals."""

EXPONENTS = (3.0, 8.0, 20.0, 60.0, 180.0)
"""Exponents of the functions beta, times the square of their radius."""

L_MAX = 3
"""Highest l of the functions beta."""

RIDGE = 1e-10
"""Penalty on squared parameters; the functions beta overlap strongly, so that large ones may nearly cancel."""

FIT_ELEMENTS = 120_000
"""Matrix elements that potentials are fitted to, of all structures together: all on-site ones, others at random."""

Shells = tuple[tuple[int, int], ...]


class FittedNumericalH0(NumericalH0):
    """H0 = T + mu S + fitted separable potentials.

    Args:
        basis: Numerical orbitals.
        projectors: The functions beta of every element.
        potentials: Element -> D_l for l = 0, 1, ..., Hartree, (l, k, k').
        shift: mu, Hartree: potentials that end cannot make up for the zero of energy.
    """

    kind = "fitted"

    def __init__(
        self,
        basis: OrbitalBasis,
        projectors: Projectors,
        potentials: Mapping[int, Floats],
        shift: float,
    ) -> None:
        super().__init__(basis)
        self.projectors, self.shift = projectors, float(shift)
        self.potentials = dict(potentials)

    def __call__(self, structure: Structure) -> BlockMatrix:
        """H0 in Hartree on the pairs of S.

        Raises:
            DomainError: An element was not fitted.
        """
        present = sorted(set(structure.numbers.tolist()))
        if missing := [SYMBOLS[z] for z in present if z not in self.potentials]:
            raise DomainError(f"The fitted potentials do not cover {', '.join(missing)}.")
        t = kinetic(structure, self.basis)
        around = surroundings(structure, self.basis, self.projectors)
        couplings = {z: self._coupling(z) for z in present}
        total = t + separable(t, around, structure, couplings)
        return total.with_values(total.values + self.shift * overlap(structure, self.basis).values)

    def _coupling(self, z: int) -> Floats:
        """D between all functions of an element, (beta, beta)."""
        out = np.zeros((self.projectors.count, self.projectors.count))
        for l, members in self.projectors.slices():
            out[members, members] = np.kron(self.potentials[z][l], np.eye(2 * l + 1))
        return out

    @classmethod
    def fit(
        cls, basis: OrbitalBasis, functional: str, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> Self:
        """Potentials fitted to a random choice of the training set.

        Raises:
            DataError: An element of the basis does not occur in what was chosen.
        """
        rng = np.random.default_rng(seed)
        chosen = [records[int(i)] for i in rng.permutation(len(records))[: settings.fit_structures]]
        seen = {int(z) for r in chosen for z in r.structure.numbers}
        if missing := sorted(set(basis.elements) - seen):
            raise DataError(
                f"No structure that potentials are fitted to holds {', '.join(SYMBOLS[z] for z in missing)}; raise "
                f"baseline.fit_structures ({settings.fit_structures}), or set baseline.kind to kinetic."
            )
        cutoffs = orbital_cutoffs(basis)
        radii = {z: RADIUS * cutoffs[z] for z in basis.elements}
        projectors = Projectors(radii, EXPONENTS, L_MAX)
        parts = [_equations(r, basis, projectors, FIT_ELEMENTS // len(chosen), rng) for r in chosen]
        columns, target, weights = (np.concatenate(p) for p in zip(*parts, strict=True))
        norms = np.sqrt(np.mean(columns**2, axis=0))
        norms[norms == 0] = 1.0
        solution = least_absolute(columns / norms, target, weights, ridge=RIDGE) / norms
        return cls(basis, projectors, _unpack(solution[1:], basis, projectors), solution[0])

    def describe(self) -> dict[str, Any]:
        """The kind, the functions, and the numbers of each element."""
        return {
            "kind": self.kind,
            "shift": self.shift,
            "exponents": list(self.projectors.exponents),
            "elements": {
                str(z): {
                    "radius": self.projectors.radii[z],
                    "potentials": self.potentials[z].tolist(),
                }
                for z in sorted(self.potentials)
            },
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        elements = {int(z): entry for z, entry in description["elements"].items()}
        potentials = {z: np.array(e["potentials"], dtype=np.float64) for z, e in elements.items()}
        exponents = tuple(float(a) for a in description["exponents"])
        l_max = max(len(p) for p in potentials.values()) - 1
        radii = {z: float(e["radius"]) for z, e in elements.items()}
        return cls(basis, Projectors(radii, exponents, l_max), potentials, description["shift"])


def on_site_edges(matrix: BlockMatrix, structure: Structure, z: int) -> Indices:
    """Pairs of an element's atoms with themselves."""
    itself = (matrix.pairs[:, 0] == matrix.pairs[:, 1]) & (matrix.shifts == 0).all(axis=1)
    return np.flatnonzero(itself & (structure.numbers[matrix.pairs[:, 0]] == z))


def _lower(projectors: Projectors) -> tuple[Indices, Indices]:
    """k and k' <= k of the free elements of a symmetric D_l."""
    rows, columns = np.tril_indices(len(projectors.exponents))
    return rows, columns


def _unpack(solution: Floats, basis: OrbitalBasis, projectors: Projectors) -> dict[int, Floats]:
    """D_l of every element from the parameters in the order of :func:`_equations`."""
    rows, columns = _lower(projectors)
    degrees, count = projectors.l_max + 1, len(projectors.exponents)
    free = solution.reshape(len(basis.elements), degrees, len(rows))
    potentials = np.zeros((len(basis.elements), degrees, count, count))
    potentials[:, :, rows, columns] = potentials[:, :, columns, rows] = free
    return dict(zip(basis.elements, potentials, strict=True))


def _equations(
    record: Record, basis: OrbitalBasis, projectors: Projectors, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Equations of about ``count`` matrix elements: matrices of unit parameters, H - T, and weights.

    The first parameter is mu; then follow those of one element after the other: D_l,kk' for l = 0, 1, ... and k' <= k.
    """
    structure = record.structure
    t = kinetic(structure, basis)
    target = (decompose(record.hamiltonian)[0].on_pairs_of(t) - t).values
    edges, edge_weights = _choose_edges(t, structure, count, rng)
    sizes = np.diff(t.pointers)[edges]
    place = np.full(len(t), -1)
    place[edges] = np.cumsum(np.concatenate([[0], sizes]))[:-1]  # where the elements of a chosen pair begin
    elements = np.concatenate([np.arange(t.pointers[e], t.pointers[e + 1]) for e in edges])
    around = surroundings(structure, basis, projectors)
    blocks = [overlap(structure, basis).values[elements][:, None]]
    for z in basis.elements:
        blocks.append(_potential_columns(t, [s for s in around if structure.numbers[s.atom] == z], place, projectors))
    return np.concatenate(blocks, axis=1), target[elements], np.repeat(edge_weights, sizes)


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
    matrix: BlockMatrix, around: Sequence[Surroundings], place: Indices, projectors: Projectors
) -> Floats:
    """sum_A |beta_k> <beta_k'| + |beta_k'> <beta_k| (one of them for k = k') on the chosen pairs, (element, parameter).

    Args:
        matrix: Names the pairs.
        around: Surroundings of the atoms of one element.
        place: Where the elements of each pair begin; -1 for pairs that were not chosen.
        projectors: The functions beta.
    """
    rows, columns = _lower(projectors)
    chosen = np.flatnonzero(place >= 0)
    n_elements = int(sum(np.diff(matrix.pointers)[chosen]))
    out = np.zeros((n_elements, (projectors.l_max + 1) * len(rows)))
    for s, (a, b, edges) in zip(around, _chosen_ends(matrix, around, place), strict=True):
        for left, right, first, second, selected in _by_kinds(s, a, b):
            for l, members in projectors.slices():
                shape = (len(first), -1, len(projectors.exponents), 2 * l + 1)
                bra, ket = left[first][..., members].reshape(shape), right[second][..., members].reshape(shape)
                product = np.einsum("eakm,ebqm->eabkq", bra, ket, optimize=True)
                product = product[..., rows, columns] + np.where(
                    rows == columns, 0.0, product[..., columns, rows]
                )
                each, sums = sum_equal(edges[selected], product.reshape(len(first), -1, len(rows)))
                elements = place[each][:, None] + np.arange(sums.shape[1])
                out[elements, l * len(rows) : (l + 1) * len(rows)] += sums
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

"""H0 of crystals fitted to calculations: the kinetic energy and a separable potential on every atom.

H0 = T + mu S + sum_A sum_l sum_kk' D_l,kk'(Z_A) sum_m |beta_lkm A> <beta_lk'm A|.

The functions beta and the sum over atoms, which has terms of one, two and three centres, are those of
:mod:`harmose_dft.physics.integrals.projectors`. The symmetric matrices D_l(Z) stand for everything that an atom does to
electrons nearby: its pseudopotential, and the Hartree, exchange and correlation potential of its density. They are
fitted to Kohn-Sham matrices by least absolute deviations, sixty numbers for an element. H0 is exactly covariant.

Of calculations with spin-orbit coupling the matrices A_y, A_z, A_x (:mod:`harmose_dft.core.spin`) are fitted too, with
the angular momentum between functions of equal l: sum_A sum_l sum_kk' D^so_l,kk'(Z_A) |beta_lk A> L_q <beta_lk' A|.
Collinear spin has no such part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import logm
from scipy.spatial.transform import Rotation

from ...core.arrays import running_sum
from ...core.basis import OrbitalBasis
from ...core.errors import DataError, DomainError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.rotations import wigner_d
from ...core.spin import decompose
from ...core.structure import SYMBOLS, Structure
from ..integrals import kinetic, orbital_cutoffs, overlap, zero_matrix
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

SPIN_ORBIT_L_MAX = 2
"""Highest l with spin-orbit coupling."""

AXES = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""y, z, x: the order of the matrices of spin-orbit coupling."""


class FittedNumericalH0(NumericalH0):
    """H0 = T + mu S + fitted separable potentials.

    Args:
        basis: Numerical orbitals.
        projectors: The functions beta of every element.
        potentials: Element -> D_l for l = 0, 1, ..., Hartree, (l, k, k').
        shift: mu, Hartree: potentials that end cannot make up for the zero of energy.
        spin_orbit: Element -> D^so_l for l = 1, 2, ..., Hartree, (l, k, k'); empty without spin-orbit coupling.
    """

    kind = "fitted"

    def __init__(
        self,
        basis: OrbitalBasis,
        projectors: Projectors,
        potentials: Mapping[int, Floats],
        shift: float,
        spin_orbit: Mapping[int, Floats],
    ) -> None:
        super().__init__(basis)
        self.projectors, self.shift = projectors, float(shift)
        self.potentials, self.spin_orbit = dict(potentials), dict(spin_orbit)

    def __call__(self, structure: Structure) -> BlockMatrix:
        """H0 in Hartree on the pairs of S.

        Raises:
            DomainError: An element was not fitted.
        """
        present = set(structure.numbers.tolist())
        if missing := sorted(present - set(self.potentials)):
            raise DomainError(f"The fitted potentials do not cover {', '.join(SYMBOLS[z] for z in missing)}.")
        t = kinetic(structure, self.basis)
        around = surroundings(structure, self.basis, self.projectors)
        middle = {l: np.eye(2 * l + 1) for l in range(self.projectors.l_max + 1)}
        couplings = {z: self._coupling(self.potentials[z], middle)[None] for z in present}
        total = t + separable(t, around, structure, couplings)[0]
        return total.with_values(total.values + self.shift * overlap(structure, self.basis).values)

    def spin_parts(self, structure: Structure) -> tuple[BlockMatrix, ...]:
        """A_y, A_z, A_x in Hartree on the pairs of S; none without spin-orbit coupling."""
        if not self.spin_orbit:
            return ()
        frame = zero_matrix(structure, self.basis)
        middles = [{l: momentum(l)[q] for l in range(1, SPIN_ORBIT_L_MAX + 1)} for q in range(len(AXES))]
        couplings = {
            z: np.stack([self._coupling(self.spin_orbit[z], middle) for middle in middles])
            for z in set(structure.numbers.tolist())
        }
        around = surroundings(structure, self.basis, self.projectors)
        return separable(frame, around, structure, couplings, sign=-1.0)

    def _coupling(self, potentials: Floats, middle: Mapping[int, Floats]) -> Floats:
        """D between all functions of an element, (beta, beta): D_l times a matrix between the m of each l."""
        out = np.zeros((self.projectors.count, self.projectors.count))
        members = dict(self.projectors.slices())
        for potential, (l, matrix) in zip(potentials, middle.items(), strict=True):
            out[members[l], members[l]] = np.kron(potential, matrix)
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
        projectors = Projectors({z: RADIUS * cutoffs[z] for z in basis.elements}, EXPONENTS, L_MAX)
        equations = [_Equations.of(r, basis, projectors, FIT_ELEMENTS // len(chosen), rng) for r in chosen]
        solution = _solve([e.scalar for e in equations])
        spin_orbit = {}
        if with_spin := [e.spin_orbit for e in equations if e.spin_orbit is not None]:
            spin_orbit = _unpack(_solve(with_spin), basis, projectors, SPIN_ORBIT_L_MAX)
        return cls(basis, projectors, _unpack(solution[1:], basis, projectors, L_MAX + 1), solution[0], spin_orbit)

    def describe(self) -> dict[str, Any]:
        """The kind, the functions, and the numbers of each element."""
        elements: dict[str, dict[str, Any]] = {
            str(z): {"radius": self.projectors.radii[z], "potentials": self.potentials[z].tolist()}
            for z in sorted(self.potentials)
        }
        for z, potentials in self.spin_orbit.items():
            elements[str(z)]["spin_orbit"] = potentials.tolist()
        exponents = list(self.projectors.exponents)
        return {"kind": self.kind, "shift": self.shift, "exponents": exponents, "elements": elements}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        elements = {int(z): entry for z, entry in description["elements"].items()}

        def potentials(name: str) -> dict[int, Floats]:
            return {z: np.array(e[name], dtype=np.float64) for z, e in elements.items() if name in e}

        radii = {z: float(e["radius"]) for z, e in elements.items()}
        l_max = max(len(p) for p in potentials("potentials").values()) - 1
        projectors = Projectors(radii, tuple(float(a) for a in description["exponents"]), l_max)
        return cls(basis, projectors, potentials("potentials"), description["shift"], potentials("spin_orbit"))


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
class _Equations:
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
    ) -> _Equations:
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


def _solve(equations: Sequence[Linear]) -> Floats:
    """Parameters that fit the equations of several calculations."""
    columns, target, weights = (np.concatenate(parts) for parts in zip(*equations, strict=True))
    norms = np.sqrt(np.mean(columns**2, axis=0))
    norms[norms == 0] = 1.0
    return np.asarray(least_absolute(columns / norms, target, weights, ridge=RIDGE) / norms)


def _unpack(solution: Floats, basis: OrbitalBasis, projectors: Projectors, degrees: int) -> dict[int, Floats]:
    """D_l of every element, (l, k, k'), from parameters in the order of :class:`_Equations`."""
    rows, columns = _lower(projectors)
    count = len(projectors.exponents)
    free = solution.reshape(len(basis.elements), degrees, len(rows))
    potentials = np.zeros((len(basis.elements), degrees, count, count))
    potentials[:, :, rows, columns] = potentials[:, :, columns, rows] = free
    return dict(zip(basis.elements, potentials, strict=True))


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

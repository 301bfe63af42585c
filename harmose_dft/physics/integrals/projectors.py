"""Separable potentials of atoms: sum_A sum_pq |beta_p A> D_pq <beta_q A| between numerical orbitals.

The functions beta of an atom are Gaussians times r^l Y_lm that end smoothly at a radius; their overlaps with orbitals
are two-centre integrals, so the matrix has terms of one, two and three centres at the price of small products.
This is the form of a non-local pseudopotential (Kleinman and Bylander, Phys. Rev. Lett. 48, 1425, 1982).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from ...core.matrix import BlockMatrix
from ...core.orbitals import radial_values
from ...core.structure import Structure
from .neighbours import neighbour_pairs, orbital_cutoffs, shell_cutoff
from .operators import identity
from .tables import NumericalTable
from .transforms import NumericalTransform, grid_for

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

GRID_POINTS = 600
"""Points of the table of a function beta."""

STEP = 0.01
"""Bohr; grid of the table of a Gaussian orbital."""

SMOOTHNESS = 3
"""Power of 1 - (r / radius)^2 that ends a function beta."""

LOOKUP = 1_000_000
"""Pairs of neighbours of atoms that are looked up at once, which bounds the memory."""


@dataclass(frozen=True)
class Projectors:
    """Functions beta_lk = N r^l exp(-a_k (r / radius)^2) (1 - (r / radius)^2)^3 Y_lm of every element.

    Args:
        radii: Element -> radius in Bohr at which its functions end.
        exponents: a_k, the same for all elements and l.
        l_max: Highest l.
    """

    radii: Mapping[int, float]
    exponents: tuple[float, ...]
    l_max: int

    @property
    def count(self) -> int:
        """Functions of an atom, in the order l, k, m."""
        return len(self.exponents) * (self.l_max + 1) ** 2

    def slices(self) -> Iterator[tuple[int, slice]]:
        """l, and where its functions lie."""
        start = 0
        for l in range(self.l_max + 1):
            end = start + len(self.exponents) * (2 * l + 1)
            yield l, slice(start, end)
            start = end

    def radials(self, z: int) -> list[tuple[int, NumericalRadial]]:
        """(l, radial function) of an element's functions, normalised."""
        r = np.linspace(0.0, self.radii[z], GRID_POINTS)
        x = (r / self.radii[z]) ** 2
        out = []
        for l in range(self.l_max + 1):
            for exponent in self.exponents:
                values = r**l * np.exp(-exponent * x) * (1 - x) ** SMOOTHNESS
                out.append((l, NumericalRadial(r, values / np.sqrt(np.sum((r * values) ** 2) * r[1]))))
        return out


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Overlaps of the functions beta of one atom with the orbitals around it.

    Args:
        atom: The atom.
        neighbours: Atoms with orbitals, sorted by element, (neighbour,).
        shifts: Their cells, (neighbour, 3).
        kinds: Element -> neighbours of that element.
        overlaps: Element -> <phi | beta>, (neighbour of that element, orbital, beta).
    """

    atom: int
    neighbours: Indices
    shifts: Indices
    kinds: dict[int, slice]
    overlaps: dict[int, Floats]


def surroundings(
    structure: Structure, basis: OrbitalBasis, projectors: Projectors
) -> Iterator[list[Surroundings]]:
    """Overlaps of every atom's functions with the orbitals that they meet, some atoms at a time.

    Args:
        structure: Molecule or crystal.
        basis: Numerical orbitals.
        projectors: Functions of the structure's elements.

    Yields:
        Atoms one after the other, as many at once as :data:`LOOKUP` allows.
    """
    restricted = basis.restrict(structure.numbers.tolist())
    cutoffs, tables = orbital_cutoffs(restricted), _tables(restricted, _Key(projectors))
    reach = max(cutoffs.values()) + max(projectors.radii[z] for z in restricted.elements)
    pairs, shifts = neighbour_pairs(structure, np.full(len(structure), 0.5 * reach))
    # Pairs go from the atom with functions beta to the atom with orbitals.
    vectors = structure.pair_vectors(pairs, shifts)
    centre, other = structure.numbers[pairs].T
    longest = np.array([projectors.radii[z] for z in centre.tolist()]) + [cutoffs[z] for z in other.tolist()]
    near = np.flatnonzero(np.linalg.norm(vectors, axis=1) < longest)
    near = near[np.lexsort((other[near], pairs[near, 0]))]
    pairs, shifts, vectors, other = pairs[near], shifts[near], vectors[near], other[near]
    bounds = np.searchsorted(pairs[:, 0], np.arange(len(structure) + 1))
    chunk: list[Surroundings] = []
    looked_up = 0
    for atom, (begin, end) in enumerate(pairwise(bounds.tolist())):
        kinds, overlaps = {}, {}
        for z in np.unique(other[begin:end]).tolist():
            first, last = np.searchsorted(other[begin:end], [z, z + 1]).tolist()
            kinds[z] = slice(first, last)
            overlaps[z] = tables[int(structure.numbers[atom]), z].blocks(-vectors[begin + first : begin + last])
        chunk.append(Surroundings(atom, pairs[begin:end, 1], shifts[begin:end], kinds, overlaps))
        looked_up += (end - begin) ** 2 // 2
        if looked_up > LOOKUP or atom == len(structure) - 1:
            yield chunk
            chunk, looked_up = [], 0


def separable(
    frame: BlockMatrix,
    around: Iterable[list[Surroundings]],
    structure: Structure,
    couplings: Mapping[int, Floats],
    *,
    sign: float = 1.0,
) -> tuple[BlockMatrix, ...]:
    """sum_A |beta A> D_A <beta A| of some operators on the pairs of a matrix, exactly symmetric or antisymmetric.

    Args:
        frame: Names the pairs.
        around: From :func:`surroundings`.
        structure: The structure.
        couplings: Element -> D of each operator, (operator, beta, beta).
        sign: 1 where D is symmetric, -1 where it is antisymmetric.
    """
    values = np.zeros((len(next(iter(couplings.values()))), len(frame.values)))
    for chunk in around:
        ends = [np.triu_indices(len(s.neighbours)) for s in chunk]
        for s, (a, b), edges in zip(chunk, ends, find_edges(frame, chunk, ends), strict=True):
            coupling = couplings[int(structure.numbers[s.atom])]
            left = {z: x.reshape(-1, x.shape[-1]) @ coupling for z, x in s.overlaps.items()}  # (operator, row, beta)
            for z, members in s.kinds.items():
                for y, others in s.kinds.items():
                    inside = (a >= members.start) & (a < members.stop) & (b >= others.start) & (b < others.stop)
                    inside &= edges >= 0
                    if not inside.any():
                        continue
                    bra, ket = s.overlaps[z], s.overlaps[y]
                    halved = a[inside] == b[inside]  # the other half comes with the adjoint below
                    for k, rows in enumerate(left[z]):
                        product = (rows @ ket.reshape(-1, ket.shape[-1]).T).reshape(*bra.shape[:2], *ket.shape[:2])
                        picked = product[a[inside] - members.start, :, b[inside] - others.start]
                        picked[halved] *= 0.5
                        places, sums = sum_equal(edges[inside], picked.reshape(len(picked), -1))
                        values[k, frame.pointers[places][:, None] + np.arange(sums.shape[1])] += sums
    halves = [frame.with_values(v) for v in values]
    return tuple(h.with_values(h.values + sign * h.adjoint().on_pairs_of(h).values) for h in halves)


def find_edges(
    frame: BlockMatrix, chunk: list[Surroundings], ends: list[tuple[Indices, Indices]]
) -> list[Indices]:
    """Pairs of a matrix that join two neighbours of an atom, -1 where it stores none.

    Args:
        frame: The matrix.
        chunk: Surroundings of some atoms.
        ends: For each of them positions of the first and of the second neighbour.
    """
    pairs = np.concatenate(
        [np.stack([s.neighbours[a], s.neighbours[b]], axis=1) for s, (a, b) in zip(chunk, ends, strict=True)]
    )
    shifts = np.concatenate([s.shifts[b] - s.shifts[a] for s, (a, b) in zip(chunk, ends, strict=True)])
    edges = frame.find(pairs, shifts)
    return np.split(edges, np.cumsum([len(a) for a, _ in ends])[:-1])


def sum_equal(edges: Indices, blocks: Floats) -> tuple[Indices, Floats]:
    """Each pair once, with the sum of its blocks: in small cells an atom has images that join the same pair.

    Args:
        edges: Pair of each block, (block,).
        blocks: (block, ...).
    """
    order = np.argsort(edges, kind="stable")
    each, starts = np.unique(edges[order], return_index=True)
    if len(each) == len(edges):  # in large cells, where moving the blocks takes a third of the time
        return edges, blocks
    return each, np.add.reduceat(blocks[order], starts, axis=0)


@dataclass(frozen=True)
class _Key:
    """Projectors that can be looked up: those of equal numbers are equal."""

    projectors: Projectors

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.projectors.radii.items())), self.projectors.exponents, self.projectors.l_max))


def tabulate(z: int, shell: Shell) -> NumericalRadial:
    """The radial function of a shell of element z as a table; a Gaussian one ends where its pairs end.

    Raises:
        HarmoseError: The shell has no radial function.
    """
    if isinstance(shell.radial, NumericalRadial):
        return shell.radial
    r = np.arange(0.0, shell_cutoff(z, shell) + STEP, STEP)
    assert isinstance(shell.radial, GaussianRadial)  # shell_cutoff refuses shells without a function
    return NumericalRadial(r, radial_values(shell.l, shell.radial, r))


@lru_cache(maxsize=8)
def _tables(basis: OrbitalBasis, key: _Key) -> dict[tuple[int, int], NumericalTable]:
    """Tables of <phi | beta> by (element of beta, element of phi)."""
    projectors = key.projectors
    orbitals = {z: [(s.l, tabulate(z, s)) for s in shells] for z, shells in basis.shells.items()}
    betas = {z: projectors.radials(z) for z in basis.elements}
    grid = grid_for([f for functions in (*orbitals.values(), *betas.values()) for f in functions])

    def transform(functions: list[tuple[int, NumericalRadial]]) -> list[NumericalTransform]:
        return grid.transforms([(radial, term) for l, radial in functions for term in identity(l)])

    bra = {z: transform(f) for z, f in orbitals.items()}
    ket = {z: transform(f) for z, f in betas.items()}
    cutoffs = orbital_cutoffs(basis)
    return {
        (a, b): NumericalTable(bra[b], ket[a], grid, projectors.radii[a] + cutoffs[b])
        for a in basis.elements for b in basis.elements
    }

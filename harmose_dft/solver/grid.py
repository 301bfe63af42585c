"""The electron density of a crystal on a uniform grid, from its density matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.orbitals import radial_function
from ..core.rotations import real_harmonics
from ..core.structure import Structure

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Shape = tuple[int, int, int]

BRICK = 2.0
"""Edge in Bohr of the bricks that the grid is divided into."""

MOST_POINTS = 4096
"""Points of a brick of a coarse or a fine grid."""


@dataclass(frozen=True, eq=False)
class _Element:
    """Orbitals of one element: each shell's angular momentum and radial function, and the largest cutoff (Bohr)."""

    shells: tuple[tuple[int, Callable[[Floats], Floats]], ...]
    cutoff: float

    def values(self, vectors: Floats, distances: Floats) -> Floats:
        """All orbitals (point, orbital) at vectors (point, 3) from the nucleus."""
        directions = vectors / np.maximum(distances, np.finfo(float).tiny)[:, None]
        harmonics = {l: real_harmonics(l, directions) for l in {l for l, _ in self.shells}}
        return np.concatenate([radial(distances)[:, None] * harmonics[l] for l, radial in self.shells], axis=1)


@dataclass(frozen=True, eq=False)
class _Images:
    """Atoms of all cells whose orbitals reach the cell: index, lattice shift (3,) and position (3,) of each."""

    atoms: Integers
    shifts: Integers
    positions: Floats


def density_on_grid(density: BlockMatrix, structure: Structure, basis: OrbitalBasis, shape: Shape) -> Floats:
    """The density n(r) = sum_ij,R P_ij(R) phi_i(r) phi_j(r - R) of a crystal on a uniform grid of its cell.

    The grid is taken in bricks of about 2 Bohr. Within one, the orbitals that reach it are a matrix (point, orbital),
    and the density is the row sum of (Phi P) * Phi. Time and memory are linear in the number of atoms.

    Args:
        density: P(R), real and spatial, of one spin direction or of both, on all pairs whose orbitals overlap.
        structure: The crystal.
        basis: Its orbitals, with radial functions that end at a cutoff.
        shape: Number of points along the lattice vectors; point (a, b, c) is at a/n1 A1 + b/n2 A2 + c/n3 A3.

    Returns:
        Bohr^-3, of the given shape.

    Raises:
        SolverError: The structure has no cell, the shape is no grid, the matrix is one of spinors or of other atoms, or
            the basis has no radial functions with a cutoff.
    """
    _require(density, structure, basis, shape)
    assert structure.cell is not None
    elements = {z: _element(basis, z) for z in sorted(set(structure.numbers.tolist()))}
    reach = np.array([elements[z].cutoff for z in structure.numbers.tolist()])
    images = _images_of(structure, float(reach.max()))
    width = int(density.orbitals.max())
    blocks = _pad_blocks(density, width)
    out = np.zeros(shape)
    for region, points, center, radius in _bricks(structure.cell, shape):
        distance = np.linalg.norm(images.positions - center, axis=1)
        near = np.flatnonzero(distance < reach[images.atoms] + radius)
        if len(near) == 0:
            continue
        local = _Images(images.atoms[near], images.shifts[near], images.positions[near])
        orbitals = _orbitals_at(points, local, structure, elements, width)
        matrix = _local_matrix(density, blocks, local)
        out[region] = np.einsum("pi,pi->p", orbitals @ matrix, orbitals).reshape(out[region].shape)
    return out


def count_on_grid(values: Floats, cell: Floats) -> float:
    """Integral over the cell of a function on a uniform grid: the mean of its values times the volume (Bohr^3)."""
    return float(values.mean() * abs(np.linalg.det(cell)))


def _require(density: BlockMatrix, structure: Structure, basis: OrbitalBasis, shape: Shape) -> None:
    if structure.cell is None:
        raise SolverError(f"{structure.formula} has no cell; the grid of a density divides the cell of a crystal.")
    if len(shape) != 3 or min(shape) < 1:
        raise SolverError(f"A grid has a positive number of points along three lattice vectors; got {shape}.")
    if density.spinor or density.values.dtype.kind == "c":
        raise SolverError("The density matrix must be real and spatial; add the spin components of spinors first.")
    if not basis.restrict(structure.numbers.tolist()).has_cutoffs:
        raise SolverError(f"The orbitals of {basis.name} have no radial functions that end at a cutoff.")
    if not np.array_equal(basis.orbitals_per_atom(structure.numbers), density.orbitals):
        raise SolverError(f"The density matrix is not one of {structure.formula} in the basis {basis.name}.")


def _element(basis: OrbitalBasis, z: int) -> _Element:
    shells, cutoffs = [], []
    for shell in basis.shells[z]:
        assert shell.radial is not None
        assert shell.radial.cutoff is not None
        shells.append((shell.l, radial_function(shell.l, shell.radial)))
        cutoffs.append(shell.radial.cutoff)
    return _Element(tuple(shells), max(cutoffs))


def _images_of(structure: Structure, reach: float) -> _Images:
    """Images within ``reach`` of the cell."""
    assert structure.cell is not None
    inverse = np.linalg.inv(structure.cell)
    fractional = structure.positions @ inverse
    # A distance d is at most d |column| of a fractional coordinate: the columns are the reciprocal vectors.
    margin = reach * np.linalg.norm(inverse, axis=0)
    first, last = np.ceil(-margin - fractional.max(axis=0)), np.floor(1 + margin - fractional.min(axis=0))
    spans = [np.arange(a, b + 1, dtype=np.int64) for a, b in zip(first, last, strict=True)]
    shifts = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    coordinates = shifts[:, None] + fractional
    row, atom = np.nonzero(((coordinates >= -margin) & (coordinates <= 1 + margin)).all(axis=2))
    return _Images(atom, shifts[row], structure.positions[atom] + shifts[row] @ structure.cell)


def _bricks(cell: Floats, shape: Shape) -> Iterator[tuple[tuple[slice, slice, slice], Floats, Floats, float]]:
    """Bricks of the grid: their place in it, points (point, 3), center (3,) and radius in Bohr."""
    spacing = np.linalg.norm(cell, axis=1) / np.array(shape)
    edges = np.minimum(np.maximum(np.ceil(BRICK / spacing), 1), np.array(shape)).astype(int)
    while edges.prod() > MOST_POINTS:
        edges[edges.argmax()] = (edges.max() + 1) // 2
    steps = cell / np.array(shape)[:, None]
    starts = [range(0, n, edge) for n, edge in zip(shape, edges.tolist(), strict=True)]
    for corner in ((a, b, c) for a in starts[0] for b in starts[1] for c in starts[2]):
        ends = [min(start + edge, n) for start, edge, n in zip(corner, edges.tolist(), shape, strict=True)]
        axes = [np.arange(start, end) for start, end in zip(corner, ends, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ steps
        center = 0.5 * (points[0] + points[-1])
        radius = float(np.linalg.norm(points - center, axis=1).max())
        a, b, c = (slice(start, end) for start, end in zip(corner, ends, strict=True))
        yield (a, b, c), points, center, radius


def _orbitals_at(
    points: Floats, images: _Images, structure: Structure, elements: dict[int, _Element], width: int
) -> Floats:
    """Orbitals (point, image * width) of the images; zero beyond the orbitals that an element has."""
    out = np.zeros((len(points), len(images.atoms), width))
    numbers = structure.numbers[images.atoms]
    for z in sorted(set(numbers.tolist())):
        members = np.flatnonzero(numbers == z)
        vectors = points[:, None] - images.positions[members]
        distances = np.linalg.norm(vectors, axis=2)
        point, member = np.nonzero(distances < elements[z].cutoff)
        values = elements[z].values(vectors[point, member], distances[point, member])
        out[point, members[member], : values.shape[1]] = values
    return out.reshape(len(points), -1)


def _pad_blocks(density: BlockMatrix, width: int) -> Floats:
    """Blocks (edge + 1, width, width) filled up with zeros; the last one is zero and stands for pairs not stored."""
    out = np.zeros((len(density) + 1, width, width))
    for edges, index in density.groups(density.orbitals):
        _, rows, columns = index.shape
        out[edges, :rows, :columns] = density.values[index]
    return out


def _local_matrix(density: BlockMatrix, blocks: Floats, images: _Images) -> Floats:
    """P (image * width, image * width) between the images: the block of (i, S) and (j, S') is P_ij(S' - S)."""
    n, width = len(images.atoms), blocks.shape[1]
    first, second = (index.ravel() for index in np.indices((n, n)))
    pairs = np.stack([images.atoms[first], images.atoms[second]], axis=1)
    edges = density.find(pairs, images.shifts[second] - images.shifts[first])
    return np.ascontiguousarray(blocks[edges].reshape(n, n, width, width).swapaxes(1, 2)).reshape(n * width, n * width)

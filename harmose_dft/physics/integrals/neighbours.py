"""Atom pairs within the sum of two radii, periodic images included, for any shape of cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ...core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from ...core.errors import HarmoseError
from ...core.orbitals import radial_values
from ...core.structure import SYMBOLS, Structure

GAUSSIAN_TAIL = 1e-10
"""Magnitude of R(r) (Bohr^-3/2) below which a Gaussian orbital counts as zero."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Atoms (edge, 2) and lattice shifts (edge, 3)."""


def neighbour_pairs(structure: Structure, cutoffs: ArrayLike) -> Pairs:
    """All pairs (i, j, shift) with |r_j + shift . cell - r_i| < c_i + c_j, both directions, each atom with itself too.

    Exact for every cell, however skewed or small: images are taken as far as the largest sum of radii reaches.
    Shifts belong to the positions as they are, whether or not they lie inside the cell.

    Args:
        structure: Molecule or crystal.
        cutoffs: Radius of each atom in Bohr, (atom,).

    Returns:
        Atoms (edge, 2) and shifts (edge, 3), sorted by atom i, atom j, shift.

    Raises:
        HarmoseError: There is not one non-negative radius per atom.
    """
    radii = np.asarray(cutoffs, dtype=np.float64)
    if radii.shape != (len(structure),) or not (radii >= 0).all():
        raise HarmoseError(f"Cutoffs must be {len(structure)} non-negative radii, one per atom; got {cutoffs!r}.")
    positions_in_cell, cell_of = _fold(structure)
    image_atom, image_shift, image = _images(structure, positions_in_cell, 2 * radii.max())
    near = cKDTree(positions_in_cell).sparse_distance_matrix(cKDTree(image), 2 * radii.max(), output_type="ndarray")
    i, j = near["i"], image_atom[near["j"]]
    # The images belong to folded atoms; shifts count from the cells that the atoms were folded from.
    shift = image_shift[near["j"]] + cell_of[i] - cell_of[j]
    # One direction of every pair; the other one is its mirror image, exactly.
    forward = ((i < j) | ((i == j) & _is_positive(shift))) & (near["v"] < radii[i] + radii[j])
    i, j, shift = i[forward], j[forward], shift[forward]
    atoms = np.arange(len(structure))
    pairs = np.concatenate([np.stack([atoms, atoms], 1), np.stack([i, j], 1), np.stack([j, i], 1)])
    shifts = np.concatenate([np.zeros((len(atoms), 3), dtype=np.int64), shift, -shift])
    order = np.lexsort((*shifts.T[::-1], pairs[:, 1], pairs[:, 0]))
    return pairs[order].astype(np.int64), shifts[order]


def overlapping_pairs(structure: Structure, basis: OrbitalBasis) -> Pairs:
    """Atoms (edge, 2) and lattice shifts (edge, 3) of all pairs within the sum of the orbital cutoffs.

    Raises:
        BasisMismatchError: The basis lacks an element of the structure.
        HarmoseError: A shell has no radial function.
    """
    cutoffs = orbital_cutoffs(basis.restrict(structure.numbers.tolist()))
    return neighbour_pairs(structure, [cutoffs[z] for z in structure.numbers.tolist()])


def orbital_cutoffs(basis: OrbitalBasis) -> dict[int, float]:
    """Radius in Bohr beyond which every orbital of an element vanishes, by atomic number.

    Gaussian orbitals without a cutoff of their own count as zero below :data:`GAUSSIAN_TAIL`.

    Raises:
        HarmoseError: A shell has no radial function.
    """
    return {z: max((shell_cutoff(z, s) for s in shells), default=0.0) for z, shells in basis.shells.items()}


def shell_cutoff(z: int, shell: Shell) -> float:
    """Radius in Bohr beyond which one shell of element z vanishes.

    Raises:
        HarmoseError: The shell has no radial function.
    """
    match shell.radial:
        case NumericalRadial(r, values):
            return float(r[min(np.flatnonzero(values)[-1] + 1, len(r) - 1)]) if values.any() else 0.0
        case GaussianRadial(cutoff=float(cutoff)):
            return cutoff
        case GaussianRadial():
            r = np.geomspace(1e-3, 1e3, 6001)
            return float(r[np.flatnonzero(np.abs(radial_values(shell.l, shell.radial, r)) > GAUSSIAN_TAIL)[-1] + 1])
        case _:
            raise HarmoseError(
                f"A shell of {SYMBOLS[z]} (l = {shell.l}) has no radial function, so its integrals cannot be computed. "
                "Read the basis with its orbital files (.orb, .pao) or from the code that defines it."
            )


def _fold(structure: Structure) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions inside the cell and the cell each atom was taken from, (atom, 3) each."""
    if structure.cell is None:
        return structure.positions, np.zeros((len(structure), 3), dtype=np.int64)
    cell_of = np.floor(np.linalg.solve(structure.cell.T, structure.positions.T).T).astype(np.int64)
    return structure.positions - cell_of @ structure.cell, cell_of


def _images(
    structure: Structure, positions_in_cell: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Atom, shift and position of every image that may lie within ``reach`` of an atom of the home cell."""
    atoms = np.arange(len(positions_in_cell))
    if structure.cell is None:
        return atoms, np.zeros((len(positions_in_cell), 3), dtype=np.int64), positions_in_cell
    inverse = np.linalg.inv(structure.cell)
    # A distance d is at most d |column| of a fractional coordinate: the columns are the reciprocal vectors.
    margin = reach * np.linalg.norm(inverse, axis=0)
    spans = [np.arange(-n, n + 1) for n in np.ceil(margin).astype(int)]
    shifts = np.stack(np.meshgrid(*spans, indexing="ij"), -1).reshape(-1, 3)
    fractional = positions_in_cell @ inverse
    is_near = np.ones((len(shifts), len(positions_in_cell)), dtype=bool)
    for axis in range(3):
        home_axis = fractional[:, axis]
        coordinate = shifts[:, None, axis] + home_axis
        is_near &= (coordinate >= home_axis.min() - margin[axis]) & (coordinate <= home_axis.max() + margin[axis])
    row, atom = np.nonzero(is_near)
    return atom, shifts[row], positions_in_cell[atom] + shifts[row] @ structure.cell


def _is_positive(shifts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the first non-zero component of a shift is positive, (edge,)."""
    a, b, c = shifts.T
    return np.asarray((a > 0) | ((a == 0) & ((b > 0) | ((b == 0) & (c > 0)))))

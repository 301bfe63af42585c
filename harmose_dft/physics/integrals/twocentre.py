"""Overlap, kinetic energy, position and gradient matrices of a structure from the radial functions of its basis."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.matrix import BlockMatrix
from ...core.structure import Structure
from .elements import ElementIntegrals, element_integrals
from .neighbours import Pairs, overlapping_pairs
from .operators import Operator, derivative, displacement, identity, kinetic_energy

Floats = NDArray[np.float64]

CHUNK = 4096
"""Pairs handled at once, which bounds the memory."""


def overlap(structure: Structure, basis: OrbitalBasis, pairs: Pairs | None = None) -> BlockMatrix:
    """Overlap matrix S_ij(R) = <phi_i,0 | phi_j,R>.

    Args:
        structure: Molecule or crystal.
        basis: Orbitals with radial functions, all numerical or all Gaussian.
        pairs: Atoms (edge, 2) and shifts (edge, 3) to compute; every pair within the sum of the orbital cutoffs,
            both directions, if not given.

    Returns:
        Exactly Hermitian on pairs that are stored in both directions.

    Raises:
        BasisMismatchError: The basis lacks an element of the structure.
        HarmoseError: A shell has no radial function, or numerical and Gaussian functions are mixed.
    """
    return _scalar(identity, structure, basis, pairs)


def kinetic(structure: Structure, basis: OrbitalBasis, pairs: Pairs | None = None) -> BlockMatrix:
    """Kinetic-energy matrix T_ij(R) = <phi_i,0 | -nabla^2/2 | phi_j,R> in Hartree; arguments as :func:`overlap`."""
    return _scalar(kinetic_energy, structure, basis, pairs)


def position(
    structure: Structure, basis: OrbitalBasis, pairs: Pairs | None = None
) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Position matrices <phi_i,0 | q | phi_j,R> for q = x, y, z in Bohr; arguments as :func:`overlap`.

    The origin is that of the structure's coordinates. In a crystal the blocks of opposite pairs differ by a lattice
    vector: ``r_ji(-R) = r_ij(R)^T - R S_ij(R)^T``.
    """
    frame = zero_matrix(structure, basis, pairs)
    local = _evaluate(displacement, structure, basis, frame)
    overlaps = overlap(structure, basis, (frame.pairs, frame.shifts)).values
    centres = structure.positions[frame.pairs[:, 0]] + structure.pair_vectors(frame.pairs, frame.shifts)
    sizes = np.diff(frame.pointers)
    x, y, z = (frame.with_values(local[q] + np.repeat(centres[:, q], sizes) * overlaps) for q in range(3))
    return x, y, z


def gradient(
    structure: Structure, basis: OrbitalBasis, pairs: Pairs | None = None
) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Gradient matrices <phi_i,0 | d/dq | phi_j,R> for q = x, y, z in 1/Bohr; arguments as :func:`overlap`.

    The momentum is -i times this, and the derivative of S_ij(R) with respect to the position of atom j minus this.
    """
    frame = zero_matrix(structure, basis, pairs)
    x, y, z = (frame.with_values(v) for v in _evaluate(derivative, structure, basis, frame))
    return x, y, z


def zero_matrix(structure: Structure, basis: OrbitalBasis, pairs: Pairs | None = None) -> BlockMatrix:
    """Zero blocks on the given pairs or on all pairs within the sum of the orbital cutoffs; as :func:`overlap`."""
    orbitals = basis.orbitals_per_atom(structure.numbers)
    atoms, shifts = overlapping_pairs(structure, basis) if pairs is None else pairs
    atoms = np.asarray(atoms, dtype=np.int64)
    return BlockMatrix(orbitals, atoms, shifts, np.zeros(int(np.prod(orbitals[atoms], axis=1).sum())))


def _scalar(operator: Operator, structure: Structure, basis: OrbitalBasis, pairs: Pairs | None) -> BlockMatrix:
    """Matrix of a Hermitian scalar operator: one direction of every pair is computed, the other one copied."""
    frame = zero_matrix(structure, basis, pairs)
    z, reverse = structure.numbers[frame.pairs], frame.reverse_edges()
    # Of two directions the one that begins at the lighter element is computed (equal elements: the first in order).
    second = (z[:, 0] > z[:, 1]) | ((z[:, 0] == z[:, 1]) & (reverse < np.arange(len(frame))))
    is_copied = second & (reverse >= 0)
    on_site = reverse == np.arange(len(frame))
    values = _evaluate(operator, structure, basis, frame, ~is_copied)[0]
    for edges, index in frame.groups(structure.numbers):
        _, rows, columns = index.shape
        copies = np.flatnonzero(is_copied[edges])
        # Element (r, c) of a copied block is element (c, r) of its reverse, which has ``rows`` elements in each row.
        source = frame.pointers[reverse[edges[copies]], None, None] + np.arange(rows * columns).reshape(columns, rows).T
        values[index[copies]] = values[source]
        if on_site[edges].any():
            blocks = values[index[on_site[edges]]]
            values[index[on_site[edges]]] = 0.5 * (blocks + blocks.transpose(0, 2, 1))
    return frame.with_values(values)


def _evaluate(
    operator: Operator,
    structure: Structure,
    basis: OrbitalBasis,
    frame: BlockMatrix,
    chosen: NDArray[np.bool_] | None = None,
) -> Floats:
    """Values of every component of an operator on the pairs of a frame, (q, value); zero on pairs that are not chosen.

    The operator acts on the orbital of the second atom, relative to that atom.
    """
    integrals = _integrals(operator, basis.restrict(structure.numbers.tolist()))
    vectors = structure.pair_vectors(frame.pairs, frame.shifts)
    values = np.zeros((integrals.components, len(frame.values)))
    for edges, index in frame.groups(structure.numbers):
        z_bra, z_ket = structure.numbers[frame.pairs[edges[0]]].tolist()
        selected_edges = np.arange(len(edges)) if chosen is None else np.flatnonzero(chosen[edges])
        for start in range(0, len(selected_edges), CHUNK):
            part = selected_edges[start : start + CHUNK]
            values[:, index[part]] = integrals.blocks(z_bra, z_ket, vectors[edges[part]])
    return values


@lru_cache(maxsize=8)
def _integrals(operator: Operator, basis: OrbitalBasis) -> ElementIntegrals:
    """Tables of an operator, kept for the bases used last; bases are told apart by their fingerprint."""
    return element_integrals(operator, basis)

"""Charges, dipole and energy-weighted density matrix that follow from a spectrum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.arrays import running_sum
from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from .orthogonal import root
from .periodic import density_blocks

Array = NDArray[Any]
Floats = NDArray[np.float64]


def count_electrons(spectrum: Spectrum, overlap: BlockMatrix) -> float:
    """Number of electrons (per cell) in the density matrix, Tr(P S).

    Args:
        spectrum: Occupied orbitals of a molecule, or of a crystal on a full mesh of k-points.
        overlap: S, spatial.
    """
    spinors = spectrum.coefficients.shape[-2] != overlap.size
    overlap = overlap.with_spin() if spinors else overlap
    if spectrum.kpoints is None:
        return float(np.sum(spectrum.density_matrix().real * overlap.to_dense()))
    return sum(float(np.sum((p.values * overlap.values).real)) for p in density_blocks(spectrum, overlap))


def mulliken_charges(spectrum: Spectrum, overlap: BlockMatrix, charges: ArrayLike) -> Floats:
    """Mulliken charges Z_a - sum_{mu in a} (P S)_mu,mu in units of e, (atom,).

    R. S. Mulliken, J. Chem. Phys. 23, 1833 (1955).

    Args:
        spectrum: Occupied orbitals of a molecule or crystal.
        overlap: S, spatial.
        charges: Nuclear charges, or those of the ion cores with pseudopotentials, (atom,).
    """
    populations = np.zeros(overlap.size)
    for weight, occupations, c, s in _states(spectrum, overlap):
        populations += weight * _sum_spins(_mulliken_weights(c, s) @ occupations, overlap.size)
    return _charges(populations, overlap, charges)


def loewdin_charges(spectrum: Spectrum, overlap: BlockMatrix, charges: ArrayLike) -> Floats:
    """Loewdin charges Z_a - sum_{mu in a} (S^1/2 P S^1/2)_mu,mu in units of e, (atom,).

    P.-O. Loewdin, J. Chem. Phys. 18, 365 (1950).

    Args:
        spectrum: Occupied orbitals of a molecule or crystal.
        overlap: S, spatial.
        charges: Nuclear charges, or those of the ion cores with pseudopotentials, (atom,).
    """
    populations = np.zeros(overlap.size)
    for weight, occupations, c, s in _states(spectrum, overlap):
        populations += weight * _sum_spins(np.abs(root(s) @ c) ** 2 @ occupations, overlap.size)
    return _charges(populations, overlap, charges)


def state_populations(spectrum: Spectrum, overlap: BlockMatrix) -> Floats:
    """Mulliken weight Re C_mu,n^* (S C)_mu,n of every orbital mu in every state n, (..., ao, mo).

    The weights of a state sum to one. Spinors are summed over spin.

    Args:
        spectrum: States of a molecule or crystal.
        overlap: S, spatial.
    """
    weights = [_sum_spins(_mulliken_weights(c, s), overlap.size) for _, _, c, s in _states(spectrum, overlap)]
    return np.stack(weights).reshape(*spectrum.energies.shape[:-1], overlap.size, spectrum.energies.shape[-1])


def dipole(density: Floats, position_integrals: Floats, positions: Floats, charges: ArrayLike) -> Floats:
    """Dipole sum_a Z_a R_a - sum_{mu,nu} P_mu,nu <mu|r|nu> of a molecule in e Bohr, (3,).

    It is independent of the origin for a neutral molecule only. That of an ion of charge Q about another point R is
    smaller by Q R; R = sum_a Z_a R_a / sum_a Z_a, the centre of the nuclear charges, is a usual choice.

    Args:
        density: P, (ao, ao).
        position_integrals: <mu|r|nu> in Bohr, (3, ao, ao), with the origin of the positions.
        positions: Bohr, (atom, 3).
        charges: Nuclear charges, or those of the ion cores, (atom,).

    Raises:
        SolverError: Density and integrals disagree in shape.
    """
    if position_integrals.shape != (3, *density.shape):
        raise SolverError(
            f"Position integrals for this density must have shape {(3, *density.shape)}; got "
            f"{position_integrals.shape}."
        )
    electrons = np.einsum("xpq,qp->x", position_integrals, density)
    return np.asarray(np.asarray(charges, dtype=np.float64) @ positions - electrons)


def energy_weighted_density_matrix(spectrum: Spectrum) -> Floats:
    """W = C n eps C^+ of a molecule, (ao, ao) in Hartree; Tr(W S) is the sum of orbital energies.

    Raises:
        SolverError: The spectrum holds k-points.
    """
    if spectrum.energies.ndim != 1:
        raise SolverError("A crystal's energy-weighted density matrix has blocks; use energy_weighted_density_blocks.")
    c = spectrum.coefficients
    return np.asarray((c * (spectrum.occupations * spectrum.energies)) @ c.conj().T)


def energy_weighted_density_blocks(spectrum: Spectrum, pattern: BlockMatrix) -> tuple[BlockMatrix, ...]:
    """W(R) on the pairs of a matrix, one per spin direction; see :func:`~harmose_dft.solver.density_blocks`."""
    return density_blocks(replace(spectrum, occupations=spectrum.occupations * spectrum.energies), pattern)


def _states(spectrum: Spectrum, overlap: BlockMatrix) -> Iterator[tuple[float, Floats, Array, Array]]:
    """(weight, occupations, coefficients, S(k)) of every spin direction and k-point."""
    ao = spectrum.coefficients.shape[-2]
    if ao not in (overlap.size, 2 * overlap.size):
        raise SolverError(f"Coefficients of {ao} orbitals do not fit an overlap of {overlap.size} (for spinors half).")
    s = overlap if ao == overlap.size else overlap.with_spin()
    kpoints = np.zeros((1, 3)) if spectrum.kpoints is None else spectrum.kpoints
    weights = np.ones(1) if spectrum.weights is None else spectrum.weights
    matrices = [s.at(k) for k in kpoints]
    mo = spectrum.energies.shape[-1]
    occupations = spectrum.occupations.reshape(-1, len(kpoints), mo)
    coefficients = spectrum.coefficients.reshape(-1, len(kpoints), ao, mo)
    for f, c in zip(occupations, coefficients, strict=True):
        yield from zip(weights.tolist(), f, c, matrices, strict=True)


def _mulliken_weights(coefficients: Array, s: Array) -> Floats:
    return np.asarray((coefficients.conj() * (s @ coefficients)).real)


def _sum_spins(populations: Floats, size: int) -> Floats:
    """Populations summed over the two spins of spinors."""
    return populations if len(populations) == size else populations[:size] + populations[size:]


def _charges(populations: Floats, overlap: BlockMatrix, charges: ArrayLike) -> Floats:
    starts = running_sum(overlap.orbitals)[:-1]
    return np.asarray(charges, dtype=np.float64) - np.add.reduceat(populations, starts)

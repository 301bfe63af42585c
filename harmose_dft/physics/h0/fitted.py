"""A physics baseline fitted to data: superposed atomic potentials, corrected by neutral Gaussian charges.

H0 = T + V_SAP + sum_A sum_k q_k(Z_A) <i| erf(sqrt(a_k) r_A) / r_A |j>, sum_k q_k(Z) = 0 for every element.

The charges are the same for all atoms of an element; H0 costs little more than SAP (analytic three-centre integrals)
and is exactly covariant. They are fitted to Kohn-Sham matrices by least absolute deviations, which makes up on average
for what superposed potentials miss: the non-additivity of exchange and correlation, and the change of the atomic
densities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..adapters.pyscf import to_mole, to_ours
from ..core.basis import OrbitalBasis
from ..core.errors import DataError, DomainError
from ..core.structure import SYMBOLS, Structure
from .h0 import SapBaseline, atomic_charges, charge_attraction

CARRIER = 6
"""Element (carbon) whose charges in the SAP fit have the exponents that every element's fitted charges have too."""


def fitted_exponents() -> tuple[float, ...]:
    """Exponents a_k of the fitted charges, Bohr^-2: those of the SAP fit, narrowest first.

    The SAP fit uses one even-tempered series for all elements, so charges of equal width merge into one and H0 costs
    no more three-centre integrals than SAP (on hydrogen, whose SAP fit is shorter, three more).
    """
    return tuple(a for a, _ in atomic_charges("sapgraspsmall", CARRIER)[1:])


RIDGE = 1e-7
"""Penalty on squared charges, relative to the largest column norm; keeps nearly redundant widths from cancelling."""

ITERATIONS = 12
"""Rounds of iteratively reweighted least squares, which turn squared into absolute deviations."""

SMALLEST_DEVIATION = 1e-4
"""Hartree; deviations below it are weighted as if they were this large."""

Charges = Mapping[int, Sequence[tuple[float, float]]]


class FittedPotentialBaseline:
    """H0 = T + V_SAP + the potential of fitted neutral Gaussian charges.

    Args:
        basis: Basis of contracted Gaussians.
        charges: Element -> (exponent in Bohr^-2, charge) pairs.
    """

    kind = "fitted"

    def __init__(self, basis: OrbitalBasis, charges: Charges) -> None:
        self.basis = basis
        self.charges = {int(z): tuple((float(a), float(q)) for a, q in pairs) for z, pairs in charges.items()}
        self._sap = SapBaseline(basis)

    def matrix(self, structure: Structure) -> NDArray[np.float64]:
        """H0 in Hartree, (ao, ao), in our convention.

        Raises:
            DomainError: An element was not fitted.
        """
        present = sorted(set(structure.numbers.tolist()))
        missing = [SYMBOLS[z] for z in present if z not in self.charges]
        if missing:
            raise DomainError(f"The fitted potentials do not cover {', '.join(missing)}.")
        return self._sap.matrix(structure, {z: self.charges[z] for z in present})


def fit_potentials(
    structures: Sequence[Structure], hamiltonians: Sequence[NDArray[np.float64]], basis: OrbitalBasis
) -> FittedPotentialBaseline:
    """Charges that minimise the mean absolute deviation of H0 over calculations.

    Args:
        structures: Molecules that contain every element to be fitted.
        hamiltonians: Their Kohn-Sham matrices in our convention, Hartree, (ao, ao) each.
        basis: Their basis.

    Raises:
        DataError: There is nothing to fit to.
    """
    if not structures:
        raise DataError("Atomic potentials cannot be fitted to an empty training set.")
    elements = sorted({int(z) for s in structures for z in s.numbers})
    sap = SapBaseline(basis)
    columns, targets, weights = [], [], []
    for structure, hamiltonian in zip(structures, hamiltonians, strict=True):
        lower = np.tril_indices(len(hamiltonian))
        columns.append(_columns(structure, basis, elements)[lower])
        targets.append((sap.matrix(structure) - hamiltonian)[lower])
        weights.append(np.where(lower[0] == lower[1], 1.0, 2.0) / len(hamiltonian) ** 2)
    solution = _least_absolute(np.concatenate(columns), np.concatenate(targets), np.concatenate(weights))
    exponents = fitted_exponents()
    free = solution.reshape(len(elements), len(exponents) - 1)
    charges = np.concatenate([free, -free.sum(axis=1, keepdims=True)], axis=1)
    return FittedPotentialBaseline(
        basis, {z: tuple(zip(exponents, q.tolist(), strict=True)) for z, q in zip(elements, charges, strict=True)}
    )


def _columns(structure: Structure, basis: OrbitalBasis, elements: Sequence[int]) -> NDArray[np.float64]:
    """Matrices of a unit charge of each element and width minus one of the widest, (ao, ao, column)."""
    exponents = fitted_exponents()
    mol = to_mole(structure, basis)
    n = int(basis.orbitals_per_atom(structure.numbers).sum())
    out = np.zeros((n, n, len(elements) * (len(exponents) - 1)))
    for e, z in enumerate(elements):
        own = structure.numbers == z
        if not own.any():
            continue
        atoms = Structure(structure.numbers[own], structure.positions[own])
        unit = [to_ours(charge_attraction(mol, atoms, {z: ((a, 1.0),)}), basis, structure.numbers) for a in exponents]
        for k in range(len(exponents) - 1):
            out[:, :, e * (len(exponents) - 1) + k] = unit[k] - unit[-1]
    return out


def _least_absolute(
    columns: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """argmin_q sum_i w_i |y_i - (X q)_i| by iteratively reweighted least squares."""
    current = weights
    solution: NDArray[np.float64] = np.zeros(columns.shape[1])
    for _ in range(ITERATIONS):
        scaled = columns * current[:, None]
        normal = columns.T @ scaled
        normal[np.diag_indices_from(normal)] += RIDGE * normal.diagonal().max()
        solution = np.asarray(np.linalg.solve(normal, scaled.T @ target), dtype=np.float64)
        current = weights / np.maximum(np.abs(target - columns @ solution), SMALLEST_DEVIATION)
    return np.asarray(solution)

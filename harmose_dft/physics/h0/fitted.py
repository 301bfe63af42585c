"""H0 fitted to calculations: superposed atomic potentials, corrected by neutral Gaussian charges.

H0 = T + V_SAP + sum_A sum_k q_k(Z_A) <i| erf(sqrt(a_k) r_A) / r_A |j>, sum_k q_k(Z) = 0 for every element.

The charges are the same for all atoms of an element; H0 costs little more than SAP (analytic three-centre integrals)
and is exactly covariant. They are fitted to Kohn-Sham matrices by least absolute deviations, which makes up on average
for what superposed potentials miss: the non-additivity of exchange and correlation, and the change of the atomic
densities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf import to_mole, to_ours
from ...core.basis import OrbitalBasis
from ...core.errors import DataError, DomainError
from ...core.record import Record
from ...core.structure import SYMBOLS, Structure
from ..integrals.charges import AtomCharges, charge_attraction
from ..integrals.net_charge import net_charge_potential
from ..least_absolute import least_absolute
from .base import GaussianH0, H0Settings, choose_holding
from .sap import POTENTIAL, atomic_charges, sap_matrix

CARRIER = 6
"""Element (carbon) whose charges in the SAP fit have the exponents that every element's fitted charges have too."""

FIT_ORBITALS = 140
"""Potentials are fitted to molecules of at most this many orbitals, where there are enough of them."""


class FittedH0(GaussianH0):
    """T, a superposition of atomic potentials V_SAP, and the potential of fitted neutral Gaussian charges.

    Args:
        basis: Basis of contracted Gaussians.
        charges: Element -> its charges.
    """

    kind = "fitted"

    def __init__(self, basis: OrbitalBasis, charges: Mapping[int, AtomCharges]) -> None:
        super().__init__(basis)
        self.charges = {int(z): tuple((float(a), float(q)) for a, q in pairs) for z, pairs in charges.items()}

    def dense(self, structure: Structure) -> NDArray[np.float64]:
        """H0 in Hartree, (ao, ao), in our convention.

        Raises:
            DomainError: An element was not fitted.
        """
        present = sorted(set(structure.numbers.tolist()))
        missing = [SYMBOLS[z] for z in present if z not in self.charges]
        if missing:
            raise DomainError(
                f"The fitted potentials do not cover {', '.join(missing)}. Train with these elements, or leave them "
                "out."
            )
        return sap_matrix(structure, self.basis, {z: self.charges[z] for z in present})

    @classmethod
    def fit(
        cls, basis: OrbitalBasis, functional: str, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> Self:
        """Charges fitted to a random choice of the training set, in which every element occurs."""
        chosen = choose_records(records, basis, settings.fit_structures, seed)
        return cls(basis, fit_charges([r.structure for r in chosen], _neutral_hamiltonians(chosen), basis))

    def extend(self, basis: OrbitalBasis, records: Sequence[Record], settings: H0Settings, seed: int) -> FittedH0:
        """The same charges, and those of new elements, fitted to a random choice of calculations that hold them.

        As in :meth:`fit`, elements that no calculation holds have none.
        """
        new = sorted(set(basis.elements) - set(self.charges))
        chosen = choose_holding(records, new, settings.fit_structures, seed) if new else []
        if not chosen:
            return FittedH0(basis, self.charges)
        structures, hamiltonians = [r.structure for r in chosen], _neutral_hamiltonians(chosen)
        return FittedH0(basis, {**self.charges, **fit_charges(structures, hamiltonians, basis, self.charges)})

    def describe(self) -> dict[str, Any]:
        """The kind and the charges of each element."""
        return {"kind": self.kind, "charges": {str(z): [list(p) for p in q] for z, q in self.charges.items()}}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        return cls(basis, description["charges"])


def choose_records(records: Sequence[Record], basis: OrbitalBasis, count: int, seed: int) -> list[Record]:
    """Calculations to fit to: small ones at random, then large ones, then one for each element that is missing.

    Args:
        records: The training set.
        basis: Its basis, which names the elements.
        count: How many calculations are wanted.
        seed: Seed of the random choice.
    """
    small: list[Record] = []
    large: list[Record] = []
    for i in np.random.default_rng(seed).permutation(len(records)):
        record = records[int(i)]
        (small if record.overlap.size <= FIT_ORBITALS else large).append(record)
        if len(small) == count:
            break
    chosen = (small + large)[:count]
    missing = set(basis.elements) - {int(z) for r in chosen for z in r.structure.numbers}
    for record in records if missing else ():
        if missing & set(record.structure.numbers.tolist()):
            chosen.append(record)
            missing -= set(record.structure.numbers.tolist())
    return chosen


def _neutral_hamiltonians(records: Sequence[Record]) -> list[NDArray[np.float64]]:
    """H of calculations without the potential of their net charge, Hartree, (ao, ao) each."""
    matrices = []
    for record in records:
        matrix = record.hamiltonian[0].to_dense()
        if record.structure.charge:
            matrix = matrix - net_charge_potential(record.structure, record.basis)
        matrices.append(matrix)
    return matrices


def choose_exponents() -> tuple[float, ...]:
    """Exponents a_k of the fitted charges, Bohr^-2: those of the SAP fit, narrowest first.

    The SAP fit uses one even-tempered series for all elements, so charges of equal width merge into one and H0 costs
    no more three-centre integrals than SAP (on hydrogen, whose SAP fit is shorter, three more).
    """
    return tuple(a for a, _ in atomic_charges(POTENTIAL, CARRIER)[1:])


def fit_charges(
    structures: Sequence[Structure],
    hamiltonians: Sequence[NDArray[np.float64]],
    basis: OrbitalBasis,
    fixed: Mapping[int, AtomCharges] | None = None,
) -> dict[int, tuple[tuple[float, float], ...]]:
    """Charges of each element that minimise the mean absolute deviation of H0 over calculations.

    Args:
        structures: Molecules that contain every element to be fitted.
        hamiltonians: Their Kohn-Sham matrices in our convention, Hartree, (ao, ao) each.
        basis: Their basis.
        fixed: Charges of elements that keep theirs; only those of the others are fitted and returned.

    Raises:
        DataError: There is nothing to fit to.
    """
    if not structures:
        raise DataError("Atomic potentials cannot be fitted to an empty training set.")
    fixed = fixed or {}
    elements = sorted({int(z) for s in structures for z in s.numbers} - set(fixed))
    columns, targets, weights = [], [], []
    for structure, hamiltonian in zip(structures, hamiltonians, strict=True):
        lower = np.tril_indices(len(hamiltonian))
        columns.append(_columns(structure, basis, elements)[lower])
        extra = {z: fixed[z] for z in set(structure.numbers.tolist()) & set(fixed)}
        targets.append((sap_matrix(structure, basis, extra) - hamiltonian)[lower])
        # An element off the diagonal counts twice; every molecule counts the same, whatever its size.
        weights.append(np.where(lower[0] == lower[1], 1.0, 2.0) / len(hamiltonian) ** 2)
    solution = least_absolute(np.concatenate(columns), np.concatenate(targets), np.concatenate(weights))
    exponents = choose_exponents()
    free = solution.reshape(len(elements), len(exponents) - 1)
    # The widest charge of an element makes it neutral.
    charges = np.concatenate([free, -free.sum(axis=1, keepdims=True)], axis=1)
    return {z: tuple(zip(exponents, q.tolist(), strict=True)) for z, q in zip(elements, charges, strict=True)}


def _columns(structure: Structure, basis: OrbitalBasis, elements: Sequence[int]) -> NDArray[np.float64]:
    """Matrices of a unit charge of each element and width minus one of the widest, (ao, ao, column)."""
    exponents = choose_exponents()
    mol = to_mole(structure, basis)
    n = int(basis.orbitals_per_atom(structure.numbers).sum())
    out = np.zeros((n, n, len(elements) * (len(exponents) - 1)))
    for e, z in enumerate(elements):
        of_element = structure.numbers == z
        if not of_element.any():
            continue
        atoms = Structure(structure.numbers[of_element], structure.positions[of_element])
        unit = [to_ours(charge_attraction(mol, atoms, {z: ((a, 1.0),)}), basis, structure.numbers) for a in exponents]
        for k in range(len(exponents) - 1):
            out[:, :, e * (len(exponents) - 1) + k] = unit[k] - unit[-1]
    return out

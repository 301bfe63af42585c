"""H0 = T + V, V the superposition of neutral atoms' Kohn-Sham potentials (SAP)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf import to_mole, to_ours
from ...adapters.pyscf.known_names import library_basis
from ...core.basis import OrbitalBasis
from ...core.errors import DomainError, HarmoseError
from ...core.structure import SYMBOLS, Structure
from ..integrals.charges import POINT_CHARGE_EXPONENT, AtomCharges, charge_attraction, merge_charges
from .base import GaussianH0

POTENTIAL = "sapgraspsmall"
"""PySCF's name of the fit of the atomic potentials."""


class SapH0(GaussianH0):
    """T and a superposition of atomic potentials V_SAP.

    The atomic potentials are the Gaussian fits of Lehtola, Visscher and Engel, J. Chem. Phys. 152, 144105 (2020),
    to the potentials of Lehtola, J. Chem. Theory Comput. 15, 1593 (2019): -Z_eff(r)/r is the potential of a point
    charge Z and of spherical Gaussian charges that add up to -Z. Integrals are analytic, so H0 is exactly covariant.
    """

    kind = "sap"

    def dense(self, structure: Structure) -> NDArray[np.float64]:
        """T + V_SAP in Hartree, (ao, ao)."""
        return sap_matrix(structure, self.basis)


def sap_matrix(
    structure: Structure,
    basis: OrbitalBasis,
    extra: Mapping[int, AtomCharges] | None = None,
    *,
    potential: str = POTENTIAL,
) -> NDArray[np.float64]:
    """T + V_SAP in Hartree, (ao, ao), in our convention.

    Args:
        structure: A molecule.
        basis: A basis of contracted Gaussians.
        extra: Further attractive charges of each element.
        potential: PySCF's name of the fit, "sapgraspsmall" or "sapgrasplarge".

    Raises:
        DomainError: The basis has pseudopotentials, or the fit has no potential for an element.
    """
    mol = to_mole(structure, basis)
    if mol.has_ecp():
        raise DomainError(
            f"The H0 of superposed atomic potentials describes all electrons; {basis.name} replaces core electrons of "
            f"{', '.join(sorted(mol._ecp))} by a pseudopotential. Use the H0 minao or another basis."
        )
    charges = {z: atomic_charges(potential, z) for z in sorted(set(structure.numbers.tolist()))}
    for z, pairs in (extra or {}).items():
        charges[z] = merge_charges(charges[z], pairs)
    h0 = mol.intor_symmetric("int1e_kin") - charge_attraction(mol, structure, charges)
    return to_ours(h0, basis, structure.numbers)


@lru_cache(maxsize=256)
def atomic_charges(potential: str, z: int) -> tuple[tuple[float, float], ...]:
    """Charges whose attraction is the SAP potential of an atom: (exponent in Bohr^-2, charge), the nucleus first.

    Raises:
        DomainError: The fit has no potential for the element.
    """
    symbol = SYMBOLS[z]
    try:
        shells = library_basis(potential, symbol)
    except HarmoseError as error:
        raise DomainError(
            f"The SAP fit {potential} has no potential for {symbol}. Choose another H0 (baseline.kind), or leave the "
            "element out."
        ) from error
    electrons = tuple((float(exponent), float(charge)) for exponent, charge in shells[0][1:])
    return ((POINT_CHARGE_EXPONENT, float(z)), *electrons)

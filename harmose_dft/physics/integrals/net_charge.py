"""The net charge of an ion spread over its atoms, and the potential that it makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.special import erf

from ...adapters.pyscf import to_mole, to_ours
from ...core.basis import OrbitalBasis
from ...core.structure import Structure
from ...core.units import BOHR_IN_ANGSTROM
from .charges import charge_attraction

RADIUS_SCALE = 2.5
"""Radii of the atoms' charges in units of covalent radii."""

HARDNESS = 0.4
"""Hartree; energy that an atom's charge costs beside its repulsion, so that no share has the opposite sign.

Both were chosen on 56 ions of the training data. Mean |H - H0| of anions and cations: 18.7 and 12.9 mHartree without
this potential, 6.2 and 3.9 with 2 and 0 (where shares reach -2.8 e), 8.0 and 4.0 with 1.5 and 0.1, 5.9 and 3.4 with 2.5
and 0.4, 5.7 and 3.5 with 3 and 0.4; of neutral molecules 4.2."""


def share_net_charge(structure: Structure) -> NDArray[np.float64]:
    """The charge of each atom if the net charge of a molecule could move freely, (atom,), in units of e.

    Charges q_A (a_A / pi)^(3/2) exp(-a_A r^2), a_A = 1 / R_A^2, that add up to the net charge Q at the least energy,
    their repulsion and a hardness: charge equilibration (Rappe and Goddard, J. Phys. Chem. 95, 3358 (1991)) without
    electronegativities. They are linear in Q, smooth in the positions, and zero for neutral molecules. Radii are
    multiples of the covalent ones of Cordero et al., Dalton Trans. 2832 (2008).
    """
    if not structure.charge:
        return np.zeros(len(structure))
    a = _exponents(structure)
    distance = np.linalg.norm(structure.positions[:, None] - structure.positions[None], axis=-1)
    gamma = np.sqrt(a[:, None] * a / (a[:, None] + a))
    np.fill_diagonal(distance, 1.0)
    repulsion = erf(gamma * distance) / distance
    np.fill_diagonal(repulsion, np.sqrt(2.0 * a / np.pi) + HARDNESS)
    response = np.asarray(solve(repulsion, np.ones(len(a)), assume_a="pos"))
    return np.asarray(structure.charge * response / response.sum())


def net_charge_potential(structure: Structure, basis: OrbitalBasis) -> NDArray[np.float64]:
    """Potential energy matrix of an electron in the field of the net charge, (ao, ao), Hartree, in our convention.

    Args:
        structure: A charged molecule.
        basis: A basis of contracted Gaussians.
    """
    exponents = {int(z): ((float(a), 1.0),) for z, a in zip(structure.numbers, _exponents(structure), strict=True)}
    attraction = charge_attraction(to_mole(structure, basis), structure, exponents, share_net_charge(structure))
    return to_ours(-attraction, basis, structure.numbers)


def _exponents(structure: Structure) -> NDArray[np.float64]:
    """Exponent of each atom's charge in Bohr^-2, (atom,)."""
    from ase.data import covalent_radii

    radii = RADIUS_SCALE * covalent_radii[structure.numbers] / BOHR_IN_ANGSTROM
    return np.asarray(1.0 / radii**2)

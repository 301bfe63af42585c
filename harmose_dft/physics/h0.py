"""Physics baselines: cheap Hamiltonians H0 that a model corrects, each a small class with a name.

A baseline is covariant to machine precision only if its integrals are analytic: ``SapBaseline`` is; ``MinaoBaseline``
integrates its functional on a grid and carries the grid's orientation error (about 0.5 uHa at level 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ..adapters.pyscf import kohn_sham, to_mole, to_ours
from ..adapters.pyscf.known_names import library_basis
from ..core.basis import OrbitalBasis
from ..core.errors import ConfigError, DomainError, HarmoseError
from ..core.structure import SYMBOLS, Structure

if TYPE_CHECKING:
    from pyscf.gto import Mole

EXPONENT_CUTOFF = 30.0
"""Primitive pairs whose Gaussian prefactor is below exp(-30) = 1e-13 are skipped."""

POINT_CHARGE_EXPONENT = 1e16
"""Width parameter (Bohr^-2) at which a Gaussian charge is a point charge for every orbital (PySCF's own choice)."""


class Baseline(Protocol):
    """What a baseline offers."""

    kind: str
    basis: OrbitalBasis

    def matrix(self, structure: Structure) -> NDArray[np.float64]:
        """H0 in Hartree, dense in our convention, (ao, ao)."""


class NoBaseline:
    """H0 = 0: the model predicts the whole Hamiltonian.

    Args:
        basis: Basis of the matrices.
    """

    kind = "none"

    def __init__(self, basis: OrbitalBasis) -> None:
        self.basis = basis

    def matrix(self, structure: Structure) -> NDArray[np.float64]:
        """A zero matrix, (ao, ao)."""
        n = int(self.basis.orbitals_per_atom(structure.numbers).sum())
        return np.zeros((n, n))


class SapBaseline:
    """H0 = T + V, V the superposition of neutral atoms' Kohn-Sham potentials (SAP).

    The atomic potentials are the Gaussian fits of Lehtola, Visscher and Engel, J. Chem. Phys. 152, 144105 (2020),
    to the potentials of Lehtola, J. Chem. Theory Comput. 15, 1593 (2019): -Z_eff(r)/r is the potential of a point
    charge Z and of spherical Gaussian charges that add up to -Z. Integrals are analytic, so H0 is exactly covariant.

    Args:
        basis: Basis of contracted Gaussians.
        potential: PySCF's name of the fit, "sapgraspsmall" or "sapgrasplarge".
    """

    kind = "sap"

    def __init__(self, basis: OrbitalBasis, potential: str = "sapgraspsmall") -> None:
        self.basis = basis
        self.potential = potential

    def matrix(
        self, structure: Structure, extra: Mapping[int, Sequence[tuple[float, float]]] | None = None
    ) -> NDArray[np.float64]:
        """T + V_SAP in Hartree, (ao, ao).

        Args:
            structure: The molecule.
            extra: Further attractive charges of each element, (exponent in Bohr^-2, charge).
        """
        mol = to_mole(structure, self.basis)
        if mol.has_ecp():
            raise DomainError(
                f"The SAP baseline describes all electrons; {self.basis.name} replaces core electrons of "
                f"{', '.join(sorted(mol._ecp))} by a pseudopotential. Use the minao baseline or another basis."
            )
        charges = {z: atomic_charges(self.potential, z) for z in sorted(set(structure.numbers.tolist()))}
        for z, pairs in (extra or {}).items():
            charges[z] = merged(charges[z], pairs)
        h0 = mol.intor_symmetric("int1e_kin") - charge_attraction(mol, structure, charges)
        return to_ours(h0, self.basis, structure.numbers)


class MinaoBaseline:
    """H0 = F[P0], one Fock build at PySCF's "minao" guess, the superposition of atomic minimal-basis densities.

    Args:
        basis: Basis of contracted Gaussians.
        xc: PySCF's name of the functional.
        grid_level: PySCF's integration grid, 0 to 9.
    """

    kind = "minao"

    def __init__(self, basis: OrbitalBasis, xc: str, grid_level: int = 3) -> None:
        self.basis, self.xc, self.grid_level = basis, xc, grid_level

    def matrix(self, structure: Structure) -> NDArray[np.float64]:
        """F[P0] in Hartree, (ao, ao)."""
        mf = kohn_sham(to_mole(structure, self.basis), self.xc, self.grid_level)
        density = mf.get_init_guess(key="minao")
        return to_ours(np.asarray(mf.get_hcore() + mf.get_veff(dm=density)), self.basis, structure.numbers)


BASELINES = ("none", "sap", "minao")
"""Kinds that :func:`baseline` knows."""


def baseline(kind: str, xc: str, basis: OrbitalBasis) -> Baseline:
    """The baseline of a name.

    Args:
        kind: One of ``BASELINES``.
        xc: Functional, for the baselines that need one.
        basis: Basis of the matrices.

    Raises:
        ConfigError: The kind is unknown.
    """
    match kind:
        case "none":
            return NoBaseline(basis)
        case "sap":
            return SapBaseline(basis)
        case "minao":
            return MinaoBaseline(basis, xc)
    raise ConfigError(f"There is no baseline {kind!r}; choose one of {', '.join(BASELINES)}.")


def merged(
    one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    """Both sets of charges, those of equal exponent as one."""
    total = dict(one)
    for exponent, charge in other:
        total[exponent] = total.get(exponent, 0.0) + charge
    return tuple(total.items())


@lru_cache(maxsize=256)
def atomic_charges(potential: str, z: int) -> tuple[tuple[float, float], ...]:
    """Charges whose attraction is the SAP potential of an atom: (exponent in Bohr^-2, charge), the nucleus first."""
    symbol = SYMBOLS[z]
    try:
        shells = library_basis(potential, symbol)
    except HarmoseError as error:
        raise DomainError(f"The SAP fit {potential} has no potential for {symbol}.") from error
    electrons = tuple((float(exponent), float(charge)) for exponent, charge in shells[0][1:])
    return ((POINT_CHARGE_EXPONENT, float(z)), *electrons)


def charge_attraction(
    mol: Mole, structure: Structure, charges: Mapping[int, Sequence[tuple[float, float]]]
) -> NDArray[np.float64]:
    """sum_A sum_k q_k <i| erf(sqrt(a_k) r_A) / r_A |j>: an electron in the field of Gaussian charges.

    The charges of an atom form one contracted s function, so that one three-centre integral per pair of orbitals and
    atom gives their sum.

    Args:
        mol: PySCF's molecule of the structure.
        structure: The atoms.
        charges: Element -> (a_k in Bohr^-2, q_k) of its charges q_k (a_k/pi)^(3/2) exp(-a_k r^2).

    Returns:
        (ao, ao) in PySCF's order, Hartree.
    """
    from pyscf import lib
    from pyscf.gto import mole, moleintor

    atm, bas, env = mole.conc_env(mol._atm, mol._bas, mol._env, *_charge_shells(structure, charges))
    env[mole.PTR_EXPCUTOFF] = EXPONENT_CUTOFF
    shells = (0, mol.nbas, 0, mol.nbas, mol.nbas, mol.nbas + len(structure))
    integrals = moleintor.getints3c("int3c2e_sph", atm, bas, env, shls_slice=shells, aosym="s2ij")
    return np.asarray(lib.unpack_tril(integrals.sum(axis=-1)))


def _charge_shells(
    structure: Structure, charges: Mapping[int, Sequence[tuple[float, float]]]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """libcint's tables (atoms, shells, numbers) of one contracted s function per atom."""
    from pyscf.gto import mole

    env = [np.zeros(mole.PTR_ENV_START)]
    where: dict[int, tuple[int, int]] = {}
    length = mole.PTR_ENV_START
    for z, pairs in charges.items():
        exponents, weights = np.array(pairs).T
        env += [exponents, weights * np.sqrt(4 * np.pi) * (exponents / np.pi) ** 1.5]
        where[z] = (length, len(pairs))
        length += 2 * len(pairs)
    atm = np.zeros((len(structure), mole.ATM_SLOTS), dtype=np.int32)
    bas = np.zeros((len(structure), mole.BAS_SLOTS), dtype=np.int32)
    atm[:, mole.PTR_COORD] = length + 3 * np.arange(len(structure))
    start, count = np.array([where[z] for z in structure.numbers.tolist()]).T
    bas[:, mole.ATOM_OF], bas[:, mole.NPRIM_OF], bas[:, mole.NCTR_OF] = np.arange(len(structure)), count, 1
    bas[:, mole.PTR_EXP], bas[:, mole.PTR_COEFF] = start, start + count
    return atm, bas, np.concatenate([*env, structure.positions.ravel()])

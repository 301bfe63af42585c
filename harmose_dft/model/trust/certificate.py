"""How far a predicted molecule is from self-consistency, in a few numbers of one cheap Fock build."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ...adapters import pyscf
from ...core.basis import OrbitalBasis
from ...core.spectrum import Spectrum
from ...core.structure import Structure
from ...core.units import DIPOLE_AU_IN_DEBYE, MICRO

Floats = NDArray[np.float64]

CORE = -3.0
"""Hartree; occupied levels below it belong to cores."""

DEEP_CORE = -60.0
"""Hartree; levels below it depend on the coarse grid too much to tell anything."""

_ONE_AT_A_TIME = threading.Lock()
"""PySCF changes settings of the process while it builds a Fock matrix."""


@dataclass(frozen=True)
class Deviation:
    """How the orbitals of one Hamiltonian change when another one takes its place.

    Args:
        commutator: Frobenius norm of F P S - S P F in an orthogonal basis over the square root of the number of
            electrons, Hartree.
        rotation: Share of the electrons that leave the occupied space.
        homo_change: Change of the highest occupied level, Hartree.
        lumo_change: Change of the lowest unoccupied level, Hartree; 0 where there is none.
        level_change: Mean absolute change of the occupied valence levels, Hartree. Density fitting and a coarse grid
            move levels of cores by up to 10 mHartree, so they are kept apart.
        largest_level_change: Largest absolute change of an occupied valence level, Hartree.
        core_change: Largest absolute change of a core level above -60 Hartree (1s of B to F), Hartree; 0 without cores.
    """

    commutator: float
    rotation: float
    homo_change: float
    lumo_change: float
    level_change: float
    largest_level_change: float
    core_change: float = 0.0


@dataclass(frozen=True)
class Certificate:
    """One Fock build F[P] at the predicted density P, with density fitting and the coarsest grid.

    Args:
        deviation: What F[P] changes about the predicted orbitals; all of it vanishes for a self-consistent prediction,
            up to about 1 mHartree by which the build is approximate.
        dipole_change: Length of the change of the dipole moment, e*Bohr.
        seconds: Time of the build.
    """

    deviation: Deviation
    dipole_change: float
    seconds: float

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        change = self.deviation
        return {
            "commutator_per_root_electron_uha": change.commutator / MICRO,
            "moved_electrons_share": change.rotation,
            "homo_change_uha": change.homo_change / MICRO,
            "lumo_change_uha": change.lumo_change / MICRO,
            "level_change_uha": change.level_change / MICRO,
            "largest_level_change_uha": change.largest_level_change / MICRO,
            "core_change_uha": change.core_change / MICRO,
            "dipole_change_debye": self.dipole_change * DIPOLE_AU_IN_DEBYE,
            "seconds": self.seconds,
        }


def certify(structure: Structure, basis: OrbitalBasis, functional: str, spectrum: Spectrum) -> Certificate:
    """Build one cheap Fock matrix at a predicted density and compare the orbitals.

    Args:
        structure: A closed-shell molecule.
        basis: Its Gaussian basis.
        functional: PySCF's name of the functional.
        spectrum: The predicted orbitals.

    Raises:
        StructureError: The structure is a crystal or has an open shell.
        HarmoseError: PySCF does not know the functional.
    """
    with _ONE_AT_A_TIME:
        start = time.perf_counter()
        fock = pyscf.rough_fock(structure, spectrum, functional, basis)
    deviation, rotated = compare_orbitals(fock, spectrum)
    change = rotated @ rotated.T - _occupied_orbitals(spectrum) @ _occupied_orbitals(spectrum).T
    moment = 2.0 * np.einsum("xij,ij->x", pyscf.dipole_integrals(structure, basis), change)
    return Certificate(deviation, float(np.linalg.norm(moment)), time.perf_counter() - start)


def compare_orbitals(fock: Floats, spectrum: Spectrum) -> tuple[Deviation, Floats]:
    """Diagonalise a Hamiltonian in the orbitals of another one.

    Args:
        fock: The Hamiltonian that takes the place, dense, (ao, ao), Hartree.
        spectrum: Orbitals of a closed shell.

    Returns:
        The deviation, and the occupied orbitals of ``fock`` as columns, (ao, occupied).
    """
    count = int(spectrum.occupied.sum())
    inside = spectrum.coefficients.T @ fock @ spectrum.coefficients
    levels, vectors = eigh(0.5 * (inside + inside.T))
    change = levels - spectrum.energies
    filled, moved = spectrum.energies[:count], np.abs(change[:count])
    limit = min(CORE, spectrum.homo - 1e-6)
    cores = moved[(filled <= limit) & (filled > DEEP_CORE)]
    valence = moved[filled > limit]
    deviation = Deviation(
        # In these orbitals P is 2 on the occupied diagonal, so that FP - PF has the blocks 2 F_ov and -2 F_vo.
        commutator=float(np.sqrt(8.0) * np.linalg.norm(inside[:count, count:]) / np.sqrt(2.0 * count)),
        rotation=float((vectors[count:, :count] ** 2).sum() / count),
        homo_change=float(change[count - 1]),
        lumo_change=float(change[count]) if len(change) > count else 0.0,
        level_change=float(valence.mean()),
        largest_level_change=float(valence.max()),
        core_change=float(cores.max(initial=0.0)),
    )
    return deviation, np.asarray(spectrum.coefficients @ vectors[:, :count])


def _occupied_orbitals(spectrum: Spectrum) -> Floats:
    return np.asarray(spectrum.coefficients[:, spectrum.occupied])

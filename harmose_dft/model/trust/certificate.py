"""How far a molecule's Hamiltonian is from self-consistency, in a few numbers of cheap Fock builds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ...core.spectrum import Spectrum
from ...core.units import DIPOLE_AU_IN_DEBYE, MICRO

Floats = NDArray[np.float64]

CORE = -3.0
"""Hartree; occupied levels below it belong to cores."""

DEEP_CORE = -60.0
"""Hartree; levels below it depend on the coarse grid too much to tell anything."""


@dataclass(frozen=True)
class Deviation:
    """How the orbitals of one Hamiltonian change when another one takes its place.

    Args:
        commutator: Frobenius norm of F P S - S P F in an orthogonal basis over the square root of the number of
            electrons, Hartree.
        rotation: Share of the electrons that leave the occupied space.
        homo_change: Change of the highest occupied level, Hartree.
        lumo_change: Change of the lowest unoccupied level, Hartree; 0 where there is none.
        level_change: Mean absolute change of the occupied valence levels, Hartree.
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

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        return {
            "commutator_per_root_electron_uha": self.commutator / MICRO,
            "moved_electrons_share": self.rotation,
            "homo_change_uha": self.homo_change / MICRO,
            "lumo_change_uha": self.lumo_change / MICRO,
            "level_change_uha": self.level_change / MICRO,
            "largest_level_change_uha": self.largest_level_change / MICRO,
            "core_change_uha": self.core_change / MICRO,
        }


@dataclass(frozen=True)
class Certificate:
    """What the cheap Fock builds that refined a prediction say about it.

    Args:
        deviation: What the first build F[P], at the density P of the network's Hamiltonian, changes about its orbitals;
            all of it vanishes for a self-consistent prediction.
        dipole_change: Length of the change of the dipole moment, e*Bohr.
        last_deviation: What the last build changes about the orbitals whose density it was made at. The refined
            Hamiltonian, an extrapolation over all builds, is nearer to self-consistency than that.
        last_dipole_change: Length of the change of the dipole moment then, e*Bohr.
        builds: Number of builds.
        seconds: Time of them all.
    """

    deviation: Deviation
    dipole_change: float
    last_deviation: Deviation
    last_dipole_change: float
    builds: int
    seconds: float

    def to_dict(self) -> dict[str, object]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        return {
            **self.deviation.to_dict(),
            "dipole_change_debye": self.dipole_change * DIPOLE_AU_IN_DEBYE,
            "last_build": {
                **self.last_deviation.to_dict(),
                "dipole_change_debye": self.last_dipole_change * DIPOLE_AU_IN_DEBYE,
            },
            "builds": self.builds,
            "seconds": self.seconds,
        }


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

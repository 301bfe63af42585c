"""Orbital energies, coefficients and occupations of a molecule or of a crystal at k-points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import SolverError

OCCUPIED = 1e-8
"""An orbital counts as occupied above this occupation."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Solution of H C = S C eps.

    Leading axes (``...``) are absent for a molecule, ``(k,)`` or ``(spin, k)`` for a crystal.

    Args:
        energies: Ascending, in Hartree, (..., mo).
        coefficients: Orbitals as columns, C^+ S C = 1, (..., ao, mo).
        occupations: Electrons per orbital (2 for a closed shell), (..., mo).
        weights: k-point weights that sum to one, (k,); None for a molecule.
        fermi: Fermi level in Hartree, where one was determined.
        kpoints: Fractional coordinates, (k, 3); None for a molecule.
        per_orbital: Electrons that an orbital holds: two of a closed shell, one as a spinor or of one spin direction.

    Raises:
        SolverError: Shapes disagree.
    """

    energies: NDArray[np.float64]
    coefficients: NDArray[np.float64] | NDArray[np.complex128]
    occupations: NDArray[np.float64]
    weights: NDArray[np.float64] | None = None
    fermi: float | None = None
    kpoints: NDArray[np.float64] | None = None
    per_orbital: int = 2

    def __post_init__(self) -> None:
        if self.occupations.shape != self.energies.shape:
            raise SolverError(
                f"Occupations {self.occupations.shape} and energies {self.energies.shape} must have one shape."
            )
        if self.coefficients.shape[:-2] + self.coefficients.shape[-1:] != self.energies.shape:
            raise SolverError(
                f"Coefficients {self.coefficients.shape} do not fit energies of shape {self.energies.shape}."
            )

    def __repr__(self) -> str:
        return f"Spectrum({self.energies.shape[-1]} orbitals, {self.n_electrons:.6g} electrons, gap={self.gap:.4f} Ha)"

    @property
    def n_electrons(self) -> float:
        """Number of electrons (per cell)."""
        if self.weights is None:
            return float(self.occupations.sum())
        return float((self.occupations * self.weights[:, None]).sum())

    @property
    def occupied(self) -> NDArray[np.bool_]:
        """Mask of occupied orbitals, (..., mo)."""
        return self.occupations > OCCUPIED

    @property
    def homo(self) -> float:
        """Highest occupied energy in Hartree (valence-band maximum for a crystal)."""
        return float(self.energies[self.occupied].max(initial=-np.inf))

    @property
    def lumo(self) -> float:
        """Lowest unoccupied energy in Hartree (conduction-band minimum for a crystal); inf if there is none."""
        return float(self.energies[~self.occupied].min(initial=np.inf))

    @property
    def gap(self) -> float:
        """LUMO minus HOMO in Hartree; zero or negative for a metal."""
        return self.lumo - self.homo

    def density_matrix(self) -> NDArray[np.float64]:
        """P = C n C^+ of a molecule, (ao, ao); Tr(P S) is the number of electrons.

        Raises:
            SolverError: The spectrum holds several k-points; their density matrix depends on the lattice shift.
        """
        if self.energies.ndim != 1:
            raise SolverError("A crystal's density matrix has one block per lattice shift; use solver.density_blocks.")
        occupied = self.coefficients[:, self.occupied]
        return np.asarray((occupied * self.occupations[self.occupied]) @ occupied.conj().T)

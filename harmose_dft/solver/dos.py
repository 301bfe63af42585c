"""Density of states, total and projected on orbitals, shells and atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.arrays import running_sum
from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from .properties import state_populations

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DensityOfStates:
    """Electron states per Hartree and cell; a closed shell's states count twice, so that all electrons are counted.

    Args:
        energies: Hartree, (energy,).
        projected: Mulliken projection on each orbital, (spin, ao, energy).
        orbitals: Number of orbitals of each atom, (atom,).
    """

    energies: Floats
    projected: Floats
    orbitals: NDArray[np.int64]

    @property
    def total(self) -> Floats:
        """(spin, energy)."""
        return np.asarray(self.projected.sum(axis=1))

    def per_atom(self) -> Floats:
        """(spin, atom, energy)."""
        return self._sum(self.orbitals)

    def per_shell(self, shells: Sequence[int]) -> Floats:
        """(spin, shell, energy).

        Args:
            shells: Angular momenta of all shells, atom by atom (``OrbitalBasis.shell_sequence``).

        Raises:
            SolverError: The shells do not hold as many orbitals as were projected on.
        """
        sizes = 2 * np.asarray(shells, dtype=np.int64) + 1
        if sizes.sum() != self.projected.shape[1]:
            raise SolverError(f"The shells hold {sizes.sum()} orbitals; the projection has {self.projected.shape[1]}.")
        return self._sum(sizes)

    def _sum(self, sizes: NDArray[np.int64]) -> Floats:
        starts = running_sum(sizes)[:-1]
        return np.asarray(np.add.reduceat(self.projected, starts, axis=1))


def density_of_states(
    spectrum: Spectrum, overlap: BlockMatrix, energies: ArrayLike, broadening: float
) -> DensityOfStates:
    """Density of states with Gaussian broadening, exp(-(E - eps)^2 / 2 b^2) / (b sqrt(2 pi)).

    Args:
        spectrum: States at the k-points of a mesh (or of a molecule).
        overlap: S(R), spatial.
        energies: Where it is wanted, in Hartree, (energy,).
        broadening: Standard deviation b in Hartree.

    Raises:
        SolverError: The broadening is not positive.
    """
    if not broadening > 0:
        raise SolverError(f"The broadening must be positive; got {broadening:g} Ha.")
    grid = np.asarray(energies, dtype=np.float64)
    spinor = spectrum.coefficients.shape[-2] == 2 * overlap.size
    n_k = 1 if spectrum.weights is None else len(spectrum.weights)
    weights = np.ones(1) if spectrum.weights is None else spectrum.weights
    mo = spectrum.energies.shape[-1]
    levels = spectrum.energies.reshape(-1, n_k, mo)
    populations = state_populations(spectrum, overlap).reshape(-1, n_k, overlap.size, mo)
    projected = np.zeros((len(levels), overlap.size, len(grid)))
    for spin, k in np.ndindex(levels.shape[:2]):
        gauss = np.exp(-0.5 * ((grid - levels[spin, k][:, None]) / broadening) ** 2)
        projected[spin] += weights[k] * populations[spin, k] @ gauss
    electrons = 2 if len(levels) == 1 and not spinor else 1
    return DensityOfStates(grid, electrons * projected / (broadening * np.sqrt(2 * np.pi)), overlap.orbitals)

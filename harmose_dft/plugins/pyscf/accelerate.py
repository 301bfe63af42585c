"""SCF in few full Fock builds: a cheap Fock operator converges between them.

With F the Fock operator of the calculation, F_c a cheap one (see :mod:`~harmose_dft.plugins.pyscf.cheap`) and P_k the
density matrix after k full builds, the correction ``D_k = F(P_k) - F_c(P_k)`` is a constant matrix, and the solution
of ``F_c(P) + D_k`` is P_k+1. At a fixed point F_c drops out, so that what is converged is F. The error of P_k shrinks
by the relative error of F_c's response. PySCF's own loop does the full builds and tests them by its own criteria; what
changes is the Fock matrix that it diagonalises next, in the place of DIIS. Before the first full build, F_c alone is
converged.

Constants whose docstring names no source were chosen, not measured one by one. ``benchmarks/results/seeding.json``
(``benchmarks/seeding.py``) has figures for all of them together: full builds, CPU time and energies of 32 molecules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import HarmoseError
from .cheap import CheapPotential, coarser_grids, spin_density
from .kinds import MeanField, Potential

if TYPE_CHECKING:
    from pyscf.dft.gen_grid import Grids

Array = NDArray[np.float64]

MOST_CHEAP_BUILDS = 20
"""Cheap builds between two full ones after which PySCF's own loop takes over; chosen."""

EARLY_BUILDS, EARLY_REDUCTION, NEAR = 6, 0.5, 1e-2
"""After so many of them the gradient has to be reduced by that much, or be that small (Hartree), or PySCF's own loop
takes over. Chosen by single runs that are not on record (commit f119352): FeCO, NiCO and FeO are no nearer then, while
radicals crawl at some 1e-3 and arrive."""

FIRST_TOLERANCE = 5e-3
"""Norm of the orbital gradient to which the cheap operator alone is converged, Hartree. Chosen, somewhat above its own
error: 3e-3 to 4e-3 at the solution (journal/results.md, "The cheap operator at the solution")."""

CONVERGED_BEFORE = 2e-3
"""Hartree per root of the number of electrons. The cheap operator's gradient at the solution of the full one is 4e-4 to
6e-4 of these (same section); three times as much was chosen, and a given start within it has probably converged."""

REDUCTION = 3e-3
"""By how much the cheap iterations after a full build reduce its gradient, at most down to the target; chosen, as
much as the error of the cheap response lets a full build reduce it (2e-3 to 3e-3, same section)."""

CLOSE = 3.0
"""Gradient, in units of the target, below which the step that the history predicts is not improved further; chosen."""

LEAST_CONTRACTION = 0.5
"""A full build has to reduce the gradient by this factor; otherwise PySCF's own loop takes over. Chosen, far from
the 2e-3 to 3e-3 of ordinary molecules (same section)."""

HISTORY = 10
"""Pairs of density and cheap potential that the next iterations start from; chosen, PySCF's DIIS keeps eight."""

NEGLIGIBLE_STEP = 3e-5
"""Change of the density matrix (Frobenius norm) whose potential may come from the cheap operator: PySCF's extra
diagonalisation after convergence. Chosen so that the error, that of the cheap response times this change, is some 1e-8
Hartree; energies in ``benchmarks/results/seeding.json`` are within 1e-9 Hartree of PySCF's."""


class StalledError(HarmoseError):
    """The accelerated iterations do not converge."""


@dataclass
class Acceleration:
    """How an SCF was accelerated.

    Args:
        reason: Why it was not, or not to the end; empty if it was.
        full_builds: Fock builds of the calculation itself.
        cheap_builds: Fock builds of the cheap operator.
    """

    reason: str = ""
    full_builds: int = 0
    cheap_builds: int = 0

    @property
    def used(self) -> bool:
        """Whether the SCF was accelerated from the beginning to the end."""
        return not self.reason


class Accelerator:
    """The cheap iterations of one SCF.

    Args:
        mf: The mean-field object; its ``eig``, ``get_occ``, ``make_rdm1`` and ``get_grad`` are used.
        get_fock: ``get_fock`` of PySCF's own class, bound to ``mf``.
        target: Norm of the orbital gradient at which the energy is converged, Hartree.
    """

    def __init__(self, mf: MeanField, get_fock: Callable[..., Any], target: float) -> None:
        self.mf, self.get_fock, self.target = mf, get_fock, target
        self.cheap = CheapPotential(mf)
        self.h1e, self.overlap = mf.get_hcore(), mf.get_ovlp()
        self.orthogonal = mf.check_linear_dependency(self.overlap) if hasattr(mf, "check_linear_dependency") else None
        self.gradients: list[float] = []
        self._in_cycle, self._has_converged_before = True, False
        self._history: list[tuple[Array, Array]] = []
        self._known: tuple[Array, Any] | None = None

    def potential(self, density: Array) -> Potential:
        """The cheap potential; that of the last density is not built twice."""
        if self._known is None or self._known[0] is not density:
            self._known = density, self.cheap(density)
        return self._known[1]

    def start(self, density: Array, *, given: bool = False) -> Array:
        """Density matrix of the converged cheap operator.

        Args:
            density: Where to begin.
            given: Whether the user gave it, so that it may have converged before; then it is left as it is.

        Raises:
            StalledError: It does not converge.
        """
        converged = spin_density(self.mf, density)
        potential = self.potential(converged)
        if given and self._commutator(converged, potential) < CONVERGED_BEFORE * np.sqrt(self.mf.mol.nelectron):
            self._has_converged_before = True
            return density
        fock = self._solve(converged, potential, np.zeros_like(potential), max(self.target, FIRST_TOLERANCE))
        return self._occupy(fock)

    def next_fock(self, density: Array, potential: Potential) -> Potential:
        """The Fock matrix to diagonalise after a full build.

        Args:
            density: P_k, (ao, ao) or (2, ao, ao).
            potential: Its full effective potential.

        Raises:
            StalledError: The full builds do not contract, or the cheap ones do not converge.
        """
        self._in_cycle = True
        gradient = self._commutator(density, potential)
        if self.gradients and gradient > max(LEAST_CONTRACTION * self.gradients[-1], self.target):
            raise StalledError(f"A full Fock build left {gradient:.1e} of a gradient of {self.gradients[-1]:.1e}.")
        self.gradients.append(gradient)
        cheap = np.asarray(self.potential(density))
        self._remember(density, cheap)
        correction = np.asarray(potential) - cheap
        return self._solve(
            density, potential, correction, max(self.target, REDUCTION * gradient), close=gradient < CLOSE * self.target
        )

    def grids_of_first_build(self) -> Grids | None:
        """A coarser integration grid for the first full build; None afterwards, and where it would save little.

        What its Fock matrix lacks is at most as much as what the cheap operator's response lacks, and the next full
        build, on the grid of the calculation, tells both.
        """
        return None if self.gradients or self._has_converged_before else coarser_grids(self.mf)

    def is_extra(self) -> bool:
        """Whether the next full build belongs to no cycle, but to PySCF's extra diagonalisation after convergence."""
        extra, self._in_cycle = not self._in_cycle, False
        return extra

    def extra_potential(self, density: Array, last: Array, last_potential: Potential) -> Potential:
        """Full potential after a negligible step from ``last``, or None if it is not negligible or there is no grid.

        The energy of the functional whose Fock matrix is ``F_c + D`` goes with it.

        Args:
            density: The new density matrix.
            last: The density matrix of the last full build.
            last_potential: Its effective potential, tagged.
        """
        from pyscf import lib

        step = np.asarray(density) - last
        if not hasattr(last_potential, "exc") or not np.linalg.norm(step) < NEGLIGIBLE_STEP:
            return None
        before, after = self.cheap(last), self.cheap(density)
        correction = np.asarray(last_potential) - np.asarray(before)
        return lib.tag_array(
            np.asarray(after) + correction,
            ecoul=last_potential.ecoul + after.ecoul - before.ecoul,
            exc=last_potential.exc + after.exc - before.exc + float(np.sum(correction * step)),
        )

    def _fock(self, density: Array, potential: Potential, diis: Any = None) -> Potential:
        return self.get_fock(
            self.h1e, self.overlap, potential, density, cycle=0, diis=diis, diis_start_cycle=0,
            level_shift_factor=0, damp_factor=0,
        )

    def _solve(
        self, density: Array, potential: Potential, correction: Array, tolerance: float, *, close: bool = False
    ) -> Potential:
        """Converge ``F_c + correction``; return the Fock matrix extrapolated from all its iterations.

        Earlier densities and their cheap potentials, to which only the new correction is added, begin the history of
        DIIS, so that what they tell about the response is not built again.

        Args:
            density: Where to begin.
            potential: Its potential.
            correction: What is added to the cheap Fock matrices.
            tolerance: Norm of the orbital gradient at which it has converged, Hartree.
            close: Whether the step that the history predicts is good enough as it is.
        """
        from pyscf.lib import logger

        diis = self._new_diis()
        for old, cheap in self._history:
            if old is not density:
                self._fock(old, cheap + correction, diis)
        fock = self._fock(density, potential, diis)
        if self._history and close:
            return fock
        first = self._commutator(density, potential)
        for build in range(1, MOST_CHEAP_BUILDS + 1):
            density = self._occupy(fock)
            cheap = np.asarray(self.potential(density))
            self._remember(density, cheap)
            potential = cheap + correction
            gradient = self._commutator(density, potential)
            fock = self._fock(density, potential, diis)
            if gradient < tolerance:
                logger.info(self.mf, "%d cheap Fock builds, |g| = %.3g", build, gradient)
                return fock
            if build >= EARLY_BUILDS and not gradient < max(EARLY_REDUCTION * first, NEAR):
                break
        raise StalledError(f"{build} cheap Fock builds left a gradient of {gradient:.1e} Hartree.")

    def _occupy(self, fock: Potential) -> Array:
        """Density matrix of the occupied orbitals of a Fock matrix; PySCF's log is of the full cycles only."""
        from pyscf import lib

        options = {} if self.orthogonal is None else {"x": self.orthogonal}
        with lib.temporary_env(self.mf, verbose=min(self.mf.verbose, lib.logger.NOTE)):
            energies, orbitals = self.mf.eig(fock, self.overlap, **options)
            occupations = self.mf.get_occ(energies, orbitals)
        density: Array = self.mf.make_rdm1(orbitals, occupations)
        return density

    def _commutator(self, density: Array, potential: Potential) -> float:
        """Norm of the orbital gradient as PySCF defines it: ``|FPS - SPF|`` over the root of two, Hartree."""
        from pyscf.scf.diis import get_err_vec

        fock = self._fock(density, potential)
        total = np.asarray(density)
        if getattr(fock, "focka", None) is not None:
            total = total[0] + total[1]
        error = get_err_vec(self.overlap, total, np.asarray(fock), self.orthogonal)
        return float(np.linalg.norm(error) / np.sqrt(2))

    def _new_diis(self) -> Potential:
        from pyscf.scf.diis import CDIIS

        diis = CDIIS(self.mf)
        diis.space, diis.Corth, diis.incore = HISTORY, self.orthogonal, True
        return diis

    def _remember(self, density: Array, cheap: Array) -> None:
        if not any(old is density for old, _ in self._history):
            self._history = [*self._history, (density, cheap)][-HISTORY:]

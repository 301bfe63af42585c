"""How reference calculations of molecules converge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.errors import SolverError
from .mean_field import kohn_sham

if TYPE_CHECKING:
    from pyscf.dft.rks import RKS
    from pyscf.gto import Mole

ENERGY_TOLERANCE = 1e-11
"""SCF convergence of a reference in Hartree; Fock elements are then good to about 1e-8 Hartree."""

GRADIENT_TOLERANCE = 1e-6
"""Norm of the orbital gradient of a converged reference."""

STAGED_TOLERANCES = {"energy": 1e-9, "gradient": 1e-5}
"""Convergence on the coarse grid of the staged recipe."""

ROUGH_TOLERANCES = (1e-5, 1e-3)
"""Energy and gradient of the density at which the corrected recipe works out its correction."""

MAX_CYCLES = 100
"""SCF cycles after which a reference counts as not converged."""


@dataclass(frozen=True, eq=False)
class Converged:
    """A self-consistent solution.

    Args:
        fock: Fock matrix on the final grid, PySCF's order, (ao, ao).
        energy: Hartree.
        cycles: Of the SCF.
        notes: What else the provenance shall say.
    """

    fock: NDArray[np.float64]
    energy: float
    cycles: int
    notes: dict[str, str] = field(default_factory=dict)


Recipe = Callable[["RKS", "NDArray[np.float64] | None"], Converged]
"""Converges a Kohn-Sham object on the final grid from a density matrix, (ao, ao); from its own start if None."""


def converge(mf: RKS, density: NDArray[np.float64] | None, energy: float, gradient: float) -> int:
    """Run the SCF.

    Args:
        mf: The Kohn-Sham object.
        density: Start, (ao, ao); its own if None.
        energy: Convergence of the energy, Hartree.
        gradient: Norm of the orbital gradient when converged.

    Returns:
        Number of cycles.

    Raises:
        SolverError: It did not converge within ``MAX_CYCLES``.
    """
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = energy, gradient, MAX_CYCLES
    mf.kernel(dm0=density)
    if not mf.converged:
        raise SolverError(
            f"The SCF of {mf.mol.natm} atoms ({mf.xc}) did not converge within {MAX_CYCLES} cycles. Check the "
            "geometry, the charge, and whether the ground state is a closed shell."
        )
    return int(mf.cycles)


def _coarse_density(mol: Mole, xc: str, density: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], int]:
    """Density matrix converged on the level-1 grid, and the cycles it took."""
    if density is None:
        start = kohn_sham(mol, xc, 0).density_fit()
        start.conv_tol = 1e-6
        start.kernel()
        density = start.make_rdm1()
    coarse_mf = kohn_sham(mol, xc, 1)
    cycles = converge(coarse_mf, density, STAGED_TOLERANCES["energy"], STAGED_TOLERANCES["gradient"])
    return np.asarray(coarse_mf.make_rdm1()), cycles


def _converge_fully(final: RKS, density: NDArray[np.float64] | None) -> Converged:
    """Converged on the final grid."""
    cycles = converge(final, density, ENERGY_TOLERANCE, GRADIENT_TOLERANCE)
    return Converged(np.asarray(final.get_fock(dm=final.make_rdm1())), float(final.e_tot), cycles)


def _converge_in_steps(final: RKS, density: NDArray[np.float64] | None) -> Converged:
    """Fock matrix and energy on the final grid at the density of the level-1 grid."""
    density, cycles = _coarse_density(final.mol, final.xc, density)
    hcore = final.get_hcore()
    veff = final.get_veff(dm=density)
    return Converged(np.asarray(hcore + veff), float(final.energy_tot(dm=density, h1e=hcore, vhf=veff)), cycles)


def _converge_corrected(exact: RKS, density: NDArray[np.float64] | None) -> Converged:
    """An SCF with a cheap Fock matrix and a constant correction to it.

    The cheap one is density-fitted on the level-0 grid. At its own density D0 the correction F[D0] - F_cheap[D0] is
    worked out once with exact integrals on the final grid; F_cheap + correction is then converged. What is left is the
    change of the correction between D0 and the final density, a product of two small errors.

    Args:
        exact: The Kohn-Sham object on the final grid.
        density: Start, PySCF's default guess if None, (ao, ao).
    """
    approx = kohn_sham(exact.mol, exact.xc, 0).density_fit()
    approx.conv_tol, approx.conv_tol_grad, approx.max_cycle = *ROUGH_TOLERANCES, MAX_CYCLES
    approx.kernel(dm0=density)
    start, hcore = np.asarray(approx.make_rdm1()), exact.get_hcore()
    veff, fitted = exact.get_veff(dm=start), approx.get_veff(dm=start)
    difference = np.asarray(veff - fitted)
    offset = exact.energy_tot(dm=start, vhf=veff) - approx.energy_tot(dm=start, vhf=fitted) - np.sum(difference * start)
    corrected_fock = hcore + difference
    approx.get_hcore = lambda *_: corrected_fock
    cycles = converge(approx, start, STAGED_TOLERANCES["energy"], STAGED_TOLERANCES["gradient"])
    return Converged(np.asarray(approx.get_fock(dm=approx.make_rdm1())), float(approx.e_tot + offset), cycles)


RECIPES: dict[str, Recipe] = {"full": _converge_fully, "staged": _converge_in_steps, "corrected": _converge_corrected}
"""How :func:`reference` converges: on the final grid; on a level-1 grid, then one Fock build on the final one;
density-fitted, with a correction from one Fock build on the final grid."""

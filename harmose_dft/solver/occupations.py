"""Occupations of electronic levels: smearing functions and the Fermi level."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import erfc, expit

from ..core.errors import SolverError

Floats = NDArray[np.float64]

DEGENERACY = 1e-8
"""Levels closer than this (Hartree) count as degenerate when no smearing is used."""

COUNT_TOLERANCE = 1e-8
"""Electron counts closer than this are equal."""

ROUNDING = 1e-12
"""Electron counts closer than this cannot be told apart in float64 sums."""


class Smearing(StrEnum):
    """How occupations fall from one to zero around the Fermi level.

    Attributes:
        NONE: Step; a partly filled degenerate level is shared equally.
        FERMI_DIRAC: 1 / (exp(x) + 1).
        GAUSSIAN: erfc(x) / 2.
        METHFESSEL_PAXTON: First order, Phys. Rev. B 40, 3616 (1989).
        COLD: Marzari-Vanderbilt, Phys. Rev. Lett. 82, 3296 (1999).
    """

    NONE = "none"
    FERMI_DIRAC = "fermi-dirac"
    GAUSSIAN = "gaussian"
    METHFESSEL_PAXTON = "methfessel-paxton"
    COLD = "cold"


def occupation(x: Floats, smearing: Smearing) -> Floats:
    """Occupation (0..1, slightly outside for the last two) at x = (energy - Fermi level) / width."""
    match smearing:
        case Smearing.FERMI_DIRAC:
            return np.asarray(expit(-x))
        case Smearing.GAUSSIAN:
            return np.asarray(0.5 * erfc(x))
        case Smearing.METHFESSEL_PAXTON:
            return np.asarray(0.5 * erfc(x) - x * np.exp(-(x**2)) / (2 * np.sqrt(np.pi)))
        case Smearing.COLD:
            shifted = x + 1 / np.sqrt(2)
            return np.asarray(0.5 * erfc(shifted) + np.exp(-(shifted**2)) / np.sqrt(2 * np.pi))
        case Smearing.NONE:
            return np.where(x < 0, 1.0, np.where(x > 0, 0.0, 0.5))


def fermi_level(
    energies: Floats,
    weights: Floats,
    n_electrons: float,
    *,
    per_orbital: int = 2,
    smearing: Smearing | str = Smearing.NONE,
    width: float = 0.0,
) -> tuple[float, Floats]:
    """Fermi level and occupations that hold a given number of electrons.

    Without smearing the Fermi level of an insulator is the middle of its gap, and a degenerate level that is only
    partly filled is shared equally by its states.

    Args:
        energies: Hartree, (..., k, mo).
        weights: k-point weights that sum to one, (k,).
        n_electrons: Electrons per cell.
        per_orbital: Electrons an orbital holds: 2 closed shell, 1 collinear spin or spinors.
        smearing: Smearing function.
        width: Its width in Hartree (k_B T for Fermi-Dirac).

    Returns:
        Fermi level in Hartree and occupations in the shape of the energies.

    Raises:
        SolverError: There are too few orbitals, or smearing and width contradict each other.
    """
    smearing = Smearing(smearing)
    if (smearing is Smearing.NONE) != (width == 0.0) or not 0.0 <= width < math.inf:
        raise SolverError(
            f"Smearing {smearing.value!r} with a width of {width:g} Ha makes no sense: give a positive width with a "
            f"smearing function, and no width without."
        )
    capacity = per_orbital * np.broadcast_to(weights[:, None], energies.shape)
    available = float(capacity.sum())
    if not 0 < n_electrons <= available + 1e-9:
        raise SolverError(f"{n_electrons:g} electrons do not fit into orbitals that hold {available:g}.")
    if smearing is Smearing.NONE:
        return _step(energies, capacity, n_electrons, per_orbital)

    def excess(mu: float) -> float:
        return float((capacity * occupation((energies - mu) / width, smearing)).sum()) - n_electrons

    mu, occupations = _step(energies, capacity, n_electrons, per_orbital)
    if n_electrons > available - COUNT_TOLERANCE:
        return mu, occupations
    if smearing in (Smearing.METHFESSEL_PAXTON, Smearing.COLD):
        mu, _ = fermi_level(
            energies, weights, n_electrons, per_orbital=per_orbital, smearing=Smearing.GAUSSIAN, width=width
        )
    mu = _nearest_root(excess, mu, width)
    return mu, per_orbital * occupation((energies - mu) / width, smearing)


def _step(energies: Floats, capacity: Floats, n_electrons: float, per_orbital: int) -> tuple[float, Floats]:
    """Fermi level and occupations without smearing."""
    order = np.argsort(energies, axis=None, kind="stable")
    levels, filled_capacity = energies.ravel()[order], np.cumsum(capacity.ravel()[order])
    last = min(int(np.searchsorted(filled_capacity, n_electrons - COUNT_TOLERANCE)), len(levels) - 1)
    top = levels[last]
    at_top = np.abs(energies - top) < DEGENERACY
    below_top = (energies < top) & ~at_top
    share = (n_electrons - capacity[below_top].sum()) / capacity[at_top].sum()
    occupations = per_orbital * (below_top + min(share, 1.0) * at_top)
    higher_levels = levels[levels >= top + DEGENERACY]
    is_full = share > 1.0 - COUNT_TOLERANCE
    return float(0.5 * (top + higher_levels[0]) if is_full and len(higher_levels) else top), occupations


def _nearest_root(excess: Callable[[float], float], start: float, width: float) -> float:
    """The root of the electron count that is found first on leaving the starting point.

    Methfessel-Paxton and cold smearing are not monotonic, so that there can be several.
    """
    value = excess(start)
    if abs(value) < ROUNDING:
        return start
    step = -np.sign(value) * width
    end = start + step
    while excess(end) * value > 0:
        start, end, step = end, end + 2 * step, 2 * step
    return float(brentq(excess, min(start, end), max(start, end), xtol=1e-14, rtol=1e-14))

"""The states around the Fermi level of a large cell, counted from below without computing those below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spin import electrons_per_orbital
from .filling import DEFAULT_FILLING, Filling
from .occupations import Smearing, fermi_level
from .pencil import Pencil
from .periodic import WHOLE_BAND, Hamiltonians, hamiltonian_tuple
from .sparse import shift_invert

Array = NDArray[Any]
Floats = NDArray[np.float64]

STEP = 0.2
"""Hartree; first step of the search for energies on both sides of the Fermi level."""

MOST_COUNTS = 60
"""Energies at which states are counted before the search gives up."""

SIDE = 0.25
"""The search ends where at most this part of the window's states lies between the Fermi level and either energy."""

LEAST = 8
"""States per k-point from which a Fermi level is worked out."""

TAIL = 8.0
"""Widths of the smearing that the window must hold on either side; smearing is left out of narrower windows."""

ONE_STATE = 1e-6
"""Electron counts closer than this are equal."""


@dataclass(frozen=True, eq=False)
class FrontierStates:
    """States around the Fermi level on a mesh of k-points.

    Args:
        energies: Hartree, (spin, k, state), ascending.
        coefficients: (ao, state) of every spin direction and k-point, in that order.
        n_below: Number of states below the first one, (spin, k).
        occupations: Electrons in each state, (spin, k, state).
        fermi: Fermi level, Hartree.
        gaps: Indirect and direct gap on these k-points, Hartree; zero for a metal. The direct one is that of the
            k-points whose states lie on both sides of it; where there are none, it is the indirect one.
        n_counts: Energies at which states were counted.
    """

    energies: Floats
    coefficients: tuple[Array, ...]
    n_below: NDArray[np.int64]
    occupations: Floats
    fermi: float
    gaps: tuple[float, float]
    n_counts: int


def frontier_states(
    hamiltonian: Hamiltonians,
    overlap: BlockMatrix,
    kpoints: ArrayLike,
    weights: ArrayLike,
    n_electrons: float,
    count: int,
    *,
    guess: float = 0.0,
    filling: Filling = DEFAULT_FILLING,
    solver: str | None = None,
) -> FrontierStates:
    """The Fermi level of a crystal, and the states around it at k-points.

    The number of states below an energy E is the number of negative pivots of H - E S (Sylvester's law of inertia;
    B. N. Parlett, The Symmetric Eigenvalue Problem, 3.3). A search moves two energies towards the Fermi level from
    both sides; shift-invert gives the states around their middle, and the counts at both prove that none is missing.

    Args:
        hamiltonian: H(R): one matrix, or two (spin up, spin down), in Hartree.
        overlap: S(R), spatial.
        kpoints: Fractional, (k, 3).
        weights: Weights that sum to one, (k,).
        n_electrons: Electrons per cell.
        count: Number of states at each k-point.
        guess: Energy at which the search begins, Hartree.
        filling: Smearing of the occupations; its spacing plays no part.
        solver: Direct solver, "pardiso" or "superlu"; by default the preferred one of those installed.

    Raises:
        SolverError: The count or the electrons do not fit, or a state was missed.
    """
    matrices, points = hamiltonian_tuple(hamiltonian), np.asarray(kpoints, dtype=np.float64)
    share = np.asarray(weights, dtype=np.float64)
    size, per_orbital = matrices[0].size, electrons_per_orbital(matrices)
    _require_window(count, size)
    if not 0 < n_electrons < per_orbital * share.sum() * len(matrices) * size:
        raise SolverError(f"{n_electrons:g} electrons do not fill {size} orbitals in part.")
    pencils = [Pencil.at(h, overlap, k, solver) for h in matrices for k in points]
    capacity = per_orbital * np.tile(share, len(matrices))
    search = _Search(pencils, capacity, n_electrons, SIDE * count, guess)
    low, high = search.run()
    windows = [
        _window(p, (low, high), (search.counts[low][n], search.counts[high][n]), count) for n, p in enumerate(pencils)
    ]
    shape = (len(matrices), len(points))
    energies = np.array([w[0] for w in windows]).reshape(*shape, count)
    n_below = np.array([w[2] for w in windows]).reshape(shape)
    inside = n_electrons - per_orbital * float((n_below @ share).sum())
    fermi, occupations = _fill(energies, share, inside, per_orbital, filling)
    gaps = _gaps(energies, n_below, occupations / per_orbital, share)
    return FrontierStates(
        energies, tuple(w[1] for w in windows), n_below, occupations, fermi, gaps, len(search.counts)
    )


def _require_window(count: int, size: int) -> None:
    """Refuse a number of states that a cell of ``size`` orbitals cannot have around its Fermi level.

    Raises:
        SolverError: There are too few orbitals, or too few or too many states are asked for.
    """
    if size < LEAST + 2:
        raise SolverError(
            f"The cell has {size} orbitals; a window around the Fermi level needs at least {LEAST + 2}. Compute all "
            "states of so small a cell instead: harmose-dft bands without --near-fermi."
        )
    if not LEAST <= count <= size - 2:
        raise SolverError(
            f"Between {LEAST} and {size - 2} states around the Fermi level can be found among the {size} "
            f"orbitals of this cell; got {count}. Without --near-fermi, harmose-dft bands gives them all."
        )


class _Search:
    """Counts states at energies until two of them enclose the Fermi level closely.

    Args:
        pencils: One for each spin direction and k-point.
        capacity: Electrons that a state of each of them holds, per cell.
        n_electrons: Electrons per cell.
        side: States per pencil that may lie between the Fermi level and either energy.
        guess: First energy, Hartree.
    """

    def __init__(
        self, pencils: Sequence[Pencil], capacity: Floats, n_electrons: float, side: float, guess: float
    ) -> None:
        self.pencils, self.capacity, self.n_electrons, self.guess = pencils, capacity, n_electrons, guess
        self.tolerance = max(side * float(capacity.sum()), float(capacity.max()))
        self.counts: dict[float, NDArray[np.int64]] = {}

    def run(self) -> tuple[float, float]:
        """An energy below and one above the Fermi level.

        Raises:
            SolverError: So many states are degenerate there that there are none.
        """
        n, most = self.n_electrons, self.tolerance
        return self._find(n - most, n - ONE_STATE), self._find(n + ONE_STATE, n + most)

    def _find(self, least: float, most: float) -> float:
        """An energy with a number of electrons below it between two limits."""
        step = STEP
        while len(self.counts) < MOST_COUNTS:
            filled = {e: float(self.capacity @ n) for e, n in self.counts.items()}
            inside = [e for e, n in filled.items() if least <= n <= most]
            if inside:
                return inside[0]
            below = max((e for e, n in filled.items() if n < least), default=None)
            above = min((e for e, n in filled.items() if n > most), default=None)
            if below is None or above is None:
                start = self.guess if above is None else above - step
                energy = start if below is None else below + step
                step *= 2 if filled else 1
            elif len(filled) % 3 == 0:
                energy = 0.5 * (below + above)
            else:
                fraction = (0.5 * (least + most) - filled[below]) / (filled[above] - filled[below])
                energy = below + float(np.clip(fraction, 0.02, 0.98)) * (above - below)
            self.counts[energy] = np.array([p.count_below(energy) for p in self.pencils])
        raise SolverError(
            f"The Fermi level was not enclosed by {MOST_COUNTS} counts of states: too many states have one energy. "
            "Ask for more states around it."
        )


def _window(
    pencil: Pencil, ends: tuple[float, float], counts: tuple[int, int], count: int
) -> tuple[Floats, Array, int]:
    """Energies and coefficients of the states around the middle of two energies, and how many lie below.

    Args:
        pencil: H and S.
        ends: Two energies, Hartree.
        counts: Number of states below each of them.
        count: Number of states.

    Raises:
        SolverError: Fewer or more states than the counts tell lie between the two energies.
    """
    middle = 0.5 * (ends[0] + ends[1])
    energies, coefficients = shift_invert(pencil, pencil.factor(middle), middle, count)
    inside = int(np.count_nonzero((energies > ends[0]) & (energies < ends[1])))
    if inside != counts[1] - counts[0] and inside < count:
        raise SolverError(
            f"{counts[1] - counts[0]} states lie between {ends[0]:.6f} and {ends[1]:.6f} Ha, of which the iteration "
            f"gave {inside}: some are degenerate. Ask for a few more states around the Fermi level."
        )
    if inside == count:
        raise SolverError(
            f"{counts[1] - counts[0]} states at one k-point lie between {ends[0]:.6f} and {ends[1]:.6f} Ha; "
            f"{count} were asked for. Ask for more states around the Fermi level."
        )
    return energies, coefficients, int(counts[0] - np.count_nonzero(energies < ends[0]))


def _fill(
    energies: Floats, weights: Floats, inside: float, per_orbital: int, filling: Filling
) -> tuple[float, Floats]:
    """Fermi level and occupations of a window; without smearing where the window does not hold its tails."""
    fermi, occupations = fermi_level(energies, weights, inside, per_orbital=per_orbital)
    tail = TAIL * filling.width
    if filling.smearing is Smearing.NONE or energies.min(axis=2).max() > fermi - tail:
        return fermi, occupations
    if energies.max(axis=2).min() < fermi + tail:
        return fermi, occupations
    return fermi_level(
        energies, weights, inside, per_orbital=per_orbital, smearing=filling.smearing, width=filling.width
    )


def _gaps(
    energies: Floats, n_below: NDArray[np.int64], occupations: Floats, weights: Floats
) -> tuple[float, float]:
    """Indirect and direct gap between the full and the empty bands of each spin direction; zero for a metal.

    Where the window of a k-point holds full or empty bands only, the other edge lies outside the two energies that
    enclose the Fermi level: it does not bound the indirect gap, and the k-point is left out of the direct one.

    Args:
        energies: (spin, k, state).
        n_below: (spin, k).
        occupations: From 0 to 1, (spin, k, state).
        weights: (k,).
    """
    bands_filled = (n_below + occupations.sum(axis=2)) @ weights
    n_filled = np.round(bands_filled).astype(np.int64)
    bottom = n_filled[:, None] - n_below
    if (np.abs(bands_filled - n_filled) > WHOLE_BAND).any() or bottom.min() < 0 or bottom.max() > energies.shape[2]:
        return 0.0, 0.0
    padded = np.pad(energies, ((0, 0), (0, 0), (1, 1)), constant_values=((0, 0), (0, 0), (-np.inf, np.inf)))
    top, low = (np.take_along_axis(padded, (bottom + d)[..., None], axis=2)[..., 0] for d in (0, 1))
    indirect, direct = float(low.min() - top.max()), float((low - top).min())
    if not 0 < indirect < np.inf:
        return 0.0, 0.0
    return indirect, direct if np.isfinite(direct) else indirect

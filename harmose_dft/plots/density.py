"""A density of states with its statistical error, and single states as ticks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.units import HARTREE_IN_EV
from ..solver import StochasticDensity
from .figure import EMPTY_COLOR, OCCUPIED_COLOR, literally, new_figure, save

SIGMAS = 2.0
"""Standard errors that the band around the curve is high."""


@literally
def plot_density(
    density: StochasticDensity | None,
    states: NDArray[np.float64] | None,
    path: str | Path,
    *,
    fermi: float,
    window: float,
    title: str = "",
    force: bool = False,
) -> None:
    """Draw a density of states, states, or both around the Fermi level.

    Args:
        density: The density of states.
        states: Energies of states, Hartree, of any shape.
        path: Picture to write (png, pdf, svg).
        fermi: Fermi level, Hartree.
        window: Half width of what is shown with a density, eV.
        title: Text above the plot.
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: matplotlib is missing.
        OutputExistsError: The file exists and ``force`` is false.
    """
    figure = new_figure(6.0, 4.0)
    axes = figure.add_subplot()
    if density is not None:
        energies = (density.energies - fermi) * HARTREE_IN_EV
        curve, error = density.density / HARTREE_IN_EV, density.error / HARTREE_IN_EV
        axes.fill_between(energies, curve - SIGMAS * error, curve + SIGMAS * error, color=OCCUPIED_COLOR, alpha=0.25)
        axes.plot(energies, curve, color=OCCUPIED_COLOR, linewidth=1.2)
        axes.set_ylabel("states per eV")
        axes.set_xlim(-window, window)
        axes.set_ylim(bottom=0.0)
    if states is not None:
        levels = (np.ravel(states) - fermi) * HARTREE_IN_EV
        for chosen, color in ((levels <= 0, OCCUPIED_COLOR), (levels > 0, EMPTY_COLOR)):
            axes.vlines(levels[chosen], 0.0, 0.06, transform=axes.get_xaxis_transform(), color=color, linewidth=0.9)
    axes.axvline(0.0, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xlabel("energy relative to the Fermi level (eV)")
    axes.set_title(title, fontsize=11)
    save(figure, path, force=force)

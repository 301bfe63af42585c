"""Band structures along a path through the Brillouin zone, prediction over reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import HarmoseError
from ..core.units import HARTREE_IN_EV
from ..solver.band_structure import BandStructure
from .figure import EMPTY_COLOR, OCCUPIED_COLOR, REFERENCE_COLOR, literally, new_figure, save

WINDOW = (-8.0, 8.0)
"""Energies shown by default, in eV relative to the zero of :attr:`BandStructure.zero`."""


@literally
def plot_bands(
    bands: BandStructure,
    path: str | Path,
    *,
    reference: BandStructure | None = None,
    window: tuple[float, float] = WINDOW,
    title: str = "",
    force: bool = False,
) -> None:
    """Draw bands along a path, over those of a reference where one is given.

    Args:
        bands: The bands.
        path: Picture to write (png, pdf, svg).
        reference: Bands on the same k-points, drawn below as wide grey lines.
        window: Lowest and highest energy shown, eV relative to the valence-band maximum of a crystal with a gap, to
            the Fermi level of a metal.
        title: Text above the plot.
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: The reference is on another path, or matplotlib is missing.
        OutputExistsError: The file exists and ``force`` is false.
    """
    distances, ticks = bands.path.distances, bands.path.ticks
    if reference is not None and (count := reference.energies.shape[1]) != len(distances):
        raise HarmoseError(f"The bands {reference.label} have {count} k-points; the path has {len(distances)}.")
    figure = new_figure(6.0, 4.6)
    axes = figure.add_subplot()
    if reference is not None:
        for channel in _shift(reference):
            lines = axes.plot(distances, channel, color=REFERENCE_COLOR, linewidth=3.2, alpha=0.55)
        lines[0].set_label(reference.label)
    for channel, color, label in zip(_shift(bands), (OCCUPIED_COLOR, EMPTY_COLOR), bands.channel_labels, strict=False):
        lines = axes.plot(distances, channel, color=color, linewidth=1.1)
        lines[0].set_label(label)
    for position, _ in ticks:
        axes.axvline(position, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(0.0, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xticks([p for p, _ in ticks], [prettify(name) for _, name in ticks])
    axes.set_xlim(distances[0], distances[-1])
    axes.set_ylim(*window)
    axes.set_ylabel(bands.energy_label)
    axes.set_title(title, fontsize=11)
    if bands.label:
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    save(figure, path, force=force)


def _shift(bands: BandStructure) -> NDArray[np.float64]:
    """Energies relative to the zero of the plot in eV, (spin, k, band)."""
    return (bands.energies - bands.zero) * HARTREE_IN_EV


def prettify(name: str) -> str:
    """The Greek letter for Gamma, other names as they are."""
    return "Γ" if name.upper() in ("G", "GAMMA") else name

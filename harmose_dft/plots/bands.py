"""Band structures along a path through the Brillouin zone, prediction over reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import HarmoseError
from ..core.units import HARTREE_IN_EV
from .figure import EMPTY_COLOR, OCCUPIED_COLOR, REFERENCE_COLOR, literally, new_figure, save

WINDOW = (-8.0, 8.0)
"""Energies shown by default, in eV relative to the Fermi level."""


@dataclass(frozen=True, eq=False)
class BandCurves:
    """Bands of one calculation on the points of a path.

    Args:
        label: Name in the legend.
        energies: Hartree, (k, band), or (spin, k, band) for collinear spin.
        fermi: Energy in Hartree that the plot calls zero.

    Raises:
        HarmoseError: The array has another shape.
    """

    label: str
    energies: NDArray[np.float64]
    fermi: float

    def __post_init__(self) -> None:
        if self.energies.ndim not in (2, 3):
            raise HarmoseError(f"Bands must have shape (k, band) or (spin, k, band); got {self.energies.shape}.")


@literally
def plot_bands(
    distances: NDArray[np.float64],
    ticks: Sequence[tuple[float, str]],
    curves: BandCurves,
    path: str | Path,
    *,
    reference: BandCurves | None = None,
    window: tuple[float, float] = WINDOW,
    title: str = "",
    force: bool = False,
) -> None:
    """Draw bands along a path, over those of a reference where one is given.

    Args:
        distances: Position of every k-point along the path, (k,).
        ticks: Position and name of the special points.
        curves: The bands.
        path: Picture to write (png, pdf, svg).
        reference: Bands on the same k-points, drawn below as wide grey lines.
        window: Lowest and highest energy shown, eV relative to the Fermi level.
        title: Text above the plot.
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: The bands are not on the path's points, or matplotlib is missing.
        OutputExistsError: The file exists and ``force`` is false.
    """
    for one in (curves, reference) if reference is not None else (curves,):
        if (count := one.energies.shape[-2]) != len(distances):
            raise HarmoseError(f"The bands {one.label} have {count} k-points; the path has {len(distances)}.")
    figure = new_figure(6.0, 4.6)
    axes = figure.add_subplot()
    if reference is not None:
        shifted = (reference.energies - reference.fermi) * HARTREE_IN_EV
        for channel in shifted.reshape(-1, *shifted.shape[-2:]):
            lines = axes.plot(distances, channel, color=REFERENCE_COLOR, linewidth=3.2, alpha=0.55)
        lines[0].set_label(reference.label)
    shifted = (curves.energies - curves.fermi) * HARTREE_IN_EV
    channels = shifted.reshape(-1, *shifted.shape[-2:])
    for spin, channel in enumerate(channels):
        lines = axes.plot(distances, channel, color=(OCCUPIED_COLOR, EMPTY_COLOR)[spin], linewidth=1.1)
        lines[0].set_label(curves.label + (" up", " down")[spin] if len(channels) == 2 else curves.label)
    for position, _ in ticks:
        axes.axvline(position, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(0.0, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    axes.set_xticks([p for p, _ in ticks], [_pretty(name) for _, name in ticks])
    axes.set_xlim(distances[0], distances[-1])
    axes.set_ylim(*window)
    axes.set_ylabel("energy relative to the Fermi level (eV)")
    axes.set_title(title, fontsize=11)
    if reference is not None or len(channels) == 2:
        axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    save(figure, path, force=force)


def _pretty(name: str) -> str:
    """The Greek letter for Gamma, other names as they are."""
    return "Γ" if name.upper() in ("G", "GAMMA") else name

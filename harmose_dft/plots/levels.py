"""Level diagrams: orbital energies as ticks, degenerate ones side by side, one column per calculation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import HarmoseError
from ..core.spectrum import Spectrum
from ..core.units import HARTREE_IN_EV
from .figure import EMPTY_COLOR, OCCUPIED_COLOR, REFERENCE_COLOR, literally, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEGENERATE = 0.03
"""Levels closer than this many eV are drawn side by side."""

BELOW, ABOVE = 14.0, 6.0
"""Window shown below the HOMO and above the LUMO, in eV."""

HALF_WIDTH = 0.32
"""Half the width of a column's ticks; columns are one apart."""


@dataclass(frozen=True)
class LevelColumn:
    """One column of a level diagram.

    Args:
        label: Text below the column.
        spectrum: A molecule's orbitals.
    """

    label: str
    spectrum: Spectrum


@literally
def plot_levels(
    columns: Sequence[LevelColumn],
    path: str | Path,
    *,
    title: str = "",
    pictures: Sequence[tuple[str, NDArray[np.float64]]] = (),
    connect: bool = False,
    force: bool = False,
) -> None:
    """Draw a level diagram.

    Args:
        columns: The calculations, from left to right.
        path: Picture to write (png, pdf, svg).
        title: Text above the diagram.
        pictures: Titles and images (row, column, 4) shown to the right, such as HOMO and LUMO.
        connect: Whether thin lines join the same orbital of neighbouring columns (model and reference).
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: There is no column, a spectrum belongs to a crystal, or matplotlib is missing.
        OutputExistsError: The file exists and ``force`` is false.
    """
    if not columns or any(c.spectrum.energies.ndim != 1 for c in columns):
        raise HarmoseError("A level diagram needs at least one molecule's spectrum; crystals have bands.")
    figure = new_figure(2.2 + 1.7 * len(columns) + (2.8 if pictures else 0.0), 5.2)
    grid = figure.add_gridspec(max(len(pictures), 1), 2 if pictures else 1, width_ratios=[1.3, 1] if pictures else None)
    axes = figure.add_subplot(grid[:, 0])
    for x, column in enumerate(columns):
        _draw_column(axes, x, column.spectrum)
    if connect:
        _connect(axes, [c.spectrum for c in columns])
    _frame(axes, columns, title)
    for row, (name, image) in enumerate(pictures):
        panel = figure.add_subplot(grid[row, 1])
        panel.imshow(image, interpolation="antialiased")
        panel.set_title(name, fontsize=9)
        panel.set_axis_off()
    save(figure, path, force=force)


def group_degenerate(energies: NDArray[np.float64], tolerance: float = DEGENERATE) -> list[NDArray[np.int64]]:
    """Indices of ascending levels, grouped where neighbours are closer than the tolerance."""
    breaks = np.flatnonzero(np.diff(energies) > tolerance) + 1
    return [group.astype(np.int64) for group in np.split(np.arange(len(energies)), breaks)]


def _draw_column(axes: Axes, x: int, spectrum: Spectrum) -> None:
    energies = spectrum.energies * HARTREE_IN_EV
    for group in group_degenerate(energies):
        width = 2 * HALF_WIDTH / len(group)
        for position, level in enumerate(group):
            x_left = x - HALF_WIDTH + position * width
            color = OCCUPIED_COLOR if spectrum.occupied[level] else EMPTY_COLOR
            pad = 0.06 * width if len(group) > 1 else 0.0
            axes.hlines(energies[level], x_left + pad, x_left + width - pad, color=color, linewidth=1.8)
    if not np.isfinite(spectrum.gap):
        return
    homo, lumo = spectrum.homo * HARTREE_IN_EV, spectrum.lumo * HARTREE_IN_EV
    for name, energy, color, lift in (("HOMO", homo, OCCUPIED_COLOR, 3), ("LUMO", lumo, EMPTY_COLOR, -3)):
        text = f"{name} {energy:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.annotate(
            text, (x - HALF_WIDTH, energy), (0, lift), textcoords="offset points", color=color, fontsize=8,
            va="bottom" if lift > 0 else "top",
        )
    arrow = {"arrowstyle": "<->", "color": "0.45", "linewidth": 0.9, "shrinkA": 1, "shrinkB": 1}
    axes.annotate("", (x + 0.1, homo), (x + 0.1, lumo), arrowprops=arrow)
    axes.text(x + 0.14, 0.5 * (homo + lumo), f"{lumo - homo:.2f} eV", color="0.35", fontsize=8, va="center")


def _connect(axes: Axes, spectra: Sequence[Spectrum]) -> None:
    """Join the n-th occupied orbitals of neighbouring columns."""
    for x, (a, b) in enumerate(pairwise(spectra)):
        is_occupied = a.occupied[: len(b.energies)] & b.occupied[: len(a.energies)]
        for level in np.flatnonzero(is_occupied):
            ends = [a.energies[level] * HARTREE_IN_EV, b.energies[level] * HARTREE_IN_EV]
            axes.plot([x + HALF_WIDTH, x + 1 - HALF_WIDTH], ends, color=REFERENCE_COLOR, linewidth=0.6, linestyle=":")


def _frame(axes: Axes, columns: Sequence[LevelColumn], title: str) -> None:
    lowest = min(c.spectrum.energies[0] for c in columns) * HARTREE_IN_EV
    homo = min(c.spectrum.homo for c in columns) * HARTREE_IN_EV
    tops = [c.spectrum.lumo if np.isfinite(c.spectrum.lumo) else c.spectrum.homo for c in columns]
    axes.set_ylim(max(lowest - 1.0, homo - BELOW), max(tops) * HARTREE_IN_EV + ABOVE)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_xticks(range(len(columns)), [c.label for c in columns])
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("orbital energy (eV)")
    axes.set_title(title, fontsize=11)
    axes.axhline(0.0, color="0.85", linewidth=0.8, zorder=0)
    for edge in ("top", "right", "bottom"):
        axes.spines[edge].set_visible(False)

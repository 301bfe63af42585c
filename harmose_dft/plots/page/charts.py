"""Flat figures of a page: levels of molecules, bands of crystals with their density of states."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import printable
from ...core.spectrum import Spectrum
from ...core.units import HARTREE_IN_EV
from ...solver import DensityOfStates
from ...solver.band_structure import BandStructure
from ..bands import WINDOW, prettify
from ..figure import EMPTY_COLOR, OCCUPIED_COLOR, REFERENCE_COLOR
from ..levels import ABOVE, BELOW, HALF_WIDTH, group_degenerate
from .data import BandsView, Report
from .figures import RULE, Figure, array, number

Floats = NDArray[np.float64]

MOST_BANDS = 400
"""Bands beyond the window are left out of the page; of those within it no more than these are drawn."""


def level_chart(report: Report) -> Figure:
    """Levels of the model and of its reference, degenerate ones side by side, with intervals of HOMO and LUMO."""
    traces: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for x, column in enumerate(report.columns):
        traces += _column(x, column.spectrum)
        annotations += _frontier_labels(x, column.spectrum)
    traces += _error_bars(report)
    homo = min(c.spectrum.homo for c in report.columns)
    tops = [c.spectrum.lumo if np.isfinite(c.spectrum.lumo) else c.spectrum.homo for c in report.columns]
    low = max(homo * HARTREE_IN_EV - BELOW, min(c.spectrum.energies[0] for c in report.columns) * HARTREE_IN_EV - 1)
    names = [escape(printable(c.label)) for c in report.columns]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(names))), "ticktext": names, "range": [-0.75, len(names) - 0.1],
            "fixedrange": True, "showgrid": False, "zeroline": False, "ticks": "",
        },
        "yaxis": _energy_axis("orbital energy (eV)", [low, max(tops) * HARTREE_IN_EV + ABOVE]),
        "margin": {"l": 62, "r": 12, "t": 8, "b": 34}, "annotations": annotations, "hovermode": "closest",
    }
    return Figure(traces, layout)


def band_chart(view: BandsView) -> Figure:
    """Bands, over those of the reference, and beside them the density of states."""
    bands, traces = view.bands, list[dict[str, Any]]()
    if view.reference is not None:
        traces += _band_traces(view.reference, [REFERENCE_COLOR] * 2, 3.0)
    traces += _band_traces(bands, [OCCUPIED_COLOR, EMPTY_COLOR], 1.4)
    end = 1.0 if view.dos is None else 0.72
    ticks, distances = bands.path.ticks, bands.path.distances
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "linecolor": RULE, "mirror": True, "ticks": ""}
    layout: dict[str, Any] = {
        "xaxis": axis | {
            "tickvals": [number(x) for x, _ in ticks], "ticktext": [escape(prettify(name)) for _, name in ticks],
            "range": [number(distances[0]), number(distances[-1])], "domain": [0.0, end],
        },
        "yaxis": _energy_axis(bands.energy_label, list(WINDOW)) | {"linecolor": RULE, "mirror": True},
        "shapes": [_tick_line(x) for x, _ in ticks[1:-1]] + [_zero_line()],
        "margin": {"l": 62, "r": 12, "t": 34, "b": 44}, "hovermode": "closest", "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": 12}},
    }
    if view.dos is not None:
        if view.reference_dos is not None and view.reference is not None:
            traces.append(_dos_trace(view.reference_dos, view.reference.zero, REFERENCE_COLOR, 3.0))
        traces.append(_dos_trace(view.dos, bands.zero, OCCUPIED_COLOR, 1.4, fill=True))
        title = {"text": "states per eV and cell", "font": {"size": 12}}
        layout["xaxis2"] = axis | {"domain": [end + 0.03, 1.0], "title": title, "rangemode": "tozero", "nticks": 4}
        layout["yaxis"]["anchor"] = "x"
    return Figure(traces, layout)


def _column(x: int, spectrum: Spectrum) -> list[dict[str, Any]]:
    """Ticks of a column, the occupied and the empty ones."""
    energies = spectrum.energies * HARTREE_IN_EV
    homo = int(spectrum.occupied.sum()) - 1
    points: dict[bool, tuple[list[float | None], list[float | None], list[str]]] = {
        True: ([], [], []), False: ([], [], [])
    }
    for group in group_degenerate(energies):
        width = 2 * HALF_WIDTH / len(group)
        for place, level in enumerate(group.tolist()):
            left = x - HALF_WIDTH + place * width
            pad = 0.06 * width if len(group) > 1 else 0.0
            xs, ys, texts = points[bool(spectrum.occupied[level])]
            energy = number(energies[level])
            label = f"{name_level(level, homo)}  {energy:.3f} eV"
            xs += [number(left + pad), number(left + width / 2), number(left + width - pad), None]
            ys += [energy, energy, energy, None]
            texts += [label] * 3 + [""]
    return [
        {
            "type": "scatter", "mode": "lines", "x": xs, "y": ys, "text": texts, "hoverinfo": "text",
            "line": {"color": OCCUPIED_COLOR if is_occupied else EMPTY_COLOR, "width": 2.5},
        }
        for is_occupied, (xs, ys, texts) in points.items()
    ]


def name_level(level: int, homo: int) -> str:
    """ "HOMO-2" or "LUMO+1" of an orbital counted from zero."""
    if level <= homo:
        return f"HOMO{level - homo or ''}".replace("-", "\N{MINUS SIGN}")
    return f"LUMO{f'+{level - homo - 1}' if level > homo + 1 else ''}"


def _frontier_labels(x: int, spectrum: Spectrum) -> list[dict[str, Any]]:
    """HOMO and LUMO with their energies, and the gap between them."""
    if not np.isfinite(spectrum.gap):
        return []
    homo, lumo = spectrum.homo * HARTREE_IN_EV, spectrum.lumo * HARTREE_IN_EV
    labels = [
        {
            "x": x + HALF_WIDTH, "y": number(energy), "text": f"{name} {energy:.2f}".replace("-", "\N{MINUS SIGN}"),
            "showarrow": False, "xanchor": "right", "yanchor": anchor, "font": {"size": 12, "color": color},
        }
        for name, energy, color, anchor in
        (("HOMO", homo, OCCUPIED_COLOR, "bottom"), ("LUMO", lumo, EMPTY_COLOR, "top"))
    ]
    gap = {
        "x": x - 0.1, "y": number(0.5 * (homo + lumo)), "text": f"gap {lumo - homo:.2f} eV", "showarrow": False,
        "xanchor": "center", "font": {"size": 12, "color": "#6a7078"},
    }
    return [*labels, gap]


def _error_bars(report: Report) -> list[dict[str, Any]]:
    """Intervals of the model's HOMO and LUMO at the left end of their ticks."""
    if not report.level_errors:
        return []
    spectrum = report.columns[0].spectrum
    rows = [(name, getattr(spectrum, name.lower()), error) for name, error in report.level_errors.items()]
    return [{
        "type": "scatter", "mode": "markers", "x": [-HALF_WIDTH - 0.06] * len(rows),
        "y": [number(energy * HARTREE_IN_EV) for _, energy, _ in rows], "hoverinfo": "text",
        "text": [f"{name} {e * HARTREE_IN_EV:.3f} ± {error * HARTREE_IN_EV:.3f} eV" for name, e, error in rows],
        "marker": {"size": 4, "color": "#30343a"},
        "error_y": {
            "type": "data", "array": [number(error * HARTREE_IN_EV) for *_, error in rows], "width": 4,
            "thickness": 1.3, "color": "#30343a",
        },
    }]


def _band_traces(bands: BandStructure, colors: Sequence[str], width: float) -> list[dict[str, Any]]:
    """One trace for each spin direction: all bands that pass the window, one after the other."""
    traces = []
    channels = (bands.energies - bands.zero) * HARTREE_IN_EV
    for channel, color, label in zip(channels, colors, bands.channel_labels, strict=False):
        low, high = WINDOW[0] - 2.0, WINDOW[1] + 2.0
        inside = np.flatnonzero((channel.max(axis=0) > low) & (channel.min(axis=0) < high))[:MOST_BANDS]
        gaps = np.full((1, len(inside)), np.nan)
        energies = np.concatenate([channel[:, inside], gaps]).T.ravel()
        distances = np.tile(np.append(bands.path.distances, np.nan), len(inside))
        traces.append({
            "type": "scatter", "mode": "lines", "name": escape(printable(label)), "x": array(distances),
            "y": array(energies), "line": {"color": color, "width": width},
            "hovertemplate": "%{y:.3f} eV<extra></extra>",
        })
    return traces


def _dos_trace(
    dos: DensityOfStates, zero: float, color: str, width: float, *, fill: bool = False
) -> dict[str, Any]:
    energies = (dos.energies - zero) * HARTREE_IN_EV
    states = dos.total.sum(axis=0) / HARTREE_IN_EV
    shade = {"fill": "tozerox", "fillcolor": "rgba(31,95,168,0.10)"} if fill else {}
    return {
        "type": "scatter", "mode": "lines", "x": array(states), "y": array(energies), "xaxis": "x2", "yaxis": "y",
        "line": {"color": color, "width": width}, "showlegend": False,
        "hovertemplate": "%{x:.2f} states/eV at %{y:.2f} eV<extra></extra>", **shade,
    }


def _energy_axis(title: str, limits: list[float]) -> dict[str, Any]:
    return {
        "title": {"text": escape(title), "standoff": 8}, "range": [number(x) for x in limits], "gridcolor": "#eceef0",
        "zeroline": False, "ticks": "outside", "tickcolor": RULE, "ticklen": 4,
    }


def _tick_line(x: float) -> dict[str, Any]:
    line = {"color": RULE, "width": 1}
    return {"type": "line", "x0": number(x), "x1": number(x), "y0": 0, "y1": 1, "yref": "paper", "line": line,
            "layer": "below"}


def _zero_line() -> dict[str, Any]:
    line = {"color": "#8b9097", "width": 1, "dash": "dash"}
    return {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": 0, "y1": 0, "line": line, "layer": "below"}

"""Figures in the form that plotly.js draws: plain dictionaries, long arrays as base64."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK = "#30343a"
RULE = "#d9dce0"

DTYPES = {"f4": "<f4", "i4": "<i4", "u2": "<u2"}
"""plotly's names of number types -> numpy's."""


@dataclass(frozen=True, eq=False)
class Figure:
    """Traces and layout of a plotly figure.

    Args:
        traces: What is drawn.
        layout: Axes, camera and margins; fonts and colours are added.
    """

    traces: list[dict[str, Any]]
    layout: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """What ``Plotly.newPlot`` takes."""
        shared = {
            "font": {"family": FONT, "size": 13, "color": INK}, "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)", "showlegend": False, "autosize": True,
            "hoverlabel": {"font": {"family": FONT, "size": 13}},
        }
        return {"data": self.traces, "layout": shared | self.layout}


def array(values: ArrayLike, dtype: str = "f4") -> dict[str, str]:
    """A column of numbers as plotly's typed array.

    Args:
        values: (n,).
        dtype: "f4", "i4" or "u2".
    """
    data = np.ascontiguousarray(values, dtype=DTYPES[dtype])
    return {"dtype": dtype, "bdata": base64.b64encode(data.tobytes()).decode("ascii")}


def number(value: float) -> float:
    """A number with four decimals, which is enough for a screen."""
    return round(float(value), 4)

"""Draw docs/images/coverage.svg, how often error bars hold: ``python docs/draw_coverage.py``.

Plain SVG from the figures of ``benchmarks/trust.py``, as ``draw_stages.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parts.sources import read_result
from parts.trust import NAMES

TARGET = Path(__file__).parent / "images" / "coverage.svg"
SIZE, LEFT, TOP, GAP = 240, 70, 40, 110
"""Side of a panel, margins, space between panels."""

LOWEST = 0.4
"""Share where the axes begin."""

COLOURS = ("#1565c0", "#c62828", "#2e7d32", "#6a1b9a", "#ef6c00")
PANELS = {"refined": "refined by Fock builds", "free": "the network alone"}


def place(stated: float, held: float, left: float) -> tuple[float, float]:
    """Position of a point in a panel."""
    scale = SIZE / (1.0 - LOWEST)
    return left + (stated - LOWEST) * scale, TOP + (1.0 - held) * scale


def line(points: Sequence[tuple[float, float]], style: str) -> str:
    """A line through points."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{corners}" style="{style}"/>'


def panel(name: str, title: str, left: float) -> list[str]:
    """One panel: what held over what was stated, a line for each quantity."""
    curve = read_result("trust")["coverage"]
    lines = [
        f'<rect x="{left}" y="{TOP}" width="{SIZE}" height="{SIZE}"/>',
        f'<text x="{left + SIZE / 2}" y="{TOP - 12}" class="title">{title}</text>',
        f'<text x="{left + SIZE / 2}" y="{TOP + SIZE + 38}">stated share</text>',
        line([place(LOWEST, LOWEST, left), place(1.0, 1.0, left)], "stroke:#90a4ae;stroke-dasharray:4 4"),
    ]
    for share in (0.4, 0.6, 0.8, 1.0):
        (x, y), percent = place(share, share, left), f"{100 * share:.0f} %"
        lines.append(f'<text x="{x:.1f}" y="{TOP + SIZE + 18}">{percent}</text>')
        lines.append(f'<text x="{left - 24}" y="{y + 5:.1f}">{percent}</text>')
    for colour, (quantity, words) in zip(COLOURS, NAMES.items(), strict=True):
        points = [place(s, h, left) for s, h in zip(curve["stated"], curve[name][quantity], strict=True)]
        lines.append(line(points, f"stroke:{colour}"))
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        y = TOP + SIZE - 12 - 18 * (len(NAMES) - 1 - list(NAMES).index(quantity))
        lines.append(f'<text x="{left + SIZE - 10}" y="{y}" class="key" style="fill:{colour}">{words}</text>')
    return lines


def figure() -> str:
    """The figure as SVG."""
    width, height = LEFT + 2 * SIZE + GAP + 20, TOP + SIZE + 50
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Share of unseen molecules judged good whose error bars hold</title>",
        "<style>text{font:13px sans-serif;text-anchor:middle;fill:#263238}.title{font-weight:bold}"
        ".key{text-anchor:end}rect{fill:white;stroke:#90a4ae}polyline{fill:none;stroke-width:1.6}</style>",
        f'<rect width="{width}" height="{height}" style="stroke:none"/>',
        f'<text x="16" y="{TOP + SIZE / 2}" transform="rotate(-90 16 {TOP + SIZE / 2})">share that held</text>',
    ]
    for n, (name, title) in enumerate(PANELS.items()):
        lines += panel(name, title, LEFT + n * (SIZE + GAP))
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(figure(), encoding="utf-8")

"""Draw docs/images/two_stages.svg, the figure of the method: ``python docs/draw_stages.py``.

Plain SVG, so that nothing but Python is needed and a change of the figure is a readable difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parent / "images" / "two_stages.svg"
WIDTH, HEIGHT = 960, 400
GREY, BLUE, ORANGE, GREEN = "#eceff1", "#d6e4f5", "#fde7cf", "#dcefdc"


@dataclass(frozen=True)
class Box:
    """A box with a title and lines of text.

    Args:
        x: Left edge.
        y: Upper edge.
        width: Width.
        height: Height.
        title: First line, bold.
        lines: What follows.
        colour: Filling.
    """

    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    colour: str = GREY

    def svg(self) -> str:
        """The box as SVG."""
        middle = self.x + self.width / 2
        top = self.y + (self.height - 19 * len(self.lines)) / 2 + 5
        text = [f'<text x="{middle}" y="{top}" class="title">{self.title}</text>']
        text += [f'<text x="{middle}" y="{top + 19 * n}">{line}</text>' for n, line in enumerate(self.lines, start=1)]
        size = f'width="{self.width}" height="{self.height}"'
        frame = f'<rect x="{self.x}" y="{self.y}" {size} rx="8" fill="{self.colour}"/>'
        return "\n".join([frame, *text])


BOXES = (
    Box(15, 135, 130, 80, "structure", ("atoms, positions,", "cell")),
    Box(190, 30, 185, 90, "physics", ("overlap S", "H0 and its density"), GREEN),
    Box(
        185, 220, 195, 110, "stage 1",
        ("equivariant network:", "bond frames, O(2) layers", "charges and dipoles"), BLUE,
    ),
    Box(
        445, 220, 205, 110, "stage 2",
        ("non-linear Transformer:", "functions on circles", "about bonds, attention"), ORANGE,
    ),
    Box(
        720, 125, 225, 100, "H",
        ("H0 + stage 1 + correction", "one diagonalisation: energies,", "orbitals, bands, density"), GREEN,
    ),
)
"""From the left to the right."""

ARROWS = (
    ("145,160 190,90", "", (0, 0)),
    ("145,180 185,260", "", (0, 0)),
    ("282,120 282,220", "S, H0, density", (338, 175)),
    ("380,275 445,275", "", (0, 0)),
    ("375,65 832,65 832,125", "H0, S", (600, 55)),
    ("380,240 405,240 405,165 720,165", "Hamiltonian of stage 1", (560, 157)),
    ("650,275 700,275 700,200 720,200", "correction", (690, 297)),
)
"""Points of a line, its label, and where that stands."""

NOTES = ((410, 350, "features and Hamiltonian of stage 1; optionally its density matrix, by one diagonalisation"),)


def figure() -> str:
    """The figure as SVG."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>The two stages: what is computed, what is learned</title>",
        '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#455a64"/></marker></defs>',
        "<style>text{font:14px sans-serif;text-anchor:middle;fill:#263238}.title{font-weight:bold;font-size:15px}"
        "rect{stroke:#90a4ae}polyline{fill:none;stroke:#455a64;stroke-width:1.6;marker-end:url(#head)}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white" style="stroke:none"/>',
    ]
    for points, label, (x, y) in ARROWS:
        lines.append(f'<polyline points="{points}"/>')
        if label:
            lines.append(f'<text x="{x}" y="{y}">{label}</text>')
    lines += [box.svg() for box in BOXES]
    lines += [f'<text x="{x}" y="{y}">{text}</text>' for x, y, text in NOTES]
    for x, y, text in ((282, 22, "computed"), (410, 385, "learned; both stages are covariant and exactly Hermitian")):
        lines.append(f'<text x="{x}" y="{y}" style="fill:#607d8b">{text}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(figure(), encoding="utf-8")

"""Levels of a molecule as a small drawing for notebooks: SVG as text, without a drawing package."""

from __future__ import annotations

import numpy as np

from ..core.spectrum import Spectrum
from ..core.units import HARTREE_IN_EV
from .figure import EMPTY_COLOR, OCCUPIED_COLOR
from .levels import group_degenerate

WIDTH, HEIGHT, MARGIN = 230, 190, 14
"""Pixels."""

AROUND = 6.0
"""eV below the HOMO and above the LUMO that are shown."""

LEFT, RIGHT = 24, 118
"""Ends of the levels in pixels; names stand to the right of them."""


def sketch_levels(spectrum: Spectrum) -> str:
    """Levels around the gap as an SVG element; an empty text for crystals and where there is no gap.

    Args:
        spectrum: A molecule's orbitals.
    """
    if spectrum.energies.ndim != 1 or not np.isfinite(spectrum.gap):
        return ""
    homo, lumo = spectrum.homo * HARTREE_IN_EV, spectrum.lumo * HARTREE_IN_EV
    low, high = homo - AROUND, lumo + AROUND
    scale = (HEIGHT - 2 * MARGIN) / (high - low)
    energies = spectrum.energies * HARTREE_IN_EV
    lines = []
    for group in group_degenerate(energies):
        width = (RIGHT - LEFT) / len(group)
        for place, level in enumerate(group.tolist()):
            if low <= energies[level] <= high:
                y = HEIGHT - MARGIN - (energies[level] - low) * scale
                start = LEFT + place * width
                color = OCCUPIED_COLOR if spectrum.occupied[level] else EMPTY_COLOR
                lines.append(
                    f'<line x1="{start:.1f}" x2="{start + width - 3:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" '
                    'stroke-width="2"/>'
                )
    for name, energy, color in (("HOMO", homo, OCCUPIED_COLOR), ("LUMO", lumo, EMPTY_COLOR)):
        y = HEIGHT - MARGIN - (energy - low) * scale + 4
        label = f"{name} {energy:.2f} eV".replace("-", "\N{MINUS SIGN}")
        lines.append(f'<text x="{RIGHT + 4}" y="{y:.1f}" font-size="11" fill="{color}">{label}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="orbital energies" font-family="sans-serif">{"".join(lines)}</svg>'
    )

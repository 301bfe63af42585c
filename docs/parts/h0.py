"""The kinds of H0, as their classes describe them."""

from __future__ import annotations

from harmose_dft.core.discovery import discover
from harmose_dft.physics.h0.base import PACKAGE, GaussianH0, NumericalH0

from .sources import table


def h0_table() -> str:
    """A row for each class: the name in configurations, the first line of its docstring, and what it is for."""
    rows = [
        [f"`{h0.kind}`", (h0.__doc__ or "").partition("\n")[0].removesuffix("."), use]
        for base, use in ((GaussianH0, "molecules"), (NumericalH0, "crystals"))
        for h0 in sorted(discover(PACKAGE, base), key=lambda h0: h0.kind)
    ]
    return table(["`baseline.kind`", "H0", "for"], rows)

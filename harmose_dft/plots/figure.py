"""A matplotlib figure without global state, and how it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import HarmoseError
from ..core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OCCUPIED_COLOR = "#1f5fa8"
EMPTY_COLOR = "#d9822b"
REFERENCE_COLOR = "#9aa0a6"

FORMATS = ("png", "pdf", "svg")
"""What a picture's suffix may be."""

RESOLUTION = 200
"""Dots per inch of a PNG."""


def require_format(path: str | Path) -> None:
    """Refuse a picture whose suffix matplotlib would not understand.

    Raises:
        HarmoseError: The suffix is not among :data:`FORMATS`.
    """
    if Path(path).suffix.lower().lstrip(".") not in FORMATS:
        raise HarmoseError(
            f"{path}: pictures are written as {', '.join(FORMATS)}; got the suffix {Path(path).suffix!r}. "
            "Choose a name such as levels.png."
        )


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, size in inches.

    Raises:
        HarmoseError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise HarmoseError(
            "Drawing needs matplotlib, which is not installed. Install it with: pip install 'harmose-dft[plot]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: str | Path, *, force: bool = False) -> None:
    """Write a figure; the suffix decides the format.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """
    require_format(path)
    with atomic_path(path, force) as temporary:
        figure.savefig(temporary, dpi=RESOLUTION, format=Path(path).suffix.lower().lstrip("."))

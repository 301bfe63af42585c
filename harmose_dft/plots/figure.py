"""A matplotlib figure without global state, and how it is saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from ..core.errors import HarmoseError
from ..core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OCCUPIED_COLOR = "#1f5fa8"
EMPTY_COLOR = "#d9822b"
REFERENCE_COLOR = "#9aa0a6"

FORMATS = ("png", "pdf", "svg")
"""What a picture's suffix may be."""

LITERAL: Any = {"text.usetex": False, "text.parse_math": False, "axes.formatter.use_mathtext": False}
"""matplotlib's settings under which a text is a text."""

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


P = ParamSpec("P")


def literally(draw: Callable[P, None]) -> Callable[P, None]:
    """A drawing function whose texts are shown as they are: no formulas in dollar signs, no LaTeX.

    Names come from files, and a ``matplotlibrc`` of the current folder may ask for LaTeX, which runs what it is given.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            from matplotlib import rc_context
        except ImportError:
            draw(*args, **kwargs)  # says what is missing
            return
        with rc_context(LITERAL):
            draw(*args, **kwargs)

    return drawn


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

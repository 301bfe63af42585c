"""A report's page inside a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from .data import Report
from .page import render_page, write_page

HEIGHT = 900
"""Pixels."""


@dataclass(frozen=True, eq=False)
class View:
    """A report that a notebook shows as its page, in a frame of its own that reaches nothing outside.

    Args:
        report: What the page shows.
    """

    report: Report

    def __repr__(self) -> str:
        return f"View({self.report.structure.formula}, {self.report.title!r})"

    def _repr_html_(self) -> str:
        """The page in a frame."""
        page = escape(render_page(self.report))
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" width="100%" height="{HEIGHT}" '
            'style="border:1px solid #ddd;border-radius:6px"></iframe>'
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the page, see :func:`write_page`."""
        write_page(path, self.report, force=force)

"""A report as one HTML page that needs no network: the data it shows, and its writing."""

from __future__ import annotations

from .data import BandsView, Check, Fact, Level, OrbitalView, Report, TrustView
from .notebook import View
from .page import render_page, write_page

__all__ = [
    "BandsView",
    "Check",
    "Fact",
    "Level",
    "OrbitalView",
    "Report",
    "TrustView",
    "View",
    "render_page",
    "write_page",
]

"""Data sets of every format the package reads, recognised by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .opening import open_dataset, recognise

__all__ = ["open_dataset", "recognise"]

__getattr__, __dir__ = attach(__name__, {
    "open_dataset": "opening",
    "recognise": "opening",
})

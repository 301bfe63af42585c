"""Folders of DeepH, both layouts, both directions: ``legacy`` (DeepH-pack) and ``chunked`` (DeepH-dock)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .folders import LAYOUTS, FolderWriter, read, recognise, write

__all__ = ["LAYOUTS", "FolderWriter", "read", "recognise", "write"]

__getattr__, __dir__ = attach(__name__, {
    "FolderWriter": "folders",
    "LAYOUTS": "folders",
    "read": "folders",
    "recognise": "folders",
    "write": "folders",
})

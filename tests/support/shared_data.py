"""Where the reference calculations are."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("HARMOSE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
"""Folder of the reference calculations beside the checkout; tests that need them are skipped where it is absent."""

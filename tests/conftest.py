"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SHARED = Path(os.environ.get("HARMOSE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
FIXTURES = Path(__file__).resolve().parent / "fixtures"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder of the reference calculations (data/, samples/); the test is skipped where it is absent."""
    if not (SHARED / "samples").is_dir():
        pytest.skip("reference calculations are not available beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Folder of the small fixtures kept in git."""
    return FIXTURES

"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from shared_data import SHARED

from harmose_dft.cli import console

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


@pytest.fixture(autouse=True)
def settings_of_the_console() -> None:
    """No test inherits the --quiet or --verbose of another."""
    console.settings.reset()

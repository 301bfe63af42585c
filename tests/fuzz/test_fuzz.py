"""Damaged files of every kind end in this package's errors: a short run of the harness, always of the same cases."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import run
from mutations import make_seeds

CASES = 250
"""Some seconds; CONTRIBUTING.md gives the command of the long run."""


def test_sound_files_of_every_kind_are_read(tmp_path: Path) -> None:
    for path, reader in make_seeds(tmp_path / "files").values():
        assert reader(path) > 0, path


def test_damaged_files_are_read_or_refused_in_one_paragraph_soon_and_within_memory(tmp_path: Path) -> None:
    tally = run(range(CASES), 2026, tmp_path / "files")
    assert tally.faults == []
    assert set(tally.outcomes) <= {"read", "refused"}
    assert tally.outcomes["refused"] > CASES // 3

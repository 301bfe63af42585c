"""The protocol of progress, as every room uses it."""

from __future__ import annotations

import pytest

from harmose_dft.cli import console
from harmose_dft.core.progress import Progress, silent


@pytest.mark.parametrize("progress", [silent, console.progress])
def test_every_way_of_showing_progress_counts_steps(progress: Progress) -> None:
    with progress("testing", 5) as counter:
        counter.advance()
        counter.advance(3)
    assert counter.done == 4  # type: ignore[attr-defined]

"""From calculations to samples."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_training import builder

from harmose_dft.core.errors import DataError
from harmose_dft.testing.models import water, water_record


def test_open_shell_calculations_are_refused() -> None:
    record = water_record(0)
    with pytest.raises(DataError, match="closed-shell"):
        builder().make_raw(replace(record, hamiltonian=record.hamiltonian * 2))
    assert len(water(0)) == 3

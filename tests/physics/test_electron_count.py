"""Valence electrons from the compositions of calculations."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harmose_dft.core.errors import DataError, DomainError
from harmose_dft.core.structure import Structure
from harmose_dft.physics.electron_count import ElectronCount
from harmose_dft.testing.crystals import calculation, layer, repeat_cell


def test_electrons_follow_from_compositions() -> None:
    records = [calculation(layer())]
    count = ElectronCount.from_list(json.loads(json.dumps(ElectronCount.fit(records).to_list())))
    assert count(repeat_cell(layer(), (2, 1, 1))) == pytest.approx(16.0)
    with pytest.raises(DomainError, match=r"valence electrons of B .*B1N1"):
        count(Structure(np.array([5]), np.zeros((1, 3)), 8 * np.eye(3)))
    with pytest.raises(DataError, match="8 and 7 valence electrons"):
        ElectronCount.fit([*records, replace(records[0], n_electrons=7.0)])


def test_a_charge_takes_electrons_away() -> None:
    count = ElectronCount.fit([calculation(layer())])
    structure = layer()
    assert count(Structure(structure.numbers, structure.positions, structure.cell, charge=1)) == pytest.approx(7.0)

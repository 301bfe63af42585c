"""Refusals that people meet say what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from harmose_dft.adapters.abacus.density import Setup
from harmose_dft.adapters.pyscf.mean_field import require_closed_shell
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.structure import Structure
from harmose_dft.data import open_dataset
from harmose_dft.testing.crystals import layer
from harmose_dft.workflows.info import describe

PROTON = Structure(np.array([1]), np.zeros((1, 3)), charge=1)


def not_hdf5(folder: Path) -> object:
    (folder / "notes.h5").write_text("notes")
    return open_dataset(folder / "notes.h5")


def other_hdf5(folder: Path) -> object:
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = 1.0
    return open_dataset(folder / "other.h5")


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda folder: require_closed_shell(PROTON), r"has 0 electrons; expected two at least\. Check the charge\."),
        (lambda folder: Setup.of_run(folder, layer()), r"no INPUT in .*Give the folder that holds INPUT, KPT and"),
        (lambda folder: describe(folder / "none"), "Check the path; the bundled models are graphene, organic"),
        (not_hdf5, "make a data set by harmose-dft convert or label"),
        (other_hdf5, "Make one by harmose-dft convert or label"),
    ],
)
def test_refusal_says_what_to_do(call: Callable[[Path], object], advice: str, tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match=advice):
        call(tmp_path)

"""Records of several data sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmose_dft.core.errors import DataError
from harmose_dft.testing.models import tiny_config, write_waters
from harmose_dft.training.data import open_training_data


def test_parts_are_taken_from_every_data_set(tmp_path: Path) -> None:
    files = tuple(write_waters(tmp_path / f"{k}.h5", range(3 * k, 3 * k + 3)) for k in range(2))
    settings = {"files": files, "split": "ordered", "sizes": (2, 1), "max_training": 2}
    data = open_training_data(tiny_config(data=settings))
    assert data.records("train") == [(0, 0), (1, 0)]
    assert data.records("validation") == [(0, 2), (1, 2)]


def test_a_model_of_three_records_is_validated_on_one_of_them(tmp_path: Path) -> None:
    files = (write_waters(tmp_path / "few.h5", range(3)),)
    data = open_training_data(tiny_config(data={"files": files}))
    assert [len(data.records(part)) for part in ("train", "validation", "test")] == [2, 1, 0]


def test_one_record_alone_cannot_be_learned_from_and_validated_on(tmp_path: Path) -> None:
    files = (write_waters(tmp_path / "one.h5", [0]),)
    with pytest.raises(DataError, match=r"1 would be learned from and 0 validated on.* at least two records"):
        open_training_data(tiny_config(data={"files": files}))
    asked = {"files": files, "split": "ordered", "sizes": (1, 0)}
    assert open_training_data(tiny_config(data=asked)).records("validation") == []


def test_calculations_of_several_functionals_are_refused(tmp_path: Path) -> None:
    files = (write_waters(tmp_path / "a.h5", [0]), write_waters(tmp_path / "b.h5", [1], functional="pbe"))
    settings = {"files": files, "split": "ordered", "sizes": (1, 0)}
    with pytest.raises(DataError, match=r"several functionals \(lda,vwn, pbe\)"):
        open_training_data(tiny_config(data=settings))
    same = (files[0], write_waters(tmp_path / "c.h5", [2], functional="LDA,VWN"))
    found = open_training_data(tiny_config(data={**settings, "files": same}))
    assert found.functional.lower() == "lda,vwn"

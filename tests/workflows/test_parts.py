"""Which records a model was trained on: by file, by structure, and through the trainings that it went on from."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harmose_dft.cli import main
from harmose_dft.core.errors import DataError
from harmose_dft.core.files import sha256
from harmose_dft.core.progress import silent
from harmose_dft.data import Dataset, open_dataset
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.loading import model_folder
from harmose_dft.testing.models import tiny_config, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.provenance import STRUCTURE_IDS
from harmose_dft.training.run import Fit
from harmose_dft.workflows.parts import Part, TrainedRecords


def fit(data: Path, output: Path, start: Path | None = None) -> ModelFile:
    """One update on four waters, validated on the fifth; the rest is left."""
    config = tiny_config(
        data={"files": (data,), "split": "ordered", "sizes": (4, 1)}, output=output,
        optimizer={"steps": 1, "batch_size": 2},
    )  # fmt: skip
    if start is not None:
        brought = config.model_dump(exclude={"baseline", "model", "inputs"}, exclude_unset=True)
        config = TrainConfig.model_validate({**brought, "start_from": str(start)})
    return Fit(config, silent, lambda entry: None).run()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return write_waters(folder / "waters.h5", range(6))


@pytest.fixture(scope="module")
def model(folder: Path, data: Path) -> ModelFile:
    return fit(data, folder / "model")


def select(training: Mapping[str, Any], dataset: Dataset, part: Part | None) -> list[int]:
    return TrainedRecords.find(training, dataset).select(part)


def used(training: Mapping[str, Any], dataset: Dataset) -> list[bool]:
    is_used: list[bool] = TrainedRecords.find(training, dataset).is_used.tolist()
    return is_used


def test_records_of_the_file_are_parted_as_they_were_in_training(data: Path, model: ModelFile) -> None:
    waters = open_dataset(data)
    assert used(model.training, waters) == [True] * 5 + [False]
    parts = [select(model.training, waters, part) for part in ("train", "validation", "test")]
    assert parts == [[0, 1, 2, 3], [4], [5]]
    assert select(model.training, waters, None) == [0, 1, 2, 3, 4, 5]


def test_structures_are_recognised_in_a_file_that_was_written_anew(folder: Path, model: ModelFile) -> None:
    """Waters 3 to 8 in another order of records: 3 and 4 took part, the others are the test."""
    waters = open_dataset(write_waters(folder / "anew.h5", [8, 4, 5, 3, 6, 7]))
    assert not TrainedRecords.find(model.training, waters).is_own_file
    assert used(model.training, waters) == [False, True, False, True, False, False]
    assert select(model.training, waters, "test") == [0, 2, 4, 5]
    with pytest.raises(DataError, match=r"trained on 2 of the 6 structures of anew.h5.*no part 'train'"):
        select(model.training, waters, "train")


def test_a_copy_of_a_training_structure_does_not_test(folder: Path) -> None:
    """The sixth record repeats the first; it falls to the test part and is left out of it."""
    data = write_waters(folder / "copies.h5", [0, 1, 2, 3, 4, 0, 9])
    model = fit(data, folder / "copies-model")
    assert select(model.training, open_dataset(data), "test") == [6]


def test_trainings_that_a_training_went_on_from_count(folder: Path, model: ModelFile) -> None:
    waters = write_waters(folder / "others.h5", range(10, 16))
    tuned = fit(waters, folder / "tuned", start=folder / "model")
    assert used(tuned.training, open_dataset(folder / "waters.h5")) == [True] * 5 + [False]
    assert used(tuned.training, open_dataset(waters)) == [True] * 5 + [False]


def test_models_of_earlier_releases_know_their_files_only(folder: Path, data: Path, model: ModelFile) -> None:
    training = {key: value for key, value in model.training.items() if key != STRUCTURE_IDS}
    assert sum(used(training, open_dataset(data))) == 5
    assert not any(used(training, open_dataset(write_waters(folder / "again.h5", [0, 1, 2]))))


def test_what_cannot_be_known_of_earlier_models_is_said(folder: Path, data: Path, model: ModelFile) -> None:
    """The file that it was trained on is recognised, a file with the same waters is not."""
    unlisted = {key: value for key, value in model.training.items() if key != STRUCTURE_IDS}
    copies, others = (
        open_dataset(write_waters(folder / name, waters))
        for name, waters in (("written-anew.h5", [0, 1]), ("more.h5", [20, 21]))
    )
    note = TrainedRecords.find(unlisted, copies).describe([0, 1])
    assert note is not None
    assert "the model's file does not list those of its training" in note
    assert TrainedRecords.find(unlisted, open_dataset(data)).describe([5]) is None
    assert TrainedRecords.find(model.training, others).describe([0, 1]) is None
    later = {**model.training, "started_from": {"training": unlisted}}
    assert TrainedRecords.find(later, others).describe([0, 1]) is not None


def test_bundled_models_list_no_structures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another basis ends both commands, after the note and before anything is computed."""
    waters = write_waters(tmp_path / "waters.h5", [0])
    organic, without = tmp_path / "organic", shutil.ignore_patterns("trust.json")
    shutil.copytree(model_folder("organic"), organic, ignore=without)
    for command in ("evaluate", "calibrate"):
        assert main([command, str(organic), str(waters)]) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "waters.h5: the model was not trained on this file. Its structures may have been in training" in said


def test_a_file_is_hashed_once_when_a_model_is_measured_on_it(
    data: Path, folder: Path, model: ModelFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hashing reads the file, which may be large; the note and the choice of records share it."""
    hashed: list[Path] = []

    def count(path: Path) -> str:
        hashed.append(path)
        return sha256(path)

    monkeypatch.setattr("harmose_dft.workflows.parts.sha256", count)
    assert main(["evaluate", str(folder / "model"), str(data), "--json"]) == 0
    assert "waters.h5: the model was trained on 5 of these 6 records; --part test leaves" in capsys.readouterr().err
    assert hashed == [data]

"""Models that a training starts from: new ones and trained ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import FIRST, LAB, trainer, write_config

from harmose_dft.cli import main
from harmose_dft.core.errors import BasisMismatchError, ConfigError
from harmose_dft.core.progress import silent
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.testing.models import tiny_config, water, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.folder import LOG
from harmose_dft.training.log import LogEntry
from harmose_dft.training.run import Fit, describe_overfitting


def test_training_goes_on_from_a_model(tmp_path: Path) -> None:
    """With a vanishing learning rate the further model is the first one; its file says where it comes from."""
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    first = ModelFile.load(tmp_path / "model")
    data = {"files": (write_waters(tmp_path / "more.h5", range(3, 9)),), "split": "ordered", "sizes": (4, 2)}
    settings = {"data": data, "start_from": str(tmp_path / "model"), "output": tmp_path / "further"}
    common = {"steps": 3, "batch_size": 2, "warmup_steps": 0}

    def further(rate: float) -> ModelFile:
        config = TrainConfig.model_validate({**settings, "optimizer": {**common, "learning_rate": rate}})
        return Fit(config, silent, lambda entry: None).run()

    same = further(1e-30)
    before, after = first.network.state_dict(), same.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, array in first.normalizer.arrays().items():
        np.testing.assert_array_equal(array, same.normalizer.arrays()[name])
    assert same.physics.describe() == first.physics.describe()
    assert same.network.config == first.network.config
    origin = same.training["started_from"]
    assert (origin["sha256"], origin["training"]["steps"]) == (first.sha256, 4)
    loaded = ModelFile.load(tmp_path / "further")
    assert same.sha256 == loaded.sha256
    with pytest.raises(ConfigError, match="other data or settings"):
        further(1e-2)
    settings["output"] = tmp_path / "model"
    with pytest.raises(ConfigError, match="choose another folder"):
        further(1e-2)
    settings["output"] = tmp_path / "moved"
    moved = further(1e-2).network.state_dict()
    assert not all(torch.equal(before[name], moved[name]) for name in before)
    written = ModelFile.load(tmp_path / "moved").network.state_dict()
    assert all(torch.equal(written[name], moved[name]) for name in written)


def test_log_begins_with_the_model_that_training_starts_from(tmp_path: Path) -> None:
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    data = {"files": (write_waters(tmp_path / "more.h5", range(3, 9)),), "split": "ordered", "sizes": (4, 2)}
    settings = {"data": data, "start_from": str(tmp_path / "model"), "output": tmp_path / "further"}
    lines: list[LogEntry] = []
    still = {"steps": 2, "batch_size": 2, "learning_rate": 1e-30}
    Fit(TrainConfig.model_validate({**settings, "optimizer": still}), silent, lines.append).run()
    first, last = lines
    assert (first.step, last.step) == (0, 2)
    assert math.isnan(first.train_mae_all)
    assert first.valid_mae_all == pytest.approx(last.valid_mae_all, rel=1e-5) != 0
    anew = write_config(tmp_path, output=str(tmp_path / "further"))
    assert main(["train", str(anew), "--quiet", "--force"]) == 0
    kept = [json.loads(line)["step"] for line in (tmp_path / "further" / LOG).read_text().splitlines()]
    assert kept == [2, 4]  # none of the earlier run, which began with a line of its start


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({}, ""),
        ({100: 300.0}, ""),
        ({0: 261.0, 100: 200.0, 1000: 230.0}, ""),
        ({0: 261.0, 100: 285.0, 1000: 516.0}, "is 516 uHa at the end and was 261 uHa in the model that it"),
        ({100: 285.0, 200: 210.0, 1000: 516.0}, "is 516 uHa at the end and was 210 uHa after step 200"),
    ],
)
def test_a_validation_error_that_rose_is_told(errors: dict[int, float], words: str) -> None:
    assert words in describe_overfitting(errors)
    assert bool(words) == bool(describe_overfitting(errors))


def test_model_that_does_not_fit_the_data_is_not_trained_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    start = {"start_from": str(tmp_path / "model"), "output": str(tmp_path / "further")}
    assert main(["train", str(write_config(tmp_path, **start))]) != 0
    assert "brings its own baseline, model" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"stages\.mode staged is for new models"):
        TrainConfig.model_validate({**start, "stages": {"mode": "staged"}})
    with pytest.raises(ValueError, match="brings its own filling"):
        TrainConfig.model_validate({**start, "filling": {"spacing": 0.2}})
    from harmose_dft.adapters.pyscf import reference
    from harmose_dft.data import DatasetWriter

    with DatasetWriter(tmp_path / "basis.h5") as writer:
        writer.add(reference(water(0), "lda,vwn", "6-31g", grid_level=0))
    data = {"files": (tmp_path / "basis.h5",), "split": "ordered", "sizes": (1, 0)}
    with pytest.raises(BasisMismatchError, match="orbitals of H differ"):
        Fit(TrainConfig.model_validate({**start, "data": data}), silent, print).run()
    assert not (tmp_path / "further").exists()


def test_dropout_asks_for_a_stage_that_takes_it_in_the_model_that_training_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = {"start_from": "model", "output": "further"}
    assert TrainConfig.model_validate({**start, "optimizer": {"dropout": 0.2}}).optimizer.dropout == 0.2
    config = write_config(tmp_path, model={"first": FIRST, "second": None})
    assert main(["train", str(config), "--quiet"]) == 0
    further = tmp_path / "further.yaml"
    further.write_text(json.dumps({
        "start_from": str(tmp_path / "model"), "output": str(tmp_path / "further"), "optimizer": {"dropout": 0.2},
        "data": {"files": [str(tmp_path / "waters.h5")]},
    }))
    assert main(["train", str(further), "--quiet"]) == 1
    assert "optimizer.dropout is of a second stage of kind circle; this model has none" in capsys.readouterr().err


def test_one_line_trains_a_model_further_on_another_functional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new model has the data's functional, and its name is that of its folder: model and data set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harmose_dft.workflows.train.FURTHER_STEPS", 20)
    assert main(["train", str(write_config(tmp_path)), "--quiet"]) == 0
    write_waters(tmp_path / "pbe.h5", range(10), functional="pbe")
    assert main(["train", "--from", "model", "pbe.h5", "--quiet"]) == 0
    assert "model-pbe, pbe/sto-3g" in capsys.readouterr().out
    further = ModelFile.load(tmp_path / "model-pbe")
    assert (further.name, further.functional, further.training["steps"]) == ("model-pbe", "pbe", 20)
    assert further.training["structures"] == 8
    assert main(["train", "--from", "model", "pbe.h5", "--quiet", "--out", "mine"]) == 0
    assert ModelFile.load(tmp_path / "mine").name == "mine"
    assert main(["train", "a.yaml", "b.yaml"]) == 2
    assert "One configuration is expected" in capsys.readouterr().err
    assert main(["train", "--from", "model"]) == 2


def test_h0_of_a_functional_follows_that_of_the_data() -> None:
    from harmose_dft.adapters.pyscf import orbital_basis
    from harmose_dft.physics.h0.minao import MinaoH0

    h0 = MinaoH0(orbital_basis("sto-3g", [1, 8]), "lda,vwn")
    assert h0.with_functional("LDA,VWN") is h0
    assert h0.with_functional("pbe").functional == "pbe"


def test_model_is_named_after_its_folder_unless_the_configuration_names_it(tmp_path: Path) -> None:
    import yaml

    config = write_config(tmp_path, output=str(tmp_path / "water-2026"))
    settings = yaml.safe_load(config.read_text())
    del settings["name"]
    config.write_text(yaml.safe_dump(settings))
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "water-2026").name == "water-2026"


def test_sizes_that_do_not_fit_are_errors_of_the_configuration() -> None:
    for second in ({"kind": "circle", "points": 5, "layers": 1}, {**LAB, "heads": 3}):
        config = tiny_config(model={"first": {**FIRST, "l_max": 4}, "second": second})
        with pytest.raises(ConfigError, match="section model"):
            trainer(config)

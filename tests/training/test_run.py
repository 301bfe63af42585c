"""Training runs from a configuration to a model's folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_training import write_config

from harmose_dft.adapters.pyscf import reference
from harmose_dft.cli import main
from harmose_dft.core.errors import DataError
from harmose_dft.core.progress import silent
from harmose_dft.core.structure import Structure
from harmose_dft.data import DatasetWriter
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.testing.models import tiny_config, water_record, write_waters
from harmose_dft.training.folder import LOG
from harmose_dft.training.run import Fit


def test_command_trains_writes_a_model_and_does_not_train_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config)]) == 0
    assert "training structures" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "model" / LOG).read_text().splitlines()]
    assert [entry["step"] for entry in log] == [2, 4]
    assert all(np.isfinite(list(entry.values())).all() for entry in log)
    model = ModelFile.load(tmp_path / "model")
    assert (model.functional, model.training["steps"], model.training["structures"]) == ("lda,vwn", 4, 4)
    capsys.readouterr()
    assert main(["train", str(config)]) == 0
    assert "This run was finished before; nothing was trained." in capsys.readouterr().err
    assert ModelFile.load(tmp_path / "model").sha256 == model.sha256
    assert main(["train", str(config), "--quiet", "--force"]) == 0
    assert ModelFile.load(tmp_path / "model").sha256 == model.sha256
    assert len((tmp_path / "model" / LOG).read_text().splitlines()) == 2


def test_model_without_the_state_of_its_training_is_replaced_with_force_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    (tmp_path / "model" / "state.safetensors").unlink()
    written = (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns
    assert main(["train", str(config), "--quiet"]) == 1
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns == written
    assert main(["train", str(config), "--quiet", "--force"]) == 0
    assert (tmp_path / "model" / "model.safetensors").stat().st_mtime_ns > written


def test_file_in_place_of_the_models_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    (tmp_path / "model").write_text("precious")
    assert main(["train", str(config), "--quiet", "--force"]) == 1
    assert "is a file and was left as it is" in capsys.readouterr().err
    assert (tmp_path / "model").read_text() == "precious"


def test_recorded_figures_survive_a_second_run_of_a_finished_training(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert main(["train", str(config), "--quiet"]) == 0
    data = str(tmp_path / "waters.h5")
    assert main(["evaluate", str(tmp_path / "model"), data, "--part", "validation", "--record", "--quiet"]) == 0
    recorded = ModelFile.load(tmp_path / "model").metrics
    assert list(recorded) == ["waters.h5 (validation)"]
    assert main(["train", str(config), "--quiet"]) == 0
    assert ModelFile.load(tmp_path / "model").metrics == recorded


def test_fit_finds_its_data_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.files"):
        Fit(tiny_config(), silent, print).run()
    data = write_waters(tmp_path / "waters.h5", range(2))
    settings = {"files": (data,), "split": "ordered", "sizes": (9, 1)}
    with pytest.raises(DataError, match="needs 10 records"):
        Fit(tiny_config(data=settings), silent, print).run()


@pytest.mark.parametrize("kind", ["sap", "fitted"])
def test_element_that_only_validation_structures_hold_is_named_where_h0_has_to_learn_it(
    tmp_path: Path, kind: str
) -> None:
    fluoride = Structure(np.array([9, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.75]]))
    with DatasetWriter(tmp_path / "data.h5") as writer:
        for record in (*map(water_record, range(3)), reference(fluoride, "lda,vwn", "sto-3g", grid_level=0)):
            writer.add(record)
    data = {"files": (tmp_path / "data.h5",), "split": "ordered", "sizes": (2, 2)}
    fit = Fit(tiny_config(data=data, baseline={"kind": kind}, output=tmp_path / kind), silent, lambda entry: None)
    if kind == "sap":
        assert fit.run().training["structures"] == 2
    else:
        with pytest.raises(DataError, match="No training structure holds F, only others of the data do"):
            fit.run()

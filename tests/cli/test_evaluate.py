"""``harmose-dft evaluate`` with the committed tiny model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.cli import main
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.progress import silent
from harmose_dft.core.units import MICRO
from harmose_dft.data import DatasetWriter
from harmose_dft.model.loading import load_model
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.models import tiny_config, water_record, write_waters
from harmose_dft.training.run import Fit


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_waters(tmp_path_factory.mktemp("data") / "waters.h5", range(6, 8))


@pytest.fixture
def model(fixtures_dir: Path) -> str:
    return str(fixtures_dir / "model_v1")


def test_json_holds_metrics_of_both_stages(data: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """mae_all is worked out here from dense matrices."""
    assert main(["evaluate", model, str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = found["metrics"]
    assert (metrics["samples"], found["part"], found["model"]["name"]) == (2, "all", "tiny")
    predictor = load_model(model)
    records = [water_record(k) for k in (6, 7)]
    errors = [
        np.abs(predictor.hamiltonian(r.structure).to_dense() - r.hamiltonian[0].to_dense()).mean() / MICRO
        for r in records
    ]
    assert metrics["model"]["mae_all"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert metrics["stage1"]["mae_all"] > 0
    assert metrics["model"]["cov_err"] < 1.0


def test_h0_alone_stands_beside_the_model_with_its_cost(
    data: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """H0's error is worked out here from dense matrices; HOMO, LUMO and gap are given in eV, too."""
    assert main(["evaluate", model, str(data), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    h0, records = load_model(model).physics.h0, [water_record(k) for k in (6, 7)]
    errors = [np.abs(h0(r.structure).to_dense() - r.hamiltonian[0].to_dense()).mean() / MICRO for r in records]
    assert metrics["h0"]["mae_all"] == pytest.approx(np.mean(errors), rel=1e-6)
    assert metrics["seconds"]["h0"] > 0
    assert metrics["seconds"]["model"] > 0
    in_ev = metrics["frontier_ev"]
    assert set(in_ev) == {"model", "stage1", "h0"}
    for stage, errors_ev in in_ev.items():
        for name, value in errors_ev.items():
            assert value == pytest.approx(metrics[stage][name] * 27.211386e-6)  # eV per uHa
    assert main(["evaluate", model, str(data), "--quiet"]) == 0
    out = capsys.readouterr().out
    for part in ("H0 alone", "homo_mae (eV)", "gap_mae (eV)", "s of it for H0", "legend", "mean absolute error of all"):
        assert part in out


def test_table_shows_both_stages_and_the_worst_blocks(
    data: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", model, str(data), "--limit", "1", "--quiet"]) == 0
    out = capsys.readouterr().out
    for part in ("mae_all", "full model", "stage 1", "worst blocks", "1 structures"):
        assert part in out


def test_data_of_another_functional_is_refused(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_waters(tmp_path / "pbe.h5", [6], functional="pbe")
    assert main(["evaluate", model, str(other)]) == 1
    captured = capsys.readouterr()
    assert "pbe" in captured.err
    assert "own functional" in captured.err
    assert captured.out == ""


def test_split_by_molecule_needs_names(data: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, str(data), "--part", "test"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"{data.name} has no part 'test': the model was not trained on this file" in said
    assert "record 1 has no SMILES to split it by. Measure the whole file, without --part, or use a model" in said


def test_parts_of_training_data_are_those_of_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six waters, four of which train; the two left out are measured by --part test, all of them not unsaid."""
    data = write_waters(tmp_path / "waters.h5", range(6))
    settings = {"files": (data,), "split": "random", "sizes": (4, 0, 2), "seed": 3}
    folder = tmp_path / "own"
    optimizer = {"steps": 1, "batch_size": 2}
    Fit(tiny_config(data=settings, output=folder, optimizer=optimizer), silent, lambda entry: None).run()
    assert main(["evaluate", str(folder), str(data), "--part", "test", "--json"]) == 0
    captured = capsys.readouterr()
    assert "trained on" not in captured.err
    left_out = np.random.default_rng(3).permutation(6)[4:]
    metrics = json.loads(captured.out)["metrics"]
    assert metrics["samples"] == 2
    predictor = load_model(folder)
    records = [water_record(int(k)) for k in left_out]
    errors = [
        np.abs(predictor.hamiltonian(r.structure).to_dense() - r.hamiltonian[0].to_dense()).mean() / MICRO
        for r in records
    ]
    assert metrics["model"]["mae_all"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert main(["evaluate", str(folder), str(data), "--json"]) == 0
    assert "trained on 4 of these 6 records" in capsys.readouterr().err


def test_missing_data_is_an_error_of_the_user(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, str(tmp_path / "none.h5")]) == 1
    assert "none.h5" in capsys.readouterr().err


def test_recorded_figures_stay_with_the_model(
    data: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    shutil.copytree(model, own)
    assert main(["evaluate", str(own), str(data), "--record", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert main(["info", str(own), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["metrics"]["waters.h5 (all)"]
    assert (shown["unit"], shown["samples"]) == ("uHa", 2)
    assert shown["mae_all"] == found["model"]["mae_all"]
    assert "mae_block" not in shown
    assert load_model(own).model.metrics["waters.h5 (all)"]["model"]["mae_element"] == found["model"]["mae_element"]


def test_figures_of_the_first_records_do_not_replace_those_of_all(data: Path, model: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(model, own)
    for limit in ([], ["--limit", "1"]):
        assert main(["evaluate", str(own), str(data), "--record", *limit]) == 0
    metrics = load_model(own).model.metrics
    assert {name: metrics[name]["samples"] for name in metrics if name.startswith("waters")} == {
        "waters.h5 (all)": 2, "waters.h5 (all, first 1)": 1
    }


def test_figures_are_printed_though_they_cannot_be_recorded(
    data: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise HarmoseError("No space left on device")

    monkeypatch.setattr("harmose_dft.model.description.record_metrics", fail)
    assert main(["evaluate", model, str(data), "--record", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["metrics"]["samples"] == 2


def test_errors_by_element_add_up_to_the_whole(data: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """STO-3G water: O has 5 orbitals, H 1; weights are the numbers of matrix elements, counted by hand."""
    assert main(["evaluate", model, str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]["model"]
    counts = {"H": 2, "O": 25, "H-H": 2, "H-O": 20}
    assert list(found["mae_element"]) == list(counts)
    mean = sum(n * found["mae_element"][k] for k, n in counts.items()) / 49
    assert mean == pytest.approx(found["mae_all"], rel=1e-9)


def test_calculation_in_other_orbitals_is_named(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "layer.h5") as writer:
        writer.add(calculation(layer(0)))
    assert main(["evaluate", model, str(tmp_path / "layer.h5")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "Record(BN, made up, made-up-orbitals, 8 orbitals) does not fit the model 'tiny'. The basis" in said

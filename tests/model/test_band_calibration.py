"""Bounds on the error of a crystal's bands: how they are learned, kept, told, and what they make of a verdict."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.cli import main
from harmose_dft.core.errors import CheckpointError, DataError
from harmose_dft.core.progress import silent
from harmose_dft.core.units import HARTREE_IN_EV
from harmose_dft.data import DatasetWriter
from harmose_dft.model.description import SEAL, seal
from harmose_dft.model.loading import load
from harmose_dft.model.trust.band_fitting import BandCase, evaluate_band_calibration, fit_band_calibration
from harmose_dft.model.trust.bands import LARGE_ERROR, REFUSED_ERROR, BandBound, BandCalibration
from harmose_dft.model.trust.report import describe_doubtful
from harmose_dft.model.trust.store import FILE, TrustFile
from harmose_dft.model.trust.verdicts import Verdict
from harmose_dft.testing.crystals import calculation, configuration, layer
from harmose_dft.training.run import Fit
from harmose_dft.workflows.calibrate import calibrate_bands

pytestmark = pytest.mark.filterwarnings("ignore::harmose_dft.core.errors.HarmoseWarning")


def cases(count: int, seed: int = 0) -> list[BandCase]:
    """Crystals whose errors grow with the distance from training, by a lognormal factor; the other signal is noise."""
    rng = np.random.default_rng(seed)
    made = []
    for i, distance in enumerate(10 ** rng.uniform(-0.5, 0.8, count)):
        signals = {"environment_distance": float(distance), "h0_distance": float(1e-3 * rng.random())}
        made.append(BandCase(f"c{i}", signals, float(1e-4 * distance**2 * np.exp(0.5 * rng.normal()))))
    return made


@pytest.fixture(scope="module")
def calibration() -> BandCalibration:
    return fit_band_calibration(cases(300))


def test_bounds_hold_for_as_many_crystals_as_they_say(calibration: BandCalibration) -> None:
    figures = evaluate_band_calibration(calibration, cases(4000, seed=1))
    assert figures["coverage"] == pytest.approx(0.95, abs=0.03)


def test_bounds_follow_the_signal_that_tells_the_error(calibration: BandCalibration) -> None:
    near, far = (
        calibration.bound({"environment_distance": d, "h0_distance": 5e-4}).mean_error for d in (0.5, 5.0)
    )
    assert far / near == pytest.approx(100.0, rel=0.5)


def test_signals_that_some_crystals_lack_are_left_out() -> None:
    made = cases(40)
    made[3] = replace(made[3], signals={"environment_distance": 1.0})
    assert fit_band_calibration(made).signals.names == ("environment_distance",)


def test_too_few_crystals_are_refused() -> None:
    with pytest.raises(DataError, match="needs 20 of them that training never saw; got 19"):
        fit_band_calibration(cases(19))


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(LARGE_ERROR, Verdict.GOOD), (1.01 * LARGE_ERROR, Verdict.CAREFUL), (1.01 * REFUSED_ERROR, Verdict.DO_NOT_USE)],
)
def test_verdict_is_that_of_the_bound(error: float, verdict: Verdict) -> None:
    assert BandCalibration.judge(BandBound(error, 0.95)) == verdict


def test_bound_in_words_has_its_unit_and_coverage() -> None:
    words = BandBound(0.0123 / HARTREE_IN_EV, 0.95).in_words
    assert words == "bands within 5 eV of the Fermi level off by 12.3 meV on average at most (95 %)"


def test_calibration_survives_its_file_and_belongs_to_its_weights(tmp_path: Path) -> None:
    made = calibrate_bands(cases(90), "c" * 64, made_from={"data": ["made up"]})
    assert made.made_from["crystals"] == 60
    assert made.figures["bands"]["test"]["crystals"] == 30
    made.save(tmp_path)
    again = TrustFile.load(tmp_path, "c" * 64)
    assert again is not None
    assert again.bands is not None
    assert again.bands.to_dict() == made.bands.to_dict() if made.bands else False
    assert again.choose(refined=True) is None
    with pytest.raises(CheckpointError, match="belongs to the weights"):
        TrustFile.load(tmp_path, "d" * 64)


@pytest.mark.parametrize(
    ("key", "value"), [("signals", ["unknown"]), ("centre", [0.0]), ("size", {"weights": [1.0]}), ("quantile", "x")]
)
def test_damaged_calibrations_are_refused(key: str, value: object, tmp_path: Path) -> None:
    calibrate_bands(cases(60), "c" * 64).save(tmp_path)
    content = json.loads((tmp_path / FILE).read_text())
    content["bands"][key] = value
    del content[SEAL]
    (tmp_path / FILE).write_text(seal(content))
    with pytest.raises(CheckpointError, match="damaged or was edited"):
        TrustFile.load(tmp_path, "c" * 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of made-up crystals after few steps, and beside it calculations that it has not seen."""
    folder = tmp_path_factory.mktemp("bands")
    for name, seeds in (("train.h5", range(6)), ("more.h5", range(20, 56)), ("few.h5", range(20, 24))):
        with DatasetWriter(folder / name) as writer:
            for seed in seeds:
                writer.add(calculation(layer(seed)))
    Fit(configuration(folder / "train.h5", folder / "model"), silent, lambda entry: None).run()
    return folder


def test_command_calibrates_a_model_of_crystals(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    assert main(["calibrate", "model", "few.h5"]) == 1
    assert "needs 20 of them that training never saw" in capsys.readouterr().err
    assert main(["calibrate", "model", "more.h5", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["made_from"]["crystals"] == 24
    assert 0.5 <= written["figures"]["bands"]["test"]["coverage"] <= 1.0
    assert main(["calibrate", "model", "more.h5"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["calibrate", "model", "more.h5", "--force"]) == 0
    assert "coverage" in capsys.readouterr().out
    assert main(["info", "model"]) == 0
    assert "calibrated on 24 crystals that training never saw" in " ".join(capsys.readouterr().out.split())


def test_copies_of_a_structure_are_no_further_evidence(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    copies = [f"copy{i}.h5" for i in range(8)]
    for name in copies:
        (model / name).write_bytes((model / "few.h5").read_bytes())
    assert main(["calibrate", "model", *copies, "--force"]) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "copy1.h5, structure 1, is left out: it is a copy of an earlier one." in message
    assert "two thirds of those in the data" in message


def test_a_negative_seed_of_the_division_is_a_usage_error(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    assert main(["calibrate", "model", "more.h5", "--seed", "-1", "--force"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_predictions_of_a_calibrated_model_have_a_bound_that_is_told(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)
    main(["calibrate", "model", "more.h5", "--force"])
    capsys.readouterr()
    prediction = load("model").predict(layer(60))
    trust = prediction.trust
    assert trust is not None
    assert trust.bands is not None
    assert trust.calibrated
    assert trust.verdict is not None
    assert trust.bands.in_words in trust.verdict_in_words
    assert trust.to_dict()["bands"] == {"coverage": 0.95, "mean_error_mev": trust.bands.mean_error_mev}
    careful = replace(trust, verdict=Verdict.CAREFUL)
    assert describe_doubtful([("C2", careful)]).startswith("C2: careful")


def test_command_refuses_to_calibrate_a_model_of_molecules_on_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.chdir(model)
    assert main(["calibrate", "organic", "more.h5"]) == 1
    assert "trust.json" in capsys.readouterr().err

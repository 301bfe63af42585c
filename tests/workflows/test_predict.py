"""``predict`` and ``predict_files``: structures in whatever form, files planned before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import harmose_dft
from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import main
from harmose_dft.core.errors import ArgumentError, DomainError, HarmoseError, OutputExistsError
from harmose_dft.core.progress import SilentCounter
from harmose_dft.model.prediction import Prediction
from harmose_dft.model.predictor import Predictor
from harmose_dft.output import read_results
from harmose_dft.testing.models import water
from harmose_dft.testing.molecules import WATER
from harmose_dft.workflows.predict import predict, predict_files
from harmose_dft.workflows.prediction_files import Outputs

XYZ = "3\nwater\n" + "\n".join(WATER) + "\n"


@pytest.fixture(scope="module")
def predictor(fixtures_dir: Path) -> Predictor:
    return harmose_dft.load(fixtures_dir / "model_v1")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A structure file in the working folder, where results land."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "water.xyz"
    path.write_text(XYZ)
    return path


def test_structure_atoms_and_path_give_one_prediction_of_the_same_molecule(predictor: Predictor, file: Path) -> None:
    first = predict(file, predictor, trust=False)
    assert isinstance(first, Prediction)
    for source in (str(file), first.structure, to_ase(first.structure)):
        other = predict(source, predictor, trust=False)
        np.testing.assert_allclose(other.spectrum.energies, first.spectrum.energies, atol=1e-9)


def test_several_sources_give_a_list_in_order(predictor: Predictor, file: Path) -> None:
    file.write_text(XYZ + XYZ)
    predictions = predict([water(0), file, to_ase(water(1))], predictor, trust=False)
    assert len(predictions) == 4
    np.testing.assert_array_equal(predictions[0].structure.positions, water(0).positions)
    assert predictions[1].trust is None
    assert predict([], predictor) == []


def test_model_is_named_by_its_folder(fixtures_dir: Path, file: Path) -> None:
    prediction = predict(file, fixtures_dir / "model_v1")
    assert prediction.model.name == "tiny"
    assert prediction.trust is not None
    assert prediction.trust.electron_count == pytest.approx(10.0, abs=1e-6)


def test_one_path_with_several_structures_and_what_is_no_structure_are_refused(
    predictor: Predictor, file: Path
) -> None:
    file.write_text(XYZ + XYZ)
    with pytest.raises(HarmoseError, match="holds 2 structures, expected one"):
        predict(file, predictor)
    with pytest.raises(TypeError, match="got int"):
        predict(5, predictor)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="got float"):
        predict([5.0], predictor)  # type: ignore[list-item]


def test_files_are_written_and_summarised_as_the_command_does(
    predictor: Predictor, fixtures_dir: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = Outputs(cube=("HOMO",), molden=True)
    [summary] = predict_files([file], predictor, outputs=outputs)
    names = ("water.harmose.h5", "water.molden", "water.homo.cube")
    assert summary.files == tuple(map(Path, names))
    assert all(path.is_file() for path in summary.files)
    assert capsys.readouterr() == ("", "")
    arguments = ["--model", str(fixtures_dir / "model_v1"), "--json", "--force", "--molden", "--cube", "HOMO"]
    arguments += ["--out", "water.harmose.h5"]
    assert main(["predict", str(file), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = json.loads(json.dumps(summary.to_dict(), default=lambda array: array.tolist()))
    for entry in (found, expected):
        assert entry.pop("seconds") > 0
        assert entry["trust"].pop("covariance_error_uha") < 1.0
    assert list(found) == list(expected)
    assert found["orbital_energies_ev"] == pytest.approx(expected.pop("orbital_energies_ev"))
    assert {k: v for k, v in found.items() if k in ("source", "formula", "files", "model")} == {
        k: v for k, v in expected.items() if k in ("source", "formula", "files", "model")
    }


def test_progress_counts_structures_across_files(predictor: Predictor, file: Path) -> None:
    counters: list[tuple[str, int, SilentCounter]] = []

    class Shown:
        def __init__(self, description: str, total: int) -> None:
            counters.append((description, total, SilentCounter()))

        def __enter__(self) -> SilentCounter:
            return counters[-1][2]

        def __exit__(self, *_: object) -> None:
            pass

    frames = file.with_name("frames.xyz")
    frames.write_text(XYZ * 3)
    summaries = predict_files([file, frames], predictor, out=file.with_name("all.h5"), progress=Shown)
    [(description, total, counter)] = counters
    assert (description, total, counter.done) == ("predicting", 4, 4)
    assert [s.source for s in summaries] == ["water.xyz", "frames.xyz#1", "frames.xyz#2", "frames.xyz#3"]
    assert len(read_results(file.with_name("all.h5"))) == 4


def test_nothing_is_written_where_anything_is_refused(predictor: Predictor, file: Path) -> None:
    helium = file.with_name("he.xyz")
    helium.write_text("1\n\nHe 0 0 0\n")
    result = file.with_name("water.harmose.h5")
    with pytest.raises(DomainError, match=r"he\.xyz: He"):
        predict_files([file, helium], predictor)
    with pytest.raises(ArgumentError, match="Several inputs would write"):
        predict_files([file, file], predictor)
    with pytest.raises(HarmoseError, match="--kpath is for crystals"):
        predict_files([file], predictor, kpath="GM")
    assert not result.exists()
    result.write_text("precious")
    with pytest.raises(OutputExistsError):
        predict_files([file], predictor)
    assert result.read_text() == "precious"

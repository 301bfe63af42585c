"""Files of a prediction besides the result: their names, and what writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmose_dft.core.errors import ArgumentError, HarmoseError, OutputExistsError
from harmose_dft.model.loading import load
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.inputs import Input
from harmose_dft.workflows.prediction_files import (
    Job,
    Outputs,
    name_companions,
    plan_jobs,
    require_writable,
    write_companions,
)
from harmose_dft.workflows.prediction_options import Extras

EVERYTHING = Outputs(cube=("HOMO", "LUMO+1", "HOMO"), molden=True, dos=True)


def job_of(count: int, folder: Path) -> Job:
    source = Input("water.xyz", "water", count=count, periodic=0, read=lambda: iter([structure_of()] * count))
    return Job((source,), folder / "water.harmose.h5")


def test_options_name_their_files_and_an_orbital_given_twice_is_one_file(tmp_path: Path) -> None:
    job = job_of(1, tmp_path)
    assert name_companions(job, 1, Outputs()) == []
    paths = [path for path, _ in name_companions(job, 1, EVERYTHING)]
    names = ["water.molden", "water.dos.txt", "water.homo.cube", "water.lumo+1.cube"]
    assert paths == [tmp_path / name for name in names]
    require_writable([job], EVERYTHING)


def test_what_is_asked_for_is_asked_by_name() -> None:
    """Several of these are booleans side by side."""
    for options in (Outputs, Extras):
        with pytest.raises(TypeError, match="positional"):
            options(True)  # type: ignore[operator]


def test_files_of_several_structures_are_numbered(tmp_path: Path) -> None:
    paths = [path.name for path, _ in name_companions(job_of(2, tmp_path), 2, EVERYTHING)]
    assert paths == ["water-0002.molden", "water-0002.dos.txt", "water-0002.homo.cube", "water-0002.lumo+1.cube"]


def test_different_outputs_of_the_same_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"water\.molden is the name of two outputs"):
        require_writable([job_of(1, tmp_path)], Outputs(molden=True, plot=tmp_path / "water.molden"))


def test_outputs_are_compared_with_inputs_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [Input(f"m{k}.xyz", f"m{k}", 1, 0, lambda: iter([structure_of()]), tmp_path / f"m{k}.xyz")
               for k in range(100)]  # fmt: skip
    resolve, calls = Path.resolve, list[Path]()

    def count(path: Path, strict: bool = False) -> Path:
        calls.append(path)
        return resolve(path, strict)

    monkeypatch.setattr(Path, "resolve", count)
    require_writable([Job((source,), tmp_path / f"{source.stem}.harmose.h5") for source in sources], Outputs())
    assert len(calls) <= 4 * len(sources)
    with pytest.raises(OutputExistsError, match=r"m7\.xyz is one of the input files"):
        require_writable([Job(tuple(sources), tmp_path / "m7.xyz")], Outputs(force=True))


@pytest.mark.timeout(20)
def test_many_inputs_are_planned_in_linear_time(tmp_path: Path) -> None:
    """8000 names that were compared with each other took more than two minutes."""
    sources = [Input(f"m{k}.xyz", f"m{k}", 1, 0, lambda: iter([structure_of()])) for k in range(8000)]
    assert len(plan_jobs(sources, None, result=True)) == 8000


def test_each_file_holds_what_its_name_says(tmp_path: Path, fixtures_dir: Path) -> None:
    prediction = load(fixtures_dir / "model_v1").predict(structure_of(), trust=False)
    companions = name_companions(job_of(1, tmp_path), 1, EVERYTHING)
    assert write_companions(prediction, companions, False) == [path for path, _ in companions]
    first_lines = [path.read_text(encoding="utf-8").partition("\n")[0] for path, _ in companions]
    theory = f"{prediction.functional}/{prediction.basis.name}"
    assert first_lines[0] == "[Molden Format]"
    assert first_lines[1].startswith("#")
    assert first_lines[2:] == [f"H2O HOMO, {theory}", f"H2O LUMO+1, {theory}"]


def test_a_missing_folder_of_a_picture_is_told_before_computing(tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match="missing does not exist"):
        require_writable([job_of(1, tmp_path)], Outputs(plot=tmp_path / "missing" / "levels.png"))
    assert list(tmp_path.iterdir()) == []

"""Many structures in one table: what is said of each, and of all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from stand_in import WATER_XYZ, StandIn, judged

from harmose_dft.cli import main
from harmose_dft.cli.overview import print_summaries
from harmose_dft.cli.render import print_calibration
from harmose_dft.model.trust import Verdict
from harmose_dft.model.trust.store import TrustFile
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.summary import PredictionSummary, summarize


@pytest.fixture
def waters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Four molecules in a file, for the stand-in of a model that is self-consistent."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harmose_dft.workflows.predict.as_predictor", lambda name, device: StandIn())
    path = tmp_path / "md.xyz"
    path.write_text(WATER_XYZ * 4)
    return path


@pytest.fixture(scope="module")
def summary() -> PredictionSummary:
    return summarize(StandIn().predict([structure_of()])[0], "water.xyz")


def test_comparison_and_residual_have_a_row_for_each_frame(
    waters: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(waters), "--compare", "--verify", "--no-file"]) == 0
    overview, comparison, residual = capsys.readouterr().out.replace("-0.000", "+0.000").split(" structure ")[1:]
    for table in (overview, comparison, residual):
        assert [f"md.xyz#{n}" in table for n in range(1, 6)] == [True] * 4 + [False]
    assert comparison.count("+0.000") >= 12  # HOMO, LUMO and gap of four molecules
    assert "mae_all (uHa)" in comparison
    assert residual.count("-76.") + residual.count("-75.") == 4  # Hartree; water by Hartree-Fock


def test_json_carries_comparison_and_residual_of_each_frame(waters: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(waters), "--compare", "--verify", "--no-file", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert len(values) == 4
    for value in values:
        energy = value["compare"]["reference"]["energy_hartree"]
        assert value["trust"]["scf_residual"]["energy_hartree"] == pytest.approx(energy, abs=1e-6)


def test_charges_have_a_column_where_there_is_an_ion(
    summary: PredictionSummary, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summaries([summary] * 4)
    assert "charge" not in capsys.readouterr().out
    print_summaries([summary] * 3 + [replace(summary, charge=-1)])
    lines = capsys.readouterr().out.splitlines()
    assert sum("water.xyz" in line and " -1 " in line for line in lines) == 1
    assert sum("water.xyz" in line and " 0 " in line for line in lines) == 3
    assert "Dipole moments of ions are about the origin of the coordinates." in lines


def test_one_ion_alone_has_the_origin_of_its_dipole_beside_it(
    summary: PredictionSummary, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summaries([summary])
    assert "origin" not in capsys.readouterr().out
    print_summaries([replace(summary, charge=1)])
    assert " D about the origin of the coordinates" in capsys.readouterr().out


def test_a_table_without_fock_builds_says_so_and_names_the_option(
    summary: PredictionSummary, capsys: pytest.CaptureFixture[str]
) -> None:
    free = replace(summary, trust=judged(Verdict.GOOD))
    print_summaries([free] * 4)
    said = [line for line in capsys.readouterr().out.splitlines() if "Fock build" in line]
    assert len(said) == 1
    assert "any of the 4 structures" in said[0]
    assert "--refine" in said[0]


def test_levels_of_many_structures_are_not_passed_over_in_silence(
    summary: PredictionSummary, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summaries([summary] * 4, levels=2)
    assert "--levels is for up to 3 structures" in capsys.readouterr().err


def test_numbers_of_molecules_in_a_calibration_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    calibration = TrustFile("0" * 64, figures={"refined": {"test": {"molecules": 3183, "verdicts": {"good": 2901}}}})
    print_calibration(calibration, "trust.json")
    out = capsys.readouterr().out
    assert "3183" in out
    assert "good 2901" in out

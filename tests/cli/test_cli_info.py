"""``harmose-dft info`` on the installation, results and data sets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from foreign_datasets import Layout, qh9_stable, ragged

from harmose_dft.cli import main
from harmose_dft.core.record import Record
from harmose_dft.data import DatasetWriter
from harmose_dft.output import Result, write_results
from harmose_dft.solver import band_gap
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.molecules import hartree_fock, structure_of
from harmose_dft.workflows.info import _describe_result
from harmose_dft.workflows.solve import solve


@pytest.fixture(scope="module")
def water() -> Result:
    structure = structure_of()
    basis, fock, overlap, spectrum, _ = hartree_fock(structure)
    provenance = {"code": "harmose_dft", "functional": "hf", "basis": "def2-svp", "model": "stand-in"}
    return Result(Record(structure, basis, (fock,), overlap, 10, provenance=provenance), spectrum)


def test_installation_lists_versions_and_devices(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["numpy"] == version("numpy")
    assert found["devices"][0] == "cpu"
    assert main(["info"]) == 0
    assert version("pyscf") in capsys.readouterr().out


def test_result_file_is_described(tmp_path: Path, water: Result, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "water.harmose.h5"
    write_results(path, [water] * 25)
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["structures"] == 25
    assert found["model"] == "stand-in"
    assert found["results"][0]["formula"] == "H2O"
    assert found["results"][0]["gap_ev"] == pytest.approx(water.spectrum.gap * 27.2114, abs=1e-4)  # eV per Hartree
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "H2O" in out
    assert "and 5 more" in out


def test_verdicts_and_charges_of_a_file_are_those_of_its_structures(
    tmp_path: Path, water: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge(result: Result, verdict: str) -> Result:
        about = {**water.record.provenance, "verdict": verdict}
        return replace(result, record=replace(result.record, provenance=about))

    hydroxide = replace(structure_of(("O 0 0 0", "H 0 0 0.97")), charge=-1)
    basis, fock, overlap, spectrum, _ = hartree_fock(hydroxide)
    ion = Result(Record(hydroxide, basis, (fock,), overlap, 10), spectrum)
    path = tmp_path / "two.harmose.h5"
    write_results(path, [judge(water, "good"), judge(ion, "do not use")])
    assert main(["info", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "verdict" not in shown
    assert [row["verdict"] for row in shown["results"]] == ["good", "do not use"]
    assert [row.get("charge") for row in shown["results"]] == [None, -1]
    assert main(["info", str(path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "H2O" in line or "HO" in line]
    assert lines[-1].rstrip().endswith("do not use")
    assert " -1 " in lines[-1]


def test_energies_of_crystals_are_those_of_their_bands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A semimetal with smeared occupations: levels above a threshold of occupation are no valence bands."""
    record = calculation(layer())
    spectrum = solve(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    energies, occupations = np.array([[-0.5, 0.0], [-0.5, 0.001]]), np.array([[2.0, 0.6], [2.0, 0.2]])
    semimetal = replace(
        spectrum, energies=energies[None], occupations=occupations[None], weights=np.array([0.5, 0.5]), fermi=0.0,
        coefficients=np.zeros((1, 2, 8, 2)), kpoints=np.zeros((2, 3)),
    )
    for name, shown in (("insulator", spectrum), ("semimetal", semimetal)):
        description = _describe_result(Result(record, shown))
        indirect, direct = band_gap(shown)
        expected = {"fermi": shown.fermi, "gap": indirect, "direct_gap": direct}
        assert description.energies == expected, name
    assert indirect < semimetal.gap
    write_results(tmp_path / "layer.harmose.h5", [Result(record, spectrum)])
    assert main(["info", str(tmp_path / "layer.harmose.h5")]) == 0
    out = capsys.readouterr().out
    assert "Fermi level (eV)   gap (eV)   direct gap (eV)" in out
    assert "HOMO" not in out


def test_data_set_is_described(tmp_path: Path, water: Result, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.h5"
    with DatasetWriter(path) as writer:
        writer.add(water.record)
    assert main(["info", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["records"] == 1
    assert found["atoms_of_elements"] == {"H": 2, "O": 1}
    assert found["levels_of_theory"] == {"harmose_dft hf def2-svp": 1}
    assert main(["info", str(path)]) == 0
    assert "H: 2, O: 1" in capsys.readouterr().out


@pytest.mark.parametrize("layout", [qh9_stable, ragged], ids=lambda f: f.__name__)
def test_foreign_data_sets_are_described(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout(tmp_path / "data", np.zeros((24, 24)))
    assert main(["info", str(tmp_path / "data"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["records"], found["failures"]) == ("data set", 2, 0)
    assert found["atoms_of_elements"] == {"H": 4, "O": 2}
    (level,) = found["levels_of_theory"]
    assert level.startswith("PySCF b3lyp")
    assert "def2-svp" in found["basis"][0]


@pytest.mark.parametrize("damage", ["missing", "text", "truncated"])
def test_anything_else_is_refused_by_name(
    damage: str, tmp_path: Path, water: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.h5"
    if damage != "missing":
        write_results(path, [water])
        content = path.read_bytes()
        path.write_bytes(b"text" if damage == "text" else content[: len(content) // 3])
    assert main(["info", str(path)]) == 1
    error = capsys.readouterr().err
    assert "file.h5" in error
    assert len(error.strip().splitlines()) == 1


def test_a_model_says_in_words_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "organic", "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert "closed-shell molecules; " in description["domain"]
    assert "of H, " in description["domain"]
    assert "calibrated on" in description["error_bars"]


def test_a_model_without_error_bars_says_so(fixtures_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(fixtures_dir / "model_v1"), "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert "neutral structures only, of H, O" in description["domain"]
    assert description["error_bars"] == "none: the model was not calibrated"

"""``harmose-dft predict`` around a stand-in for the model: a Hartree-Fock calculation that PySCF makes in the test.

The stand-in replaces the network only; files, tables, JSON, comparison and verification are the real ones. Its
Hamiltonian is the self-consistent one, so differences from the reference must vanish.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stand_in import HYDROGEN_XYZ, TRUST, WATER_XYZ, StandIn, judged

from harmose_dft.cli import main
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import Prediction
from harmose_dft.model.trust import Verdict
from harmose_dft.output import read_result, read_results


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    """In the place of a model; the working folder, where results land, is the test's own."""
    stand_in = StandIn()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harmose_dft.workflows.predict.as_predictor", lambda name, device: stand_in)
    return stand_in


@pytest.fixture
def water(tmp_path: Path) -> Path:
    path = tmp_path / "water.xyz"
    path.write_text(WATER_XYZ)
    return path


def test_table_shows_orbitals_and_the_result_is_in_the_working_folder(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water)]) == 0
    out = capsys.readouterr().out
    result = read_result(water.with_name("water.harmose.h5"))
    homo = result.spectrum.homo * 27.2114  # eV per Hartree
    assert f"{homo:.2f}" in out
    for text in ("water.xyz: H2O, 10 electrons, hf/def2-svp by stand-in (01234567)", "5 HOMO ", "6 LUMO ", "gap",
                 "dipole", "what is good: independent orbitals", "written: water.harmose.h5"):
        assert text in out
    assert result.record.provenance["model"] == "stand-in"
    assert result.record.provenance["functional"] == "hf"


def test_json_of_one_structure_is_one_object_with_the_promised_fields(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["formula"] == "H2O"
    assert value["n_electrons"] == 10
    assert value["model"] == {"name": "stand-in", "sha256": "0123456789abcdef" * 4}
    assert (value["functional"], value["basis"]) == ("hf", "def2-svp")
    energies = value["orbital_energies_ev"]
    assert len(energies) == 24
    assert energies == sorted(energies)
    assert value["occupations"] == [2.0] * 5 + [0.0] * 19
    assert value["homo_ev"] == energies[4]
    assert value["lumo_ev"] == energies[5]
    assert value["gap_ev"] == pytest.approx(energies[5] - energies[4])
    assert value["dipole_debye"] == pytest.approx(np.linalg.norm(value["dipole_vector_debye"]))
    assert value["trust"]["smallest_overlap_eigenvalue"] == 0.02
    assert value["files"] == ["water.harmose.h5"]


def test_json_runs_twice_without_force_and_replaces_nothing(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.with_name("water.harmose.h5").write_text("precious")
    assert main(["predict", str(water), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["files"] == []
    assert "left as they are" in captured.err
    assert Path("water.harmose.h5").read_text() == "precious"
    assert main(["predict", str(water), "--json", "--out", "water.harmose.h5"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["predict", str(water), "--json", "--force"]) == 0
    assert read_result("water.harmose.h5").record.provenance["model"] == "stand-in"


def test_no_file_writes_nothing_and_prints_the_same(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["predict", str(water), "--no-file"]) == 0
        out = capsys.readouterr().out
        assert "5 HOMO" in out
        assert "written" not in out
        assert main(["predict", str(water), "--no-file", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["files"] == []
    assert list(Path().iterdir()) == [Path("water.xyz")]
    assert main(["predict", str(water), "--no-file", "--out", "a.h5"]) == 2


def test_result_of_a_file_elsewhere_is_in_the_working_folder(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (water.parent / "work").mkdir()
    monkeypatch.chdir(water.parent / "work")
    assert main(["predict", "../water.xyz", "--molden", "--quiet"]) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["water.harmose.h5", "water.molden"]
    assert sorted(p.name for p in water.parent.iterdir()) == ["water.xyz", "work"]


def test_levels_chooses_how_many_orbitals_are_shown(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), "--no-file", "--levels", "2"]) == 0
    out = capsys.readouterr().out
    shown = [line for line in out.splitlines() if "HOMO-" in line or "LUMO+" in line]
    assert "1 to 3" in out
    assert len(shown) == 2
    assert main(["predict", str(water), "--no-file", "--levels", "99"]) == 0
    out = capsys.readouterr().out
    assert "1 HOMO-4" in out
    assert "24 LUMO+18" in out
    assert main(["predict", str(water), "--levels", "0"]) == 2


def test_density_of_states_counts_the_electrons_in_a_table_and_in_json(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Valence orbitals of water within 30 eV of the HOMO hold 8 electrons; oxygen's 1s lies 500 eV below."""
    assert main(["predict", str(water), "--dos"]) == 0
    table = np.loadtxt("water.dos.txt")
    gap = read_result("water.harmose.h5").spectrum
    middle = (gap.homo + gap.lumo) / 2 * 27.2114  # eV per Hartree
    below = table[table[:, 0] < middle]
    filled = sum(e > table[0, 0] / 27.2114 for e in gap.energies[gap.occupied])
    assert np.trapezoid(below[:, 1], below[:, 0]) == pytest.approx(2 * filled, abs=0.02)
    np.testing.assert_allclose(table[:, 2] + table[:, 3], table[:, 1], atol=2e-5)
    capsys.readouterr()
    assert main(["predict", str(water), "--dos", "--json", "--no-file"]) == 0
    dos = json.loads(capsys.readouterr().out)["dos"]
    assert set(dos["elements_states_per_ev"]) == {"H", "O"}
    np.testing.assert_allclose(dos["states_per_ev"], table[:, 1], atol=1e-5)
    assert main(["predict", str(water), "--dos", "--no-file"]) == 2


def test_numbers_and_names_of_frames_are_the_same_on_screen_and_in_files(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frame 2 is #2 in the table, 2 in the result file, and -0002 in the names of its companions."""
    import h5py

    named = HYDROGEN_XYZ.replace("hydrogen", "name=fast")
    Path("md.xyz").write_text(HYDROGEN_XYZ + named + HYDROGEN_XYZ * 2)
    assert main(["predict", "md.xyz", "--molden"]) == 0
    out = capsys.readouterr().out
    assert "md.xyz#2 fast" in out
    with h5py.File("md.harmose.h5") as file:
        assert sorted(file) == ["0001", "0002", "0003", "0004", "basis"]
        assert [file[f"{n:04d}"].attrs["name"] for n in (1, 2, 3)] == ["md-1", "fast", "md-3"]
    assert Path("md-0002.molden").is_file()
    assert main(["predict", "md.xyz", "--json", "--no-file"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [(v["source"], v["name"]) for v in values][:2] == [("md.xyz#1", "md-1"), ("md.xyz#2", "fast")]


def test_standard_input_is_read_whatever_its_format(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    pdb = "HETATM    1  H   UNL     1       0.000   0.000   0.000  1.00  0.00           H  \n"
    pdb += pdb.replace("1  H", "2  H", 1).replace("0.000  1.00", "0.740  1.00") + "END\n"
    gjf = "# b3lyp\n\ntitle\n\n0 1\nH 0 0 0\nH 0 0 0.74\n\n"
    for text in (HYDROGEN_XYZ, HYDROGEN_XYZ * 2, pdb, gjf, "\ufeff" + HYDROGEN_XYZ, HYDROGEN_XYZ.replace("\n", "\r\n")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["predict", "-", "--json", "--no-file"]) == 0
        values = json.loads(capsys.readouterr().out)
        assert all(v["formula"] == "H2" for v in (values if isinstance(values, list) else [values]))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello")))
    assert main(["predict", "-"]) == 1
    assert "suffix names its format" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HYDROGEN_XYZ.encode())))
    assert main(["predict", "-", "--quiet"]) == 0
    assert Path("stdin.harmose.h5").is_file()


def test_predictions_are_written_one_by_one_and_not_held(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 structures the predictions of two batches of 32 are alive at the same time, at most."""
    import gc

    class Counting(StandIn):
        most = 0

        def predict(self, structures: Sequence[Structure], *, refine: bool | None = None) -> list[Prediction]:
            gc.collect()
            alive = sum(type(thing) is Prediction for thing in gc.get_objects())
            Counting.most = max(Counting.most, alive)
            return super().predict(structures, refine=refine)

    from harmose_dft.workflows.predict import predict_files

    Path("long.xyz").write_text(HYDROGEN_XYZ * 200)
    monkeypatch.setattr("harmose_dft.workflows.predict.as_predictor", lambda name, device: name)
    summaries = predict_files(["long.xyz"], Counting())  # type: ignore[arg-type]
    assert len(summaries) == 200
    assert 0 < Counting.most <= 64
    assert len(read_results("long.harmose.h5")) == 200


def test_dipole_equals_that_of_pyscf(model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyscf import scf

    from harmose_dft.testing.molecules import mole, structure_of

    mean_field = scf.RHF(mole(structure_of())).run(conv_tol=1e-10)
    expected = mean_field.dip_moment(unit="Debye", verbose=0)
    assert main(["predict", str(water), "--json"]) == 0
    got = json.loads(capsys.readouterr().out)["dipole_vector_debye"]
    assert np.abs(np.array(got) - expected).max() < 1e-4


def test_several_files_and_frames_are_batched_and_listed(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = water.with_name("frames.xyz")
    frames.write_text(WATER_XYZ + HYDROGEN_XYZ)
    assert main(["predict", str(water), str(frames), "--molden"]) == 0
    assert "written: water.harmose.h5, water.molden" in capsys.readouterr().out
    assert main(["predict", str(water), str(frames), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert [v["name"] for v in values] == ["water", "frames-1", "frames-2"]
    assert [v["formula"] for v in values] == ["H2O", "H2O", "H2"]
    assert [v["source"] for v in values] == ["water.xyz", "frames.xyz#1", "frames.xyz#2"]
    assert model.batches == [3, 3]
    assert len(read_results(water.with_name("frames.harmose.h5"))) == 2
    written = sorted(p.name for p in water.parent.iterdir())
    assert written == [
        "frames-0001.molden", "frames-0002.molden", "frames.harmose.h5", "frames.xyz", "water.harmose.h5",
        "water.molden", "water.xyz",
    ]


def test_many_structures_share_one_table(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_text(HYDROGEN_XYZ * 5)
    out = water.with_name("all.h5")
    assert main(["predict", str(water), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("water.xyz#" in line for line in lines) == 5
    assert sum(str(out) in line for line in lines) == 1
    assert len(read_results(out)) == 5


def test_compare_and_verify_find_no_difference_from_the_self_consistent_answer(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), "--json", "--compare", "--verify"]) == 0
    value = json.loads(capsys.readouterr().out)
    compare = value["compare"]
    assert compare["metrics"]["unit"] == "uHa"
    assert compare["metrics"]["model"]["mae_all"] < 1.0
    assert compare["metrics"]["model"]["psi_subspace"] == pytest.approx(1.0, abs=1e-6)
    assert compare["model"]["homo_ev"] == pytest.approx(compare["reference"]["homo_ev"], abs=1e-4)
    assert compare["reference"]["seconds"] > 0
    assert compare["reference"]["functional"] == "hf"
    residual = value["trust"]["scf_residual"]
    assert residual["gradient_uha"] < 50.0
    assert residual["energy_hartree"] == pytest.approx(compare["reference"]["energy_hartree"], abs=1e-6)


def test_comparison_is_a_readable_table(model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(water), "--compare"]) == 0
    out = capsys.readouterr().out
    for text in ("against PySCF", "HOMO (eV)", "+0.000", "mae_all (uHa)", "psi_cos", "stage 1", "time (s)"):
        assert text in out.replace("-0.000", "+0.000")


def test_plot_cube_and_molden_are_written_and_reported(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_text(HYDROGEN_XYZ)
    picture = water.with_name("levels.png")
    arguments = ["predict", str(water), "--json", "--plot", picture.name, "--cube", "homo,LUMO+1,1", "--molden"]
    arguments += ["--out", "water.harmose.h5"]
    assert main(arguments) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    names = ["water.harmose.h5", "water.molden", "water.homo.cube", "water.lumo+1.cube", "water.1.cube", "levels.png"]
    assert files == names
    assert all(Path(f).stat().st_size > 100 for f in files)
    homo, first = (water.with_name(n).read_text().splitlines()[2:] for n in ("water.homo.cube", "water.1.cube"))
    assert homo == first


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--cube", "SOMO"], 2, "'SOMO' is no orbital"),
        (["--cube", "HOMO-7"], 1, "There is no orbital HOMO-7"),
        (["--plot", "levels.doc"], 1, "png, pdf, svg"),
        (["--out", "no/such/folder/x.h5"], 1, "does not exist"),
    ],
)
def test_bad_options_write_nothing(
    arguments: list[str], code: int, expected: str, model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), *arguments]) == code
    captured = capsys.readouterr()
    assert expected in captured.err
    assert captured.out == ""
    assert [p.name for p in water.parent.iterdir()] == ["water.xyz"]


@pytest.mark.parametrize("existing", ["water.harmose.h5", "water.molden", "water.homo.cube", "levels.png"])
def test_any_existing_output_is_refused_before_computing(
    existing: str, model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_text(HYDROGEN_XYZ)
    water.with_name(existing).write_text("precious")
    arguments = ["predict", str(water), "--molden", "--cube", "HOMO", "--plot", str(water.with_name("levels.png"))]
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert water.with_name(existing).read_text() == "precious"
    assert model.batches == []
    assert sorted(p.name for p in water.parent.iterdir()) == sorted([existing, "water.xyz"])


def test_force_overwrites_every_output(model: StandIn, water: Path) -> None:
    water.write_text(HYDROGEN_XYZ)
    outputs = [water.with_name(n) for n in ("water.harmose.h5", "water.molden", "water.homo.cube", "levels.svg")]
    for path in outputs:
        path.write_text("old")
    arguments = ["predict", str(water), "--molden", "--cube", "HOMO", "--plot", str(outputs[-1])]
    assert main([*arguments, "--force"]) == 0
    assert all(path.read_bytes() != b"old" for path in outputs)


def test_two_inputs_of_one_name_need_a_common_file(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = water.with_suffix(".extxyz")
    twin.write_text(WATER_XYZ)
    assert main(["predict", str(water), str(twin)]) == 2
    assert "--out" in capsys.readouterr().err
    assert model.batches == []


def test_one_file_twice_is_no_conflict_where_nothing_is_written(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), str(water), "--no-file", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["predict", str(water), str(water), "--no-file", "--molden"]) == 2
    assert "water.molden is the name of two outputs" in capsys.readouterr().err


def test_one_file_under_two_names_would_write_one_result_twice(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(water.parent)
    assert main(["predict", "water.xyz", str(water)]) == 2
    assert "Several inputs would write" in capsys.readouterr().err


def test_outputs_are_neither_inputs_nor_the_same_file(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(water.parent)
    text = water.read_bytes()
    assert main(["predict", "water.xyz", "--out", str(water), "--force"]) == 1
    assert "one of the input files" in capsys.readouterr().err
    assert main(["predict", "water.xyz", "--out", "a.png", "--plot", "./a.png", "--force"]) == 2
    assert "two outputs" in capsys.readouterr().err
    assert [p.name for p in water.parent.iterdir()] == ["water.xyz"]
    assert water.read_bytes() == text
    assert model.batches == []


def test_an_orbital_that_one_molecule_lacks_is_told_before_computing(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = water.with_name("h2.xyz")
    other.write_text(HYDROGEN_XYZ)
    assert main(["predict", str(water), str(other), "--cube", "LUMO+12"]) == 1
    assert "h2.xyz: There is no orbital LUMO+12: the molecule has 10, 1 occupied" in capsys.readouterr().err
    assert model.batches == []


def test_outside_the_domain_exits_with_3_and_writes_nothing(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_text("1\nhelium\nHe 0 0 0\n")
    assert main(["predict", str(water), "--json"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "He" in captured.err
    assert [p.name for p in water.parent.iterdir()] == ["water.xyz"]


def test_one_structure_outside_the_domain_is_named_before_anything_is_computed(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = water.with_name("frames.xyz")
    frames.write_text(HYDROGEN_XYZ * 40 + "1\nhelium\nHe 0 0 0\n")
    assert main(["predict", str(water), str(frames)]) == 3
    assert capsys.readouterr().err.startswith("error: frames.xyz#41: The model was not trained on He.")
    assert model.batches == []
    assert sorted(p.name for p in water.parent.iterdir()) == ["frames.xyz", "water.xyz"]


def test_interrupt_while_writing_leaves_the_old_result(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import harmose_dft.output.result as result

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    old = water.with_name("water.harmose.h5")
    old.write_text("old")
    monkeypatch.setattr(result, "_write_matrices", interrupted)
    assert main(["predict", str(water), "--force"]) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert old.read_text() == "old"
    assert sorted(p.name for p in water.parent.iterdir()) == ["water.harmose.h5", "water.xyz"]


def test_full_disk_while_writing_is_one_paragraph(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HDF5 reports a full disk as an OSError whose text quotes the operating system."""
    import harmose_dft.output.result as result

    def full(*args: object) -> None:
        raise OSError("Can't synchronously write data (errno = 28, error message = 'No space left on device')")

    monkeypatch.setattr(result, "_write_matrices", full)
    assert main(["predict", str(water)]) == 1
    error = capsys.readouterr().err
    assert "water.harmose.h5 was not written: no space left on device" in error
    assert len(error.strip().splitlines()) == 1
    assert [p.name for p in water.parent.iterdir()] == ["water.xyz"]


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n\x00\x00", b"3\nwater\nO 0 0 0\nH 0 0 1\n", b"2\n\nH 0 0 0\nH 0 0 nan\n"],
    ids=["empty", "binary", "truncated", "nan"],
)
def test_bad_structure_file_is_one_paragraph_and_writes_nothing(
    content: bytes, model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_bytes(content)
    assert main(["predict", str(water)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert [p.name for p in water.parent.iterdir()] == ["water.xyz"]
    assert model.batches == []


def test_missing_structure_file_is_named(model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path / "nothing.xyz")]) == 1
    assert "nothing.xyz" in capsys.readouterr().err


def test_a_level_diagram_of_too_many_columns_is_refused_at_once(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    water.write_text(HYDROGEN_XYZ * 13)
    start = time.monotonic()
    assert main(["predict", str(water), "--plot", str(water.with_name("levels.png"))]) == 1
    assert "up to 12 columns" in capsys.readouterr().err
    assert model.batches == []
    assert time.monotonic() - start < 30


def test_inputs_and_models_are_missed_before_outputs_are_refused(
    model: StandIn, water: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The result of water.xyz exists, and what is said first is that the input, or the model, does not."""
    from harmose_dft.model.loading import as_predictor

    water.with_name("water.harmose.h5").write_text("precious")
    assert main(["predict", "wather.xyz", "--out", "water.harmose.h5"]) == 1
    assert "wather.xyz: There is no such file" in capsys.readouterr().err
    Path("helium.xyz").write_text("1\nhelium\nHe 0 0 0\n")
    assert main(["predict", "helium.xyz", "--out", "water.harmose.h5"]) == 3
    assert "not trained on He" in capsys.readouterr().err
    monkeypatch.setattr("harmose_dft.workflows.predict.as_predictor", as_predictor)
    assert main(["predict", "water.xyz", "--model", "orgnic"]) == 1
    assert "There is no model 'orgnic'" in capsys.readouterr().err


CRYSTAL_XYZ = '2\nLattice="5 0 0 0 5 0 0 0 5" Properties=species:S:1:pos:R:3 pbc="T T T"\nH 0 0 0\nH 0 0 0.74\n'


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["--levels", "2"], 1, "--levels is for molecules"),
        (["--refine"], 1, "--refine is for molecules"),
        (["--compare", "--verify"], 1, "--compare, --verify are for molecules"),
        (["--molden", "--cube", "HOMO"], 1, "--cube, --molden are for molecules"),
        (["--kpath", "GM"], 2, "Add --plot"),
    ],
)
def test_options_that_crystals_do_not_have_are_refused_before_computing(
    arguments: list[str], code: int, expected: str, model: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cell.xyz").write_text(CRYSTAL_XYZ)
    assert main(["predict", "cell.xyz", *arguments]) == code
    assert expected in capsys.readouterr().err
    assert model.batches == []
    assert [p.name for p in Path().iterdir()] == ["cell.xyz"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--levels", "2", "--json"], "--json lists all orbitals"), (["--jobs", "2"], "workers of --scheduler")],
)
def test_options_that_would_do_nothing_are_refused(
    arguments: list[str], expected: str, model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(water), *arguments]) == 2
    assert expected in capsys.readouterr().err
    assert model.batches == []


# Verdicts


@pytest.mark.parametrize(("verdict", "options", "code"), [
    (Verdict.GOOD, [], 0),
    (Verdict.CAREFUL, [], 0),
    (Verdict.DO_NOT_USE, [], 3),
    (Verdict.DO_NOT_USE, ["--force-domain"], 0),
])
def test_exit_code_is_3_for_what_is_not_to_be_used_unless_forced(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    verdict: Verdict, options: list[str], code: int,
) -> None:
    monkeypatch.setattr(StandIn, "trust", judged(verdict))
    assert main(["predict", str(water), *options]) == code
    printed = capsys.readouterr()
    assert f"verdict: {verdict}: risk of an occupied level off by more than 20 mHartree: 70.0 %" in printed.out
    assert ("'do not use'" in printed.err) == (code == 3)
    assert read_result(water.with_name("water.harmose.h5")).record.provenance["verdict"] == verdict


def test_only_what_is_wrong_is_said_of_a_prediction_that_is_not_to_be_used(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same signals, praised in a prediction that may be used with care."""
    for verdict, praise in ((Verdict.CAREFUL, 1), (Verdict.DO_NOT_USE, 0)):
        monkeypatch.setattr(StandIn, "trust", replace(judged(verdict), unseen_pairs=("H-O",)))
        main(["predict", str(water), "--no-file"])
        out = capsys.readouterr().out
        assert out.count("what is good: independent orbitals") == praise
        assert "what is not: pairs of elements that were not trained: H-O" in out


def test_a_prediction_without_error_bars_says_so(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trust", replace(TRUST, warnings=()))
    assert main(["predict", str(water), "--no-file"]) == 0
    assert "verdict: none; no error bars, because this model has no calibration" in capsys.readouterr().out
    water.write_text(WATER_XYZ * 4)
    assert main(["predict", str(water), "--no-file"]) == 0
    assert "No error bars, because this model has no calibration" in capsys.readouterr().out


def test_refusal_of_an_uncalibrated_prediction_promises_no_statistics(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trust", replace(TRUST, verdict=Verdict.DO_NOT_USE))
    assert main(["predict", str(water), "--no-file"]) == 3
    error = capsys.readouterr().err
    assert "unlike those of training" in error
    assert "20 mHartree" not in error


def test_refusal_by_rules_does_not_call_an_improbable_error_probable(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Atoms without a neighbour end a prediction whatever the risk, as of Cl- or H2 at 3 Angstrom."""
    for risk, probable in ((0.001, False), (0.7, True)):
        monkeypatch.setattr(StandIn, "trust", replace(judged(Verdict.DO_NOT_USE), risk=risk))
        assert main(["predict", str(water), "--no-file"]) == 3
        error = " ".join(capsys.readouterr().err.split())
        assert ("an occupied level is probably wrong" in error) == probable
        assert ("a structure unlike those of training, or no closed shell" in error) != probable


def test_list_of_orbitals_without_a_name_is_refused(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("", ",,"):
        assert main(["predict", str(water), "--cube", text]) == 2
        assert "no orbital is named" in capsys.readouterr().err
    assert model.batches == []


def test_intervals_stand_beside_the_energies(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trust", judged(Verdict.GOOD))
    assert main(["predict", str(water)]) == 0
    line = next(text for text in capsys.readouterr().out.splitlines() if text.startswith("HOMO -"))
    assert line.count("± 0.027 eV") == 3  # 0.001 Hartree
    assert "± 0.003 D" in line
    assert line.endswith("(95 %)")


def test_json_holds_verdict_and_ends_of_the_intervals(
    model: StandIn, water: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trust", judged(Verdict.CAREFUL))
    assert main(["predict", str(water), "--json"]) == 0
    trust = json.loads(capsys.readouterr().out)["trust"]
    assert (trust["verdict"], trust["risk"]) == ("careful", 0.7)
    low, high = trust["intervals"]["homo_ev"]
    assert high - low == pytest.approx(0.002 * 27.2114, rel=1e-4)
    assert trust["intervals"]["coverage"] == 0.95


def test_a_table_of_many_has_a_column_for_the_verdict(
    model: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "trust", judged(Verdict.CAREFUL))
    path = tmp_path / "many.xyz"
    path.write_text(WATER_XYZ * 5)
    assert main(["predict", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[-1] == "verdict" for line in lines if line.startswith(" structure") or "HOMO" in line)
    assert sum(line.rstrip().endswith("careful") for line in lines) == 5

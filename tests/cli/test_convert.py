"""Calculations are recognised, checked and converted; a check that can fail does, and then nothing is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters import deeph, openmx
from harmose_dft.adapters.registry import codes, find_calculations, read_calculations, recognise
from harmose_dft.cli import main
from harmose_dft.core.errors import DataError, FileFormatError
from harmose_dft.core.record import Eigenvalues, Record
from harmose_dft.data import open_dataset
from harmose_dft.testing.models import write_waters
from harmose_dft.testing.openmx import ELECTRONS, INPUT, make_demo, write_pao
from harmose_dft.workflows.checks import MILLI_EV, ROUNDING, TOLERANCE_MEV, check_eigenvalues, overlap_deviation
from harmose_dft.workflows.convert import convert


def name_of(path: Path) -> str:
    """Name of the code that is recognised."""
    code = recognise(path)
    assert code is not None
    return code.name


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a collinear and a spinor calculation, a DeepH folder, and things that are none."""
    root = tmp_path_factory.mktemp("tree")
    make_demo(root / "group/collinear", spin=1)
    spinor = make_demo(root / "group/spinor", spin=3, seed=2)
    deeph.write(openmx.read(spinor.folder)[0], root / "deeph", layout="legacy")
    (root / "notes").mkdir()
    (root / "notes/readme.txt").write_text("nothing")
    return root


@pytest.fixture(scope="module")
def record(tree: Path) -> Record:
    return openmx.read(tree / "group/collinear")[0]


class TestRegistry:
    def test_codes_are_recognised_and_folders_searched(self, tree: Path) -> None:
        found = find_calculations(tree)
        assert [p.relative_to(tree).as_posix() for p in found] == ["deeph", "group/collinear", "group/spinor"]
        assert [name_of(p) for p in found] == ["DeepH", "OpenMX", "OpenMX"]
        assert [r.nspin for r in read_calculations(tree)] == [4, 2, 4]
        assert recognise(tree / "notes") is None

    def test_unknown_paths_get_one_sentence_that_lists_what_is_known(self, tree: Path) -> None:
        with pytest.raises(FileFormatError, match="No calculation of a known code") as error:
            read_calculations(tree / "notes")
        assert all(code.name in str(error.value) for code in codes() if code.recognises)
        assert "\n" not in str(error.value)
        with pytest.raises(FileFormatError, match="no such file or folder"):
            read_calculations(tree / "absent")

    def test_samples_of_each_code_are_recognised(self, shared_dir: Path) -> None:
        samples = shared_dir / "samples"
        assert name_of(samples / "openmx/MoS2_soc") == "OpenMX"
        assert name_of(samples / "openmx_overlap_only/Si2_neg") == "OpenMX"
        assert name_of(samples / "abacus/Si2") == "ABACUS"


class TestChecks:
    def test_agreement_passes(self, record: Record) -> None:
        result = check_eigenvalues(record)
        assert result.passed
        assert (result.code, result.version, result.source) == ("OpenMX", "3.9.2", "demo.Band")
        assert (result.n_kpoints, result.n_bands, result.tolerance_mev) == (3, 38, TOLERANCE_MEV)
        assert result.max_deviation_mev is not None
        assert result.max_deviation_mev < 1e-6
        assert result.overlap_deviation is not None
        assert result.overlap_deviation < 1e-12  # the made-up S are these integrals

    def test_deviation_is_measured_and_fails(self, record: Record) -> None:
        band = record.eigenvalues[0]
        energies = band.energies.copy()
        energies[1, 2, 5] += 0.02 * MILLI_EV
        result = check_eigenvalues(replace(record, eigenvalues=(replace(band, energies=energies),)))
        assert result.max_deviation_mev == pytest.approx(0.02, rel=1e-4)
        assert not result.passed

    def test_wrong_matrix_fails(self, record: Record) -> None:
        up, down = record.hamiltonian
        assert not check_eigenvalues(replace(record, hamiltonian=(down, up))).passed

    def test_tolerance_is_the_printed_precision_where_that_is_larger(self, record: Record) -> None:
        coarse = replace(record.eigenvalues[0], precision=0.5 * MILLI_EV)
        result = check_eigenvalues(replace(record, eigenvalues=(coarse,)))
        assert result.tolerance_mev == pytest.approx(0.5)

    def test_rounded_matrices_deviate_by_no_more_than_the_estimated_effect(self, record: Record) -> None:
        unit = 1e-6
        rounded = [m.with_values(np.round(m.values / unit) * unit) for m in (*record.hamiltonian, record.overlap)]
        noted = replace(
            record, hamiltonian=tuple(rounded[:2]), overlap=rounded[2],
            provenance={**record.provenance, ROUNDING: str(unit / 2)},
        )  # fmt: skip
        result = check_eigenvalues(noted)
        assert result.max_deviation_mev is not None
        assert result.tolerance_mev / 10 < result.max_deviation_mev < result.tolerance_mev

    def test_most_precise_list_is_compared(self, record: Record) -> None:
        band = record.eigenvalues[0]
        poor = Eigenvalues(band.kpoints, band.energies + 1.0, "poor", precision=1e-3)
        assert check_eigenvalues(replace(record, eigenvalues=(poor, band))).source == "demo.Band"

    def test_lists_of_other_calculations_are_refused(self, record: Record) -> None:
        band = record.eigenvalues[0]
        for energies in (band.energies[:1], np.concatenate([band.energies] * 2, axis=2)):
            other = replace(record, eigenvalues=(replace(band, energies=energies),))
            with pytest.raises(DataError, match="belong to one calculation"):
                check_eigenvalues(other)

    def test_without_eigenvalues_the_overlap_is_checked(self, record: Record) -> None:
        for none, verdict in ((replace(record, eigenvalues=()), None), (replace(record, hamiltonian=()), True)):
            result = check_eigenvalues(none)
            assert result.passed is verdict  # a check of S alone says nothing about H
            assert result.max_deviation_mev is None

    def test_nothing_to_compare_with_is_neither_passed_nor_failed(self, tree: Path) -> None:
        result = check_eigenvalues(deeph.read(tree / "deeph")[0])
        assert (result.max_deviation_mev, result.overlap_deviation, result.passed) == (None, None, None)

    def test_overlap_needs_radial_functions(self, tree: Path) -> None:
        assert overlap_deviation(deeph.read(tree / "deeph")[0]) is None

    def test_foreign_orbitals_fail(self, tree: Path, tmp_path: Path) -> None:
        write_pao(tmp_path / "C4.0.pao", 4.0, {0: 3, 1: 2, 2: 1, 3: 1}, seed=1)
        write_pao(tmp_path / "H3.0.pao", 3.0, {0: 2, 1: 1}, seed=1)
        (other,) = openmx.read(tree / "group/collinear", pao_dir=tmp_path)
        assert not check_eigenvalues(other).passed


class TestCommand:
    def run(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        code = main(["convert", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    def test_data_set_holds_what_was_read(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, err = self.run(capsys, tree / "group", "-o", tmp_path / "data.h5")
        assert code == 0, err
        assert "OpenMX 3.9.2: demo.scfout" in err
        assert "2 calculations written" in err
        with open_dataset(tmp_path / "data.h5") as data:
            assert len(data) == 2
            for kept, source in zip(data, read_calculations(tree / "group"), strict=True):
                assert kept.nspin == source.nspin
                assert kept.basis == source.basis
                assert kept.provenance == source.provenance
                assert (kept.n_electrons, kept.fermi) == (ELECTRONS, source.fermi)
                np.testing.assert_array_equal(kept.structure.cell, source.structure.cell)
                for a, b in zip((*kept.hamiltonian, kept.overlap), (*source.hamiltonian, source.overlap), strict=True):
                    np.testing.assert_allclose(a.on_pairs_of(b).values, b.values, atol=1e-15)
                for e, f in zip(kept.eigenvalues, source.eigenvalues, strict=True):
                    np.testing.assert_array_equal(e.energies, f.energies)

    def test_check_prints_the_largest_deviation_and_writes_nothing_by_itself(
        self, tree: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = self.run(capsys, tree, "--check", "--quiet")
        assert code == 0
        assert "largest deviation:" in out
        assert "nothing to compare with" in out  # DeepH folders hold neither eigenvalues nor orbital files
        assert out.count("passed") == 2

    def test_json_is_a_list_with_the_documented_keys(self, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, _ = self.run(capsys, tree, "--check", "--json")
        rows = json.loads(out)
        assert code == 0
        assert [Path(r["path"]).name for r in rows] == ["deeph", "collinear", "spinor"]
        assert [r["code"] for r in rows] == ["DeepH", "OpenMX", "OpenMX"]
        assert rows[0]["max_deviation_mev"] is None
        assert all(0 <= r["max_deviation_mev"] < TOLERANCE_MEV for r in rows[1:])
        assert all(r["version"] and r["pair_support"] for r in rows)
        assert [r["passed"] for r in rows] == [None, True, True]

    def test_what_cannot_be_checked_is_written(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = self.run(capsys, tree / "deeph", "--check", "-o", tmp_path / "data.h5")
        assert code == 0
        assert "passed" not in out
        assert len(open_dataset(tmp_path / "data.h5")) == 1

    def test_version_of_pyscf_is_reported(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        import pyscf

        write_waters(tmp_path / "waters.h5", [0])
        code, out, _ = self.run(capsys, tmp_path / "waters.h5", "--check", "--json")
        (row,) = json.loads(out)
        assert (code, row["code"], row["version"]) == (0, "PySCF", pyscf.__version__)

    def test_failed_check_is_one_paragraph_and_leaves_no_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        demo = make_demo(tmp_path / "run")
        band = tmp_path / "run/demo.Band"
        lines = band.read_text().splitlines()
        energies = [float(e) for e in lines[5].split()]
        lines[5] = " ".join(f"{e + 1e-5:.15f}" for e in energies)
        band.write_text("\n".join(lines))
        code, out, err = self.run(capsys, demo.folder, "-o", tmp_path / "data.h5", "--check", "--json")
        assert code == 1
        assert json.loads(out)[0]["max_deviation_mev"] == pytest.approx(1e-5 / MILLI_EV, rel=1e-3)
        message = err.splitlines()[-1]
        assert message.startswith("error: 1 of 1 calculations do not agree")
        assert "demo.Band" in message
        assert [p.name for p in tmp_path.iterdir()] == ["run"]

    def test_damaged_file_is_one_paragraph_and_leaves_no_file(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("a", "b"):
            make_demo(tmp_path / "runs" / name)
        scfout = tmp_path / "runs/b/demo.scfout"
        scfout.write_bytes(scfout.read_bytes()[:5000])
        code, _, err = self.run(capsys, tmp_path / "runs", "-o", tmp_path / "data.h5")
        assert code == 1
        assert err.splitlines()[-1].startswith("error: ")
        assert "byte 5000: The file ends inside" in err
        assert not (tmp_path / "data.h5").exists()

    def test_existing_files_need_force(self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "data.h5"
        out.write_text("mine")
        assert self.run(capsys, tree / "deeph", "-o", out)[0] == 1
        assert out.read_text() == "mine"
        assert self.run(capsys, tree / "deeph", "-o", out, "--force")[0] == 0

    def test_inputs_are_never_replaced_with_force_either(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A data set under another spelling, a folder of DeepH folders, one of these alone, a file of a calculation."""
        write_waters(tmp_path / "a.h5", [1])
        (tmp_path / "many").mkdir()
        for name in ("0", "raw"):
            deeph.write(read_calculations(tree / "deeph")[0], tmp_path / "many" / name)
        (tmp_path / "elsewhere").mkdir()
        cases: list[tuple[Path, Path, list[str], str]] = [
            (tmp_path / "a.h5", tmp_path / "elsewhere/../a.h5", [], "is one of the input files"),
            (tmp_path / "many", tmp_path / "many", ["--format", "deeph"], "holds the input"),
            (tmp_path / "many/raw", tmp_path / "many", ["--format", "deeph"], "holds the input"),
            (tmp_path / "many/raw", tmp_path / "many/raw/hamiltonian.h5", [], "in the folder of the calculation"),
        ]
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        for source, out, options, message in cases:
            assert main(["convert", str(source), "-o", str(out), "--force", *options]) == 1
            assert message in capsys.readouterr().err
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    def test_earlier_data_set_in_the_folder_of_a_calculation_is_replaced(self, tree: Path, tmp_path: Path) -> None:
        deeph.write(read_calculations(tree / "deeph")[0], tmp_path / "run")
        for options in ([], ["--force"]):
            assert main(["convert", str(tmp_path / "run"), "-o", str(tmp_path / "run/si.h5"), *options]) == 0
        assert len(open_dataset(tmp_path / "run/si.h5")) == 1

    def test_without_output_and_check_there_is_nothing_to_do(
        self, tree: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, err = self.run(capsys, tree)
        assert code == 2
        assert "--out" in err

    @pytest.mark.parametrize("kind", ["deeph", "deeph-legacy"])
    def test_deeph_folders_are_written(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
    ) -> None:
        code, _, err = self.run(capsys, tree / "group", "-o", tmp_path / "dft", "--format", kind)
        assert code == 0, err
        records = read_calculations(tmp_path / "dft")
        assert [r.nspin for r in records] == [2, 4]
        assert sorted(p.name for p in (tmp_path / "dft").iterdir()) == ["0", "1"]

    def test_data_sets_are_converted_to_deeph_folders(
        self, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(capsys, tree / "group", "-o", tmp_path / "data.h5")[0] == 0
        assert name_of(tmp_path / "data.h5") == "data set"
        code, _, err = self.run(capsys, tmp_path / "data.h5", "-o", tmp_path / "dft", "--format", "deeph")
        assert code == 0, err
        assert [r.nspin for r in read_calculations(tmp_path / "dft")] == [2, 4]

    def test_file_of_no_known_format_is_one_paragraph(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "notes.txt").write_text("nothing")
        code, _, err = self.run(capsys, tmp_path / "notes.txt", "-o", tmp_path / "data.h5")
        assert code == 1
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1

    def test_pao_folder_is_handed_to_openmx(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        demo = make_demo(tmp_path / "run")
        (tmp_path / "run/data").rename(tmp_path / "elsewhere")
        _, out, err = self.run(capsys, demo.folder, "--check", "--json")
        assert json.loads(out)[0]["overlap_deviation"] is None
        assert "no radial functions" in err
        _, out, _ = self.run(capsys, demo.folder, "--check", "--json", "--pao-dir", tmp_path / "elsewhere")
        assert json.loads(out)[0]["overlap_deviation"] < 1e-12

    def test_input_without_matrices_says_what_to_do(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "demo.dat").write_text(INPUT)
        code, _, err = self.run(capsys, tmp_path, "--check")
        assert code == 1
        assert "HS.fileout on" in err


def test_a_calculation_that_is_given_twice_is_told_and_read_once(tree: Path, tmp_path: Path) -> None:
    place = tree / "group/collinear"
    told: list[str] = []
    (tmp_path / "link").symlink_to(place)
    found = convert([place, tree / "group", tmp_path / "link"], tmp_path / "d.h5", tell=told.append)
    assert [c.path for c in found] == [place, tree / "group/spinor"]
    assert told[:2] == [f"{p}: given more than once, read once" for p in (place, tmp_path / "link")]
    assert len(open_dataset(tmp_path / "d.h5")) == 2


def test_calculations_that_no_model_is_trained_on_together_are_named(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = tree / "group"
    assert main(["convert", str(group), "-o", str(tmp_path / "both.h5")]) == 0
    assert "these calculations have nspin 2 and 4; a model is trained on one kind" in capsys.readouterr().err
    assert main(["convert", str(group / "spinor"), "-o", str(tmp_path / "one.h5")]) == 0
    assert "trained on one kind" not in capsys.readouterr().err

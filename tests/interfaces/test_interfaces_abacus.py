"""interfaces/abacus/make_runs.py: folders that ABACUS can be started in, or a sentence that says what is missing."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from ase.build import graphene
from ase.io import write

from harmose_dft.adapters.abacus.files import find_library_file, locate, read_input
from harmose_dft.adapters.abacus.stru import read_stru
from harmose_dft.adapters.run_folders import add_box
from harmose_dft.core.errors import HarmoseError, StructureError
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.testing.abacus import orb_text

FOLDER = Path(__file__).resolve().parents[2] / "interfaces" / "abacus"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("abacus_make_runs", FOLDER / "make_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Files with the names of real ones for C, Ca and H."""
    folder = tmp_path / "library"
    folder.mkdir()
    for element in ("C", "Ca", "H"):
        (folder / f"{element}_gga_7au_100Ry_2s1p.orb").write_text(orb_text(element, [0, 0, 1]))
        (folder / f"{element}.upf").write_text(f'<UPF>\n<PP_HEADER element="{element}" z_valence="4.0"/>\n')
    return folder


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames of H, C, H in a skew cell, one atom outside."""
    cell = [[4.0, 0, 0], [1.0, 5.0, 0], [0, 0.5, 6.0]]
    atoms = Atoms("HCH", scaled_positions=[[0.1, 0.2, 0.3], [0.5, 0.5, 0.5], [-0.2, 0.9, 0.1]], cell=cell, pbc=True)
    moved = atoms.copy()
    moved.positions += 0.05
    write(tmp_path / "set.xyz", [atoms, moved], format="extxyz")
    return tmp_path / "set.xyz"


def test_every_structure_gets_a_folder_that_the_reader_understands(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    assert script.main([str(frames), "--library", str(library), "-o", str(runs), "--kpoints", "3", "2", "1"]) == 0
    assert sorted(p.name for p in runs.iterdir()) == ["set_0000", "set_0001"]
    run = runs / "set_0000"
    assert (run / "KPT").read_text().split()[-6:] == ["3", "2", "1", "0", "0", "0"]
    stru = read_stru(run / "STRU")
    assert (stru.labels, stru.counts) == (("H", "C"), (2, 1))
    expected = [[0.1, 0.2, 0.3], [-0.2, 0.9, 0.1], [0.5, 0.5, 0.5]]
    np.testing.assert_allclose(stru.fractional, expected, atol=1e-9)
    np.testing.assert_allclose(stru.cell[1] * BOHR_IN_ANGSTROM, [1.0, 5.0, 0.0], atol=1e-9)
    (run / "OUT.ABACUS").mkdir()
    (run / "OUT.ABACUS" / "running_scf.log").touch()
    calculation = locate(run)
    keywords = read_input(calculation)
    assert keywords["out_mat_hs2"] == "1"
    for names, folder in ((stru.orbitals, "orbital_dir"), (stru.pseudopotentials, "pseudo_dir")):
        assert all(find_library_file(calculation, name, keywords[folder]) for name in names)


def test_missing_or_ambiguous_library_files_are_refused_before_anything_is_written(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    command = [str(frames), "--library", str(library), "-o", str(runs)]
    (library / "C-other.upf").write_text("<UPF>")
    assert script.main(command) == 1
    assert "several pseudopotential files of C" in capsys.readouterr().err
    assert script.main([*command, "--pseudopotential", "C=C.upf"]) == 0
    shutil.rmtree(runs)
    (library / "C-other.upf").unlink()
    (library / "C_gga_7au_100Ry_2s1p.orb").unlink()
    assert script.main(command) == 1
    assert "no orbital file of C" in capsys.readouterr().err, "Ca's file must not be taken for C's"
    assert script.main([*command, "--orbital", "C=absent.orb"]) == 1
    assert "absent.orb chosen for C is not in" in capsys.readouterr().err
    assert script.main([*command, "--orbital", "C"]) == 1
    assert "Expected ELEMENT=FILE" in capsys.readouterr().err
    assert script.main([str(frames), "--library", str(tmp_path / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert not runs.exists()


def test_molecules_need_a_box(
    script: ModuleType, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "h2.xyz", Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]))
    command = [str(tmp_path / "h2.xyz"), "--library", str(library), "-o", str(tmp_path / "runs")]
    assert script.main(command) == 1
    assert "h2 has no cell" in capsys.readouterr().err
    assert script.main([*command, "--box", "4"]) == 0
    stru = read_stru(tmp_path / "runs" / "h2" / "STRU")
    np.testing.assert_allclose(np.diag(stru.cell) * BOHR_IN_ANGSTROM, [8.0, 8.0, 8.74], atol=1e-9)


def test_a_layer_without_a_third_vector_keeps_its_lattice_and_gets_vacuum(
    script: ModuleType, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "sheet.xyz", graphene(vacuum=None), format="extxyz")
    command = [str(tmp_path / "sheet.xyz"), "--library", str(library), "-o", str(tmp_path / "runs")]
    assert script.main(command) == 1
    assert "sheet has no lattice vector c" in capsys.readouterr().err
    assert script.main([*command, "--box", "8"]) == 0
    cell = read_stru(tmp_path / "runs" / "sheet" / "STRU").cell * BOHR_IN_ANGSTROM
    np.testing.assert_allclose(cell, [[2.46, 0, 0], [-1.23, 1.23 * 3**0.5, 0], [0, 0, 16.0]], atol=1e-6)


def test_dependent_lattice_vectors_are_no_molecule(tmp_path: Path) -> None:
    flat = Atoms("H", cell=[[4, 0, 0], [8, 0, 0], [0, 0, 4]], pbc=True)
    with pytest.raises(StructureError, match="lattice vectors of flat are linearly dependent"):
        add_box(flat, 8.0, "flat")


def test_existing_folders_are_kept_unless_forced_and_then_only_inputs_are_replaced(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "runs" / "set_0001"
    (mine / "OUT.ABACUS").mkdir(parents=True)
    kept = {mine / "notes": "mine", mine / "OUT.ABACUS" / "running_scf.log": " Finish Time  : now\n"}
    for path, text in kept.items():
        path.write_text(text)
    (mine / "INPUT").write_text("INPUT_PARAMETERS\n")
    command = [str(frames), "--library", str(library), "-o", str(tmp_path / "runs")]
    assert script.main(command) == 1
    refusal = capsys.readouterr().err
    assert "exists already and was left as it is. Use --force to replace its STRU, KPT, INPUT." in refusal
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["set_0001"]
    assert script.main([*command, "--force"]) == 0
    assert sorted(p.name for p in mine.iterdir()) == ["INPUT", "KPT", "OUT.ABACUS", "STRU", "notes"]
    assert {path: path.read_text() for path in kept} == kept
    assert (mine / "INPUT").read_text() == (tmp_path / "runs" / "set_0000" / "INPUT").read_text()


def test_missing_template_is_a_sentence(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, absent = tmp_path / "runs", tmp_path / "INPUT.absent"
    command = [str(frames), "--library", str(library), "-o", str(runs)]
    assert script.main([*command, "--template", str(absent)]) == 1
    expected = f"{absent}: The template cannot be read (No such file or directory). Check the path given to --template."
    assert capsys.readouterr().err == f"{expected}\n"
    assert not runs.exists()


def test_template_that_is_not_utf8_is_a_sentence(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comment in the usual encoding of Chinese text."""
    template, runs = tmp_path / "INPUT.gbk", tmp_path / "runs"
    template.write_bytes("INPUT_PARAMETERS\nout_mat_hs2 1 # 输出\n".encode("gb18030"))
    command = [str(frames), "--library", str(library), "-o", str(runs), "--template", str(template)]
    assert script.main(command) == 1
    assert f"{template}, line 2: The template is not UTF-8 text: got the byte 0xca." in capsys.readouterr().err
    assert not runs.exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--kpoints", "0"), ("--kpoints", "-2"), ("--box", "nan"), ("--box", "-1")]
)
def test_meshes_and_boxes_of_nothing_are_usage_errors(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str,
    value: str,
) -> None:  # fmt: skip
    values = [value] * (3 if option == "--kpoints" else 1)
    with pytest.raises(SystemExit) as end:
        script.main([str(frames), "--library", str(library), "-o", str(tmp_path / "runs"), option, *values])
    assert end.value.code == 2
    assert f"argument {option}: invalid positive_" in capsys.readouterr().err


def test_script_starts_from_any_folder(library: Path, frames: Path, tmp_path: Path) -> None:
    """As a user starts it: the script alone, not imported."""
    command = [sys.executable, str(FOLDER / "make_runs.py"), str(frames), "--library", str(library)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("2 folders in runs")
    assert sorted(p.name for p in (tmp_path / "runs" / "set_0001").iterdir()) == ["INPUT", "KPT", "STRU"]


@pytest.mark.parametrize(("line", "sentence"), [("gamma_only 1", "gamma_only 1 writes no H"),
                                                ("calculation scf", "without 'out_mat_hs2 1'")])  # fmt: skip
def test_templates_that_leave_no_matrices_are_refused(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str,
    sentence: str,
) -> None:  # fmt: skip
    template = tmp_path / "INPUT"
    template.write_text(f"INPUT_PARAMETERS\n{line}\n")
    command = [str(frames), "--library", str(library), "-o", str(tmp_path / "runs"), "--template", str(template)]
    assert script.main(command) == 1
    assert sentence in capsys.readouterr().err


def test_words_and_comments_of_templates_mean_what_they_mean_to_abacus(script: ModuleType, tmp_path: Path) -> None:
    template = tmp_path / "INPUT"
    template.write_text("INPUT_PARAMETERS\ngamma_only False // no\nout_mat_hs2 True // gamma_only 1\n")
    assert "out_mat_hs2 True" in script.input_text(template, "library", "carbon", Atoms("C"))
    template.write_text("INPUT_PARAMETERS\ngamma_only .true.\nout_mat_hs2 1\n")
    with pytest.raises(HarmoseError, match="gamma_only 1 writes no"):
        script.input_text(template, "library", "carbon", Atoms("C"))


def test_unreadable_and_equally_named_structures_are_refused(
    script: ModuleType, library: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.xyz").write_text("no structure\n")
    assert script.main([str(tmp_path / "broken.xyz"), "--library", str(library)]) == 1
    assert "ASE cannot read" in capsys.readouterr().err
    assert script.main([str(frames), str(frames), "--library", str(library)]) == 1
    assert "folder name set_0000" in capsys.readouterr().err


def test_magnetic_moments_are_carried_over(script: ModuleType) -> None:
    atoms = Atoms("C2", positions=[[0, 0, 0], [1.4, 0, 0]], cell=[5, 5, 5], magmoms=[1.5, 0.0])
    lines = script.stru(atoms, {"C": "C.orb"}, {"C": "C.upf"}).splitlines()
    assert lines[-2].endswith(" 1 1 1 mag 1.5000")
    assert lines[-1].endswith(" 1 1 1")


def test_directions_of_moments_are_carried_over_or_refused(script: ModuleType, tmp_path: Path) -> None:
    atoms = Atoms("C2", positions=[[0, 0, 0], [1.4, 0, 0]], cell=[5, 5, 5])
    atoms.set_initial_magnetic_moments([[0.5, -0.25, 1.0], [0, 0, 0]])
    lines = script.stru(atoms, {"C": "C.orb"}, {"C": "C.upf"}).splitlines()
    assert lines[-2].endswith(" 1 1 1 mag 0.5000 -0.2500 1.0000")
    assert lines[-1].endswith(" 1 1 1")
    template = FOLDER / "templates/INPUT.scf"
    with pytest.raises(HarmoseError, match="moments of pair are vectors, which need noncolin 1"):
        script.input_text(template, "library", "pair", atoms)
    (tmp_path / "INPUT").write_text(template.read_text() + "noncolin 1\n")
    assert "noncolin 1" in script.input_text(tmp_path / "INPUT", "library", "pair", atoms)


def test_charge_of_an_ion_is_carried_over(script: ModuleType, tmp_path: Path) -> None:
    hydroxide = Atoms("OH", positions=[[0, 0, 0], [0, 0, 0.97]], info={"charge": -1})
    template = FOLDER / "templates/INPUT.scf"
    assert "nelec_delta         1\n" in script.input_text(template, "library", "hydroxide", hydroxide)
    assert "nelec_delta" not in script.input_text(template, "library", "radical", Atoms("OH"))
    (tmp_path / "INPUT").write_text(template.read_text() + "nelec 8\n")
    with pytest.raises(HarmoseError, match=r"hydroxide has the charge -1, and the template states one, too \(nelec\)"):
        script.input_text(tmp_path / "INPUT", "library", "hydroxide", hydroxide)


@pytest.mark.parametrize("name", ["INPUT.scf", "INPUT.get_s", "INPUT.seed"])
def test_templates_are_accepted(script: ModuleType, name: str) -> None:
    text = script.input_text(FOLDER / "templates" / name, "../library", "carbon", Atoms("C"))
    assert text.startswith("INPUT_PARAMETERS\n")
    assert text.endswith("orbital_dir         ../library\n")


def test_run_script_starts_the_code_in_unfinished_folders_only(tmp_path: Path) -> None:
    for name in ("done", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "INPUT").touch()
    (tmp_path / "done" / "OUT.ABACUS").mkdir()
    (tmp_path / "done" / "OUT.ABACUS" / "running_scf.log").write_text(" Finish Time  : now\n")
    code = f"{sys.executable} -c open('started','w')"
    result = subprocess.run(
        ["sh", str(FOLDER / "templates" / "run_all.sh"), code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["new"]
    assert (tmp_path / "new" / "started").exists()
    assert not (tmp_path / "done" / "started").exists()

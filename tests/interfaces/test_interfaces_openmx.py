"""interfaces/openmx/make_runs.py: folders that OpenMX can be started in, or a sentence that says what is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from harmose_dft.adapters.openmx import OPENMX_BOHR_IN_ANGSTROM, recognise
from harmose_dft.adapters.openmx.input import Input, parse_input
from harmose_dft.testing.openmx import write_pao

FOLDER = Path(__file__).resolve().parents[2] / "interfaces" / "openmx"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("openmx_make_runs", FOLDER / "make_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Orbitals and potentials with the names of real ones for C, Fe and H."""
    folder = tmp_path / "DFT_DATA19"
    (folder / "VPS").mkdir(parents=True)
    for name in ("C6.0", "Fe5.5H", "H6.0"):
        write_pao(folder / f"PAO/{name}.pao", 6.0, {0: 3, 1: 3, 2: 2})
    for name, valence in (("C_PBE19", 4.0), ("H_PBE19", 1.0), ("Fe_PBE19H", 16.0), ("Fe_PBE19S", 14.0)):
        (folder / f"VPS/{name}.vps").write_text(f"total.electron 26.0\nvalence.electron   {valence}\n")
    return folder


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two frames of a hexagonal sheet, one atom outside the cell."""
    cell = [[2.46, 0, 0], [-1.23, 2.130422, 0], [0, 0, 15.0]]
    atoms = Atoms("C2H", positions=[[0, 0, 0], [0, 1.42, 0], [-0.3, 0.1, 1.1]], cell=cell, pbc=True)
    moved = atoms.copy()
    moved.positions += 0.05
    write(tmp_path / "set.xyz", [atoms, moved], format="extxyz")
    return tmp_path / "set.xyz"


BASIS = ("--basis", "C=C6.0-s2p2d1", "--basis", "H=H6.0-s2p1")


def made(script: ModuleType, *arguments: object) -> int:
    return int(script.main([str(a) for a in arguments]))


def parsed(path: Path) -> Input:
    return parse_input(path.read_text(), path)


def test_every_structure_gets_an_input_that_the_reader_understands(
    script: ModuleType, data: Path, frames: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    assert made(script, frames, "--data", data, *BASIS, "-o", runs, "--kgrid", 5, 5, 1, "--bands", "GMKG") == 0
    assert sorted(p.name for p in runs.iterdir()) == ["set_0000", "set_0001"]
    assert recognise(runs / "set_0000")
    settings = parsed(runs / "set_0000/set_0000.dat")
    structure = settings.structure()
    assert structure.symbols == ["C", "C", "H"]
    np.testing.assert_allclose(structure.positions[2] * OPENMX_BOHR_IN_ANGSTROM, [-0.3, 0.1, 1.1], atol=1e-12)
    assert structure.cell is not None
    np.testing.assert_allclose(structure.cell[1] * OPENMX_BOHR_IN_ANGSTROM, [-1.23, 2.130422, 0], atol=1e-12)
    assert settings.valence_electrons() == 9.0
    assert settings.keyword("scf.Kgrid") == "5 5 1"
    assert settings.keyword("HS.fileout").split()[0] == "on"
    assert (runs / "set_0000" / settings.keyword("DATA.PATH") / "PAO/C6.0.pao").is_file()
    assert [words[-2:] for _, words in settings.block("Band.kpath")] == [["G", "M"], ["M", "K"], ["K", "G"]]
    assert settings.species["C"].angular_momenta == (0, 0, 1, 1, 2)


def test_moments_and_spinors(script: ModuleType, data: Path, tmp_path: Path) -> None:
    iron = Atoms("Fe", cell=2.87 * np.eye(3), pbc=True)
    iron.set_initial_magnetic_moments([2.0])
    write(tmp_path / "iron.traj", iron)
    options = ("--data", data, "--basis", "Fe=Fe5.5H-s3p2d1", "--potential", "Fe=Fe_PBE19H", "-o", tmp_path / "runs")
    assert made(script, tmp_path / "iron.traj", *options, "--template", FOLDER / "templates/soc.dat") == 0
    settings = parsed(tmp_path / "runs/iron/iron.dat")
    ((_, words),) = settings.block("Atoms.SpeciesAndCoordinates")
    assert words[5:] == ["9.0000", "7.0000", "0.0", "0.0", "0.0", "0.0", "0", "off"]
    assert settings.keyword("scf.SpinOrbit.Coupling") == "on"


def test_directions_of_moments_are_carried_over_or_refused(
    script: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    iron = Atoms("Fe2", positions=[[0, 0, 0], [1.4, 1.4, 1.4]], cell=2.87 * np.eye(3), pbc=True)
    iron.set_initial_magnetic_moments([[0.0, -2.0, 0.0], [0.0, 0.0, -2.0]])
    write(tmp_path / "iron.traj", iron)
    options = ("--data", data, "--basis", "Fe=Fe5.5H-s3p2d1", "--potential", "Fe=Fe_PBE19H", "-o", tmp_path / "runs")
    assert made(script, tmp_path / "iron.traj", *options) == 1
    assert "moments of iron are vectors" in capsys.readouterr().err
    assert made(script, tmp_path / "iron.traj", *options, "--template", FOLDER / "templates/soc.dat") == 0
    rows = [words[5:] for _, words in parsed(tmp_path / "runs/iron/iron.dat").block("Atoms.SpeciesAndCoordinates")]
    assert rows[0] == ["9.0000", "7.0000", "90.0", "-90.0", "90.0", "-90.0", "0", "off"]
    assert rows[1][:3] == ["9.0000", "7.0000", "180.0"]


def test_charge_of_an_ion_is_carried_over(
    script: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "methyl.xyz").write_text("1\ncharge=-1\nC 0 0 0\n")
    options = (tmp_path / "methyl.xyz", "--data", data, *BASIS, "-o", tmp_path / "runs", "--box", 5)
    assert made(script, *options) == 0
    settings = parsed(tmp_path / "runs/methyl/methyl.dat")
    assert settings.charge == -1.0
    assert settings.valence_electrons() == 5.0
    template = tmp_path / "doped.dat"
    template.write_text((FOLDER / "templates/scf.dat").read_text() + "scf.system.charge 0.5\n")
    assert made(script, *options, "--template", template, "--force") == 1
    assert "methyl has the charge -1, and the template states one, too (scf.system.charge)" in capsys.readouterr().err


def test_molecule_needs_a_box(
    script: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "h2.xyz", Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]]), format="xyz")
    options = (tmp_path / "h2.xyz", "--data", data, *BASIS, "-o", tmp_path / "runs")
    options = (*options, "--template", FOLDER / "templates/molecule.dat")
    assert made(script, *options) == 1
    assert "--box 8" in capsys.readouterr().err
    assert made(script, *options, "--box", 5) == 0
    structure = parsed(tmp_path / "runs/h2/h2.dat").structure()
    assert structure.cell is not None
    np.testing.assert_allclose(np.diag(structure.cell) * OPENMX_BOHR_IN_ANGSTROM, [10, 10, 10.74], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--basis", "C=C6.0-s2p2d1"), "No orbitals are given for H"),
        ((*BASIS, "--basis", "C=C7.0-s2p2d1"), "not usable for C"),
        ((*BASIS, "--basis", "C=C6.0-s9"), "holds 3 functions; the input asks for 9"),
        ((*BASIS, "--basis", "C=C6.0-x1"), "not understood"),
        ((*BASIS, "--basis", "C=H6.0-s1"), "not usable for C"),
        ((*BASIS, "--basis", "Xx=C6.0-s1"), "Expected ELEMENT=NAME"),
        ((*BASIS, "--suffix", "_CA19"), "no potential for C"),
        ((*BASIS, "--potential", "C=C_CA19"), r"C_CA19.vps chosen for C is not in"),
        ((*BASIS, "--bands", "GQ"), "does not fit the cell"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    script: ModuleType, data: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    change: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    assert made(script, frames, "--data", data, *change, "-o", tmp_path / "runs") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_several_potentials_need_a_choice(
    script: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "iron.cif", Atoms("Fe", cell=2.87 * np.eye(3), pbc=True))
    assert made(script, tmp_path / "iron.cif", "--data", data, "--basis", "Fe=Fe5.5H-s3p2d1") == 1
    assert "Fe_PBE19H, Fe_PBE19S for Fe" in capsys.readouterr().err


def test_other_refusals(
    script: ModuleType, data: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    template = tmp_path / "template.dat"
    template.write_text("scf.XcType GGA-PBE\n")
    assert made(script, frames, "--data", data, *BASIS, "-o", runs, "--template", template) == 1
    assert "HS.fileout on" in capsys.readouterr().err
    assert made(script, frames, "--data", tmp_path, *BASIS, "-o", runs) == 1
    assert "no PAO/ and VPS/" in capsys.readouterr().err
    assert made(script, frames, frames, "--data", data, *BASIS, "-o", runs) == 1
    assert "Two structures" in capsys.readouterr().err
    assert made(script, tmp_path / "absent.xyz", "--data", data, *BASIS, "-o", runs) == 1
    assert "ASE cannot read" in capsys.readouterr().err
    assert made(script, frames, "--data", data, *BASIS, "-o", runs) == 0
    assert made(script, frames, "--data", data, *BASIS, "-o", runs) == 1
    assert "left as it is" in capsys.readouterr().err
    (runs / "set_0001/set_0001.scfout").write_text("results")
    (runs / "set_0001/set_0001.dat").write_text("old")
    assert made(script, frames, "--data", data, *BASIS, "-o", runs, "--force") == 0
    assert (runs / "set_0001/set_0001.scfout").read_text() == "results"
    assert parsed(runs / "set_0001/set_0001.dat").keyword("HS.fileout").split()[0] == "on"
    assert made(script, frames, "--data", data, *BASIS, "-o", runs, "--template", tmp_path / "absent.dat") == 1
    assert "absent.dat" in capsys.readouterr().err


def test_templates_and_potentials_that_are_not_what_they_should_be_are_sentences(
    script: ModuleType, data: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comment in Latin-1, potentials without a number of electrons, and a damaged compressed one."""
    command = (frames, "--data", data, *BASIS, "-o", tmp_path / "runs")
    template = tmp_path / "latin.dat"
    template.write_bytes("HS.fileout on # für Bänder\n".encode("latin-1"))
    assert made(script, *command, "--template", template) == 1
    assert f"{template}, line 1: The template is not UTF-8 text: got the byte 0xfc." in capsys.readouterr().err
    potential = data / "VPS/C_PBE19.vps"
    potential.write_text("valence.electron four\n")
    assert made(script, *command) == 1
    assert "does not state its number of valence electrons" in capsys.readouterr().err
    potential.rename(data / "VPS/C_PBE19.vps.xz")
    assert made(script, *command) == 1
    assert "C_PBE19.vps.xz: The file cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_run_all_starts_what_is_not_done_and_reports_failures(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.dat").write_text("x")
    (tmp_path / "a/a.scfout").write_text("done")
    fake = tmp_path / "fake.sh"
    fake.write_text('#!/bin/sh\n[ "$1" = c.dat ] && exit 1\ntouch "${1%.dat}.scfout"\n')
    fake.chmod(0o755)
    result = subprocess.run(
        ["sh", str(FOLDER / "templates/run_all.sh"), str(fake)], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stdout.split() == ["b", "c"]
    assert "c failed" in result.stderr
    assert (tmp_path / "b/b.scfout").exists()


def test_real_library_is_understood(script: ModuleType, shared_dir: Path, tmp_path: Path) -> None:
    """PAO and VPS files of DFT_DATA19: 4 valence electrons of C, 14 of Mo."""
    species = script.species_of("Mo", shared_dir / "samples/openmx/DFT_DATA19", {"Mo": "Mo7.0-s3p2d2"}, {}, "_PBE19")
    assert (species.potential, species.electrons) == ("Mo_PBE19", 14.0)

"""The start of ABACUS from a density: its grid, k-points and file, and the density of a prediction in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from harmose_dft.adapters.abacus import CubeNames, DensityCube, read_density_cube, write_density_cube
from harmose_dft.adapters.abacus.code import AbacusStart
from harmose_dft.adapters.abacus.cube import is_density_file
from harmose_dft.adapters.abacus.density import Setup, write_density
from harmose_dft.adapters.abacus.files import Calculation, read_input
from harmose_dft.adapters.abacus.filling import read_mesh, read_smearing
from harmose_dft.adapters.abacus.grid import grid_of_cutoff, grid_of_run
from harmose_dft.adapters.abacus.log import find_log, read_log
from harmose_dft.adapters.code import StartingPoint
from harmose_dft.cli import main
from harmose_dft.core.errors import ArgumentError, DataError, FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import RYDBERG_IN_HARTREE
from harmose_dft.solver import Smearing, count_on_grid, density_blocks, density_on_grid, monkhorst_pack, solve_kpoints
from harmose_dft.testing.abacus import write_record
from harmose_dft.testing.crystals import calculation, layer, with_collinear_spin, with_spin_orbit

INPUT = {"ecutwfc": "30", "smearing_method": "gaussian", "smearing_sigma": "0.002"}
ANGSTROM = 1.889726124626


def write_run(folder: Path, text: str = "", kpt: str = "Gamma\n3 3 1 0 0 0", **keywords: str) -> Path:
    """A folder with INPUT and KPT."""
    folder.mkdir(exist_ok=True)
    lines = [f"{key} {value}" for key, value in (INPUT | keywords).items() if value]
    (folder / "INPUT").write_text("INPUT_PARAMETERS\n" + "\n".join(lines) + "\n")
    (folder / "KPT").write_text(f"K_POINTS\n0\n{kpt}\n")
    return folder


def starting_point(record: Record, run: Path | None = None) -> StartingPoint:
    """A prediction that is the calculation, as the start of a run."""
    spinor = record.hamiltonian[0].spinor
    kpoints, weights = monkhorst_pack((2, 2, 1), time_reversal=not spinor)
    spectrum = solve_kpoints(record.hamiltonian, record.overlap, kpoints, record.n_electrons, weights=weights)
    setup = AbacusStart().read_setup(record.structure, {"run": run})
    return StartingPoint(record.structure, record.basis, record.hamiltonian, record.overlap, spectrum, "pbe", setup)


# The grid


@pytest.mark.parametrize(("vectors", "cutoff", "shape"), [
    (np.diag([10.0, 10.0, 10.0]), 400, (125, 125, 125)),
    (2.8265 * (1 - np.eye(3)), 320, (45, 45, 45)),
    (2.715 * (1 - np.eye(3)), 400, (48, 48, 48)),
    (np.array([[7.401, 0, 0], [-3.7005, 6.40945, 0], [0, 0, 12.0]]), 240, (72, 72, 120)),
], ids=["water in a box", "GaAs", "silicon", "graphene 3 x 3"])  # fmt: skip
def test_grid_of_a_cutoff_is_that_of_real_runs(vectors: np.ndarray, cutoff: float, shape: tuple[int, ...]) -> None:
    """Grids as ABACUS 3.8.1 printed them (cells in Angstrom)."""
    assert grid_of_cutoff(vectors * ANGSTROM, cutoff) == shape


def test_grid_is_that_of_every_real_log(shared_dir: Path) -> None:
    grids = 0
    for path in sorted((shared_dir / "samples" / "abacus").rglob("running_*.log")):
        log = read_log(path)
        if log.grid is not None:
            assert log.constant is not None
            assert log.vectors is not None
            assert log.cutoff is not None
            grids += 1
            assert grid_of_cutoff(log.constant * log.vectors, log.cutoff) == log.grid, path
    assert grids > 20


def test_points_come_from_input_then_from_the_log_then_from_the_cutoff(tmp_path: Path) -> None:
    """The log's points (7, 8, 9) are none that follow from its cutoff, so that they tell where the grid is from."""
    record = calculation(layer())
    cell = record.structure.cell
    assert cell is not None
    folder = write_record(tmp_path / "run", record)
    out = folder / "OUT.ABACUS"
    path = find_log(out)
    assert path is not None
    extra = " energy cutoff for charge/potential (unit:Ry) = 120\n fft grid for charge/potential = [ 7, 8, 9 ]\n"
    path.write_text(path.read_text() + extra)
    log = read_log(path)
    points = {"nx": "20", "ny": "21", "nz": "22"}
    assert grid_of_run({**points, "ecutwfc": "30"}, log, out, cell, folder) == (20, 21, 22)
    assert grid_of_run({**points, "bz": "5"}, log, out, cell, folder) == (20, 21, 25)
    assert grid_of_run({"ecutwfc": "30"}, log, out, cell, folder) == (7, 8, 9)
    assert grid_of_run({}, log, out, cell, folder) == (7, 8, 9)
    assert grid_of_run({"ecutwfc": "20"}, log, out, cell, folder) == grid_of_cutoff(cell, 80)
    assert grid_of_run({"ecutwfc": "20", "ecutrho": "120"}, None, None, cell, folder) == grid_of_cutoff(cell, 120)
    assert grid_of_run({"ecutwfc": "30"}, log, out, 1.1 * cell, folder) == grid_of_cutoff(1.1 * cell, 120)


def test_grid_comes_from_a_density_of_this_cell_where_nothing_else_tells(tmp_path: Path) -> None:
    structure = layer()
    assert structure.cell is not None
    write_density_cube(tmp_path / "chg.cube", DensityCube(np.ones((3, 4, 5)), structure, 1, None))
    assert grid_of_run({}, None, tmp_path, structure.cell, tmp_path) == (3, 4, 5)
    with pytest.raises(FileFormatError, match="grid of the density is not known"):
        grid_of_run({}, None, tmp_path, 1.01 * structure.cell, tmp_path)
    with pytest.raises(FileFormatError, match="ecutwfc in INPUT must be a number; got 'high'"):
        grid_of_run({"ecutwfc": "high"}, None, tmp_path, structure.cell, tmp_path)


# k-points and smearing


@pytest.mark.parametrize(("kpt", "mesh", "shift"), [
    ("Gamma\n3 3 1 0 0 0", (3, 3, 1), (0, 0, 0)),
    ("Gamma\n4 2 1 0.5 0.5 0", (4, 2, 1), (0.5, 0.5, 0)),
    ("Monkhorst-Pack\n4 3 1 0 0 0", (4, 3, 1), (0.5, 0, 0)),
    ("MP\n4 3 1 1 0 0", (4, 3, 1), (1, 0, 0)),
    ("Gamma # centred\n2 2 2", (2, 2, 2), (0, 0, 0)),
])  # fmt: skip
def test_mesh_is_that_of_kpt(tmp_path: Path, kpt: str, mesh: tuple[int, ...], shift: tuple[float, ...]) -> None:
    """Monkhorst and Pack's points are (2n - N - 1 + offset) / 2N, n = 1..N: halves of a step off Gamma for even N."""
    folder = write_run(tmp_path / "run", kpt=kpt)
    points, weights = read_mesh({}, folder, np.eye(3), time_reversal=False)
    expected, _ = monkhorst_pack(mesh, shift, time_reversal=False)
    np.testing.assert_allclose(points, expected)
    assert weights.sum() == pytest.approx(1)


def test_mesh_follows_from_kspacing_and_from_gamma_only(tmp_path: Path) -> None:
    """A reciprocal vector of 2 pi / 10 = 0.628 at a spacing of 0.2 has int(3.14 + 1) = 4 divisions, 0.126 has one."""
    cell = np.diag([10.0, 10.0, 50.0])
    points, _ = read_mesh({"kspacing": "0.2"}, tmp_path, cell, time_reversal=False)
    np.testing.assert_allclose(points, monkhorst_pack((4, 4, 1), time_reversal=False)[0])
    points, weights = read_mesh({"gamma_only": "1"}, tmp_path, cell, time_reversal=True)
    assert points.tolist() == [[0, 0, 0]]
    assert weights.tolist() == [1]


def test_kspacing_may_differ_between_the_reciprocal_vectors(tmp_path: Path) -> None:
    """int(0.628 / 0.2 + 1) = 4, int(0.628 / 0.4 + 1) = 2 and one division."""
    (tmp_path / "INPUT").write_text("INPUT_PARAMETERS\nkspacing 0.2 0.4 0.2 # 1/Bohr\n")
    keywords = read_input(Calculation(tmp_path, tmp_path))
    points, _ = read_mesh(keywords, tmp_path, np.diag([10.0, 10.0, 50.0]), time_reversal=False)
    np.testing.assert_allclose(points, monkhorst_pack((4, 2, 1), time_reversal=False)[0])
    for text in ("0.2 0.4", "0.2 0 0.2", "-0.1"):
        with pytest.raises(FileFormatError, match="kspacing in INPUT must be one positive number or three"):
            read_mesh({"kspacing": text}, tmp_path, np.eye(3), time_reversal=False)


@pytest.mark.parametrize("word", ["1", "T", "True", "yes", "on", ".true."])
def test_gamma_only_is_true_by_every_word_that_abacus_knows(tmp_path: Path, word: str) -> None:
    folder = write_run(tmp_path / "run", kpt="Gamma\n3 3 1 0 0 0")
    assert len(read_mesh({"gamma_only": word}, folder, np.eye(3), time_reversal=True)[0]) == 1
    assert len(read_mesh({"gamma_only": "off"}, folder, np.eye(3), time_reversal=False)[0]) == 9


def test_two_slashes_in_a_path_of_input_are_no_comment(tmp_path: Path) -> None:
    """// separates a comment where it begins a word."""
    (tmp_path / "INPUT").write_text(
        "INPUT_PARAMETERS\r\npseudo_dir ../library//PP // here\r\n// ecutwfc 50\r\n! nspin 2\r\necutwfc 100#Ry\r\n"
    )
    assert read_input(Calculation(tmp_path, tmp_path)) == {"pseudo_dir": "../library//PP", "ecutwfc": "100"}


def test_smearing_is_that_of_input_in_hartree(tmp_path: Path) -> None:
    assert read_smearing({"smearing_method": "fixed"}, tmp_path) == (Smearing.NONE, 0.0)
    smearing, width = read_smearing({"smearing_method": "mp", "smearing_sigma": "0.02"}, tmp_path)
    assert (smearing, width) == (Smearing.METHFESSEL_PAXTON, pytest.approx(0.01))
    smearing, width = read_smearing({}, tmp_path)
    assert (smearing, width) == (Smearing.GAUSSIAN, pytest.approx(0.0075))
    kelvin = {"smearing_method": "fd", "smearing_sigma_temp": "4000"}
    assert read_smearing(kelvin, tmp_path) == (Smearing.FERMI_DIRAC, pytest.approx(0.01266726 / 2))
    with pytest.raises(FileFormatError, match="smearing_method is mp2"):
        read_smearing({"smearing_method": "mp2"}, tmp_path)
    with pytest.raises(FileFormatError, match="smearing_sigma must be positive"):
        read_smearing({"smearing_sigma": "0"}, tmp_path)


@pytest.mark.parametrize(("kpt", "message"), [
    ("Direct\n0 0 0 1", "given as 'Direct'"),
    ("Gamma\n0 3 1", r"mesh of \[0, 3, 1\]"),
    ("Gamma\nthree", "Expected 6 numbers"),
    ("", "three more"),
])  # fmt: skip
def test_k_points_that_are_no_mesh_are_refused(tmp_path: Path, kpt: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_mesh({}, write_run(tmp_path / "run", kpt=kpt), np.eye(3), time_reversal=True)


# The file


def test_cube_is_read_back_number_by_number(tmp_path: Path) -> None:
    """Ten decimals are what is written; more are there if asked for."""
    values = np.random.default_rng(0).lognormal(sigma=5.0, size=(3, 2, 7))
    for decimals, tolerance in ((10, 1e-10), (16, 0.0)):
        path = tmp_path / f"chg{decimals}.cube"
        write_density_cube(path, DensityCube(values, layer(1), 1, -0.125), decimals=decimals)
        cube = read_density_cube(path)
        np.testing.assert_allclose(cube.values, values, rtol=tolerance, atol=0.0)
        assert (cube.nspin, cube.fermi) == (1, pytest.approx(-0.125))
        assert cube.structure.numbers.tolist() == [5, 7]
        np.testing.assert_allclose(cube.structure.positions, layer(1).positions, atol=1e-6)
        np.testing.assert_allclose(cube.structure.cell, layer(1).cell, atol=1e-5)


def test_cube_has_the_lines_that_abacus_writes(tmp_path: Path) -> None:
    """Typed after the layout of ABACUS 3.8.1: steps are lattice vectors over points, six values a line, z inside."""
    structure = Structure(np.array([14]), np.array([[0.5, 1.0, 1.5]]), np.diag([2.0, 4.0, 8.0]))
    values = np.arange(14.0).reshape(1, 2, 7)
    write_density_cube(tmp_path / "a.cube", DensityCube(values, structure, 2, 0.25, np.array([4.0])), decimals=3)
    assert (tmp_path / "a.cube").read_text().splitlines() == [
        "STEP: 0  Cubefile created from ABACUS. Inner loop is z, followed by y and x",
        "2 (nspin) 0.500000 (fermi energy, in Ry)",
        "1 0.0 0.0 0.0 ",
        "1 2.000000 0.000000 0.000000",
        "2 0.000000 2.000000 0.000000",
        "7 0.000000 0.000000 1.142857",
        " 14 4 0.500000 1.000000 1.500000",
        " 0.000e+00 1.000e+00 2.000e+00 3.000e+00 4.000e+00 5.000e+00",
        " 6.000e+00",
        " 7.000e+00 8.000e+00 9.000e+00 1.000e+01 1.100e+01 1.200e+01",
        " 1.300e+01",
    ]
    with pytest.raises(OutputExistsError):
        write_density_cube(tmp_path / "a.cube", DensityCube(values, structure, 2, 0.25))


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text[:-12], "The file is truncated"),
    (lambda text: text.replace("2 0.0 0.0 0.0", "9 0.0 0.0 0.0"), "truncated"),
    (lambda text: text.replace("2 0.0 0.0 0.0", "two 0.0 0.0 0.0"), "Lines 3 to 6"),
    (lambda text: text.replace("\n3 ", "\n99999999 ", 1), "describes no crystal"),
    (lambda text: text.replace("\n3 ", "\n0 ", 1), "cannot be"),
    (lambda text: text[:120], "six lines"),
    (lambda text: text.replace("e+00", "e+zz", 5), "truncated"),
])  # fmt: skip
def test_damaged_cubes_are_refused(tmp_path: Path, change: object, message: str) -> None:
    path = tmp_path / "chg.cube"
    write_density_cube(path, DensityCube(np.ones((3, 4, 5)), layer(), 1, None))
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(FileFormatError, match=message):
        read_density_cube(path)


@pytest.mark.parametrize(("version", "nspin", "names"), [
    ("3.8.1", 1, ["SPIN1_CHG.cube"]),
    ("3.10.1", 2, ["SPIN1_CHG.cube", "SPIN2_CHG.cube"]),
    ("3.9.0.5", 1, ["SPIN1_CHG.cube"]),
    ("3.9.0.6", 2, ["chgs1.cube", "chgs2.cube"]),
    ("3.11.0-beta.5", 4, ["chgs1.cube", "chgs2.cube", "chgs3.cube", "chgs4.cube"]),
    ("", 1, ["chg.cube"]),
])  # fmt: skip
def test_files_have_the_names_that_a_version_reads(version: str, nspin: int, names: list[str]) -> None:
    assert CubeNames.of_version(version).file_names(nspin) == names
    assert all(is_density_file(Path(name)) for name in names)


# The density of a prediction


def test_density_is_filled_as_the_calculation_and_holds_its_electrons(tmp_path: Path) -> None:
    """On KPT's k-points, not on those of the prediction; atoms folded and regrouped as ABACUS does."""
    record = calculation(layer(4))
    moved = record.structure.positions - np.array([0.0, 0.0, 15.0])
    record = calculation(Structure(record.structure.numbers, moved, record.structure.cell))
    setup = Setup.of_run(write_run(tmp_path / "run"), record.structure)
    (path,), figures = write_density(starting_point(record), setup, tmp_path, force=False)
    assert path.name == "chg.cube"
    assert figures["electrons_on_grid"] == pytest.approx(8.0, rel=1e-3)
    cube = read_density_cube(path)
    assert cube.structure.cell is not None
    assert count_on_grid(cube.values, record.structure.cell) == pytest.approx(8.0, abs=1e-8)
    fractional = cube.structure.positions @ np.linalg.inv(cube.structure.cell)
    assert ((fractional >= 0) & (fractional < 1)).all()
    kpoints, weights = monkhorst_pack((3, 3, 1))
    spectrum = solve_kpoints(
        record.hamiltonian, record.overlap, kpoints, 8.0, weights=weights, smearing=Smearing.GAUSSIAN, width=0.001
    )
    assert spectrum.fermi is not None
    (density,) = density_blocks(spectrum, record.overlap)
    expected = density_on_grid(density, record.structure, record.basis, setup.shape)
    np.testing.assert_allclose(cube.values, expected * 8.0 / figures["electrons_on_grid"], rtol=1e-9, atol=1e-12)
    assert cube.fermi == pytest.approx(spectrum.fermi, abs=1e-6)


def test_spin_directions_have_a_file_each(tmp_path: Path) -> None:
    record = with_collinear_spin(layer(1))
    run = write_run(tmp_path / "run", nspin="2")
    start = starting_point(record, run)
    report = AbacusStart().write(start, tmp_path / "hrs1_nao.csr", force=False)
    assert [f.name for f in report.files] == ["chgs1.cube", "chgs2.cube"]
    up, down = (read_density_cube(f) for f in report.files)
    assert (up.nspin, down.nspin) == (2, 2)
    total = count_on_grid(up.values + down.values, record.structure.cell)
    assert total == pytest.approx(8.0, abs=1e-8)
    assert np.abs(up.values - down.values).max() > 1e-4
    assert not (tmp_path / "hrs1_nao.csr").exists()
    with pytest.raises(DataError, match="name the folder of the calculation with --run"):
        AbacusStart().write(replace(start, setup=None), tmp_path / "hrs1_nao.csr", force=False)


def test_spinors_have_the_density_and_no_magnetisation(tmp_path: Path) -> None:
    record = with_spin_orbit(layer(1))
    run = write_run(tmp_path / "run", nspin="4")
    report = AbacusStart().write(starting_point(record, run), tmp_path / "hrs1_nao.csr", force=False)
    names = ["chgs1.cube", "chgs2.cube", "chgs3.cube", "chgs4.cube", "hrs1_nao.csr"]
    assert [f.name for f in report.files] == names
    values = [read_density_cube(f).values for f in report.files[:4]]
    assert count_on_grid(values[0], record.structure.cell) == pytest.approx(8.0, abs=1e-8)
    assert not any(v.any() for v in values[1:])


def test_density_of_another_kind_of_spin_is_refused(tmp_path: Path) -> None:
    record = calculation(layer())
    setup = Setup.of_run(write_run(tmp_path / "run", nspin="2"), record.structure)
    with pytest.raises(DataError, match=r"predicts for nspin 1; the calculation in .* has nspin 2"):
        write_density(starting_point(record), setup, tmp_path, force=False)


@pytest.mark.parametrize("keyword", ["noncolin", "lspinorb"])
def test_spinor_keywords_of_input_mean_nspin_4(tmp_path: Path, keyword: str) -> None:
    """As in ABACUS (read_input_item_elec_stru.cpp), whatever nspin says."""
    for nspin in ("", "1"):
        run = write_run(tmp_path / "run", nspin=nspin, **{keyword: "True"})
        setup = Setup.of_run(run, layer())
        assert setup.file_names == ["chgs1.cube", "chgs2.cube", "chgs3.cube", "chgs4.cube"]
        assert len(setup.kpoints) == 9  # without time reversal
    assert Setup.of_run(write_run(tmp_path / "run", **{keyword: "0"}), layer()).nspin == 1


def test_grid_that_does_not_hold_the_electrons_is_refused(tmp_path: Path) -> None:
    record = calculation(layer())
    setup = Setup.of_run(write_run(tmp_path / "run", ecutwfc="2"), record.structure)
    with pytest.raises(HarmoseError, match=r"expected 8 \(deviation .*at most 0.001\)"):
        write_density(starting_point(record), setup, tmp_path, force=False)
    assert not list(tmp_path.glob("*.cube"))


def test_nothing_is_replaced_unless_forced(tmp_path: Path) -> None:
    record = calculation(layer())
    setup = Setup.of_run(write_run(tmp_path / "run"), record.structure)
    (tmp_path / "chg.cube").write_text("mine")
    with pytest.raises(OutputExistsError):
        write_density(starting_point(record), setup, tmp_path, force=False)
    assert (tmp_path / "chg.cube").read_text() == "mine"


def test_folder_of_another_calculation_is_refused(tmp_path: Path) -> None:
    structure = layer()
    assert structure.cell is not None
    folder = write_record(tmp_path / "run", calculation(structure))
    write_run(folder)
    (folder / "N.upf").write_text('<UPF>\n<PP_HEADER element="N" z_valence="5.0"/>\n')
    setup = Setup.of_run(folder, structure)
    assert setup.valence == {7: 5.0}
    assert setup.file_names == ["SPIN1_CHG.cube"]  # the log says 3.8.1
    assert "rename" not in setup.use
    with pytest.raises(FileFormatError, match="not one of this structure"):
        Setup.of_run(folder, layer(stretch=1.1))
    with pytest.raises(FileFormatError, match=r"atoms of the calculation that shall start lie up to 0\.\d+ Bohr"):
        Setup.of_run(folder, layer(1))
    moved = structure.positions[::-1] + structure.cell[0] - 2 * structure.cell[2] + 1e-4
    Setup.of_run(folder, Structure(structure.numbers[::-1], moved, structure.cell))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="no INPUT"):
        AbacusStart().read_setup(structure, {"run": tmp_path / "empty"})
    with pytest.raises(FileFormatError, match="nspin in INPUT must be 1, 2 or 4; got '3'"):
        Setup.of_run(write_run(tmp_path / "three", nspin="3"), structure)


def test_k_points_that_cannot_be_read_are_refused_before_the_prediction(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "KPT").unlink()
    with pytest.raises(FileFormatError, match="KPT"):
        AbacusStart().read_setup(layer(), {"run": run})


class Predictor:
    """Predicts the made-up calculation of a layer."""

    def __init__(self) -> None:
        basis = calculation(layer()).basis
        self.model, self.info = SimpleNamespace(basis=basis, code="ABACUS v3.8.1"), SimpleNamespace(name="layer")

    def check(self, structure: Structure) -> None: ...

    def predict(self, structure: Structure, *, trust: bool) -> SimpleNamespace:
        start = starting_point(calculation(structure))
        return SimpleNamespace(**vars(start))


def test_command_writes_density_and_hamiltonian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device: Predictor())
    structure = layer(2)
    assert structure.cell is not None
    cell = structure.cell / ANGSTROM
    write("layer.extxyz", Atoms(structure.symbols, structure.positions / ANGSTROM, cell=cell, pbc=True))
    write_run(Path("run"))
    arguments = ["seed", "layer.extxyz", "--code", "abacus", "--run", "run"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["files"] == ["chg.cube", "hrs1_nao.csr"]
    assert printed["electrons_on_grid"] == pytest.approx(8.0, rel=1e-3)
    assert "init_chg file" in printed["use"]
    assert "want the density as SPIN1_CHG.cube: rename it" in printed["use"]
    assert count_on_grid(read_density_cube(Path("chg.cube")).values, structure.cell) == pytest.approx(8.0, abs=1e-5)
    assert main(arguments) == 1
    assert main([*arguments, "--force"]) == 0
    assert capsys.readouterr().out.startswith("chg.cube, hrs1_nao.csr: put them into the folder")
    assert main(["seed", "layer.extxyz", "--code", "pyscf", "--run", "run", "--force"]) == 2


def test_options_of_other_codes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="--walk is no option of --code abacus"):
        AbacusStart().read_setup(layer(), {"walk": Path()})


def test_fermi_level_is_written_in_rydberg(tmp_path: Path) -> None:
    write_density_cube(tmp_path / "a.cube", DensityCube(np.ones((1, 1, 1)), layer(), 1, 3.0 * RYDBERG_IN_HARTREE))
    assert "1 (nspin) 3.000000 (fermi energy, in Ry)" in (tmp_path / "a.cube").read_text()

"""OpenMX's files are read as OpenMX means them; what is damaged is refused with the place of the damage."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.openmx import OPENMX_BOHR_IN_ANGSTROM, read, recognise
from harmose_dft.adapters.openmx.input import parse_input
from harmose_dft.adapters.openmx.output import read_bands, read_output
from harmose_dft.adapters.openmx.pao import DATA_PATH_VARIABLE, read_pao
from harmose_dft.adapters.openmx.scfout import read_scfout
from harmose_dft.core.basis import NumericalRadial, OrbitalBasis
from harmose_dft.core.errors import FileFormatError
from harmose_dft.core.record import Record
from harmose_dft.testing.openmx import ELECTRONS, FERMI, INPUT, NAME, Demo, make_demo, scfout_bytes, write_pao
from harmose_dft.workflows.checks import MILLI_EV, TOLERANCE_MEV, eigenvalue_deviation, overlap_deviation

SAMPLES = {
    "Si2": 2, "graphene_prim": 2, "MoS2": 2, "MoS2_soc": 2, "Fe_bcc_spin": 2, "H2O_cluster": 1,
    **{f"graphene_3x3/snap{i:02d}": 1 for i in range(18)},
}  # fmt: skip
"""Sample -> number of lists of eigenvalues (.Band and .out)."""

OVERLAP_ACCURACY = 1e-6
"""Largest deviation of S from integrals of the orbitals; measured on the samples: 1.3e-7 (Fe) or less."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory.mktemp("openmx") / "run")


def fewer_kpoints(record: Record, count: int) -> Record:
    """The record with about ``count`` k-points left in each list of eigenvalues."""
    lists = []
    for e in record.eigenvalues:
        step = max(len(e.kpoints) // count, 1)
        lists.append(replace(e, kpoints=e.kpoints[::step], energies=e.energies[:, ::step]))
    return replace(record, eigenvalues=tuple(lists))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_has_the_eigenvalues_that_openmx_printed(shared_dir: Path, name: str) -> None:
    """OpenMX 3.9.9 (shared samples). .Band: 4.1e-5 meV at most; .out: 0.0103 meV (graphene_prim, SCF residual)."""
    (record,) = read(shared_dir / "samples/openmx" / name)
    assert len(record.eigenvalues) == SAMPLES[name]
    few = fewer_kpoints(record, 1 if len(record.structure) > 3 else 6)
    for listed in few.eigenvalues:
        allowed = 1e-3 if listed.source.endswith(".Band") else max(TOLERANCE_MEV, listed.precision / MILLI_EV)
        assert eigenvalue_deviation(few, listed) / MILLI_EV < allowed
    best = min(few.eigenvalues, key=lambda e: e.precision)
    assert eigenvalue_deviation(few, best) / MILLI_EV < TOLERANCE_MEV


@pytest.mark.parametrize("name", ["H2O_cluster", "MoS2", "Fe_bcc_spin"])
def test_overlap_of_the_orbital_files_is_openmx_overlap(shared_dir: Path, name: str) -> None:
    """Proves the row of OpenMX in the table of conventions, s to d, and the direction of the lattice shifts."""
    (record,) = read(shared_dir / "samples/openmx" / name)
    deviation = overlap_deviation(record)
    assert deviation is not None
    assert deviation < OVERLAP_ACCURACY


@pytest.mark.parametrize("name", ["MoS2_f", "Si2_neg"])
def test_overlap_only_runs_agree_with_the_orbital_files(shared_dir: Path, name: str) -> None:
    """MoS2_f proves the row of f orbitals; Si2_neg that positions outside the cell are not folded."""
    folder = shared_dir / "samples/openmx_overlap_only" / name
    (record,) = read(folder, pao_dir=shared_dir / "samples/openmx/DFT_DATA19")
    assert record.hamiltonian == ()
    deviation = overlap_deviation(record)
    assert deviation is not None
    assert deviation < OVERLAP_ACCURACY


def test_overlap_only_run_equals_the_full_run(shared_dir: Path) -> None:
    (only,) = read(shared_dir / "samples/openmx_overlap_only/MoS2")
    (full,) = read(shared_dir / "samples/openmx/MoS2")
    assert np.array_equal(only.overlap.on_pairs_of(full.overlap).values, full.overlap.values)
    np.testing.assert_allclose(only.structure.positions, full.structure.positions, atol=1e-12)
    assert only.n_electrons == full.n_electrons == 26


def test_collinear_sample_has_two_spin_directions_and_a_moment(shared_dir: Path) -> None:
    (record,) = read(shared_dir / "samples/openmx/Fe_bcc_spin")
    assert record.nspin == 2
    moment = read_scfout(shared_dir / "samples/openmx/Fe_bcc_spin/Fe_bcc_spin.scfout").moment
    assert moment == pytest.approx(2.213016, abs=1e-5)  # "Total spin moment (muB)" in Fe_bcc_spin.out


def test_spinor_sample_is_complex_and_hermitian(shared_dir: Path) -> None:
    (record,) = read(shared_dir / "samples/openmx/MoS2_soc")
    (h,) = record.hamiltonian
    assert h.spinor
    assert h.values.dtype == np.complex128
    assert h.hermiticity_error() == 0.0


@pytest.mark.parametrize("version", [3, 0])
@pytest.mark.parametrize("spin", [0, 1, 3])
def test_matrices_are_read_as_written(tmp_path: Path, version: int, spin: int) -> None:
    """Format 3 (OpenMX 3.9) as verified on real files; format 0 (3.7, 3.8) after the documentation only."""
    demo = make_demo(tmp_path / "run", spin=spin, version=version)
    (record,) = read(demo.folder)
    assert record.nspin == {0: 1, 1: 2, 3: 4}[spin]
    assert len(record.hamiltonian) == len(demo.hamiltonian)
    for ours, theirs in zip(record.hamiltonian, demo.hamiltonian, strict=True):
        np.testing.assert_allclose(ours.on_pairs_of(theirs).values, theirs.values, atol=1e-15)
    np.testing.assert_allclose(record.overlap.on_pairs_of(demo.overlap).values, demo.overlap.values, atol=1e-15)
    np.testing.assert_array_equal(record.structure.positions, demo.structure.positions)
    assert record.basis.restrict([1, 6]) == demo.basis
    assert (record.n_electrons, record.fermi, record.energy) == (ELECTRONS, FERMI, -12.3456789)
    for listed in record.eigenvalues:
        assert eigenvalue_deviation(record, listed) < 1e-11  # 14 printed decimals, times 1 / smallest eigenvalue of S


def test_provenance_says_what_was_found(demo: Demo) -> None:
    (record,) = read(demo.folder)
    about = record.provenance
    assert (about["code"], about["version"], about["functional"], about["nspin"]) == ("OpenMX", "3.9.2", "GGA-PBE", "1")
    assert "demo.Band, demo.out" in about["found"]
    assert "same" in about["pair_support"]
    assert record.basis.name == "H3.0-s1p1+C4.0-s2p1d1f1"


def test_version_without_output_is_that_of_the_format(tmp_path: Path) -> None:
    demo = make_demo(tmp_path, version=0)
    (tmp_path / "demo.out").unlink()
    (record,) = read(demo.scfout)
    assert record.provenance["version"] == "3.7 or 3.8 (.scfout format 0)"
    assert record.energy is None


def test_compressed_files_read_the_same(demo: Demo, tmp_path: Path) -> None:
    for name in ("demo.scfout", "demo.out", "demo.Band"):
        (tmp_path / f"{name}.xz").write_bytes(lzma.compress((demo.folder / name).read_bytes()))
    assert recognise(tmp_path)
    (record,) = read(tmp_path, pao_dir=demo.folder / "data")
    (plain,) = read(demo.folder)
    assert np.array_equal(record.overlap.values, plain.overlap.values)
    assert len(record.eigenvalues) == 2


def test_output_appended_to_the_scfout_is_used(demo: Demo, tmp_path: Path) -> None:
    """DeepH-pack asks its users for `cat openmx.out >> openmx.scfout`."""
    text = (demo.folder / "demo.out").read_bytes()
    (tmp_path / "demo.scfout").write_bytes(demo.scfout.read_bytes() + text)
    (record,) = read(tmp_path)
    assert record.provenance["version"] == "3.9.2"
    assert len(record.eigenvalues) == 1


def test_cluster_with_pairs_across_cells_keeps_its_cell(tmp_path: Path) -> None:
    demo = make_demo(tmp_path)
    data = bytearray(demo.scfout.read_bytes())
    tail = data.rindex(np.array([3], "<i4").tobytes() + np.array([FERMI], "<f8").tobytes())
    data[tail] = 2
    demo.scfout.write_bytes(data)
    (record,) = read(tmp_path)
    assert record.structure.periodic


def test_water_of_the_cluster_solver_is_a_molecule(shared_dir: Path) -> None:
    (record,) = read(shared_dir / "samples/openmx/H2O_cluster")
    assert not record.structure.periodic


CUTS = ("header", "cell vectors", "Hamiltonian", "overlap", "density matrices", "input text")


@pytest.mark.parametrize("where", CUTS)
def test_truncated_file_is_refused_with_its_end(demo: Demo, tmp_path: Path, where: str) -> None:
    data = demo.scfout.read_bytes()
    size = 8 * len(demo.overlap.values)
    tail = data.rindex(np.array([3], "<i4").tobytes() + np.array([FERMI], "<f8").tobytes())
    ends = dict(zip(CUTS, (10, 40, tail - 10 * size - 8, tail - 9 * size - 8, tail - 8, len(data) - 1), strict=True))
    (tmp_path / "demo.scfout").write_bytes(data[: ends[where]])
    with pytest.raises(FileFormatError, match=f"demo.scfout, byte {ends[where]}: The file ends inside the {where}"):
        read(tmp_path)


def test_every_truncation_is_refused(demo: Demo, tmp_path: Path) -> None:
    data = demo.scfout.read_bytes()
    path = tmp_path / "demo.scfout"
    for end in np.linspace(1, len(data) - 1, 40).astype(int):
        path.write_bytes(data[:end])
        with pytest.raises(FileFormatError, match="truncated") as error:
            read_scfout(path)
        assert error.value.offset == end


def test_empty_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.scfout").write_bytes(b"")
    with pytest.raises(FileFormatError, match="empty"):
        read(tmp_path / "a.scfout")
    with pytest.raises(FileFormatError, match="no such file"):
        read(tmp_path / "b.scfout")
    (tmp_path / "c.scfout.xz").write_bytes(b"not xz")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read(tmp_path / "c.scfout.xz")


def changed(demo: Demo, folder: Path, offset: int, value: bytes) -> Path:
    data = bytearray(demo.scfout.read_bytes())
    data[offset : offset + len(value)] = value
    path = folder / "demo.scfout"
    path.write_bytes(data)
    return path


def int4(value: int) -> bytes:
    return np.array([value], "<i4").tobytes()


def test_byte_swapped_file_is_named_so(demo: Demo, tmp_path: Path) -> None:
    header = np.frombuffer(demo.scfout.read_bytes()[:24], "<i4").astype(">i4").tobytes()
    with pytest.raises(FileFormatError, match=r"byte 0: The file is byte-swapped"):
        read_scfout(changed(demo, tmp_path, 0, header))


def test_unknown_version_and_other_files_are_refused(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"byte 4: The file has format version 1; known are 0 \(OpenMX 3.7"):
        read_scfout(changed(demo, tmp_path, 4, int4(4)))
    with pytest.raises(FileFormatError, match=r"no \.scfout file"):
        read_scfout(changed(demo, tmp_path, 0, b"Some text that is no header"))


def test_damaged_neighbour_lists_are_refused(demo: Demo, tmp_path: Path) -> None:
    cells = int(np.frombuffer(demo.scfout.read_bytes()[20:24], "<i4")[0]) + 1
    orbitals = 28 + 48 * cells
    first = orbitals + 24
    with pytest.raises(FileFormatError, match="no orbitals"):
        read_scfout(changed(demo, tmp_path, orbitals, int4(0)))
    with pytest.raises(FileFormatError, match=r"outside 1\.\.3"):
        read_scfout(changed(demo, tmp_path, first + 4, int4(9)))
    with pytest.raises(FileFormatError, match="does not begin with the atom itself"):
        read_scfout(changed(demo, tmp_path, first, int4(2)))
    with pytest.raises(FileFormatError, match="order of the position matrices is 77"):
        read_scfout(changed(demo, tmp_path, 24, int4(77)))


def test_value_that_is_not_finite_is_refused_with_its_place(demo: Demo, tmp_path: Path) -> None:
    data = demo.scfout.read_bytes()
    size = 8 * len(demo.overlap.values)
    tail = data.rindex(np.array([3], "<i4").tobytes() + np.array([FERMI], "<f8").tobytes())
    place = tail - 10 * size + 80  # behind S: six matrices of positions and momenta, three of densities
    with pytest.raises(FileFormatError, match=f"byte {place}: The overlap holds a number that is not finite"):
        read_scfout(changed(demo, tmp_path, place, np.array([np.nan], "<f8").tobytes()))


def test_bytes_after_the_end_are_refused(demo: Demo, tmp_path: Path) -> None:
    path = tmp_path / "demo.scfout"
    path.write_bytes(demo.scfout.read_bytes() + bytes(100))
    with pytest.raises(FileFormatError, match="100 bytes follow the end"):
        read_scfout(path)


def test_input_that_does_not_fit_the_matrices_is_refused(demo: Demo, tmp_path: Path) -> None:
    text = INPUT.replace("s2p1d1f1", "s2p2d1f1")
    (tmp_path / "demo.scfout").write_bytes(scfout_bytes(demo, 0, 3, np.random.default_rng(0), text))
    with pytest.raises(FileFormatError, match="describes 3 atoms with 44 orbitals, the matrices have 3 atoms with 38"):
        read(tmp_path)


def test_output_of_another_calculation_is_refused(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "demo.scfout").write_bytes(demo.scfout.read_bytes())
    lines = [f"{i + 1:5d}  {0.1 * i:18.14f} {0.1 * i:18.14f}" for i in range(90)]
    (tmp_path / "demo.out").write_text("Eigenvalues (Hartree) for SCF KS-eq.\n" + "\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match="lists 90 levels; the matrices have 38"):
        read(tmp_path)


def test_calculation_without_matrices_says_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "demo.dat").write_text(INPUT)
    assert recognise(tmp_path)
    with pytest.raises(FileFormatError, match=r"HS\.fileout on"):
        read(tmp_path)


def test_input_or_output_stands_for_its_scfout(demo: Demo) -> None:
    for name in ("demo.dat", "demo.out"):
        assert recognise(demo.folder / name)
        assert len(read(demo.folder / name)) == 1


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "element.dat").write_text("6\n")
    assert not recognise(tmp_path)
    assert not recognise(tmp_path / "element.dat")


class TestInput:
    def test_a_tab_ends_a_keyword_as_a_space_does(self, tmp_path: Path) -> None:
        settings = parse_input("scf.Kgrid\t2 2 3  # mesh\nscf.XcType\tGGA-PBE\nLevel.of.Stdout\n", tmp_path)
        assert settings.keyword("scf.Kgrid") == "2 2 3"
        assert (settings.keyword("scf.XcType"), settings.keyword("Level.of.Stdout", "1")) == ("GGA-PBE", "")

    def test_the_first_of_two_counts_as_in_openmx(self, tmp_path: Path) -> None:
        text = "scf.system.charge 1.0\n<Band.kpath\n1\nBand.kpath>\nscf.System.Charge 0\n<Band.kpath\n2\nBand.kpath>\n"
        settings = parse_input(text, tmp_path)
        assert settings.charge == 1.0
        assert [words for _, words in settings.block("Band.kpath")] == [["1"]]

    def test_units_of_length(self, tmp_path: Path) -> None:
        bohr = parse_input(INPUT, tmp_path).structure()
        angstrom = INPUT.replace("Unit AU", "Unit Ang")
        scaled = parse_input(angstrom, tmp_path).structure()
        np.testing.assert_allclose(scaled.positions * OPENMX_BOHR_IN_ANGSTROM, bohr.positions, rtol=1e-15)
        fractional = parse_input(INPUT.replace("Coordinates.Unit AU", "Coordinates.Unit FRAC"), tmp_path).structure()
        np.testing.assert_allclose(fractional.positions, bohr.positions @ bohr.cell, atol=1e-12)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("Coordinates.Unit AU", "Coordinates.Unit miles", "unit 'miles' is not known"),
            ("s2p1d1f1", "s2q1", "not understood"),
            ("s2p1d1f1", "s4>2p1", "contracts orbitals"),
            (" 2 H ", " 2 He", "Expected number, species"),
            ("-0.4  0.3  0.1", "-0.4  x  0.1", "Expected three numbers"),
            ("Atoms.UnitVectors>", "", "not closed"),
            (" 6.0 0.0 0.0\n", " 6.0 0.0\n", "Expected three numbers; got 2"),
        ],
    )
    def test_mistakes_are_named_with_their_line(self, tmp_path: Path, old: str, new: str, message: str) -> None:
        assert old in INPUT
        path = tmp_path / "demo.dat"
        with pytest.raises(FileFormatError, match=message):
            parse_input(INPUT.replace(old, new), path).structure()

    def test_missing_blocks_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"no block <Definition\.of\.Atomic\.Species"):
            _ = parse_input("System.Name x\n", tmp_path).species

    def test_electrons_are_the_populations_less_the_charge(self, tmp_path: Path) -> None:
        assert parse_input(INPUT + "scf.system.charge 1.0\n", tmp_path).valence_electrons() == 8.0

    def test_two_bases_for_one_element_are_refused(self, demo: Demo, tmp_path: Path) -> None:
        text = INPUT.replace(" H   H3.0-s1p1  H_PBE19", " H   H3.0-s1p1  H_PBE19\n C2 C4.0-s2p1d1f1>1 C_PBE19")
        text = text.replace(" 3 Cx", " 3 C2")
        (tmp_path / "demo.scfout").write_bytes(scfout_bytes(demo, 0, 3, np.random.default_rng(0), text))
        with pytest.raises(FileFormatError, match="occurs with two bases"):
            read(tmp_path)


class TestOutput:
    def test_kpoints_are_snapped_to_the_shifted_mesh(self, demo: Demo) -> None:
        out = read_output((demo.folder / "demo.out").read_text(), demo.folder / "demo.out", 1, (2, 2, 3))
        assert out.eigenvalues is not None
        np.testing.assert_allclose(out.eigenvalues.kpoints[0], [-0.25 + 1e-6, -0.25 - 1e-6, -1 / 3 + 2e-6], atol=1e-15)

    def test_kpoints_of_another_mesh_are_left_out(self, demo: Demo) -> None:
        out = read_output((demo.folder / "demo.out").read_text(), demo.folder / "demo.out", 1, (4, 4, 4))
        assert out.eigenvalues is None

    def test_damaged_tables_are_refused(self, demo: Demo) -> None:
        text = (demo.folder / "demo.out").read_text()
        lines = text.splitlines()
        level = next(i for i, line in enumerate(lines) if line.startswith("    7 "))
        with pytest.raises(FileFormatError, match=f"line {level + 1}: The levels are not numbered"):
            read_output("\n".join(lines[:level] + lines[level + 1 :]), demo.folder / "demo.out", 1, (2, 2, 3))
        last = max(i for i, line in enumerate(lines) if line.startswith("   38 "))
        with pytest.raises(FileFormatError, match="different numbers of levels"):
            read_output("\n".join(lines[:last]), demo.folder / "demo.out", 1, (2, 2, 3))

    def test_unfinished_run_has_no_energy(self, tmp_path: Path) -> None:
        out = read_output("performed by OpenMX Ver. 3.9.9\n", tmp_path / "a.out", 1, (1, 1, 1))
        assert (out.version, out.energy, out.eigenvalues) == ("3.9.9", None, None)

    def test_truncated_bands_are_refused_with_the_line(self, demo: Demo, tmp_path: Path) -> None:
        lines = (demo.folder / "demo.Band").read_text().splitlines()
        path = tmp_path / "demo.Band"
        path.write_text("\n".join(lines[:-1]) + "\n")
        with pytest.raises(FileFormatError, match=f"line {len(lines)}: Expected 38 numbers"):
            read_bands(path)
        path.write_text("\n".join([*lines[:4], "37 0 0 0", *lines[5:]]))
        with pytest.raises(FileFormatError, match="Expected 38 bands, got 37"):
            read_bands(path)


class TestOrbitals:
    def test_first_functions_of_each_table_are_taken(self, demo: Demo) -> None:
        all_s = read_pao(demo.folder / "data/PAO/C4.0.pao", (0, 0, 0))
        shells = read_pao(demo.folder / "data/PAO/C4.0.pao", (0, 0, 1))
        assert [s.l for s in shells] == [0, 0, 1]
        for a, b in zip(shells[:2], all_s[:2], strict=True):
            assert isinstance(a.radial, NumericalRadial)
            assert isinstance(b.radial, NumericalRadial)
            assert np.array_equal(a.radial.values, b.radial.values)
            norm = np.trapezoid(a.radial.values**2 * a.radial.r**2, a.radial.r)
            assert norm == pytest.approx(1.0, abs=1e-4)

    def test_damaged_files_are_refused(self, demo: Demo, tmp_path: Path) -> None:
        path = tmp_path / "C4.0.pao"
        write_pao(path, 4.0, {0: 1, 1: 1})
        with pytest.raises(FileFormatError, match="holds 1 functions; the input asks for 2"):
            read_pao(path, (0, 0))
        with pytest.raises(FileFormatError, match=r"no table <pseudo\.atomic\.orbitals\.L=2"):
            read_pao(path, (0, 2))
        text = path.read_text()
        lines = text.splitlines()
        path.write_text("\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]))
        with pytest.raises(FileFormatError, match="ascending radii"):
            read_pao(path, (0,))
        path.write_text(text.replace(lines[5], lines[5][:30] + " abc"))
        with pytest.raises(FileFormatError, match="no table of numbers"):
            read_pao(path, (0,))

    def test_lines_may_end_as_on_windows(self, tmp_path: Path) -> None:
        path = tmp_path / "C4.0.pao"
        write_pao(path, 4.0, {0: 1, 1: 1})
        (shell,) = read_pao(path, (1,))
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        (again,) = read_pao(path, (1,))
        assert OrbitalBasis("", {6: (shell,)}) == OrbitalBasis("", {6: (again,)})

    def test_missing_files_are_allowed_and_said(self, demo: Demo, tmp_path: Path) -> None:
        (tmp_path / "demo.scfout").write_bytes(demo.scfout.read_bytes())
        (record,) = read(tmp_path)
        assert all(s.radial is None for shells in record.basis.shells.values() for s in shells)
        assert "no radial functions: C4.0.pao, H3.0.pao not found" in record.provenance["found"]

    def test_given_folder_must_hold_them(self, demo: Demo, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"has no C4\.0\.pao"):
            read(demo.folder, pao_dir=tmp_path)
        (record,) = read(demo.folder, pao_dir=demo.folder / "data/PAO")
        assert record.basis == demo.basis

    def test_they_are_found_by_environment_and_in_a_parent_folder(
        self, demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = tmp_path / "deep/run"
        run.mkdir(parents=True)
        (run / "demo.scfout").write_bytes(demo.scfout.read_bytes())
        monkeypatch.setenv(DATA_PATH_VARIABLE, str(demo.folder / "data"))
        assert read(run)[0].basis == demo.basis
        monkeypatch.delenv(DATA_PATH_VARIABLE)
        assert read(run)[0].basis != demo.basis
        (tmp_path / "DFT_DATA19").symlink_to(demo.folder / "data")
        assert read(run)[0].basis == demo.basis


class TestOverlapOnly:
    @pytest.fixture
    def run(self, demo: Demo, tmp_path: Path) -> Path:
        import h5py

        from harmose_dft.core.conventions import OPENMX

        (tmp_path / "demo.dat").write_text(INPUT)
        (tmp_path / "output").mkdir()
        theirs = demo.overlap.reorder(*OPENMX.from_ours(demo.basis.shell_sequence([6, 1, 6])))
        ranks = [h5py.File(tmp_path / f"output/overlaps_{n}.h5", "w") for n in (0, 1)]
        for i, j, shift, block in theirs.blocks():
            ranks[i % 2][str([*shift, i + 1, j + 1])] = block
        for file in ranks:
            file.close()
        return tmp_path

    def test_files_of_all_ranks_are_joined(self, demo: Demo, run: Path) -> None:
        for path in (run, run / "output/overlaps_0.h5"):
            assert recognise(path)
            (record,) = read(path, pao_dir=demo.folder / "data")
            np.testing.assert_array_equal(record.overlap.on_pairs_of(demo.overlap).values, demo.overlap.values)
            assert record.n_electrons == ELECTRONS
            assert "overlap only" in record.provenance["found"]

    def test_mistakes_are_refused(self, run: Path) -> None:
        import h5py

        (run / "second.dat").write_text(INPUT)
        with pytest.raises(FileFormatError, match=r"found demo\.dat, second\.dat"):
            read(run)
        (run / "second.dat").unlink()
        with h5py.File(run / "output/overlaps_0.h5", "a") as file:
            file["[0, 0, 0, 1, 9]"] = np.eye(2)
        with pytest.raises(FileFormatError, match="atoms 1 and 9 of 3"):
            read(run)
        with h5py.File(run / "output/overlaps_0.h5", "a") as file:
            del file["[0, 0, 0, 1, 9]"]
            file["[5, 0, 0, 1, 2]"] = np.eye(2)
        with pytest.raises(FileFormatError, match=r"shape \(2, 2\); the basis needs \(17, 4\)"):
            read(run)
        with h5py.File(run / "output/overlaps_0.h5", "a") as file:
            file["what"] = np.eye(2)
        with pytest.raises(FileFormatError, match="Expected matrices with keys"):
            read(run)
        (run / "output/overlaps_0.h5").write_bytes(b"no hdf5")
        with pytest.raises(FileFormatError, match="not a readable HDF5 file"):
            read(run)


def test_name_of_the_demo_is_the_system_name(demo: Demo) -> None:
    assert read(demo.folder)[0].structure.name == NAME

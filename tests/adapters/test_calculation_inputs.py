"""Calculations as codes and people leave them: lattices by name, centred positions, ghosts, unconverged runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from harmose_dft.adapters import abacus, deeph, openmx
from harmose_dft.adapters.abacus.eigenvalues import read_kpoints
from harmose_dft.adapters.abacus.lattices import N_PARAMETERS, lattice_vectors
from harmose_dft.adapters.abacus.orbitals import read_orb
from harmose_dft.adapters.abacus.stru import read_stru
from harmose_dft.adapters.openmx.input import parse_input
from harmose_dft.adapters.openmx.output import read_output
from harmose_dft.adapters.registry import iterate_calculation
from harmose_dft.cli import main
from harmose_dft.core.errors import FileFormatError, HarmoseError
from harmose_dft.core.record import CONVERGED
from harmose_dft.testing.abacus import CONSTANT, FOLDED, VECTORS, Case, kpoints_text, nao_text, orb_text, stru_text
from harmose_dft.testing.abacus import write_case as write_abacus
from harmose_dft.testing.openmx import INPUT, make_demo
from harmose_dft.workflows.checks import check_eigenvalues
from harmose_dft.workflows.convert import PartlyConvertedError, convert
from harmose_dft.workflows.crystals import Crystal

BOHR = 0.529177
"""1 Bohr in Angstrom, as ABACUS divides STRU's positions by it."""

PARAMETERS = {
    "sc": (), "fcc": (), "bcc": (), "hexagonal": (1.6,), "trigonal": (0.3,), "st": (1.3,), "bct": (1.3,),
    "so": (1.2, 1.4), "baco": (1.2, 1.4), "fco": (1.2, 1.4), "bco": (1.2, 1.4), "sm": (1.2, 1.4, 0.2),
    "bacm": (1.2, 1.4, 0.2), "triclinic": (1.2, 1.4, 0.2, 0.1, 0.3),
}  # fmt: skip
VOLUMES = {
    "sc": 1, "fcc": 1 / 4, "bcc": 1 / 2, "hexagonal": 1.6 * np.sqrt(3) / 2, "st": 1.3, "bct": 1.3 / 2, "so": 1.68,
    "baco": 1.68 / 2, "fco": 1.68 / 4, "bco": 1.68 / 2, "sm": 1.68 * np.sqrt(0.96), "bacm": 1.68 * np.sqrt(0.96) / 2,
}  # fmt: skip
"""Volume of the primitive cell in units of a^3: that of the conventional cell by the points it holds."""


def test_every_lattice_by_name_has_the_volume_of_its_kind() -> None:
    assert set(PARAMETERS) == set(N_PARAMETERS)
    for name, volume in VOLUMES.items():
        assert np.linalg.det(lattice_vectors(name, list(PARAMETERS[name]))) == pytest.approx(volume), name


def test_trigonal_and_triclinic_lattices_have_the_angles_of_their_parameters() -> None:
    for name in ("trigonal", "triclinic"):
        v = lattice_vectors(name, list(PARAMETERS[name]))
        lengths = np.linalg.norm(v, axis=1)
        cosines = (v @ v.T / np.outer(lengths, lengths))[[0, 0, 1], [1, 2, 2]]
        expected = ([1, 1, 1], [0.3] * 3) if name == "trigonal" else ([1, 1.2, 1.4], [0.2, 0.1, 0.3])
        np.testing.assert_allclose(lengths, expected[0])
        np.testing.assert_allclose(cosines, expected[1], atol=1e-12)


@pytest.mark.parametrize("name", PARAMETERS)
def test_stru_without_vectors_takes_the_lattice_that_input_names(name: str, tmp_path: Path) -> None:
    numbers = " ".join(map(str, PARAMETERS[name]))
    text = stru_text()
    begin, end = text.index("LATTICE_VECTORS"), text.index("ATOMIC_POSITIONS")
    section = f"LATTICE_PARAMETERS\n{numbers}\n\n" if numbers else ""
    (tmp_path / "STRU").write_text(text[:begin] + section + text[end:])
    stru = read_stru(tmp_path / "STRU", name)
    np.testing.assert_allclose(stru.cell, CONSTANT * lattice_vectors(name, list(PARAMETERS[name])))


@pytest.mark.parametrize(("name", "numbers", "message"), [
    ("none", "1", "expected one of sc, fcc"), ("cubic", "1", "'cubic'"), ("hexagonal", "", "Expected 1 numbers"),
    ("triclinic", "1 1 0.9 -0.9 0.9", "LATTICE_PARAMETERS|no lattice"), ("st", "0", "no lattice"),
    ("trigonal", "-0.9", "LATTICE_PARAMETERS"),
])
def test_lattices_that_are_none_are_refused(name: str, numbers: str, message: str, tmp_path: Path) -> None:
    text = stru_text()
    begin, end = text.index("LATTICE_VECTORS"), text.index("ATOMIC_POSITIONS")
    section = f"LATTICE_PARAMETERS\n{numbers}\n\n"
    (tmp_path / "STRU").write_text(text[:begin] + section + text[end:])
    with pytest.raises(FileFormatError, match=message):
        read_stru(tmp_path / "STRU", name)


@pytest.mark.parametrize("axes", ["xy", "xz", "yz", "xyz"])
def test_centred_positions_are_from_the_centre_of_the_cell(axes: str, tmp_path: Path) -> None:
    """ABACUS (read_atoms): the sum of the lattice vectors, halved, of which only the named components count."""
    cell = CONSTANT * VECTORS
    centre = cell.sum(axis=0) / 2 * [axis in axes for axis in "xyz"]
    given = np.array([[0.1, -0.2, 0.3], [1.0, 0.5, -0.4], [0.0, 0.0, 0.0]])
    text = stru_text(given).replace("Direct", f"Cartesian_angstrom_center_{axes}")
    (tmp_path / "STRU").write_text(text)
    np.testing.assert_allclose(read_stru(tmp_path / "STRU").fractional @ cell, given / BOHR + centre, atol=1e-12)


def test_a_lattice_constant_of_its_own_does_not_disturb_the_positions_of_the_log(tmp_path: Path) -> None:
    folder = write_abacus(tmp_path / "run", Case())
    before = abacus.read(folder)[0].structure
    text = stru_text()
    for v in VECTORS:
        text = text.replace(" ".join(f"{x:.12f}" for x in v), " ".join(f"{2 * x:.12f}" for x in v))
    (folder / "STRU").write_text(text.replace(f"{CONSTANT}  //", f"{CONSTANT / 2}  //"))
    log = folder / "OUT.ABACUS/running_scf.log"
    cartesian = FOLDED @ VECTORS
    head = f"CARTESIAN COORDINATES ( UNIT = {CONSTANT} Bohr )\n"
    lines = log.read_text().replace("DIRECT COORDINATES\n    atom", head)
    for old, new in zip(FOLDED, cartesian, strict=True):
        lines = lines.replace("".join(f"{x:20.10f}" for x in old), "".join(f"{x:20.10f}" for x in new))
    log.write_text(lines.replace("taud_", "tauc_"))
    np.testing.assert_allclose(abacus.read(folder)[0].structure.positions, before.positions, atol=1e-8)


@pytest.mark.parametrize("label", ["H_empty", "H_ghost", "H075", "H0.75", "H_1.25", "C_1s", "C_core_hole"])
def test_species_that_are_not_their_element_are_refused_by_name(label: str, tmp_path: Path) -> None:
    folder = write_abacus(tmp_path / "run", Case())
    text = (folder / "STRU").read_text().replace("\nH 1.008", f"\n{label} 1.008").replace("\nH\n", f"\n{label}\n")
    (folder / "STRU").write_text(text)
    (folder / "OUT.ABACUS/running_scf.log").unlink()
    with pytest.raises(FileFormatError, match=f"{label}.*(ghost|pseudo-hydrogen|core hole)"):
        abacus.read(folder)


@pytest.mark.parametrize("label", ["H1", "H_a", "Hup", "H12"])
def test_numbered_labels_are_plain_atoms(label: str, tmp_path: Path) -> None:
    from harmose_dft.adapters.plain_atoms import require_plain_atom

    require_plain_atom(label, "H_ONCV_PBE-1.0.upf", tmp_path)
    require_plain_atom("Er1", "Er_PBE19", tmp_path, pao="Er8.0")


@pytest.mark.parametrize("electrons", ["0.75", "1.5", "2", "0"])
def test_elements_with_a_wrong_number_of_valence_electrons_are_refused(electrons: str, tmp_path: Path) -> None:
    folder = write_abacus(tmp_path / "run", Case())
    log = folder / "OUT.ABACUS/running_scf.log"
    log.write_text(log.read_text().replace("element H = 1", f"element H = {electrons}"))
    with pytest.raises(FileFormatError, match=f"'H' has {float(electrons):g} valence electrons"):
        abacus.read(folder)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("H3.0-s1p1  H_PBE19", "H3.0-s1p1  E", "ghost"),
    ("H3.0-s1p1  H_PBE19", "H3.0-s1p1  H0.75_PBE19", "pseudo-hydrogen"),
    ("C4.0-s2p1d1f1  C_PBE19", "C4.0_1s-s2p1d1f1  C_PBE19_1s", "core hole"),
    ("scf.XcType", "scf.core.hole on\nscf.XcType", "core hole"),
])
def test_species_of_openmx_that_are_not_their_element_are_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    settings = parse_input(INPUT.replace(old, new), tmp_path / "demo.dat")
    with pytest.raises(FileFormatError, match=message):
        assert settings.atoms


@pytest.mark.parametrize(("kind", "spin"), [("H", 0), ("H", 1), ("S", 0)])
def test_matrices_without_elements_are_refused(kind: str, spin: int, tmp_path: Path) -> None:
    folder = write_abacus(tmp_path / "run", Case(2))
    path = folder / f"OUT.ABACUS/data-{kind}R-sparse_SPIN{spin}.csr"
    head = path.read_text().splitlines()[:3]
    path.write_text("\n".join([*head[:2], head[2].rsplit(" ", 1)[0] + " 1", "0 0 0 0"]) + "\n")
    with pytest.raises(FileFormatError, match=f"{kind}.R. holds no element"):
        abacus.read(folder)


def test_a_check_of_the_overlap_alone_has_not_passed(tmp_path: Path) -> None:
    record = openmx.read(make_demo(tmp_path / "run").folder)[0]
    assert check_eigenvalues(replace(record, eigenvalues=())).passed is None


MO_SECTION = """
***********************************************************
        Eigenvalues (Hartree) and LCAO coefficients
        at the k-points specified in the input file.
***********************************************************

   # of k-point = 1
   k1=   0.00000 k2=   0.00000 k3=   0.00000

                          1 (U)               2 (U)
                        -0.8811             -0.4420

   1   C 0 s             0.44148   0.00000  -0.00000   0.00000
"""
"""As OpenMX writes with MO.fileout on; numbers made up."""


def test_sections_after_the_eigenvalues_do_not_disturb_them(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "run").folder
    before = openmx.read(folder)[0].eigenvalues[1].energies
    out = folder / "demo.out"
    title = "\n                   Mulliken"
    out.write_text(out.read_text().replace(title, MO_SECTION + title))
    np.testing.assert_array_equal(openmx.read(folder)[0].eigenvalues[1].energies, before)


def spoil_openmx(folder: Path) -> None:
    out = folder / "demo.out"
    out.write_text(out.read_text().replace("NormRD=  0.000000000001", "NormRD=  0.052000000000"))


def spoil_abacus(folder: Path) -> None:
    log = folder / "OUT.ABACUS/running_scf.log"
    log.write_text(log.read_text() + "\n convergence has NOT been achieved!\n")


@pytest.mark.parametrize(("make", "spoil"), [
    (lambda folder: make_demo(folder).folder, spoil_openmx),
    (lambda folder: write_abacus(folder, Case()), spoil_abacus),
], ids=["openmx", "abacus"])
def test_unconverged_calculations_need_the_option_and_are_marked(
    make: Callable[[Path], Path], spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = make(tmp_path / "run")
    spoil(folder)
    data = tmp_path / "data.h5"
    with pytest.raises(FileFormatError, match="--allow-unconverged"):
        convert([folder], data)
    assert not data.exists()
    convert([folder], data, allow_unconverged=True)
    (record,) = iterate_calculation(data)
    assert record.provenance[CONVERGED] == "no"
    with pytest.raises(FileFormatError, match="not converged"):
        convert([data], tmp_path / "again.h5")


@pytest.mark.parametrize(("steps", "converged"), [
    (["   SCF=   1  NormRD=  1e-9  Uele= -1.0", "   SCF=   2  NormRD=  1e-10  Uele= -1.0"], True),
    (["   SCF=  39  NormRD=  1e-5  Uele= -1.0", "   SCF=  40  NormRD=  1e-5  Uele= -1.00001"], False),
    (["   SCF=   9  NormRD=  1e-5  Uele= -1.0", "   SCF=  10  NormRD=  1e-5  Uele= -1.1"], False),
    (["   SCF=   9  NormRD=  0.1  Uele= -1.0", "   SCF=  10  NormRD=  0.1  Uele= -1.0"], False),
    (["   SCF=  10  NormRD=  nan  Uele= nan"], False),
    ([], None),
])  # fmt: skip
def test_the_last_steps_tell_whether_openmx_has_converged(
    steps: list[str], converged: bool | None, tmp_path: Path
) -> None:
    assert read_output("\n".join(steps), tmp_path, 1, (1, 1, 1)).converged is converged


def test_a_bad_residual_does_not_widen_what_passes(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "run").folder
    spoil_openmx(folder)
    (folder / "demo.Band").unlink()
    (record,) = iterate_calculation(folder, allow_unconverged=True)
    assert check_eigenvalues(record).tolerance_mev < 30


def test_overlap_only_runs_are_read_beside_files_of_deeph(tmp_path: Path) -> None:
    demo = make_demo(tmp_path / "run")
    folder = tmp_path / "only"
    (folder / "output").mkdir(parents=True)
    deeph.write(openmx.read(demo.folder)[0], tmp_path / "deeph", layout="legacy")
    shutil.copy(tmp_path / "deeph/overlaps.h5", folder / "output/overlaps_0.h5")
    (folder / "demo.dat").write_text(INPUT)
    for name in ("lat.dat", "rlat.dat", "site_positions.dat", "orbital_types.dat", "element.dat"):
        (folder / name).write_text("0 0 0\n")
    assert openmx.read(folder)[0].structure.formula == "C2H"


def test_tables_of_kpoints_of_3_3_are_read(tmp_path: Path) -> None:
    rows = kpoints_text().splitlines()[2:]
    text = " nkstot now = 3\n KPT DirectX DirectY DirectZ Weight\n" + "\n".join(rows) + "\n nkstot = 4  ibzkpt\n"
    text += " KPT DirectX DirectY DirectZ IBZ DirectX DirectY DirectZ\n 1 0 0 0 1 0 0 0\n"
    (tmp_path / "old").write_text(kpoints_text())
    (tmp_path / "new").write_text(text)
    np.testing.assert_array_equal(read_kpoints(tmp_path / "new"), read_kpoints(tmp_path / "old"))


def test_orbital_files_with_more_tables_than_announced_are_read_as_abacus_reads_them(tmp_path: Path) -> None:
    text = orb_text("C", [0, 0, 0, 1, 1])
    less = text.replace("Sorbital-->       3", "Sorbital-->       2")
    less = less.replace("Porbital-->       2", "Porbital-->       1")
    (tmp_path / "C.orb").write_text(less)
    (tmp_path / "plain.orb").write_text(orb_text("C", [0, 0, 1]))
    shells, plain = read_orb(tmp_path / "C.orb")[1], read_orb(tmp_path / "plain.orb")[1]
    assert [s.l for s in shells] == [s.l for s in plain] == [0, 0, 1]


def test_the_newer_layout_keeps_the_digits_of_stru(tmp_path: Path) -> None:
    case = Case()
    folder = write_abacus(tmp_path / "run", case, layout="nao")
    exact = abacus.read(folder)[0].structure.positions
    rounded = np.round(FOLDED + 1e-8, 7)
    for name, label, matrix in (("hrs1", "H", case.hamiltonians[0]), ("srs1", "S", case.overlap)):
        (folder / f"OUT.ABACUS/{name}_nao.csr").write_text(nao_text(label, matrix, case.size, fractional=rounded))
    np.testing.assert_array_equal(abacus.read(folder)[0].structure.positions, exact)


def test_the_header_of_a_matrix_goes_before_the_six_digits_of_a_log(tmp_path: Path) -> None:
    folder = write_abacus(tmp_path / "run", Case(), layout="nao")
    (folder / "STRU").unlink()
    log = folder / "OUT.ABACUS/running_scf.log"
    log.write_text(log.read_text().replace("+4.5", "+4.50001"))
    cell = abacus.read(folder)[0].structure.cell
    assert cell is not None
    np.testing.assert_allclose(cell / cell[0, 0], VECTORS / VECTORS[0, 0], rtol=1e-12)  # the log's are off by 1e-5


@pytest.mark.parametrize("layout", deeph.LAYOUTS)
def test_overlaps_of_spinful_folders_are_read_with_and_without_spin(layout: str, tmp_path: Path) -> None:
    record = openmx.read(make_demo(tmp_path / "run", spin=3).folder)[0]
    name = {"chunked": "hamiltonian.h5", "legacy": "hamiltonians.h5"}[layout]
    deeph.write(record, tmp_path / "plain", layout=layout)
    (tmp_path / "plain" / name).unlink()
    wide = record.overlap.with_spin()
    deeph.write(replace(record, hamiltonian=(wide,)), tmp_path / "wide", layout=layout)
    file = tmp_path / "wide" / name
    with h5py.File(file, "r+") as h:
        values = [h["entries"]] if layout == "chunked" else list(h.values())
        for value in values:
            value[...] = value[()] / 27.2113845
    file.rename(file.with_name(name.replace("hamiltonian", "overlap")))
    one, two = (deeph.read(tmp_path / folder)[0] for folder in ("plain", "wide"))
    np.testing.assert_allclose(two.overlap.on_pairs_of(one.overlap).values, one.overlap.values, atol=1e-14)
    assert one.provenance["nspin"] == two.provenance["nspin"] == "4"


def test_electrons_come_from_the_fermi_level_or_the_occupation_of_a_deeph_folder(tmp_path: Path) -> None:
    record = openmx.read(make_demo(tmp_path / "run").folder)[0]
    folder = tmp_path / "dock"
    deeph.write(record, folder)
    info = json.loads((folder / "info.json").read_text())
    del info["n_electrons"]
    for more, expected in (({}, None), ({"occupation": 9}, 9)):
        (folder / "info.json").write_text(json.dumps(info | more))
        crystal = Crystal.from_record(deeph.read(folder)[0])
        assert crystal.fermi == pytest.approx(record.fermi)
        assert 0 < crystal.n_electrons < 2 * record.overlap.size
        assert expected is None or crystal.n_electrons == expected
    (folder / "info.json").write_text(json.dumps(info | {"fermi_energy_eV": None}))
    with pytest.raises(HarmoseError, match="neither the number of electrons nor the Fermi level"):
        Crystal.from_record(deeph.read(folder)[0])


def test_training_on_deeph_folders_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record = openmx.read(make_demo(tmp_path / "run").folder)[0]
    deeph.write(record, tmp_path / "dock")
    convert([tmp_path / "dock"], tmp_path / "data.h5")
    for more in ("", "baseline: {kind: none}\n", "baseline: {kind: none}\ninputs: [overlap]\n"):
        (tmp_path / "c.yaml").write_text("name: a\ndata: {files: [data.h5]}\n" + more)
        assert main(["train", "c.yaml"]) == 1
        assert "have no radial functions" in capsys.readouterr().err


def test_one_broken_run_does_not_stop_the_others_if_asked_to_keep_going(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        make_demo(tmp_path / "tree" / name)
    (tmp_path / "tree/b/demo.scfout").write_bytes(b"no matrices")
    with pytest.raises(FileFormatError):
        convert([tmp_path / "tree"], tmp_path / "data.h5")
    with pytest.raises(PartlyConvertedError, match=r"1 of 3 calculations were left out.*demo\.scfout"):
        convert([tmp_path / "tree"], tmp_path / "data.h5", keep_going=True)
    assert len(list(iterate_calculation(tmp_path / "data.h5"))) == 2
    assert main(["convert", str(tmp_path / "tree"), "--out", str(tmp_path / "two.h5"), "--keep-going"]) == 1
    printed = capsys.readouterr()
    assert "demo.scfout" in printed.err
    assert "OpenMX" in printed.out


def test_a_tree_without_a_sound_run_is_refused_although_asked_to_keep_going(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "run").folder
    (folder / "demo.scfout").write_bytes(b"no matrices")
    with pytest.raises(FileFormatError, match=r"demo\.scfout"):
        convert([folder], tmp_path / "data.h5", keep_going=True)
    assert not (tmp_path / "data.h5").exists()

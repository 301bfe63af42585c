"""Trajectories, Gaussian inputs, V3000 tables and SMILES; long files are read one frame at a time."""

from __future__ import annotations

import tracemalloc
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io import write

from harmose_dft.adapters.smiles import from_smiles
from harmose_dft.adapters.structures import iterate_structures, read_structures
from harmose_dft.core.errors import FileFormatError, HarmoseError, InputNote, StructureError
from harmose_dft.core.units import BOHR_IN_ANGSTROM

V3000 = """benzoate
  program

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 3 2 0 0 0
M  V30 BEGIN ATOM
M  V30 1 C 0.0 0.0 0.0 0
M  V30 2 O 1.2 0.0 0.0 -
M  V30 0 CHG=-1
M  V30 3 H -0.6 0.9 0.0 0 RAD=2 MASS=2
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 2 1 2
M  V30 2 1 1 3
M  V30 END BOND
M  V30 END CTAB
M  END
"""

GJF = """%chk=water.chk
%mem=1GB
# b3lyp/def2svp
  opt

water,
charged

1 2
O(Iso=18)   0   0.0  0.0  0.1
H  -1  0.0  0.75 -0.45
H,0,0.0,-0.75,-0.45

1 2 1.0

"""


def test_frames_of_a_trajectory_come_with_charge_and_cell_and_without_results(tmp_path: Path) -> None:
    from ase.io.trajectory import Trajectory

    water, crystal = molecule("H2O"), bulk("NaCl", "rocksalt", a=5.64)
    water.info["charge"] = 1
    water.set_constraint(FixAtoms([0]))
    water.calc = SinglePointCalculator(water, energy=-1.0, forces=np.zeros((3, 3)))
    with Trajectory(tmp_path / "md.traj", "w") as trajectory:
        for atoms in (water, crystal, water):
            trajectory.write(atoms)
    first, second, third = read_structures(tmp_path / "md.traj")
    assert (first.formula, first.charge, first.name, third.name) == ("H2O", 1, "md-1", "md-3")
    assert second.periodic
    np.testing.assert_allclose(first.positions * BOHR_IN_ANGSTROM, water.positions)


@pytest.mark.parametrize("place", range(0, 48, 8))
@pytest.mark.parametrize("value", [b"\xff" * 8, b"\x7f" * 8, b"\x00" * 8, b"\x10\x27" + b"\x00" * 6])
def test_headers_of_trajectories_are_not_believed(tmp_path: Path, place: int, value: bytes) -> None:
    path = tmp_path / "md.traj"
    write(path, [molecule("H2O")] * 2)
    data = bytearray(path.read_bytes())
    data[place : place + 8] = value
    path.write_bytes(data)
    if 8 <= place < 24 or place == 24:  # the tag, which ASE checks, and its version, which nothing reads
        try:
            read_structures(path)
        except FileFormatError:
            return
        assert place == 24
    else:
        with pytest.raises(FileFormatError, match=r"md\.traj"):
            read_structures(path)


def test_arrays_that_a_trajectory_does_not_hold_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "md.traj"
    write(path, molecule("H2O"))
    data = path.read_bytes()
    shape = b"[3, 3], "
    assert shape in data
    path.write_bytes(data.replace(shape, b"[9e8,3], ".replace(b" ", b"", 0)[: len(shape)]))
    with pytest.raises(FileFormatError):
        read_structures(path)
    path.write_bytes(b"- of Ulm" + bytes(100))
    with pytest.raises(FileFormatError, match="announces 0 frames"):
        read_structures(path)
    path.write_bytes(b"not a trajectory")
    with pytest.raises(FileFormatError, match="no trajectory as ASE writes it"):
        read_structures(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_structures(tmp_path / "none.traj")


def test_v3000_tables_have_charges_radicals_and_continued_lines(tmp_path: Path) -> None:
    for name in ("a.mol", "a.sdf"):
        (tmp_path / name).write_text(V3000 + ("$$$$\n" + V3000 if name == "a.sdf" else ""))
        structures = read_structures(tmp_path / name)
        assert len(structures) == (2 if name == "a.sdf" else 1)
        (structure, *_) = structures
        assert (structure.formula, structure.charge, structure.spin) == ("CHO", -1, 1)
        assert structure.name == "benzoate"
        np.testing.assert_allclose(structure.positions[1] * BOHR_IN_ANGSTROM, [1.2, 0, 0])


def test_v3000_tables_as_rdkit_writes_them_are_the_molecule(tmp_path: Path) -> None:
    chem = pytest.importorskip("rdkit.Chem")
    from rdkit.Chem import AllChem

    mol = chem.AddHs(chem.MolFromSmiles("C[NH3+]"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    (tmp_path / "a.mol").write_text(chem.MolToMolBlock(mol, forceV3000=True))
    (structure,) = read_structures(tmp_path / "a.mol")
    assert (structure.formula, structure.charge) == ("CH6N", 1)
    positions = mol.GetConformer().GetPositions()
    np.testing.assert_allclose(structure.positions * BOHR_IN_ANGSTROM, positions, atol=1e-4)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("COUNTS 3", "COUNTS 4", "4 atoms are announced; the table has 3"),
    ("COUNTS 3", "COUNTS x", "expected whole numbers"),
    ("M  V30 END CTAB\n", "", "END CTAB' of a V3000 table is missing"),
    ("1 C 0.0 0.0 0.0 0", "1 C 0.0 zero 0.0 0", "line 8: .*three coordinates"),
    ("1 C 0.0 0.0 0.0 0", "1 C", "expected an atom"),
    ("1 C ", "1 R# ", "no element symbol"),
    ("CHG=-1", "CHG=many", "whole numbers"),
])
def test_damaged_v3000_tables_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "a.mol").write_text(V3000.replace(old, new))
    with pytest.raises(FileFormatError, match=message):
        read_structures(tmp_path / "a.mol")


@pytest.mark.parametrize("name", ["a.gjf", "a.com"])
def test_gaussian_inputs_have_title_charge_multiplicity_and_atoms(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GJF)
    (structure,) = read_structures(tmp_path / name)
    assert (structure.formula, structure.charge, structure.spin) == ("H2O", 1, 1)
    assert structure.name == "water, charged"
    np.testing.assert_allclose(structure.positions[2] * BOHR_IN_ANGSTROM, [0, -0.75, -0.45])


def test_first_of_several_jobs_is_read_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "a.gjf").write_text(GJF + "--Link1--\n" + GJF)
    with pytest.warns(InputNote, match="several jobs"):
        assert len(read_structures(tmp_path / "a.gjf")) == 1


@pytest.mark.parametrize(("old", "new", "message"), [
    ("# b3lyp/def2svp", "b3lyp/def2svp", "line 1: .*route that begins with '#'"),
    ("1 2\nO", "1\nO", "line 9: .*charge and multiplicity"),
    ("1 2\nO", "one two\nO", "whole numbers"),
    ("H  -1  0.0  0.75 -0.45", "H  1  0.96  2 104.5", "line 11: .*Cartesian"),
    ("H  -1  0.0  0.75 -0.45", "H  1  B1  2  A1", "line 11: .*Cartesian|line 11: .*three coordinates"),
    ("H,0,0.0,-0.75,-0.45", "Tv 10.0 0.0 0.0", "lattice vectors"),
    ("H,0,0.0,-0.75,-0.45", "H-Bq 0 0.0 -0.75 -0.45", "ghost"),
    ("O(Iso=18)", "Q", "no element symbol"),
])
def test_gaussian_inputs_that_say_something_else_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "a.gjf").write_text(GJF.replace(old, new))
    with pytest.raises(HarmoseError, match=message):
        read_structures(tmp_path / "a.gjf")


def test_gaussian_input_without_atoms_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gjf").write_text("# hf\n\ntitle\n\n0 1\n\n")
    with pytest.raises(FileFormatError, match="no atoms after charge"):
        read_structures(tmp_path / "a.gjf")
    (tmp_path / "a.gjf").write_text("# hf\n\ntitle\n")
    with pytest.raises(FileFormatError, match="expected charge and multiplicity"):
        read_structures(tmp_path / "a.gjf")


@pytest.mark.parametrize("name", ["long.xyz", "long.sdf", "long.pdb", "long.traj"])
def test_frames_of_long_files_are_streamed(tmp_path: Path, name: str) -> None:
    """One frame of 3000 is read without the others; all of them together take more memory than one by ten times."""
    frames = [molecule("CH4")] * 3000
    if name.endswith(".sdf"):
        lines = [f"{a.x:10.4f}{a.y:10.4f}{a.z:10.4f} {a.symbol:<3} 0  0  0" for a in frames[0]]
        table = "\n".join(["", "", "", "  5  0  0  0  0  0  0  0  0  0999 V2000", *lines, "M  END", "$$$$", ""])
        (tmp_path / name).write_text(table * len(frames))
    else:
        write(tmp_path / name, frames)
    count, _ = _peak(tmp_path / name, 10)
    assert count == 10
    count, one_by_one = _peak(tmp_path / name, None)
    assert count == 3000
    tracemalloc.start()
    held = read_structures(tmp_path / name)
    _, at_once = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(held) == 3000
    assert one_by_one < at_once / 3


def _peak(path: Path, most: int | None) -> tuple[int, int]:
    """Number of structures that were read one by one, and the most bytes that Python held meanwhile."""
    tracemalloc.start()
    count = sum(1 for _ in islice(iterate_structures(path), most))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, peak


def test_a_damaged_frame_is_named_when_it_is_reached(tmp_path: Path) -> None:
    good = "2\n\nH 0 0 0\nH 0 0 0.74\n"
    (tmp_path / "a.xyz").write_text(good * 5 + "2\n\nH 0 0 0\nH 0 0 x\n")
    structures = iterate_structures(tmp_path / "a.xyz")
    assert [s.name for s in islice(structures, 4)] == ["a-1", "a-2", "a-3", "a-4"]
    with pytest.raises(FileFormatError, match="line 24"):
        list(structures)


def test_smiles_become_relaxed_closed_shell_molecules() -> None:
    """Ethanol's bonds by GFN2-xTB: C-C 1.51, C-O 1.41 Angstrom, within 0.03 of experiment's 1.51 and 1.43."""
    pytest.importorskip("rdkit")
    pytest.importorskip("tblite")
    ethanol = from_smiles("CCO")
    assert (ethanol.formula, ethanol.charge, ethanol.spin, ethanol.name, ethanol.smiles) == (
        "C2H6O", 0, 0, "CCO", "CCO"
    )  # fmt: skip
    c1, c2, o = ethanol.positions[:3] * BOHR_IN_ANGSTROM
    assert np.linalg.norm(c2 - c1) == pytest.approx(1.51, abs=0.03)
    assert np.linalg.norm(o - c2) == pytest.approx(1.41, abs=0.03)
    np.testing.assert_array_equal(from_smiles("CCO").positions, ethanol.positions)
    assert from_smiles("C[NH3+]").charge == 1


@pytest.mark.parametrize(("text", "message"), [
    ("", "no SMILES"), ("C(", "no SMILES"), ("C" * 2000, "no SMILES"), ("hello", "no SMILES"),
    ("[CH3]", "unpaired electrons"), ("C#C#C", "no SMILES"), ("*C", "places without an element"),
    ("O.O", "names 2 molecules"),
])
def test_what_is_no_closed_shell_molecule_is_refused(text: str, message: str) -> None:
    pytest.importorskip("rdkit")
    with pytest.raises(StructureError, match=message):
        from_smiles(text)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(HarmoseError, match=r"pip install harmose-dft\[sampling\]"):
        from_smiles("C")


def test_notes_about_a_long_file_are_shown_once_though_it_is_read_again(tmp_path: Path) -> None:
    from harmose_dft.workflows.inputs import open_file

    line = "HETATM    1  H  {loc}UNL A   1       0.000   0.000   {z}  1.00  0.00           H  \n"
    model = "MODEL\n" + line.format(loc="A", z="0.000") + line.format(loc="B", z="0.740") + "ENDMDL\n"
    (tmp_path / "a.pdb").write_text(model * 100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = open_file(tmp_path / "a.pdb")
        noted = len(caught)
        assert noted >= 1
        assert source.count == len(list(source.iterate())) == 100
    assert len(caught) == noted


def test_file_that_changes_while_it_is_read_is_named(tmp_path: Path) -> None:
    from harmose_dft.workflows.inputs import open_file

    good = "2\n\nH 0 0 0\nH 0 0 0.74\n"
    (tmp_path / "a.xyz").write_text(good * 100)
    source = open_file(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_text(good * 99)
    with pytest.raises(HarmoseError, match=r"a\.xyz changed while it was read: 100 structures became 99"):
        list(source.iterate())


def test_atoms_of_all_formats_agree(tmp_path: Path) -> None:
    atoms = Atoms("OH2", [[0, 0, 0.1], [0, 0.75, -0.45], [0, -0.75, -0.45]])
    write(tmp_path / "a.xyz", atoms)
    write(tmp_path / "a.traj", atoms)
    (tmp_path / "a.gjf").write_text(GJF)
    structures = [read_structures(tmp_path / name)[0] for name in ("a.xyz", "a.traj", "a.gjf")]
    for structure in structures:
        np.testing.assert_allclose(structure.positions, structures[0].positions, atol=1e-7)


@pytest.mark.parametrize("comment", [
    "units=bohr", "unit=bohr", 'units="bohr"', "units = Bohr", "Units: bohr", "length_unit=au", "unit='a.u.'",
    "energy=-76.4 units=au charge=0", 'Properties=species:S:1:pos:R:3 unit="Bohr"',
])
def test_xyz_comment_that_declares_bohr_as_a_key_is_converted(comment: str, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(f"2\n{comment}\nH 0 0 0\nH 0 0 1.4\n")
    (structure,) = read_structures(tmp_path / "a.xyz")
    np.testing.assert_allclose(structure.positions, [[0, 0, 0], [0, 0, 1.4]], atol=1e-12)


def test_lattice_in_bohr_is_converted_with_its_atoms(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text('1\nLattice="8 0 0 0 9 0 1 0 10" pbc="T T T" units=bohr\nC 0 0 5\n')
    (structure,) = read_structures(tmp_path / "a.xyz")
    np.testing.assert_allclose(structure.cell, [[8, 0, 0], [0, 9, 0], [1, 0, 10]], atol=1e-12)
    np.testing.assert_allclose(structure.positions, [[0, 0, 5]], atol=1e-12)


@pytest.mark.parametrize("comment", [
    "Coordinates in Bohr", "water (bohr)", "water [a.u.]", "xyz in au", "geometry, atomic units", "lattice_units=bohr",
    "unit=nm", "length_unit=furlong", "units=bohr length_unit=angstrom",
])
def test_xyz_comment_that_may_mean_another_unit_is_refused_with_what_to_write(comment: str, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(f"2\n{comment}\nH 0 0 0\nH 0 0 0.74\n")
    with pytest.raises(FileFormatError, match=r"a\.xyz.*line 2.*Write units=angstrom or units=bohr"):
        read_structures(tmp_path / "a.xyz")


@pytest.mark.parametrize("comment", [
    "units=angstrom", "Coordinates in Angstrom", "E = -76.4 a.u.", "energy (a.u.) -76.4", "forces in Hartree/Bohr",
    "energy_units=au", 'units=eV dipole_unit="e*bohr"', "Au cluster (Au)", "units=angstrom, converted from bohr",
    "author=Bohrmann", "units=metal",
])
def test_xyz_comment_on_other_quantities_leaves_coordinates_in_angstrom(comment: str, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(f"2\n{comment}\nH 0 0 0\nH 0 0 0.74\n")
    (structure,) = read_structures(tmp_path / "a.xyz")
    np.testing.assert_allclose(structure.positions[1] * BOHR_IN_ANGSTROM, [0, 0, 0.74])


@pytest.mark.parametrize(("units", "length"), [
    ("units=au", BOHR_IN_ANGSTROM), ("Units(Bohr,Deg)", BOHR_IN_ANGSTROM), ("UNITS=(Rad, AU)", BOHR_IN_ANGSTROM),
    ("units=bohr", BOHR_IN_ANGSTROM), ("units=ang", 1.0), ("units=(rad)", 1.0),
])
def test_units_of_a_gaussian_route_are_those_of_its_coordinates(units: str, length: float, tmp_path: Path) -> None:
    (tmp_path / "a.gjf").write_text(GJF.replace("  opt", f"  opt {units}").replace("0.1", "0.2"))
    (structure,) = read_structures(tmp_path / "a.gjf")
    np.testing.assert_allclose(structure.positions[0] * BOHR_IN_ANGSTROM, [0, 0, 0.2 * length], atol=1e-12)


def test_unknown_unit_of_a_gaussian_route_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gjf").write_text(GJF.replace("  opt", "  opt units=nm"))
    with pytest.raises(FileFormatError, match=r"the unit 'nm' of the route .* Correct the route"):
        read_structures(tmp_path / "a.gjf")

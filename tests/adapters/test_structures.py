"""Structure files: formats, charge and spin, bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st

from harmose_dft.adapters.structures import from_ase, read_structures, to_ase
from harmose_dft.core.errors import FileFormatError, HarmoseError, StructureError
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.testing import abacus

WATER = "3\n{comment}\nO 0.0 0.0 0.1\nH 0.0 0.75 -0.45\nH 0.0 -0.75 -0.45\n"

SDF_ION = """ammonium
  written by hand

  5  4  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  3  0  0  0  0  0  0  0  0  0  0
    0.6000    0.6000    0.6000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -0.6000   -0.6000    0.6000 H   0  0  0  0  0  0  0  0  0  0  0  0
   -0.6000    0.6000   -0.6000 H   0  0  0  0  0  0  0  0  0  0  0  0
    0.6000   -0.6000   -0.6000 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  1  3  1  0
  1  4  1  0
  1  5  1  0
{properties}M  END
"""


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.sdf", "a.mol", "a.pdb", "a.gen"])
def test_every_molecular_format_gives_the_same_ethanol(name: str, tmp_path: Path) -> None:
    """The geometry of ASE's G2 collection; pdb keeps three decimals, sdf four."""
    atoms = molecule("CH3CH2OH")
    path = tmp_path / name
    if path.suffix in (".sdf", ".mol"):
        lines = [f"{a.x:10.4f}{a.y:10.4f}{a.z:10.4f} {a.symbol:<3} 0  0" for a in atoms]
        path.write_text("\n\n\n  9  0  0  0  0  0  0  0  0  0999 V2000\n" + "\n".join(lines) + "\nM  END\n")
    else:
        write(path, atoms)
    (structure,) = read_structures(path)
    assert structure.formula == "C2H6O"
    assert not structure.periodic
    assert (structure.charge, structure.spin, structure.name) == (0, 0, "a")
    np.testing.assert_allclose(structure.positions * BOHR_IN_ANGSTROM, atoms.positions, atol=6e-4)


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR_2", "a.vasp", "a.cif", "a.xsf", "a.extxyz"])
def test_every_crystal_format_gives_the_same_sodium_chloride(name: str, tmp_path: Path) -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    form = "vasp" if "CAR" in name else None
    write(tmp_path / name, atoms, format=form)
    (structure,) = read_structures(tmp_path / name)
    assert structure.formula == "Cl4Na4"
    assert structure.cell is not None
    np.testing.assert_allclose(np.linalg.det(structure.cell) * BOHR_IN_ANGSTROM**3, 5.64**3, rtol=1e-6)


@pytest.mark.parametrize("name", ["STRU", "STRU_ION_D", "a.stru"])
def test_abacus_structure_file_is_read_in_its_order_of_atoms(name: str, tmp_path: Path) -> None:
    (structure,) = read_structures(file(tmp_path, name, abacus.stru_text()))
    assert structure.formula == "C2H"
    assert structure.cell is not None
    np.testing.assert_allclose(structure.cell, abacus.CONSTANT * abacus.VECTORS, atol=1e-9)
    np.testing.assert_allclose(structure.positions, abacus.FRACTIONAL @ structure.cell, atol=1e-9)


def test_lattice_by_name_of_an_abacus_structure_file_is_that_of_its_input(tmp_path: Path) -> None:
    file(tmp_path, "INPUT", "INPUT_PARAMETERS\nlatname fcc\n")
    head = "ATOMIC_SPECIES\nSi 28 Si.upf\nLATTICE_CONSTANT\n10.2\nATOMIC_POSITIONS\nDirect\nSi\n0\n1\n0 0 0 1 1 1\n"
    (structure,) = read_structures(file(tmp_path, "STRU", head))
    assert structure.cell is not None
    np.testing.assert_allclose(np.linalg.det(structure.cell), 10.2**3 / 4, rtol=1e-9)


def test_structure_files_whose_names_only_begin_like_abacus_are_what_their_suffix_says(tmp_path: Path) -> None:
    for name in ("STRU.xyz", "STRUCTURE.xyz", "structure.xyz"):
        assert read_structures(file(tmp_path, name, WATER.format(comment="")))[0].formula == "H2O"
    with pytest.raises(FileFormatError, match="ABACUS's STRU"):
        read_structures(file(tmp_path, "STRUCTURE", WATER.format(comment="")))


def test_frames_come_in_order_with_numbered_names(tmp_path: Path) -> None:
    path = file(tmp_path, "md.xyz", WATER.format(comment="one") + WATER.format(comment="two").replace("0.1", "0.2"))
    first, second = read_structures(path)
    assert (first.name, second.name) == ("md-1", "md-2")
    assert second.positions[0, 2] == pytest.approx(0.2 / BOHR_IN_ANGSTROM)


def test_molecules_of_an_sdf_file_come_in_order_with_their_titles_and_charges(tmp_path: Path) -> None:
    charged = SDF_ION.format(properties="M  CHG  1   1   1\n")
    text = charged + "$$$$\n" + charged.replace("ammonium", "other") + "> <key>\nvalue\n\n$$$$\n"
    one, two = read_structures(file(tmp_path, "two.sdf", text))
    assert (one.name, one.charge, one.n_electrons) == ("ammonium", 1, 10)
    assert (two.name, two.charge) == ("other", 1)


def test_charge_codes_of_atom_lines_count_without_property_lines(tmp_path: Path) -> None:
    """Code 3 in the nitrogen's line means +1 (CTfile formats, atom block)."""
    assert read_structures(file(tmp_path, "a.mol", SDF_ION.format(properties="")))[0].charge == 1


def test_radicals_of_a_mol_file_are_unpaired_electrons(tmp_path: Path) -> None:
    text = SDF_ION.format(properties="M  RAD  1   1   2\n")
    structure = read_structures(file(tmp_path, "a.mol", text))[0]
    assert (structure.charge, structure.spin) == (0, 1)


@pytest.mark.parametrize(
    ("comment", "charge", "spin"),
    [
        ("water", 0, 0),
        ("charge=1 spin=1", 1, 1),
        ("charge=-2", -2, 0),
        ("multiplicity=3", 0, 2),
        ("spin=2", 0, 2),
        ("spin=3", 0, 2),
        ("spin=1", 0, 0),
        ("charge=1 multiplicity=2", 1, 1),
        ("charge=1 spin=2", 1, 1),
        ("charge=0.0 some \"quoted words\" energy=-76.4", 0, 0),
        ("a comment with an = sign and \"an open quote", 0, 0),
    ],
)
def test_charge_and_spin_come_from_the_comment(comment: str, charge: int, spin: int, tmp_path: Path) -> None:
    """spin=1 and spin=3 with ten electrons can only be multiplicities."""
    structure = read_structures(file(tmp_path, "a.xyz", WATER.format(comment=comment)))[0]
    assert (structure.charge, structure.spin) == (charge, spin)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), charge=st.integers(-2, 2), pairs=st.integers(0, 2), periodic=st.booleans())
def test_structure_survives_the_way_to_ase_and_back(seed: int, charge: int, pairs: int, periodic: bool) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(1, 30, size=4)
    spin = 2 * pairs + (int(numbers.sum()) - charge) % 2
    cell = np.eye(3) * 9 + rng.normal(size=(3, 3)) if periodic else None
    before = Structure(numbers, rng.normal(size=(4, 3)), cell, charge, spin, "x")
    after = from_ase(to_ase(before))
    np.testing.assert_allclose(after.positions, before.positions, atol=1e-14)
    np.testing.assert_array_equal(after.numbers, before.numbers)
    assert (after.charge, after.spin, after.name, after.periodic) == (charge, spin, "x", periodic)


def test_initial_charges_and_moments_of_ase_count() -> None:
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], charges=[-1, 0], magmoms=[0, 0])
    assert (from_ase(atoms).charge, from_ase(atoms).spin) == (-1, 0)
    radical = Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], magmoms=[1, 0])
    assert (from_ase(radical).charge, from_ase(radical).spin) == (0, 1)


def test_cell_without_periodic_boundary_is_no_crystal() -> None:
    atoms = molecule("H2O")
    atoms.center(vacuum=5)
    assert atoms.cell.volume > 1
    assert not from_ase(atoms).periodic


def test_unit_cell_placeholder_of_a_pdb_file_is_no_crystal(tmp_path: Path) -> None:
    write(tmp_path / "a.pdb", molecule("H2O"))
    text = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n" + (tmp_path / "a.pdb").read_text()
    assert not read_structures(file(tmp_path, "b.pdb", text))[0].periodic


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "", "file is empty"),
        ("a.xyz", "  \n\n", "file is empty"),
        ("a.xyz", WATER.format(comment="x")[:-30], "complete"),
        ("a.xyz", WATER.format(comment="x") + WATER.format(comment="y")[:-30], "complete"),
        ("a.xyz", b"\x7fELF\x00\x01\x02", "binary"),
        ("a.xyz", WATER.format(comment="caf\xe9").encode("latin-1"), "not UTF-8"),
        ("a.xyz", WATER.format(comment="x").replace("O", "Xx"), "cannot be read"),
        ("a.xyz", WATER.format(comment="x").replace("0.75", "many"), "cannot be read"),
        ("a.xyz", "hello\nworld\n", "cannot be read"),
        ("a.sdf", SDF_ION.format(properties="").replace("M  END", ""), "M +END' is missing"),
        ("a.sdf", SDF_ION.format(properties="").replace("V2000", "V3000"), "V3000"),
        ("a.sdf", "x\n", "cannot be read"),
        ("a.pdb", "REMARK nothing\n", "no structure|no atoms|cannot be read"),
        ("a.cif", "data_x\n_cell_length_a 3\n", "cannot be read|no structure"),
        ("POSCAR", "x\n1.0\n3 0 0\n0 3 0\n", "cannot be read"),
        ("a.docx", "x", "is not among them"),
        ("structure", "x", "without suffix"),
    ],
)
def test_unreadable_file_is_refused(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match=message) as caught:
        read_structures(file(tmp_path, name, content))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WATER.format(comment="x").replace("-0.45", "nan", 1), "Atom 2 .H. has a position that is not a finite"),
        (WATER.format(comment="x").replace("0.75", "inf", 1), "not a finite number"),
        (WATER.format(comment="x").replace("0.0 0.75 -0.45", "0.0 0.0 0.2"), "Atoms 1 .O. and 2 .H. overlap.*0.100"),
        (WATER.format(comment="charge=0.5"), "charge must be an integer; got 0.5"),
        (WATER.format(comment="multiplicity=0"), "-1 unpaired"),
        (WATER.format(comment='Lattice="1 0 0 2 0 0 0 0 1"'), "linearly dependent"),
    ],
)
def test_impossible_structure_is_refused(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=message) as caught:
        read_structures(file(tmp_path, "a.xyz", content))
    assert "a.xyz" in str(caught.value)


def test_bad_frame_is_named(tmp_path: Path) -> None:
    bad = WATER.format(comment="y").replace("-0.45", "nan", 1)
    with pytest.raises(StructureError, match="structure 2"):
        read_structures(file(tmp_path, "a.xyz", WATER.format(comment="x") + bad))


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_structures(tmp_path / "a.xyz")
    (tmp_path / "b.xyz").mkdir()
    with pytest.raises(FileFormatError, match="not a file"):
        read_structures(tmp_path / "b.xyz")

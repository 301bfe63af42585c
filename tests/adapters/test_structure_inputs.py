"""Structure files as programs and people write them: blank lines, charges and spins by any name, labels, models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from harmose_dft.adapters.charge_spin import CHARGE_KEYS, MULTIPLICITY_KEYS, SPIN_KEYS, UNPAIRED_KEYS
from harmose_dft.adapters.structures import from_ase, read_structures
from harmose_dft.core.errors import FileFormatError, HarmoseError, InputNote, StructureError
from harmose_dft.core.structure import Structure

WATER = "3\n{comment}\nO 0.0 0.0 0.1\nH 0.0 0.75 -0.45\nH 0.0 -0.75 -0.45\n"
PDB_LINE = (
    "ATOM  {n:>5} {name:<4}{loc:1}UNK A   1    {r[0]:8.3f}{r[1]:8.3f}{r[2]:8.3f}{occ:6.2f}  0.00          {el:>2}{q}\n"
)


def read(folder: Path, name: str, text: str) -> list[Structure]:
    (folder / name).write_text(text)
    return read_structures(folder / name)


def pdb(rows: Sequence[tuple[str, str, str, tuple[float, float, float], float, str]]) -> str:
    """ATOM lines: name, location, element, position, occupancy, charge."""
    return "".join(
        PDB_LINE.format(n=n, name=name, loc=loc, r=r, occ=occ, el=el, q=q)
        for n, (name, loc, el, r, occ, q) in enumerate(rows, start=1)
    )


@pytest.mark.parametrize("blank", ["\n", "\n\n\n", "  \t\n", "\r\n"])
@pytest.mark.parametrize("place", ["before", "between", "after", "everywhere"])
def test_blank_lines_around_frames_lose_no_frame(blank: str, place: str, tmp_path: Path) -> None:
    frames = [WATER.format(comment=c) for c in ("one", "", "three")]
    before, between, after = (blank if place in (p, "everywhere") else "" for p in ("before", "between", "after"))
    assert len(read(tmp_path, "a.xyz", before + between.join(frames) + after)) == 3


@pytest.mark.parametrize("text", [
    WATER.format(comment="x") + "trailing words\n",
    WATER.format(comment="x").replace("H 0.0 0.75", "\nH 0.0 0.75"),
    WATER.format(comment="x") + "0\n\n" + WATER.format(comment="y"),
    WATER.format(comment="x").replace("3\n", "2\n"),
    WATER.format(comment="x").replace("3\n", "99999999999\n"),
    WATER.format(comment="x").replace("3\n", "9" * 5000 + "\n"),
    WATER.format(comment="x").replace("3\n", "-3\n"),
])
def test_frames_that_do_not_fit_their_counts_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match=r"a\.xyz"):
        read(tmp_path, "a.xyz", text)


@pytest.mark.parametrize("key", [*CHARGE_KEYS, "Charge", "TOTAL_CHARGE", "Net_Charge"])
def test_every_key_of_the_charge_is_understood_in_comments_and_in_info(key: str, tmp_path: Path) -> None:
    (structure,) = read(tmp_path, "a.xyz", WATER.format(comment=f"{key}=-2 energy=-76.1"))
    atoms = molecule("H2O")
    atoms.info[key] = -2
    assert structure.charge == from_ase(atoms).charge == -2


@pytest.mark.parametrize(
    ("keys", "value"), [(MULTIPLICITY_KEYS, 3), (UNPAIRED_KEYS, 2), (SPIN_KEYS, 2), (SPIN_KEYS, 3)]
)
def test_every_key_of_the_spin_is_understood_in_comments_and_in_info(
    keys: Sequence[str], value: int, tmp_path: Path
) -> None:
    for key in keys:
        (structure,) = read(tmp_path, "a.xyz", WATER.format(comment=f"{key}={value}"))
        atoms = molecule("H2O")
        atoms.info[key.upper()] = value
        assert structure.spin == from_ase(atoms).spin == 2, key


@pytest.mark.parametrize(("comment", "charge", "spin"), [
    ("-2 1", -2, 0), ("0 3", 0, 2), ("charge: -2", -2, 0), ("Charge = -2, Multiplicity = 3", -2, 2),
    ("water, total charge 2", 2, 0), ("total_charge=0 total_spin=3 charge=0", 0, 2), ("frame 7", 0, 0), ("12", 0, 0),
    ("partial charges from ESP", 0, 0), ('name="charge 2"', 0, 0), ("q=-2", -2, 0), ("dq 2", 0, 0),
])
def test_charge_and_spin_in_free_text_are_understood(comment: str, charge: int, spin: int, tmp_path: Path) -> None:
    (structure,) = read(tmp_path, "a.xyz", WATER.format(comment=comment))
    assert (structure.charge, structure.spin) == (charge, spin)


@pytest.mark.parametrize(("comment", "message"), [
    ("-2 2", "looks like charge and multiplicity"),
    ("-2", "may be a charge"),
    ("charge=1 total_charge=2", "contradict"),
    ("multiplicity=3 unpaired_electrons=0", "contradict"),
    ("dft_charge=-2", "is not understood"),
    ("my_multiplicity=3", "is not understood"),
    ("charge=inf", "must be an integer"),
    ("charge=1e30", "must be an integer"),
])
def test_charges_and_spins_that_are_not_clear_are_refused(comment: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=message):
        read(tmp_path, "a.xyz", WATER.format(comment=comment))


@pytest.mark.parametrize("column", ["initial_charges", "charges"])
def test_charges_of_atoms_add_up_or_are_refused(column: str, tmp_path: Path) -> None:
    head = f'3\nProperties=species:S:1:pos:R:3:{column}:R:1 pbc="F F F"\n'
    rows = "O 0 0 0.1 {} \nH 0 0.75 -0.45 -0.6\nH 0 -0.75 -0.45 -0.6\n"
    assert read(tmp_path, "a.xyz", head + rows.format(-0.8))[0].charge == -2
    for value in ("nan", "inf", "-0.3"):
        with pytest.raises(StructureError, match=r"finite|whole number"):
            read(tmp_path, "a.xyz", head + rows.format(value))


def test_moments_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(StructureError, match="magnetic moment"):
        from_ase(Atoms("OH", [[0, 0, 0], [0, 0, 0.97]], magmoms=[float("nan"), 0]))


@pytest.mark.parametrize(("oxygen", "hydrogen"), [
    ("O1", "H2"), ("O", "D"), ("o", "T"), ("8", "1"), ("O_w", "H_w"), ("16O", "2H"), ("O(1)", "H*"),
])
def test_labels_and_isotopes_are_elements(oxygen: str, hydrogen: str, tmp_path: Path) -> None:
    text = WATER.format(comment="x").replace("O ", f"{oxygen} ").replace("H ", f"{hydrogen} ")
    assert read(tmp_path, "a.xyz", text)[0].formula == "H2O"


@pytest.mark.parametrize(("label", "message"), [
    ("Bq", "ghost"), ("X", "ghost"), ("O_ghost", "ghost"), ("Gh(O)", "ghost"), ("O2-", "charge"), ("CA1", "may stand"),
    ("Ow", "no element"), ("119", "no element"), ("*", "no element"), ("Fe3+", "charge"),
])
def test_labels_that_are_no_plain_atom_are_refused_by_name(label: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=f"line 3.*{message}"):
        read(tmp_path, "a.xyz", WATER.format(comment="x").replace("O ", f"{label} "))


def test_raw_files_of_qm9_are_read(tmp_path: Path) -> None:
    """As dsgdb9nsd_*.xyz are written: tabs, exponents as *^, frequencies, SMILES and InChI after the atoms."""
    text = (
        "3\ngdb 3\t799.58812\t437.90386\t282.94545\nO\t0.0\t 0.0\t 0.1173\t-0.58\nH\t 0.0\t 0.7572\t-0.4692\t 0.29\n"
        "H\t 5.1*^-6\t-0.7572\t-0.4692\t 0.29\n1671.46\t3803.67\t3907.72\nO\tO\t\nInChI=1S/H2O/h1H2\tInChI=1S/H2O\n"
    )
    (one,) = read(tmp_path, "a.xyz", text)
    assert (one.formula, one.smiles, one.charge) == ("H2O", "O", 0)
    assert len(read(tmp_path, "b.xyz", text * 3)) == 3


MOL = """water


  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.1173 {o}
    0.0000    0.7572   -0.4692 {h}
    0.0000   -0.7572   -0.4692 {h}
  1  2  1  0
  1  3  1  0
{properties}M  END
{after}"""


@pytest.mark.parametrize(("o", "h"), [("O     ", "H"), ("O", "D   0  0"), ("o   0  0", "H   0"), ("O   0   ", "T")])
def test_mol_files_with_blank_columns_and_isotopes_are_read(o: str, h: str, tmp_path: Path) -> None:
    (structure,) = read(tmp_path, "a.mol", MOL.format(o=o, h=h, properties="", after=""))
    assert (structure.formula, structure.charge) == ("H2O", 0)


@pytest.mark.parametrize("line", ["M  CHG  1   1   5", "M  RAD  1   1   2"])
def test_properties_after_the_end_of_the_table_do_not_count(line: str, tmp_path: Path) -> None:
    text = MOL.format(o="O", h="H", properties="", after=f"> <note>\n{line}\n\n$$$$\n")
    (structure,) = read(tmp_path, "a.sdf", text)
    assert (structure.charge, structure.spin) == (0, 0)


@pytest.mark.parametrize(("properties", "message"), [
    ("M  CHG  2   1   5\n", "2 pairs"), ("M  CHG  1   9   1\n", "1 pairs"), ("M  RAD  1   1   x\n", "whole numbers"),
])
def test_properties_that_do_not_fit_are_refused(properties: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=message):
        read(tmp_path, "a.mol", MOL.format(o="O", h="H", properties=properties, after=""))


@pytest.mark.parametrize("symbol", ["CL", "Cl", "cl"])
def test_symbols_of_mol_files_in_any_case_are_elements(symbol: str, tmp_path: Path) -> None:
    text = MOL.format(o=f"{symbol:<3}", h="H", properties="", after="")
    assert read(tmp_path, "a.mol", text)[0].formula == "ClH2"


@pytest.mark.parametrize("symbol", ["R#", "*", "A", "Q", "LP"])
def test_query_atoms_are_refused_by_name(symbol: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="element"):
        read(tmp_path, "a.mol", MOL.format(o=symbol, h="H", properties="", after=""))


O, H1, H2 = ("O", "", "O", (0.0, 0.0, 0.117), 1.0, ""), ("H1", "", "H", (0.0, 0.757, -0.469), 1.0, ""), (
    "H2", "", "H", (0.0, -0.757, -0.469), 1.0, "")


@pytest.mark.parametrize(("shares", "z"), [((0.6, 0.4), -0.469), ((0.4, 0.6), 0.7), ((0.5, 0.5), -0.469)])
def test_the_location_with_the_highest_occupancy_is_read(shares: tuple[float, float], z: float, tmp_path: Path) -> None:
    rows = [O, H1, ("H2", "A", "H", H2[3], shares[0], ""), ("H2", "B", "H", (0.0, -0.757, 0.7), shares[1], "")]
    with pytest.warns(InputNote, match="1 atoms in alternate locations"):
        (structure,) = read(tmp_path, "a.pdb", pdb(rows) + "END\n")
    assert structure.formula == "H2O"
    assert structure.positions[2, 2] == pytest.approx(z / 0.529177210903, abs=1e-6)


def test_locations_of_one_residue_are_not_mixed(tmp_path: Path) -> None:
    """B wins by the sum of the residue, although one of its atoms has the smaller occupancy."""
    rows = [O, ("H1", "A", "H", H1[3], 0.55, ""), ("H1", "B", "H", (0.0, 0.757, 0.7), 0.45, ""),
            ("H2", "A", "H", H2[3], 0.3, ""), ("H2", "B", "H", (0.0, -0.757, 0.7), 0.7, "")]
    with pytest.warns(InputNote):
        (structure,) = read(tmp_path, "a.pdb", pdb(rows))
    assert structure.positions[1, 2] == structure.positions[2, 2] > 0


@pytest.mark.parametrize(("charge", "expected"), [("2-", -2), ("1+", 1), ("-1", -1), ("+", 1), ("", 0), ("0", 0)])
def test_formal_charges_of_pdb_files_count(charge: str, expected: int, tmp_path: Path) -> None:
    (structure,) = read(tmp_path, "a.pdb", pdb([(*O[:5], charge), H1, H2]))
    assert structure.charge == expected


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("end", ["", "END\n", "MODEL  9\nENDMDL\nEND\n"])
def test_models_that_hold_atoms_are_read(n: int, end: str, tmp_path: Path) -> None:
    model = f"MODEL        1\n{pdb([O, H1, H2])}ENDMDL\n"
    assert [s.formula for s in read(tmp_path, "a.pdb", model * n + end)] == ["H2O"] * n


def test_a_model_that_does_not_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no ENDMDL"):
        read(tmp_path, "a.pdb", "MODEL        1\n" + pdb([O, H1]))


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.gen", "c.gen", "POSCAR", "c.xsf", "a.pdb", "c.extxyz"])
def test_files_cut_after_any_line_are_refused(name: str, tmp_path: Path) -> None:
    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    atoms = crystal if name[0] in "cP" else molecule("C2H4")
    write(tmp_path / name, atoms, format="vasp" if name == "POSCAR" else None)
    lines = (tmp_path / name).read_text().splitlines(keepends=True)
    for n in range(len(lines) - 1):
        with pytest.raises(HarmoseError):
            read(tmp_path, name, "".join(lines[:n]))


@pytest.mark.parametrize("tag", ["_cell_length_a", "_cell_length_c", "_cell_angle_beta"])
def test_fractional_coordinates_without_a_cell_are_refused(tag: str, tmp_path: Path) -> None:
    write(tmp_path / "a.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    lines = (tmp_path / "a.cif").read_text().splitlines(keepends=True)
    with pytest.raises(FileFormatError, match=tag):
        read(tmp_path, "a.cif", "".join(line for line in lines if not line.startswith(tag)))


def test_sites_occupied_by_parts_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    text = (tmp_path / "a.cif").read_text()
    assert "1.0000" in text
    with pytest.raises(FileFormatError, match="occupied by parts"):
        read(tmp_path, "a.cif", text.replace("1.0000", "0.5", 2))


@pytest.mark.parametrize("selective", ["", "Selective dynamics\n"])
@pytest.mark.parametrize("symbols", ["", "C\n"])
def test_a_poscar_of_too_few_atoms_says_how_many_follow(selective: str, symbols: str, tmp_path: Path) -> None:
    head = f"C\n1.0\n3 0 0\n0 3 0\n0 0 3\n{symbols}3\n{selective}Direct\n"
    rows = ["0 0 0", "0.5 0.5 0.5", "0.2 0.5 0.5"]
    flags = " T T F" if selective else ""
    whole = head + "".join(f"{row}{flags}\n" for row in rows)
    assert len(read(tmp_path, "POSCAR", whole)[0].numbers) == 3
    for end in ("", "\n0 0 0\n0 0 0\n"):  # velocities follow after a blank line
        with pytest.raises(FileFormatError, match="3 atoms are announced and 2 follow"):
            read(tmp_path, "POSCAR", head + "".join(f"{row}{flags}\n" for row in rows[:2]) + end)


def test_space_group_without_a_name_is_said_to_lack_one(tmp_path: Path) -> None:
    """CIF allows symmetry operations alone; ASE's reader does not."""
    write(tmp_path / "a.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    lines = (tmp_path / "a.cif").read_text().splitlines(keepends=True)
    named = ("_space_group_name_H-M_alt", "_space_group_IT_number")
    assert all(any(line.startswith(tag) for line in lines) for tag in named)
    with pytest.raises(FileFormatError, match=r"space group is not named.* Give its number"):
        read(tmp_path, "a.cif", "".join(line for line in lines if not line.startswith(named)))


@pytest.mark.parametrize(("name", "old"), [("_cell_length_c", "5.64"), ("_atom_site_fract_x", "0.5")])
def test_unknown_values_of_a_cif_are_named(name: str, old: str, tmp_path: Path) -> None:
    write(tmp_path / "a.cif", bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    lines = (tmp_path / "a.cif").read_text().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if old in line and (name in line or not line.startswith("_")))
    lines[at] = lines[at].replace(old, "?", 1)
    with pytest.raises(FileFormatError, match=rf"{name} holds '\?'"):
        read(tmp_path, "a.cif", "".join(lines))


def test_a_cause_that_is_clear_comes_with_its_own_advice(tmp_path: Path) -> None:
    """Nobody is asked whether a complete file is complete; one that is cut still is."""
    site = "_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
    site += "_cell_angle_gamma 90\nloop_\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
    cases = {
        "comma.xyz": ("1\n\nHe 0,0 0,0 0,1\n", "Write decimal points"),
        "ghost.xyz": ("1\n\nBq 0 0 0\n", "Remove it"),
        "ion.xyz": ("1\n\nNa+ 0 0 0\n", "Give the total charge instead"),
        "label.xyz": ("1\n\nCA1 0 0 0\n", "Write the symbol alone"),
        "parts.cif": (f"data_x\n{site}_atom_site_fract_z\n_atom_site_occupancy\nC 0 0 0 0.5\n", "Choose one of the"),
    }
    for name, (text, advice) in cases.items():
        with pytest.raises(HarmoseError, match=advice) as error:
            read(tmp_path, name, text)
        assert "Is the file complete" not in str(error.value)
    with pytest.raises(HarmoseError, match="Is the file complete"):
        read(tmp_path, "cut.xyz", "1\n\nHe 0.0 0.\n")
    (tmp_path / "runs").mkdir()
    with pytest.raises(HarmoseError, match="This is a folder, not a structure file"):
        read_structures(tmp_path / "runs")


def test_nothing_is_said_about_plain_files(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, "a.pdb", pdb([O, H1, H2]))


def test_the_command_line_shows_notes_as_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harmose_dft.cli import main

    rows = [O, H1, ("H2", "A", "H", H2[3], 0.6, ""), ("H2", "B", "H", (0.0, -0.757, 0.7), 0.4, "")]
    (tmp_path / "a.pdb").write_text(pdb(rows))
    assert main(["predict", str(tmp_path / "a.pdb"), "--out", str(tmp_path / "a.h5")]) == 0
    assert "note: 1 atoms in alternate locations" in capsys.readouterr().err


def test_every_key_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "structures.md").read_text()
    assert not [k for k in (*CHARGE_KEYS, *MULTIPLICITY_KEYS, *UNPAIRED_KEYS, *SPIN_KEYS) if f"`{k}`" not in text]

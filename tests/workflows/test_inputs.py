"""Names of the files of molecules that are given by their SMILES."""

from __future__ import annotations

import pytest

from harmose_dft.workflows.inputs import name_molecules, open_inputs


def test_a_molecule_is_named_by_its_formula() -> None:
    assert name_molecules(["CCO", "O"], ["C2H6O", "H2O"]) == ["C2H6O", "H2O"]


def test_isomers_are_named_apart_by_their_smiles() -> None:
    assert name_molecules(["CCO", "COC"], ["C2H6O"] * 2) == ["C2H6O-CCO", "C2H6O-COC"]


@pytest.mark.parametrize(
    "smiles", [["C/C=C/C", r"C\C=C\C", "C/C=C\\C"], ["CCO", "CCO"], ["C=C=C", "C#CC", "C1=CC1"], ["../x", "..\\x"]]
)
def test_names_differ_and_stay_in_the_folder_whatever_the_smiles(smiles: list[str]) -> None:
    """Stereoisomers, one molecule twice, bonds that no file's name shows, and what a shell would follow."""
    names = name_molecules(smiles, ["C4H8"] * len(smiles))
    assert len({name.lower() for name in names}) == len(smiles)
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_a_molecule_does_not_take_the_name_of_a_structure_file() -> None:
    assert name_molecules(["O"], ["H2O"], taken=["h2o"]) == ["H2O-O"]
    assert name_molecules(["O"], ["H2O"], taken=["H2O", "H2O-O"]) == ["H2O-O-2"]


def test_long_smiles_give_short_names() -> None:
    first, second = name_molecules(["C" * 300, "C" * 299 + "N"], ["C300"] * 2)
    assert len(first) < 60
    assert second == f"{first}-2"


def test_two_isomers_have_files_of_their_own() -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("tblite")
    with open_inputs([], ["CCO", "COC"]) as inputs:
        assert [i.stem for i in inputs] == ["C2H6O-CCO", "C2H6O-COC"]
        assert [i.label for i in inputs] == ["CCO", "COC"]

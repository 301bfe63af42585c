"""Names of the files of molecules that are given by their SMILES."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.registry import read_calculations
from harmose_dft.core.errors import FileFormatError
from harmose_dft.testing.openmx import make_demo
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


def test_structures_of_calculations_are_read_from_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One calculation, also as the working folder; then the folder of both."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        make_demo(tmp_path / name)
    expected = read_calculations(tmp_path / "one")[0].structure
    monkeypatch.chdir(tmp_path / "one")
    for path in (tmp_path / "one", Path()):
        with open_inputs([path]) as (one,):
            assert (one.label, one.stem, one.count, one.periodic) == ("one", "one", 1, 1)
            (structure,) = one.read()
            np.testing.assert_array_equal(structure.positions, expected.positions)
    with open_inputs([tmp_path]) as (both,):
        assert both.count == 2
        assert [label for label, _ in both.iterate()] == [f"{tmp_path.name}#{n}" for n in (1, 2)]


def test_folder_without_calculations_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "water.xyz").write_text("1\n\nHe 0 0 0\n")
    with pytest.raises(FileFormatError, match="A structure is read from its own file"), open_inputs([tmp_path]):
        pass

"""Folders for the runs of a code: names, boxes, choices, and what is written where something is already."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from harmose_dft.adapters import run_folders
from harmose_dft.adapters.run_folders import add_box, parse_choices, read_frames, write_runs
from harmose_dft.core.errors import ArgumentError, FileFormatError, OutputExistsError, StructureError

HYDROGEN = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])


def test_frames_are_named_after_their_file_and_numbered_where_there_are_several(tmp_path: Path) -> None:
    write(tmp_path / "alone.xyz", HYDROGEN)
    write(tmp_path / "set.xyz", [HYDROGEN, HYDROGEN], format="extxyz")
    frames = read_frames([tmp_path / "set.xyz", tmp_path / "alone.xyz"])
    assert [name for name, _ in frames] == ["set_0000", "set_0001", "alone"]
    assert all(atoms.get_chemical_symbols() == ["H", "H"] for _, atoms in frames)


def test_unreadable_and_equally_named_frames_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.xyz").write_text("no structure\n")
    with pytest.raises(FileFormatError, match=r"ASE cannot read .*broken\.xyz"):
        read_frames([tmp_path / "broken.xyz"])
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        write(folder / "h2.xyz", HYDROGEN)
    with pytest.raises(ArgumentError, match="folder name h2"):
        read_frames([tmp_path / "h2.xyz", tmp_path / "sub" / "h2.xyz"])


@pytest.mark.timeout(20)
def test_many_frames_are_named_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 000 names that were compared with each other took most of a minute."""
    monkeypatch.setattr(run_folders, "read", lambda path, index: [HYDROGEN] * 40_000)
    assert len(read_frames([Path("many.xyz")])) == 40_000


def test_molecules_get_a_box_and_crystals_keep_their_cell() -> None:
    boxed = add_box(HYDROGEN, 4.0, "h2")
    np.testing.assert_allclose(boxed.cell.lengths(), [8.0, 8.0, 8.74])
    assert HYDROGEN.cell.volume == 0
    assert add_box(boxed, 1.0, "h2") is boxed
    with pytest.raises(StructureError, match=r"h2 has no cell.*--box 8"):
        add_box(HYDROGEN, None, "h2")


def test_choices_name_an_element() -> None:
    example = "ELEMENT=FILE, such as C=C.upf"
    assert parse_choices(["C=C-pbe.upf", "H=a=b"], example) == {"C": "C-pbe.upf", "H": "a=b"}
    for text in ("C", "Xx=C.upf"):
        with pytest.raises(ArgumentError, match=re.escape(f"Expected {example}; got {text!r}.")):
            parse_choices([text], example)


def test_forced_runs_replace_their_own_files_only(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "a"
    write_runs({folder: {"INPUT": "1", "STRU": "2"}}, False)
    (folder / "results").write_text("mine")
    with pytest.raises(OutputExistsError, match="--force to replace its INPUT"):
        write_runs({folder: {"INPUT": "3"}}, False)
    write_runs({folder: {"INPUT": "3"}}, True)
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"INPUT": "3", "STRU": "2", "results": "mine"}


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_where_one_folder_may_not_be(tmp_path: Path, force: bool) -> None:
    """A file where the folder should be, and a link where a file should be."""
    taken = tmp_path / "taken"
    taken.write_text("mine")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "INPUT").symlink_to(taken)
    for folder in (taken, linked):
        with pytest.raises(OutputExistsError, match="left as it is"):
            write_runs({tmp_path / "new": {"INPUT": "1"}, folder: {"INPUT": "1"}}, force)
    assert not (tmp_path / "new").exists()
    assert taken.read_text() == "mine"


def test_new_folder_that_cannot_be_completed_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_path = run_folders.atomic_path

    def fail(path: Path, force: bool) -> object:
        if path.name == "STRU":
            raise OSError("No space left on device")
        return atomic_path(path, force)

    monkeypatch.setattr(run_folders, "atomic_path", fail)
    with pytest.raises(OSError, match="No space"):
        write_runs({tmp_path / "runs" / "a": {"INPUT": "1", "STRU": "2"}}, False)
    assert list((tmp_path / "runs").iterdir()) == []

"""Codes are found in the adapters' folder: one class in one file is all that a new one takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harmose_dft import adapters
from harmose_dft.adapters import registry
from harmose_dft.adapters.code import About, Code
from harmose_dft.data import DatasetWriter, open_dataset
from harmose_dft.testing.crystals import calculation, layer

NEW_CODE = '''
"""A code whose calculations are files that name a data set."""

from pathlib import Path

from harmose_dft.adapters.code import About, Code, PathOption, StartWriter, StartReport


class Start(StartWriter):
    key = "newcode"
    help = "newcode: a file of text."

    def default_path(self, structure_file):
        return Path("newcode.start")

    def require_model(self, name, made_by, basis):
        pass

    def require_structure(self, structure, structure_file):
        pass

    def write(self, start, target, *, force):
        target.write_text(start.functional)
        return StartReport("read it", {"electrons": start.spectrum.n_electrons})


class NewCode(Code):
    name = "NewCode"
    recognises = "a .new file"
    about = About("`.new`", "-", "Hartree, Bohr", "m = -l..l", "1.0")
    options = (PathOption("new_dir", "NewCode: folder of its data."),)
    start = Start()

    def recognise(self, path):
        return path.suffix == ".new"

    def read(self, path, options):
        from harmose_dft.data import open_dataset

        return list(open_dataset(options["new_dir"] / path.read_text()))
'''


@pytest.fixture
def new_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder ``newcode`` beside those of the other codes, with one class in one file."""
    folder = tmp_path / "adapters" / "newcode"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "code.py").write_text(NEW_CODE)
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(folder.parent)])
    commands = ["harmose_dft.cli.seed", "harmose_dft.cli.convert"]
    before = {name: sys.modules.pop(name, None) for name in commands}
    yield
    for name in [n for n in sys.modules if n.startswith("harmose_dft.adapters.newcode") or n in commands]:
        del sys.modules[name]
    sys.modules.update({name: module for name, module in before.items() if module is not None})


def test_new_code_is_one_class_in_one_file(
    new_code: None, tmp_path: Path, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recognised, read and started from, and its option and its paragraph are in the commands."""
    from harmose_dft.cli.convert import convert
    from harmose_dft.cli.seed import seed

    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    with DatasetWriter(Path("data") / "a.h5") as f:
        f.add(calculation(layer(0)))
    Path("run.new").write_text("a.h5")
    assert "NewCode" in [code.name for code in registry.codes()]
    done = CliRunner().invoke(convert, ["run.new", "-o", "out.h5", "--new-dir", "data"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert len(open_dataset(Path("out.h5"))) == 1
    Path("water.xyz").write_text("3\n\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n")
    assert "newcode: a file of text." in CliRunner().invoke(seed, ["--help"]).output
    arguments = ["water.xyz", "--code", "newcode", "--model", str(fixtures_dir / "model_v1"), "--json"]
    done = CliRunner().invoke(seed, arguments, catch_exceptions=False)
    assert json.loads(done.output)["electrons"] == pytest.approx(10)
    assert Path("newcode.start").is_file()


@pytest.mark.parametrize("code", registry.codes(), ids=lambda code: code.name)
def test_every_code_says_what_the_documentation_needs(code: Code) -> None:
    assert isinstance(code.about, About)
    assert all(vars(code.about).values())
    assert all(option.help for option in code.options)
    if code.start is not None:
        assert code.start.key


def test_links_to_folders_above_or_beside_are_followed_once(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    _write_deeph(folder)
    for link, target in (("above", ".."), ("again", "one"), ("self", ".")):
        (tmp_path / "runs" / link).symlink_to(target)
    _write_deeph(tmp_path / "elsewhere")
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere")
    assert registry.find_calculations(tmp_path / "runs") == [folder, tmp_path / "runs" / "linked"]


def test_a_folder_called_matrix_makes_no_calculation_of_the_one_above(tmp_path: Path) -> None:
    (tmp_path / "matrix").mkdir()
    (tmp_path / "matrix" / "notes.txt").write_text("about matrices")
    _write_deeph(tmp_path / "run")
    assert registry.find_calculations(tmp_path) == [tmp_path / "run"]


def _write_deeph(folder: Path) -> None:
    """A folder with the files by which DeepH's are recognised."""
    folder.mkdir(parents=True)
    for name in ("POSCAR", "info.json", "hamiltonian.h5"):
        (folder / name).write_text("")

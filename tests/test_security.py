"""Files from strangers: each way from the content of a file to something that would obey it ends in a refusal.

``SECURITY.md`` lists the ways; every one has a test here that failed before it was closed. The last tests are rules of
the source that keep them closed.
"""

from __future__ import annotations

import ast
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from foreign_datasets import groups, phisnet, qh9_stable, ragged, schnorb, schnorb_text
from test_layers import PACKAGE, sources

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.keyed_blocks import read_keyed_blocks
from harmose_dft.cli import console, main
from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import CheckpointError, ConfigError, FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.files import atomic_path
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.data import DatasetWriter
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.description import DESCRIPTION, SEAL, WEIGHTS, read_description, record_metrics, seal, seal_of
from harmose_dft.model.loading import BUNDLED, load_model
from harmose_dft.output import write_cube
from harmose_dft.plots import LevelColumn, plot_levels
from harmose_dft.testing.molecules import WATER
from harmose_dft.workflows.configuration import read_config
from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_settings import LabelSettings

WATER_FOCK = np.eye(24)
"""Water in def2-SVP has 24 orbitals; its matrix does not matter here."""

HYDROGEN_CHLORIDE = Structure(np.array([17, 1]), np.array([[0.0, 0, 0], [0, 0, 2.4]]))
"""Chlorine is among the elements for which PySCF is asked for a pseudopotential by the name of the basis."""

RED, TITLE = "\x1b[31m", "\x1b]0;owned\x07"
"""What a terminal obeys: a colour, a new title of its window."""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that exists only if code from a data file was run."""
    return tmp_path / "ran"


def orbitals_text(mark: Path) -> str:
    """A text in PySCF's basis format with an expression where a number is expected."""
    return f"H S\n(1.0,__import__('pathlib').Path('{mark}').touch())"


def potential_text(mark: Path) -> str:
    """The same as a pseudopotential of chlorine."""
    return f"Cl nelec 10\nCl ul\n2 1.0 __import__('pathlib').Path('{mark}').touch()"


def water_file(path: Path) -> Path:
    path.write_text("3\nwater\n" + "\n".join(WATER) + "\n")
    return path


def text_of_error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


# Basis sets and functionals


@pytest.mark.parametrize("command", ["info", "convert", "evaluate", "train"])
def test_basis_name_of_a_data_set_never_runs(
    command: str, mark: Path, tmp_path: Path, fixtures_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.h5"
    ragged(data, WATER_FOCK)
    with h5py.File(data, "a") as file:
        file.attrs["basis"] = orbitals_text(mark)
    configuration = tmp_path / "train.yaml"
    configuration.write_text(f"data: {{files: [data.h5], split: ordered, sizes: [1, 1]}}\noutput: {tmp_path}/model\n")
    arguments = {
        "info": [str(data)],
        "convert": [str(data), "-o", str(tmp_path / "out.h5")],
        "evaluate": [str(fixtures_dir / "model_v1"), str(data)],
        "train": [str(configuration)],
    }
    assert main([command, *arguments[command]]) == 1
    assert not mark.exists()
    assert "no name in PySCF's library" in text_of_error(capsys)


@pytest.mark.parametrize("layout", [ragged, groups])
@pytest.mark.parametrize(
    "name", ["../def2-svp", "def2-svp\n", "def2-svp/x", "x" * 10_000, "no-such-basis", "", "6-31g(../d)"]
)
def test_basis_of_a_data_set_is_one_of_the_library(layout: Callable[..., None], name: str, tmp_path: Path) -> None:
    layout(tmp_path / "data.h5", WATER_FOCK)
    with h5py.File(tmp_path / "data.h5", "a") as file:
        file.attrs["basis"] = name
    with pytest.raises(FileFormatError, match="library"):
        open_dataset(tmp_path / "data.h5")


@pytest.mark.parametrize(
    "name",
    ["def2-svp", "DEF2-TZVP", "6-31G**", "6-31g(d,p)", "6-311++G(2df,2pd)", "cc-pvtz@3s2p1d", "unc-sto-3g", "gth-szv"],
)
def test_names_of_the_library_are_known_in_every_spelling(name: str) -> None:
    from harmose_dft.adapters.pyscf.known_names import require_known_basis

    assert require_known_basis(name) == name


def test_basis_name_of_a_model_never_runs(
    mark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chlorine's pseudopotential is looked up by the name in model.json; the stranger mends the file's hashes."""
    folder = Path(shutil.copytree(BUNDLED / "organic", tmp_path / "model"))
    found = json.loads((folder / DESCRIPTION).read_text())
    found["basis"]["name"] = potential_text(mark)
    (folder / DESCRIPTION).write_text(seal(found))
    (tmp_path / "hcl.xyz").write_text("2\n\nCl 0 0 0\nH 0 0 1.27\n")
    assert main(["predict", str(tmp_path / "hcl.xyz"), "--model", str(folder)]) == 1
    assert not mark.exists()
    assert "expected a name of one line" in text_of_error(capsys)


def test_basis_name_in_python_is_looked_up_before_pyscf_sees_it(mark: Path) -> None:
    basis = adapter.orbital_basis("sto-3g", [1, 17])
    named = OrbitalBasis(potential_text(mark), basis.shells)
    mol = adapter.to_mole(HYDROGEN_CHLORIDE, named)
    assert not mark.exists()
    assert not mol.has_ecp()


def test_custom_basis_given_in_python_is_read_as_numbers_only(mark: Path) -> None:
    atom = Structure(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 1.4]]))
    custom = "H S\n 13.0 0.1\n 1.9 0.3\n 0.4 0.7\nH P\n 0.8 1.0\n"
    assert adapter.to_mole(atom, custom).nao == 8
    assert adapter.orbital_basis(custom, [1]).label(1) == "1s1p"
    assert adapter.orbital_basis(custom, [1]).name == "custom"
    with pytest.raises(HarmoseError, match="numbers only"):
        adapter.to_mole(atom, orbitals_text(mark))
    assert not mark.exists()


def test_evaluation_by_pyscf_is_as_the_user_had_it_afterwards() -> None:
    from pyscf.gto.basis import parse_nwchem

    from harmose_dft.adapters.pyscf.known_names import without_evaluation

    before = parse_nwchem.DISABLE_EVAL
    with without_evaluation(), without_evaluation():
        assert parse_nwchem.DISABLE_EVAL is True
    assert parse_nwchem.DISABLE_EVAL is before
    with pytest.raises(KeyError), without_evaluation():
        raise KeyError
    assert parse_nwchem.DISABLE_EVAL is before


def test_file_of_the_current_folder_is_not_taken_for_a_basis_of_the_library(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PySCF reads a file called def2-svp before its own basis of that name."""
    monkeypatch.chdir(tmp_path)
    basis = adapter.orbital_basis("def2-svp", [1, 17])
    ragged(tmp_path / "data.h5", WATER_FOCK)
    with h5py.File(tmp_path / "data.h5", "a") as file:
        file.attrs["basis"] = "def2-SVP"  # not in the caches of other tests
    (tmp_path / "def2-SVP").write_text(orbitals_text(mark))
    with pytest.raises(HarmoseError, match="current folder holds"):
        open_dataset(tmp_path / "data.h5")
    with pytest.raises(HarmoseError, match="current folder holds"):
        adapter.to_mole(HYDROGEN_CHLORIDE, OrbitalBasis("def2-SVP", basis.shells))
    assert not mark.exists()


@pytest.mark.parametrize("functional", ["b3lyp\nb3lyp", "pbe" + "+pbe" * 10_000, "../pbe", "pbe;$(x)", "{pbe}"])
def test_functional_of_a_file_is_a_short_name(functional: str) -> None:
    mol = adapter.to_mole(Structure(np.array([2]), np.zeros((1, 3))), "sto-3g")
    with pytest.raises(HarmoseError, match="PySCF knows no functional"):
        adapter.kohn_sham(mol, functional)


def test_sums_of_functionals_are_still_taken() -> None:
    mol = adapter.to_mole(Structure(np.array([2]), np.zeros((1, 3))), "sto-3g")
    for functional in ("b3lyp", "lda,vwn", ".2*HF + .8*B88, lyp", "RSH(0.3;0.6;0.2)", "wb97x-d3bj"):
        assert adapter.kohn_sham(mol, functional).xc == functional


def test_settings_of_pyscf_in_the_current_folder_never_run(mark: Path, tmp_path: Path) -> None:
    """PySCF runs ``.pyscf_conf.py`` of the current folder when it is imported; data comes in folders."""
    (tmp_path / ".pyscf_conf.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    water_file(tmp_path / "water.xyz")
    code = "import sys; from harmose_dft.cli import main; main(['info', 'data.h5'])"
    ragged(tmp_path / "data.h5", WATER_FOCK)
    environment = {k: v for k, v in os.environ.items() if k != "PYSCF_CONFIG_FILE"}
    paths = {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment | paths, capture_output=True, text=True,
        timeout=120, check=False,
    )
    assert "def2-svp" in done.stdout, done.stderr
    assert not mark.exists()


# HDF5


def outside(folder: Path) -> Path:
    """A file that a data set has no business with."""
    path = folder / "secret.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.array([8, 1, 1, 8, 1, 1], dtype="u1")
    (folder / "secret.bin").write_bytes(np.array([8, 1, 1, 8, 1, 1], dtype="u1").tobytes())
    return path


def external_link(file: h5py.File, folder: Path) -> None:
    file["numbers"] = h5py.ExternalLink(outside(folder), "/numbers")


def soft_link(file: h5py.File, folder: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(outside(folder), "/")
    file["numbers"] = h5py.SoftLink("/elsewhere/numbers")


def external_storage(file: h5py.File, folder: Path) -> None:
    outside(folder)
    file.create_dataset("numbers", (6,), "u1", external=[(folder / "secret.bin", 0, 6)])


def virtual_dataset(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((6,), "u1")
    layout[:] = h5py.VirtualSource(str(outside(folder)), "numbers", (6,))
    file.create_virtual_dataset("numbers", layout)


def references(file: h5py.File, folder: Path) -> None:
    file["numbers"] = np.array([8, 1, 1, 8, 1, 1], dtype="u1")
    file["objects"] = np.array([file["numbers"].ref], dtype=h5py.ref_dtype)


def deep_groups(file: h5py.File, folder: Path) -> None:
    file["numbers"] = np.array([8, 1, 1, 8, 1, 1], dtype="u1")
    file.create_group("/".join("x" * 100))


@pytest.mark.parametrize(
    "way",
    [external_link, soft_link, external_storage, virtual_dataset, references, deep_groups],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("command", ["info", "convert"])
def test_data_set_does_not_lead_out_of_its_file(
    way: Callable[[h5py.File, Path], None], command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.h5"
    ragged(data, WATER_FOCK)
    with h5py.File(data, "a") as file:
        del file["numbers"]
        way(file, tmp_path)
    assert main([command, str(data), *(["-o", str(tmp_path / "out.h5")] if command == "convert" else [])]) == 1
    assert "holds everything itself" in text_of_error(capsys)


def test_own_format_and_matrix_files_do_not_lead_out_either(tmp_path: Path) -> None:
    data = tmp_path / "own.h5"
    with DatasetWriter(data) as writer:
        writer.add(adapter.reference(Structure(np.array([2]), np.zeros((1, 3))), "lda", "sto-3g", grid_level=0))
    with h5py.File(data, "a") as file:
        file["more"] = h5py.ExternalLink(outside(tmp_path), "/numbers")
    blocks = tmp_path / "hamiltonians.h5"
    with h5py.File(blocks, "w") as file:
        file["[0, 0, 0, 1, 1]"] = h5py.ExternalLink(tmp_path / "secret.h5", "/numbers")
    for read, path in ((open_dataset, data), (read_keyed_blocks, blocks)):
        with pytest.raises(FileFormatError, match="a link to another name or file"):
            read(path)


# SQLite


@pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "a?mode=rwc.db", "100%25.db", "100%.db", "a b.db"])
@pytest.mark.parametrize("layout", [qh9_stable, phisnet, schnorb], ids=lambda f: f.__name__)
def test_databases_are_opened_whatever_their_name_and_nothing_appears_beside_them(
    layout: Callable[..., None], name: str, tmp_path: Path
) -> None:
    """In a URI # and ? end the path, and SQLite makes what it does not find."""
    layout(tmp_path / "plain.db", WATER_FOCK)
    (tmp_path / "plain.db").rename(tmp_path / name)
    assert len(open_dataset(tmp_path / name)) == 2
    assert open_dataset(tmp_path / name).structure(0).formula == "H2O"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("layout", [qh9_stable, schnorb], ids=lambda f: f.__name__)
def test_databases_are_only_read(layout: Callable[..., None], tmp_path: Path) -> None:
    layout(tmp_path / "data.db", WATER_FOCK)
    dataset = open_dataset(tmp_path / "data.db")
    connection = dataset._database._connect() if layout is schnorb else None
    if connection is None:
        dataset.structure(0)
        connection = dataset._connection
    with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
        connection.execute("CREATE TABLE more (x)")
    with pytest.raises(sqlite3.OperationalError, match="not authorized"):
        connection.execute("SELECT load_extension('x')")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW more AS {ENDLESS}",
        "CREATE TRIGGER more AFTER INSERT ON data BEGIN DELETE FROM data; END",
        "CREATE VIRTUAL TABLE more USING fts5(x)",
        "ALTER TABLE data ADD COLUMN more AS (hex(zeroblob(100000000)))",
    ],
)
def test_database_with_programs_of_its_own_is_refused(statement: str, tmp_path: Path) -> None:
    qh9_stable(tmp_path / "data.db", WATER_FOCK)
    with sqlite3.connect(tmp_path / "data.db") as database:
        database.execute(statement)
    with pytest.raises(FileFormatError, match="tables and indices only"):
        open_dataset(tmp_path / "data.db")


@pytest.mark.timeout(60)
def test_endless_view_in_the_place_of_the_table_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data.db") as database:
        columns = "0 AS id, 3 AS N, x'00' AS Z, x'00' AS pos, x'00' AS Ham"
        database.execute(f"CREATE VIEW data AS SELECT {columns}, i AS rowid FROM ({ENDLESS})")
    with pytest.raises(FileFormatError, match="tables and indices only"):
        open_dataset(tmp_path / "data.db")


@pytest.mark.timeout(60)
def test_query_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harmose_dft.adapters.datasets import sqlite

    qh9_stable(tmp_path / "data.db", WATER_FOCK)
    monkeypatch.setattr(sqlite, "MOST_STEPS", 5_000_000)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        sqlite.connect_read_only(tmp_path / "data.db").execute(f"SELECT count(*) FROM ({ENDLESS})").fetchall()


def test_type_of_a_stored_array_is_one_of_a_few(tmp_path: Path) -> None:
    """numpy parses types of many kinds, of objects and of structures among them."""
    schnorb_text(tmp_path / "data.db", WATER_FOCK)
    from ase.db import connect

    database = connect(str(tmp_path / "data.db"), type="db")
    data = dict(database.get(id=1).data) | {"_dtype_hamiltonian": "(2,)f4"}
    database.update(1, data=data)
    with pytest.raises(FileFormatError, match="its type is none of"):
        open_dataset(tmp_path / "data.db")[0]


# YAML


def test_alias_in_a_configuration_is_refused(tmp_path: Path) -> None:
    """Nine lines of aliases of aliases are a billion values."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    path = tmp_path / "train.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"uses the alias \*a"):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# " + "x" * 300_000, "is longer than"),
        ("[" * 50_000, "nests more than"),
        ("!!python/object/apply:os.mkdir [ran]", "not valid YAML"),
        ("a: " + "9" * 10_000, "not valid YAML"),
    ],
    ids=["long", "deep", "object", "number"],
)
def test_configuration_that_is_none_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_config(path)


# Names that are shown


@pytest.mark.parametrize("show", [console.error, console.note, lambda t: console.print_table(t, (t,), [(t,)])])
def test_terminal_is_told_nothing_by_names(show: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    show(f"name {RED}{TITLE}\x9b2J\u202e[bold]x[/nonsense]")
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert "\\x1b" in shown


def test_json_on_a_terminal_has_escapes_and_the_same_content(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": f"{RED}\x7f\x9b2J\u202eé"}
    console.print_json(value)
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\x7f\x9b\u202e")
    assert json.loads(shown) == value


@pytest.mark.parametrize("as_json", [False, True])
def test_info_shows_names_of_a_data_set_without_control_characters(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ragged(tmp_path / "data.h5", WATER_FOCK)
    with h5py.File(tmp_path / "data.h5", "a") as file:
        file.attrs["xc"] = f"b3lyp{RED}{TITLE}\x9b2J"
    assert main(["info", str(tmp_path / "data.h5"), *(["--json"] if as_json else [])]) == 0
    assert not set(capsys.readouterr().out) & set("\x1b\x07\x9b")


def test_progress_bar_takes_markup_in_names_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with console.progress("evaluating a[/b].h5[link=x]", 2) as steps:
        steps.advance()
    assert "a[/b].h5[link=x]" in screen.getvalue()


def test_pictures_take_dollars_and_latex_in_names_literally(tmp_path: Path) -> None:
    """A matplotlibrc of the current folder may ask for LaTeX, and formulas that are none are errors."""
    import matplotlib as mpl

    spectrum = Spectrum(np.array([-0.5, 0.1]), np.eye(2), np.array([2.0, 0.0]))
    path = tmp_path / "levels.svg"
    with mpl.rc_context({"svg.fonttype": "none", "text.usetex": True}):
        plot_levels([LevelColumn(r"$\input{/etc/passwd}$", spectrum)], path, title=r"$\frac{$ x_1^2$")
    text = path.read_text()
    assert r"$\input{/etc/passwd}$" in text
    assert r"$\frac{$ x_1^2$" in text


def test_title_of_a_cube_file_stays_in_its_line(tmp_path: Path) -> None:
    helium = Structure(np.array([2]), np.zeros((1, 3)))
    basis = adapter.orbital_basis("sto-3g", [2])
    write_cube(tmp_path / "x.cube", helium, basis, np.ones(1), title="a\nb\x1b é", spacing=3.0)
    lines = (tmp_path / "x.cube").read_text().splitlines()
    assert lines[:2] == ["a b\\x1b ?", "Orbital in Bohr^(-3/2), by harmose_dft"]


# Writing


def write(path: Path) -> None:
    with atomic_path(path, force=True) as temporary:
        temporary.write_text("new")


def test_pipe_is_not_replaced_even_with_force(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputExistsError, match="device, a pipe or a socket"):
        write(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_device_is_not_replaced_even_with_force(tmp_path: Path) -> None:
    """As root -o /dev/null --force made a regular file of the device; here with a device of its own."""
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    with pytest.raises(OutputExistsError, match="device, a pipe or a socket"):
        write(device)
    assert device.is_char_device()
    with pytest.raises(OutputExistsError):
        label([Structure(np.array([2]), np.zeros((1, 3)))], device, LabelSettings("lda", "sto-3g", 0), force=True)
    assert device.is_char_device()


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "to nothing"])
def test_link_is_neither_followed_nor_replaced(exists: bool, tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    if exists:
        precious.write_text("old")
    link.symlink_to(precious)
    with pytest.raises(OutputExistsError, match="symbolic link"):
        write(link)
    assert link.is_symlink()
    assert (precious.read_text() == "old") if exists else not precious.exists()


def test_link_that_takes_the_place_of_the_temporary_file_is_noticed(tmp_path: Path) -> None:
    precious, target = tmp_path / "precious", tmp_path / "out.txt"
    precious.write_text("old")
    precious.chmod(0o600)

    def write_while_somebody_plants_a_link() -> None:
        with atomic_path(target) as temporary:
            temporary.unlink()
            temporary.symlink_to(precious)

    with pytest.raises(HarmoseError, match="something else took the place"):
        write_while_somebody_plants_a_link()
    assert precious.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["precious"]


def test_folder_of_an_unfinished_run_is_no_link(tmp_path: Path) -> None:
    """--force empties that folder."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "settings.json").write_text("{}")
    (tmp_path / "a.h5.parts").symlink_to(precious)
    helium, settings = Structure(np.array([2]), np.zeros((1, 3))), LabelSettings("lda", "sto-3g", 0)
    with pytest.raises(HarmoseError, match="symbolic link"):
        label([helium], tmp_path / "a.h5", settings, force=True)
    assert os.listdir(precious) == ["settings.json"]


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION, "log.jsonl"])
def test_training_does_not_write_through_links_in_its_folder(name: str, tmp_path: Path) -> None:
    from harmose_dft.core.progress import silent
    from harmose_dft.testing.models import tiny_config, write_waters
    from harmose_dft.training.folder import LOG, STATE
    from harmose_dft.training.run import Fit

    assert {name, STATE} <= {WEIGHTS, DESCRIPTION, STATE, LOG}
    data = write_waters(tmp_path / "waters.h5", range(3))
    output = tmp_path / "model"
    output.mkdir()
    (tmp_path / "precious").write_text("old")
    (output / name).symlink_to(tmp_path / "precious")
    config = tiny_config(data={"files": (data,), "split": "ordered", "sizes": (2, 1)}, output=output)
    with pytest.raises(OutputExistsError, match="symbolic link"):
        Fit(config, silent, print, force=True).run()
    assert (tmp_path / "precious").read_text() == "old"


# Models


@pytest.fixture
def model(fixtures_dir: Path, tmp_path: Path) -> Path:
    """A model of today's format."""
    ModelFile.load(fixtures_dir / "model_v1").save(tmp_path / "model")
    return tmp_path / "model"


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads((folder / DESCRIPTION).read_text())
    change(found)
    (folder / DESCRIPTION).write_text(json.dumps(found, indent=1))


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "name": lambda d: d.update(name="other"),
    "older version": lambda d: d.update(format_version=6),
    "oldest version without hash": lambda d: (d.update(format_version=1), d.pop("description_sha256", None)),
    "older version without hash": lambda d: (d.update(format_version=6), d.pop("description_sha256", None)),
    "no hash": lambda d: d.pop("description_sha256", None),
    "basis": lambda d: d["basis"].update(name="def2-tzvp"),
    "scale": lambda d: d["domain"].update(largest=4000),
    "functional": lambda d: d.update(functional="pbe"),
    "metrics": lambda d: d["metrics"].update(test={"unit": "uHa", "model": {"mae_all": 0.1}}),
}


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_edited_description_is_refused(change: Callable[[dict[str, Any]], object], model: Path) -> None:
    edited(model, change)
    for read in (ModelFile.load, read_description):
        with pytest.raises(CheckpointError, match="was edited"):
            read(model)


@pytest.mark.parametrize("change", EDITS.values(), ids=EDITS)
def test_edited_description_of_the_bundled_model_is_refused(
    change: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(BUNDLED / "organic", tmp_path / "model"))
    edited(folder, change)
    with pytest.raises(CheckpointError, match="was edited"):
        read_description(folder)


def test_bundled_model_is_sealed_and_its_weights_are_those_of_the_card() -> None:
    """README, docs/benchmarks.md and the card quote the beginning of the hash."""
    found = read_description(BUNDLED / "organic")
    assert found[SEAL] == seal_of(found)
    assert found["weights_sha256"].startswith("5b56de0c")


def test_figures_that_are_recorded_keep_the_description_whole(model: Path) -> None:
    record_metrics(model, {"test": {"unit": "uHa", "samples": 1}})
    assert ModelFile.load(model).metrics == {"test": {"unit": "uHa", "samples": 1}}


def test_models_from_before_the_hash_still_load_and_stay_readable_with_new_figures(
    fixtures_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(fixtures_dir / "model_v1", tmp_path / "old"))
    assert "description_sha256" not in read_description(folder)
    record_metrics(folder, {"test": {"unit": "uHa"}})
    assert ModelFile.load(folder).metrics == {"test": {"unit": "uHa"}}
    edited(folder, lambda d: d.update(format_version=2))
    with pytest.raises(CheckpointError, match="was edited"):
        ModelFile.load(folder)


@pytest.mark.parametrize("key", ["name", "functional", "code"])
def test_names_of_a_model_are_one_line_without_control_characters(key: str, model: Path) -> None:
    found = json.loads((model / DESCRIPTION).read_text()) | {key: f"x{RED}"}
    (model / DESCRIPTION).write_text(seal(found))
    with pytest.raises(CheckpointError, match="a name of one line"):
        ModelFile.load(model)


def test_description_nested_without_end_is_refused(model: Path) -> None:
    (model / DESCRIPTION).write_text('{"format_version": 1, "x": ' + "[" * 100_000)
    with pytest.raises(CheckpointError, match="damaged"):
        ModelFile.load(model)


def test_paths_in_a_description_lead_nowhere(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in model.json is taken for a path: a prediction writes into the working folder and nowhere else."""
    found = json.loads((model / DESCRIPTION).read_text())
    found |= {"name": "../../escaped", "code": "/escaped"}
    found["training"] = {"configuration": {"output": "../escaped"}, "data_sha256": {"../escaped.h5": "0"}}
    (model / DESCRIPTION).write_text(seal(found))
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    water_file(inside / "water.xyz")
    before = {p for p in tmp_path.rglob("*") if "escaped" in p.name}
    assert main(["predict", str(inside / "water.xyz"), "--model", str(model)]) == 0
    assert {p for p in tmp_path.rglob("*") if "escaped" in p.name} == before
    assert sorted(os.listdir(inside)) == ["water.harmose.h5", "water.xyz"]
    assert load_model(model).model.name == "../../escaped"


# Rules of the source


FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "os.system", "os.popen", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "torch.load", "marshal.loads", "marshal.load", "shelve.open",
    "pickle.load", "pickle.loads", "ase.io.trajectory.read_traj",
}  # fmt: skip
"""Calls that run what they are given, or may."""

ONLY_IN = {
    "sqlite3.connect": {"adapters/datasets/sqlite.py"},
    "basis.load": {"adapters/pyscf/known_names.py"},
    "basis.load_ecp": {"adapters/pyscf/known_names.py"},
    "gto.format_basis": {"adapters/pyscf/known_names.py"},
    "libxc.parse_xc": {"adapters/pyscf/known_names.py", "plugins/pyscf/mean_field.py"},
    "import_module": {
        "__init__.py", "adapters/pyscf/known_names.py", "adapters/registry.py", "cli/__init__.py", "core/discovery.py",
        "core/lazy.py",
    },
    "print": {"cli/console.py"},
}
"""Calls -> the modules that may make them: known_names for what a file names, seeding for the user's own functional,
import_module for names in tables of ours and for modules of our own packages."""


def faults(tree: ast.AST, module: str) -> list[str]:
    """What the rules have against a module."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if name in FORBIDDEN or name.split(".")[0] == "subprocess":
            found.append(f"line {node.lineno}: {name}")
        if keywords.get("shell", "False") != "False":
            found.append(f"line {node.lineno}: shell=True")
        for call, modules in ONLY_IN.items():
            if (name == call or name.endswith(f".{call}")) and module not in modules:
                found.append(f"line {node.lineno}: {name}")
        if name == "h5py.File" and module != "core/hdf5.py":
            mode = ast.unparse(node.args[1]) if len(node.args) > 1 else keywords.get("mode", "'r'")
            if mode != "'w'":
                found.append(f"line {node.lineno}: {name} to read; use core.hdf5.open_hdf5")
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_in_the_package_runs_what_it_reads(path: Path) -> None:
    module = path.relative_to(PACKAGE).as_posix()
    assert faults(ast.parse(path.read_text(encoding="utf-8")), module) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)", "exec(x)", "subprocess.run(x)", "f(x, shell=True)", "yaml.load(x)", "torch.load(x)", "os.system(x)",
        "sqlite3.connect(x)", "gto.basis.load(x, 'H')", "h5py.File(x)", "h5py.File(x, 'r+')", "print(x)",
        "dft.libxc.parse_xc(x)",
    ],
)  # fmt: skip
def test_rules_find_violations(source: str) -> None:
    assert len(faults(ast.parse(source), "x.py")) == 1


def test_rules_let_networks_be_evaluated() -> None:
    assert faults(ast.parse("network.eval()\nre.compile(x)\nh5py.File(x, 'w')"), "x.py") == []


def test_security_policy_names_this_file() -> None:
    text = (PACKAGE.parent / "SECURITY.md").read_text(encoding="utf-8")
    assert "tests/test_security.py" in text

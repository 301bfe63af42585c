"""The shell: lazy commands, exit codes, one paragraph for every failure, clean streams."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest

from harmose_dft.cli import COMMANDS, cli, console, main
from harmose_dft.core.errors import CheckpointError, DomainError, HarmoseError

HEAVY = ("torch", "numpy", "scipy", "pyscf", "ase", "h5py", "rich", "matplotlib", "pydantic")


def install_command(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    """Replace ``harmose-dft info`` by a command that prints one line and fails."""

    @click.command()
    def info() -> None:
        print("partial result")
        raise failure

    module = ModuleType("harmose_dft.cli.info")
    module.info = info  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harmose_dft.cli.info", module)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_group_help_imports_nothing_heavy() -> None:
    code = "import sys; from harmose_dft.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    result = run_python(code)
    loaded = set(result.stderr.split())
    assert not loaded & set(HEAVY)
    for name, text in COMMANDS.items():
        assert f"{name} " in result.stdout
        assert text.split(",")[0] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists_and_takes_the_shared_options(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command is getattr(import_module(f"harmose_dft.cli.{name}"), name)
    assert {"debug", "quiet", "verbose"} <= {p.name for p in command.params}
    assert cli.get_command(click.Context(cli), name) is command
    assert len([p for p in command.params if p.name == "debug"]) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_works_and_imports_no_network_or_code(name: str) -> None:
    code = f"import sys; from harmose_dft.cli import main; c = main([{name!r}, '--help']); " \
           "print(*sys.modules, file=sys.stderr); sys.exit(c)"
    result = run_python(code)
    assert result.returncode == 0
    assert not set(result.stderr.split()) & {"torch", "pyscf", "ase"}
    assert "Usage: harmose-dft " + name in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs/reference/command_line.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f"\n## {name}\n")
    section = section.partition("\n## ")[0]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    options = {o for p in command.params for o in p.opts if o.startswith("--")} - {"--debug", "--quiet", "--verbose"}
    assert {o for o in options if not re.search(rf"{o}\b(?!-)", section)} == set()
    assert f"harmose-dft {name}" in section


def test_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    from harmose_dft import __version__

    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"harmose-dft, version {__version__}\n")
    citation = (Path(__file__).resolve().parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    doi = re.search(r"doi: *(\S+)", citation)
    assert doi is not None
    assert doi[1].strip('"') in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str) -> None:
    """By click's protocol, as docs/reference/command_line.md shows it."""
    command = [sys.executable, "-m", "harmose_dft"]
    environment = os.environ | {"_HARMOSE_DFT_COMPLETE": f"{shell}_source"}
    script = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "_HARMOSE_DFT_COMPLETE" in script.stdout
    for words, count, expected in (("harmose-dft pre", "1", "predict"), ("harmose-dft predict --ver", "2", "--verify")):
        word = count if shell != "fish" else words.split()[-1]
        environment |= {"_HARMOSE_DFT_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": word}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert expected in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["predcit"], "Did you mean predict?"),
        (["xyzzy"], "The commands are predict, evaluate"),
        (["predict", "--modle", "x", "a.xyz"], "--model"),
        (["predict"], "Missing argument"),
        (["--unknown"], "No such option"),
    ],
)
def test_usage_errors_exit_with_2_and_a_hint(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err


@pytest.mark.parametrize(
    ("failure", "code", "expected"),
    [
        (CheckpointError("The model file\nis damaged."), 1, "error: The model file is damaged."),
        (DomainError("Iron is not covered."), 3, "error: Iron is not covered."),
        (KeyboardInterrupt(), 130, "error: Interrupted."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.h5"), 1, "No space left on device (x.h5). Free some"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x"), 1, "Check the permissions"),
        (MemoryError(), 1, "error: Not enough memory."),
        (ValueError("a bug"), 1, "error: Internal error, not your fault. ValueError: a bug."),
    ],
)
def test_every_failure_is_one_paragraph_on_stderr(
    failure: BaseException,
    code: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_command(monkeypatch, failure)
    assert main(["info"]) == code
    captured = capsys.readouterr()
    assert captured.out == "partial result\n"
    assert expected in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("arguments", [["--debug", "info"], ["info", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_command(monkeypatch, HarmoseError("broken"))
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "Traceback" in captured.err
    assert captured.err.strip().endswith("error: broken")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_lead_nowhere(closed: str) -> None:
    command = f"{sys.executable} -m harmose_dft --version {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ("harmose-dft" in done.stdout) == (not closed.startswith(">"))


def test_closed_pipe_ends_quietly() -> None:
    code = """
import sys, types, click
@click.command()
def info():
    for n in range(100000):
        print("line", n)
module = types.ModuleType("harmose_dft.cli.info"); module.info = info
sys.modules["harmose_dft.cli.info"] = module
from harmose_dft.cli import main
sys.exit(main(["info"]))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(timeout=30) != 0


def test_json_has_no_numpy_and_no_infinities(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": np.array([1.5, np.inf]), "b": np.float64(2), "c": (np.int64(3), None, True), "d": Path("x")}
    console.print_json(value)
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None], "b": 2.0, "c": [3, None, True], "d": "x"}


def test_what_the_encoding_of_stdout_lacks_is_escaped() -> None:
    code = """
import sys, types, click
from harmose_dft.cli import console, main
@click.command()
def info():
    console.say("0.3 ± 0.1")
    console.print_table("水", ("Å",), [("ü",)])
    console.print_json({"name": "水", "escape": "\\x1b"})
module = types.ModuleType("harmose_dft.cli.info"); module.info = info
sys.modules["harmose_dft.cli.info"] = module
sys.exit(main(["info"]))
"""
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    out = done.stdout.decode("ascii")
    assert "0.3 \\xb1 0.1" in out
    assert json.loads(out[out.index("{") :]) == {"name": "水", "escape": "\x1b"}


def test_table_goes_to_stdout_with_markup_taken_literally(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table("water [1]", ("name", "value"), [("[red]", 1.5), ("b", 20.25)])
    out = capsys.readouterr().out
    assert "water [1]" in out
    assert "[red]" in out
    rows = [line for line in out.splitlines() if "1.5" in line or "20.25" in line]
    assert rows[0].rstrip().endswith("  1.5")
    assert len(rows[0].rstrip()) == len(rows[1].rstrip())


def test_notes_go_to_stderr_and_quiet_silences_them(capsys: pytest.CaptureFixture[str]) -> None:
    console.settings.reset()
    console.note("kept [all]")
    console.detail("only when verbose")
    console.settings.quiet = True
    console.note("silenced")
    console.settings.reset()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "kept [all]\n"


def test_progress_without_a_terminal_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LOG_INTERVAL", 0.0)
    with console.progress("labelling", 4) as bar:
        bar.advance()
        bar.advance(3)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("labelling: 1/4, 0 s, about")
    assert lines[-1].startswith("labelling: 4/4")

"""Ctrl-C and SIGTERM end a command at any time: one sentence, the usual exit code, no traceback.

Moments are told by what is being imported, not by a clock: the process signals itself when it looks for a module. The
exception that Python then raises is lost, as in a bare ``except`` of that module or in a callback of an import lock.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

MOLECULES = Path(__file__).resolve().parents[2] / "benchmarks" / "molecules"

RUN = "from harmose_dft.__main__ import run\nrun()"

INTERRUPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
sys.unraisablehook = lambda lost: None
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            try:
                HOW
            except BaseException:
                pass
def send():
    sys.meta_path.remove(look)
    os.kill(os.getpid(), NUMBER)
class Circle:
    def __del__(self):
        send()
look = Look()
sys.meta_path.insert(0, look)
"""

SENTENCE = {
    word: f"error: {word}. Files being written are discarded; earlier ones are unchanged."
    for word in ("Interrupted", "Terminated")
}


def call(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=folder, timeout=300
    )


def interrupt(module: str, number: signal.Signals, how: str = "send()") -> str:
    """Code of a command that gets a signal when it looks for a module."""
    code = INTERRUPT.replace("MODULE", repr(module)).replace("NUMBER", str(int(number))).replace("HOW", how)
    return code + RUN


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("harmose_dft.cli", INT),  # the first thing that the installed script imports
        ("click", TERM),
        ("harmose_dft.cli.predict", INT),  # the command itself
        ("torch", INT),
        ("torch", TERM),
        ("torch.nn.functional", INT),
        ("safetensors", TERM),  # when the model is read
        ("pyscf", INT),  # when integrals are computed
        ("rich.table", TERM),  # when the result is printed
    ],
)
def test_interrupt_while_a_module_is_imported(module: str, number: signal.Signals, tmp_path: Path) -> None:
    done = call(interrupt(module, number), "predict", str(MOLECULES / "ethanol.xyz"), "--no-refine", folder=tmp_path)
    assert done.stderr.strip() == SENTENCE["Interrupted" if number == INT else "Terminated"]
    assert done.returncode == 128 + number
    assert [path.name for path in tmp_path.iterdir() if path.name != "ethanol.harmose.h5"] == []


@pytest.mark.parametrize("module", ["torch", "pyscf"])
def test_interrupt_in_a_finalizer_is_not_lost(module: str, tmp_path: Path) -> None:
    """Python ignores exceptions of ``__del__``, which may run at any time."""
    code = interrupt(module, TERM, how="Circle()")
    done = call(code, "predict", str(MOLECULES / "ethanol.xyz"), "--no-refine", folder=tmp_path)
    assert done.stderr.strip() == SENTENCE["Terminated"]
    assert done.returncode == 143


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    """``nohup``, and background jobs of a shell without job control."""
    code = interrupt("harmose_dft.cli.info", INT).replace("default_int_handler", "SIG_IGN")
    done = call(code, "info", "organic", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_module_that_is_run_is_interrupted_alike(tmp_path: Path) -> None:
    """``python -m harmose_dft``."""
    code = interrupt("click", INT).replace(
        RUN, "import runpy\nrunpy.run_module('harmose_dft', run_name='__main__', alter_sys=True)"
    )
    done = call(code, "info", folder=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (130, SENTENCE["Interrupted"])

"""The installed command ends quickly, and yet says everything and cleans up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = "from harmose_dft.cli.process import run\nrun()"


def call(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_output_and_exit_code_arrive() -> None:
    done = call(RUN, "--help")
    assert done.returncode == 0
    assert "Write a report" in done.stdout
    wrong = call(RUN, "predict", "nowhere.xyz")
    assert wrong.returncode == 1
    assert "nowhere.xyz" in wrong.stderr
    assert call(RUN, "predikt").returncode == 2


def test_exit_functions_run_and_unreachable_objects_are_deleted(tmp_path: Path) -> None:
    """As PySCF's objects, a circle holds a temporary file."""
    code = f"""
import atexit, tempfile
class Holder:
    def __init__(self):
        self.file, self.circle = tempfile.NamedTemporaryFile(dir={str(tmp_path)!r}), self
atexit.register(print, "exit function")
Holder()
{RUN}"""
    assert "exit function" in call(code, "--version").stdout
    assert list(tmp_path.iterdir()) == []


def test_lost_output_is_an_error() -> None:
    """/dev/full refuses what is written when it is flushed."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", RUN, "--version"], stdout=full, stderr=full, check=False)
    assert done.returncode != 0

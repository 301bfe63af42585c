"""README.md keeps its promises: its blocks run, its output is today's, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorials" / "first-molecule.md").read_text(encoding="utf-8")

NUMBER = re.compile(r"-?\d+\.\d+(e-?\d+)?")


def blocks(text: str, language: str) -> list[str]:
    """Blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


def require_same_output(shown: str, printed: str) -> None:
    """Words and layout are equal; numbers agree within a unit or two of the last digits that matter.

    The covariance error is rounding of float32, which another processor rounds differently.
    """
    assert len(shown.splitlines()) == len(printed.splitlines())
    for expected, line in zip(shown.splitlines(), printed.splitlines(), strict=True):
        assert NUMBER.sub("#", expected).split() == NUMBER.sub("#", line).split()
        if "covariance error" not in line:
            numbers = [[float(m.group()) for m in NUMBER.finditer(text)] for text in (line, expected)]
            assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=2e-3)


def test_readme_fits_on_two_screens() -> None:
    assert len(README.splitlines()) <= 90
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 60


def test_command_prints_what_the_readme_shows(tmp_path: Path) -> None:
    line = blocks(README, "bash")[0].splitlines()[0].partition(" && ")[2]
    program, *arguments = shlex.split(line)
    assert program == "harmose-dft"
    shutil.copytree(ROOT / "benchmarks" / "molecules", tmp_path / "benchmarks" / "molecules")
    done = run(["-m", "harmose_dft", *arguments], tmp_path)
    assert done.returncode == 0, done.stderr
    require_same_output(blocks(README, "text")[0].rstrip("\n"), done.stdout.rstrip("\n"))
    assert (tmp_path / "levels.png").read_bytes().startswith(b"\x89PNG")


def test_first_tutorial_shows_what_its_command_prints(tmp_path: Path) -> None:
    (tmp_path / "water.xyz").write_text(blocks(TUTORIAL, "")[1], encoding="utf-8")
    done = run(["-m", "harmose_dft", "predict", "water.xyz"], tmp_path)
    assert done.returncode == 0, done.stderr
    require_same_output(blocks(TUTORIAL, "text")[0].rstrip("\n"), done.stdout.rstrip("\n"))


def test_python_block_runs(tmp_path: Path) -> None:
    (block,) = blocks(README, "python")
    shutil.copytree(ROOT / "benchmarks" / "molecules", tmp_path / "benchmarks" / "molecules")
    done = run(["-c", block], tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[1]) == pytest.approx(0.315, abs=2e-3)  # Hartree, the gap in the output above


def test_links_lead_to_files() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []

"""The commands of the tutorials on crystals run one after the other, in an empty folder."""

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
TUTORIALS = ROOT / "docs" / "tutorials"

STEPS = "20"
"""Updates, in place of the tutorial's 600."""


def commands(page: str) -> list[list[str]]:
    """Commands of a page, without those of pip."""
    pieces = (TUTORIALS / page).read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for piece in pieces if piece.startswith("\n") for line in piece.strip().splitlines()]
    return [shlex.split(line) for line in lines if not line.startswith("pip ")]


def copy_configuration(name: str, folder: Path, **replaced: str) -> None:
    """Put a training configuration into a folder, with other values of some keys."""
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    for key, value in replaced.items():
        text, count = re.subn(rf"\b{key}: [^#\n]*", f"{key}: {value}", text)
        assert count == 1
    (folder / name).write_text(text, encoding="utf-8")


def test_commands_of_the_crystal_tutorial_run(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "made_up_layer.py", tmp_path)
    copy_configuration("train_crystal.yaml", tmp_path, steps=STEPS)
    run_commands(commands("own-crystal.md"), tmp_path)
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "large.harmose.h5").is_file()


def test_commands_of_the_pyscf_tutorial_run(tmp_path: Path) -> None:
    """With three structures instead of twelve, and a coarse grid."""
    shutil.copy(ROOT / "benchmarks" / "graphene" / "snapshots.py", tmp_path)
    copy_configuration("train_graphene.yaml", tmp_path, steps=STEPS, sizes="[1, 1, 1]")
    coarser = {"12": "3", "60": "12"}
    run_commands([[coarser.get(word, word) for word in line] for line in commands("crystal-by-pyscf.md")], tmp_path)
    assert (tmp_path / "graphene.report.html").is_file()
    assert (tmp_path / "my-bands.png").read_bytes().startswith(b"\x89PNG")


def run_commands(lines: list[list[str]], folder: Path) -> None:
    """Run commands in a folder, one after the other; each must succeed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    programs = {"python": [], "harmose-dft": ["-m", "harmose_dft"]}
    for program, *arguments in lines:
        done = subprocess.run(
            [sys.executable, *programs[program], *arguments], cwd=folder, env=environment, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", ["own-crystal.md", "crystal-by-pyscf.md"])
def test_downloads_of_the_tutorials_exist(page: str) -> None:
    names = re.findall(r"\{download\}`[^<]+<([^>]+)>`", (TUTORIALS / page).read_text(encoding="utf-8"))
    assert len(names) == 2
    assert all((TUTORIALS / name).is_file() for name in names)

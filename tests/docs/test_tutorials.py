"""The commands of the tutorial on crystals run one after the other, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorials" / "own-crystal.md"

STEPS = "20"
"""Updates, in place of the tutorial's 600."""


def commands() -> list[list[str]]:
    """Commands of the page, without those of pip."""
    pieces = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for piece in pieces if piece.startswith("\n") for line in piece.strip().splitlines()]
    return [shlex.split(line) for line in lines if not line.startswith("pip ")]


def test_commands_of_the_crystal_tutorial_run(tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "made_up_layer.py", tmp_path)
    configuration = (ROOT / "examples" / "train_crystal.yaml").read_text(encoding="utf-8")
    shorter = configuration.replace("steps: 600", f"steps: {STEPS}")
    assert shorter != configuration
    (tmp_path / "train_crystal.yaml").write_text(shorter, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    programs = {"python": [], "harmose-dft": ["-m", "harmose_dft"]}
    for program, *arguments in commands():
        done = subprocess.run(
            [sys.executable, *programs[program], *arguments], cwd=tmp_path, env=environment, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {' '.join(arguments)}\n{done.stderr[-2000:]}"
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "large.harmose.h5").is_file()


def test_downloads_of_the_tutorial_exist() -> None:
    names = re.findall(r"\{download\}`[^<]+<([^>]+)>`", PAGE.read_text(encoding="utf-8"))
    assert len(names) == 2
    assert all((PAGE.parent / name).is_file() for name in names)

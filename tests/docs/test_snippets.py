"""The Python blocks of the documentation run, page by page, one block after the other as a reader would type them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harmose_dft

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

PAGES = ("reference/face.md", "tutorials/first-molecule.md", "tutorials/faster-scf.md", "howto/ase.md")
"""Pages all of whose Python blocks run without anything else."""


def blocks(page: Path) -> list[str]:
    """Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(blocks(DOCS / page)), encoding="utf-8")
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_every_public_name_has_a_section_with_a_block_that_uses_it() -> None:
    text = (DOCS / "reference" / "face.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE))
    assert set(sections) == set(harmose_dft.__all__)
    assert [name for name, section in sections.items() if "```python\n" not in section] == []

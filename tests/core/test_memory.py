"""Freed memory stays with the process, in a process of its own because it holds for all of it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from harmose_dft.cli import main

PAGE_FAULTS = """
import resource, sys
import numpy as np
import harmose_dft

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**21)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
assert harmose_dft.keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.parametrize(
    ("command", "file"),
    [(["predict"], "h2.xyz"), (["bands"], "h2.extxyz"), (["seed", "--code", "pyscf"], "h2.xyz")],
    ids=["predict", "bands", "seed"],
)
def test_commands_that_predict_keep_freed_memory(
    command: list[str], file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the loading of the model, which is missing here."""
    (tmp_path / "h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    (tmp_path / "h2.extxyz").write_text('2\nLattice="4 0 0 0 6 0 0 0 6" pbc="T T T"\nH 0.5 1 1\nH 1.3 1 1\n')
    called: list[bool] = []
    monkeypatch.setattr("harmose_dft.core.memory.keep_freed_memory", lambda: called.append(True))
    assert main([*command, str(tmp_path / file), "--model", str(tmp_path / "absent")]) == 1
    assert called == [True]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_blocks_are_not_cleared_anew_each_time() -> None:
    """20 arrays of 16 MiB: pages of each are touched for the first time only at first."""
    found = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, found.stdout.split())
    assert after < 0.1 * before

"""Behaviour that is frozen: commands, files and trained weights are what tests/golden/expected.json says.

Computed in a process of its own (``tests/golden/compute.py``) from nothing but the outside of the package. Where a
change of behaviour is meant, tests/golden/README.md says how to renew what is expected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests/golden"
sys.path.insert(0, str(FOLDER))

from compare import compare, difference  # noqa: E402
from compute import Golden  # noqa: E402
from expected import deviations, summary  # noqa: E402

EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
GROUPS = sorted({name.partition("/")[0] for name in EXPECTED})


def group(items: dict[str, Any], name: str) -> dict[str, Any]:
    """Items whose name starts with that of a group."""
    return {key: value for key, value in items.items() if key.partition("/")[0] == name}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Summary of the golden results of this tree."""
    out = tmp_path_factory.mktemp("golden") / "now"
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
    command = [sys.executable, str(FOLDER / "compute.py"), str(out)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, cwd=out.parent
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"package: {ROOT}" in done.stderr
    return summary(Golden.load(out))


@pytest.mark.parametrize("name", GROUPS)
def test_results_are_what_they_were(name: str, found: dict[str, Any]) -> None:
    lines = deviations(group(EXPECTED, name), group(found, name))
    assert not lines, "\n".join(lines[:30])


def test_nothing_is_left_out_or_added(found: dict[str, Any]) -> None:
    assert set(found) == set(EXPECTED)


def test_small_changes_do_not_fit(found: dict[str, Any]) -> None:
    """A gap that is off by 1e-5 relative, another exit code, two elements of H in the other order."""
    for name, value in (
        ("python/gap", found["python/gap"] * (1 + 1e-5)),
        ("refused/element/code", 1),
        ("organic/H2O/file/0001/hamiltonian", [*found["organic/H2O/file/0001/hamiltonian"][:4], 0.0]),
    ):
        assert [line.partition(":")[0] for line in deviations({name: EXPECTED[name]}, {name: value})] == [name]


def test_exact_comparison_sees_one_bit() -> None:
    one = np.ones(3, dtype=np.float32)
    other = np.array([1, 1, np.nextafter(np.float32(1), np.float32(2))], dtype=np.float32)
    assert compare(Golden({"x": one}), Golden({"x": other})) != []
    assert compare(Golden({"x": one}), Golden({"x": one.copy()})) == []
    assert compare(Golden({"x": one}), Golden({})) != []
    assert difference(one, other, 1e-6) is None

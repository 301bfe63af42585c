"""Every numbered example runs from an empty folder and ends without an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harmose_dft.loading import bundled_models

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[0-9][0-9]_*.py"))


NEED_MODEL = ("01_predict_in_python", "02_seed_pyscf", "03_ase_calculator")
"""Examples that use the bundled model."""


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    if script.stem in NEED_MODEL and "organic" not in bundled_models():
        pytest.skip("the model 'organic' is not bundled with this checkout")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

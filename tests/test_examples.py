"""Every numbered example runs from an empty folder and ends without an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shared_data import SHARED

from harmose_dft.model.loading import bundled_models
from harmose_dft.testing.abacus import write_record
from harmose_dft.testing.crystals import calculation, layer

EXAMPLES = sorted((Path(__file__).resolve().parents[1] / "examples").glob("[0-9][0-9]_*.py"))


ABACUS = next(p for p in EXAMPLES if p.stem == "04_abacus_to_bands")

NEED_MODEL = ("01_predict_in_python", "02_seed_pyscf", "03_ase_calculator")
"""Examples that use the bundled model."""


@pytest.mark.parametrize("script", [p for p in EXAMPLES if p.stem != "06_twisted_bilayer"], ids=lambda p: p.stem)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    if script.stem in NEED_MODEL and "organic" not in bundled_models():
        pytest.skip("the model 'organic' is not bundled with this checkout")
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]


TWISTED = next(p for p in EXAMPLES if p.stem == "06_twisted_bilayer")


def test_twisted_bilayer_is_predicted_as_well_as_the_untwisted_ones_that_were_learned(tmp_path: Path) -> None:
    """(1, 2) is cos^-1(13/14); the layers of the supercell hold 7 cells each."""
    done = run(TWISTED, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "(1, 2): 21.79 degrees, 28 atoms" in done.stdout
    twisted, untwisted = (float(x) for x in re.findall(r"([\d.]+) meV", done.stdout))
    assert twisted < 1.5 * untwisted
    assert {"bands.png", "twisted.cif"} <= {p.name for p in tmp_path.iterdir()}


def run(script: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": str(ABACUS.parents[1])}
    return subprocess.run(
        [sys.executable, str(script), *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )


def test_road_from_abacus_output_to_a_band_plot(tmp_path: Path) -> None:
    """Files in ABACUS's formats, with made-up matrices: the checks of the road itself need no real calculation."""
    for seed in range(3):
        write_record(tmp_path / "runs" / f"snap{seed}", calculation(layer(seed)))
    done = run(ABACUS, tmp_path, "runs", "10")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
    assert "covariance error" in done.stdout
    assert {p.name for p in (tmp_path / "model").iterdir()} >= {"model.json", "model.safetensors"}


def test_made_up_calculations_agree_with_their_own_eigenvalues_and_orbitals(tmp_path: Path) -> None:
    """The tutorial's calculations go through the reader, and through its check, as those of ABACUS do."""
    script = ABACUS.parent / "made_up_layer.py"
    done = run(script, tmp_path, "runs", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    done = run(Path("-m"), tmp_path, "harmose_dft", "convert", "runs", "-o", "layer.h5", "--check", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    calculations = json.loads(done.stdout)
    assert [c["passed"] for c in calculations] == [True, True]
    assert all(c["n_kpoints"] == 41 and c["max_deviation_mev"] < 1e-3 for c in calculations)
    assert all(c["overlap_deviation"] < 1e-8 for c in calculations)
    assert (tmp_path / "runs" / "flat.cif").is_file()


def test_road_from_openmx_output_to_a_band_plot(tmp_path: Path) -> None:
    runs = SHARED / "samples" / "openmx" / "graphene_3x3"
    if not runs.exists():
        pytest.skip("no OpenMX calculations beside this checkout")
    done = run(ABACUS, tmp_path, str(runs), "2")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "bands.png").is_file()


def test_folder_without_calculations_is_an_error(tmp_path: Path) -> None:
    assert run(ABACUS, tmp_path, "nowhere").returncode == 1

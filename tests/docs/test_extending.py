"""The files in docs/extending.md are found, configured and used: one class in one file each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import importlib
from pathlib import Path

PACKAGES = ("adapters", "training.losses", "training.optimizers", "model.stage2", "physics.h0", "solver.factors")
for name in PACKAGES:
    package = importlib.import_module(f"harmose_dft.{name}")
    package.__path__.append(str(Path("harmose_dft", *name.split("."))))

import numpy as np
from ase.build import molecule
from made_up_layer import write_runs

import harmose_dft
from harmose_dft.adapters.pyscf import from_ours, reference
from harmose_dft.adapters.structures import from_ase
from harmose_dft.data import open_dataset
from harmose_dft.training.config import TrainConfig

record = reference(from_ase(molecule("H2O")), xc="b3lyp", basis="def2-svp", grid_level=0)
np.savez(
    "water.npz", numbers=record.structure.numbers, positions=record.structure.positions,
    hamiltonian=from_ours(record.hamiltonian[0].to_dense(), record.basis, record.structure.numbers),
    overlap=from_ours(record.overlap.to_dense(), record.basis, record.structure.numbers),
)
(converted,) = harmose_dft.convert(["water.npz"], "water.h5")
assert converted.code == "npz", converted
assert np.allclose(
    harmose_dft.solve(record.structure, record.hamiltonian[0], record.overlap, 10).energies,
    harmose_dft.solve(record.structure, open_dataset("water.h5")[0].hamiltonian[0], record.overlap, 10).energies,
)

write_runs(Path("runs"), 3)
harmose_dft.convert(["runs"], "layer.h5")
settings = TrainConfig.model_validate({
    "data": {"files": ["layer.h5"], "split": "ordered", "sizes": [2, 1, 0]},
    "baseline": {"kind": "half-kinetic"},
    "model": {
        "first": {"layers": 1, "channels": 8, "pair_channels": 8, "hidden_channels": 8, "radial": 8},
        "second": {"kind": "scaling", "start": 0.25},
    },
    "loss": {"largest": 0.1},
    "optimizer": {"method": "momentum", "steps": 4, "batch_size": 1},
    "output": "model", "threads": 1,
})
harmose_dft.train(settings)
prediction = harmose_dft.predict("runs/flat.cif", "model")
model = harmose_dft.load("model")
assert model.network.config.second.kind == "scaling"
assert float(model.network.second.factor) != 0.25
from harmose_dft.solver import choose_factor, frontier_states, solve_kpoints
matrices = (prediction.hamiltonians, prediction.overlap, np.zeros((1, 3)), np.ones(1), prediction.spectrum.n_electrons)
assert choose_factor().name != "dense-factors"
count = prediction.overlap.size - 2
window = frontier_states(*matrices, count, solver="dense-factors")
first = window.n_below[0, 0]
energies = solve_kpoints(*matrices[:3], matrices[4]).energies[0]
assert np.allclose(window.energies[0, 0], energies[first : first + count], atol=1e-8)
print("used")
"""


def files() -> dict[str, str]:
    """Path -> content of the files on the page."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```python\n# (\S+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))


def test_files_of_the_page_are_found_and_used(tmp_path: Path) -> None:
    assert len(files()) == 6
    for name, content in files().items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    (tmp_path / "harmose_dft" / "adapters" / "npz" / "__init__.py").touch()
    path = os.pathsep.join([str(ROOT), str(ROOT / "examples")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("used")


@pytest.mark.parametrize("name", files())
def test_file_lies_in_the_folder_of_its_kind(name: str) -> None:
    folder = ROOT / Path(name).parent
    assert folder.is_dir() or folder.name == "npz"

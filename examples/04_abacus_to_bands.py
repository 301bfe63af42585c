"""From a DFT code's own output to the bands of a crystal: convert, train, predict, plot.

    python 04_abacus_to_bands.py [RUNS] [STEPS]

RUNS is a folder of ABACUS calculations (out_mat_hs2 1) or of OpenMX calculations (HS.fileout on); without it,
calculations in ABACUS's format are made up by made_up_layer.py, so that the example runs without any DFT code. The few
steps trained here show the way, not the accuracy; examples/train_crystal.yaml is a longer training. Writes crystals.h5,
model/ and bands.png into the current folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from made_up_layer import write_runs

import harmose_dft
from harmose_dft.core.units import MICRO
from harmose_dft.data import open_dataset
from harmose_dft.plots import plot_bands
from harmose_dft.training.config import TrainConfig

runs = Path(sys.argv[1] if len(sys.argv) > 1 else "made-up-runs")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
if len(sys.argv) == 1 and not runs.exists():
    write_runs(runs, 3)

# The code, its version and its files are recognised; orbitals come from the .orb (.pao) files that the inputs name.
harmose_dft.convert([runs], "crystals.h5", force=True)

configuration = TrainConfig.model_validate({
    "name": "crystals",
    "data": {"files": ["crystals.h5"], "split": "ordered", "sizes": [2, 1, 0]},
    "model": {
        "first": {"layers": 1, "channels": 8, "pair_channels": 16, "hidden_channels": 16, "neighbours": 12},
        "second": {"kind": "circle", "layers": 1, "width": 8},
    },
    "optimizer": {"steps": steps, "batch_size": 1, "learning_rate": 0.004, "ema": 0.98, "warmup_steps": 20},
})
harmose_dft.train(configuration, out="model", force=True)

# S and the kinetic energy of the new structure follow from the orbitals in the model; no DFT code is needed.
unseen = open_dataset("crystals.h5")[2]
prediction = harmose_dft.predict(unseen.structure, "model")
predicted = harmose_dft.bands(prediction, kpath="GMKG", points=60)
reference = harmose_dft.bands(unseen, kpath=predicted.path)
plot_bands(predicted, "bands.png", reference=reference, window=(-10.0, 10.0), force=True)
print(prediction)
assert prediction.trust is not None
error = prediction.trust.covariance_error / MICRO
print(f"covariance error {error:.2f} uHa; {len(predicted.path.kpoints)} k-points in bands.png")

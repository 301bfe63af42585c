"""From ABACUS's own output to the bands of a cell that was never calculated: convert, train, predict, plot.

    python 04_abacus_to_bands.py [RUNS] [STEPS]

RUNS is a folder of ABACUS calculations (out_mat_hs2 1); OpenMX runs (HS.fileout on) are read the same way. By default
graphene snapshots beside a checkout of the repository are used, and nothing is done where there are none. The few steps
trained here show the road, not the accuracy: docs/results-materials.md has figures. Writes crystals.h5, model/ and
bands.png into the current folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import harmose_dft
from harmose_dft.adapters.registry import find_calculations, read_calculations
from harmose_dft.cli import main
from harmose_dft.core.units import MICRO
from harmose_dft.data import DatasetWriter
from harmose_dft.plots import plot_bands

CONFIGURATION = """
name: crystals
data: {files: [crystals.h5], split: ordered, sizes: [2, 1, 0]}
model:
  first: {layers: 1, channels: 8, pair_channels: 16, hidden_channels: 16, neighbours: 12}
  second: {kind: circle, layers: 1, width: 8}
optimizer: {steps: STEPS, batch_size: 1, learning_rate: 0.004, ema: 0.98, warmup_steps: 20}
"""

shared = Path(os.environ.get("HARMOSE_SHARED", Path(__file__).resolve().parents[2] / "shared"))
arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
runs = Path(arguments[0]) if arguments else shared / "samples" / "abacus" / "graphene_3x3"
steps = int(arguments[1]) if len(arguments) > 1 else 20
if not runs.exists():
    print(f"There are no calculations in {runs}; give a folder of ABACUS or OpenMX runs.")
    sys.exit(1 if arguments else 0)

# The code, its version and its files are recognised; orbitals come from the .orb (.pao) files that the inputs name.
records = [read_calculations(path)[0] for path in find_calculations(runs)[:3]]
with DatasetWriter("crystals.h5", force=True) as writer:
    for record in records:
        writer.add(record)

# The same as: harmose-dft train crystals.yaml --out model
Path("crystals.yaml").write_text(CONFIGURATION.replace("STEPS", str(steps)), encoding="utf-8")
if main(["train", "crystals.yaml", "--out", "model", "--force"]) != 0:
    sys.exit(1)

# S and the kinetic energy of the new structure follow from the orbitals in the model; no DFT code is needed.
unseen = records[2]
prediction = harmose_dft.predict(unseen.structure, "model")
predicted = harmose_dft.bands(prediction, kpath="GMKG", points=60)
reference = harmose_dft.bands(unseen, kpath=predicted.path)
plot_bands(predicted, "bands.png", reference=reference, window=(-5.0, 5.0), force=True)
print(prediction.spectrum)
assert prediction.trust is not None
error = prediction.trust.covariance_error / MICRO
print(f"covariance error {error:.2f} uHa; {len(predicted.path.kpoints)} k-points in bands.png")

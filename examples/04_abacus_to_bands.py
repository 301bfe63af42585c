"""From a DFT code's own output to the bands of a crystal: convert, train, predict, plot.

    python 04_abacus_to_bands.py [RUNS] [STEPS]

RUNS is a folder of ABACUS calculations (out_mat_hs2 1) or of OpenMX calculations (HS.fileout on); without it, calculations
in ABACUS's format are made up by made_up_layer.py, so that the example runs without any DFT code. The few steps trained
here show the way, not the accuracy; examples/train_crystal.yaml is a longer training. Writes crystals.h5, crystals.yaml,
model/ and bands.png into the current folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from made_up_layer import write_runs

from harmose_dft.adapters.registry import find_calculations, read_calculations
from harmose_dft.cli import main
from harmose_dft.data import DatasetWriter
from harmose_dft.model.loading import load_model
from harmose_dft.plots import BandCurves, plot_bands
from harmose_dft.solver import bands
from harmose_dft.solver.kpaths import k_path

CONFIGURATION = """
name: crystals
data: {files: [crystals.h5], split: ordered, sizes: [2, 1, 0]}
model:
  first: {layers: 1, channels: 8, pair_channels: 16, hidden_channels: 16, neighbours: 12}
  second: {kind: circle, layers: 1, width: 8}
optimizer: {steps: STEPS, batch_size: 1, learning_rate: 0.004, ema: 0.98, warmup_steps: 20}
"""

runs = Path(sys.argv[1] if len(sys.argv) > 1 else "made-up-runs")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
if len(sys.argv) == 1 and not runs.exists():
    write_runs(runs, 3)

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
assert unseen.fermi is not None
prediction = load_model("model").predict(unseen.structure)
path = k_path(unseen.structure, "GMKG", points=60, periodic=(True, True, False))
predicted = bands(prediction.hamiltonian, prediction.overlap, path.kpoints)
reference = bands(unseen.hamiltonian, unseen.overlap, path.kpoints)
plot_bands(
    path.distances,
    path.ticks,
    BandCurves("predicted", predicted, prediction.spectrum.fermi),
    "bands.png",
    reference=BandCurves(str(unseen.provenance["code"]), reference, unseen.fermi),
    window=(-5.0, 5.0),
    force=True,
)
print(prediction.spectrum)
print(f"covariance error {prediction.trust['covariance_error_uha']:.2f} uHa; {len(path.kpoints)} k-points in bands.png")

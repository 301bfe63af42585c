"""A commensurate twisted bilayer from its indices (m, n): built with ASE, predicted, its bands drawn.

    python 06_twisted_bilayer.py [M N [MODEL LAYER DISTANCE]]

MODEL is the folder of a model trained on untwisted bilayers (harmose-dft train), LAYER a file with one hexagonal layer
in vacuum that ASE reads (120 degrees between its first two lattice vectors), DISTANCE that of the two layers in
Angstrom. Without a model, boron nitride with a made-up Hamiltonian (made_up_layer.py) is trained on in a few seconds,
so that the example runs without any DFT code; then the error of the twisted bilayer is printed beside that of an
untwisted one. Writes twisted.cif and bands.png into the current folder.

The supercells t1 = (m + n) a1 + n a2, t2 = m a1 + (m + n) a2 of one layer and, with m and n exchanged, of the other
have equal shapes and differ by a rotation with cos(angle) = (m^2 + 4 m n + n^2) / (2 (m^2 + m n + n^2)); each holds
m^2 + m n + n^2 cells. (1, 2) is 21.79 degrees, (2, 3) 13.17, (6, 7) 5.09; model and layer may be of thousands of atoms.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from ase.io import read, write
from made_up_layer import calculate, layer

import harmose_dft
from harmose_dft.adapters.structures import from_ase, to_ase
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import HARTREE_IN_EV
from harmose_dft.data import DatasetWriter
from harmose_dft.plots import plot_bands
from harmose_dft.training.config import TrainConfig

MADE_UP_DISTANCE = 2.9
"""Angstrom; less than in boron nitride, so that the short made-up orbitals of both layers overlap."""


def twist_angle(m: int, n: int) -> float:
    """Angle between the layers, degrees."""
    return float(np.degrees(np.arccos((m * m + 4 * m * n + n * n) / (2 * (m * m + m * n + n * n)))))


def twisted_bilayer(one_layer: Atoms, m: int, n: int, distance: float) -> Atoms:
    """Two layers with their planes parallel to xy, the second one rotated, shifted by a distance in Angstrom."""
    lower, upper = (
        make_supercell(one_layer, [[i + j, j, 0], [i, i + j, 0], [0, 0, 1]]) for i, j in ((m, n), (n, m))
    )
    directions = [np.degrees(np.arctan2(*supercell.cell[0][1::-1])) for supercell in (lower, upper)]
    upper.rotate(directions[0] - directions[1], "z", rotate_cell=True)
    upper.translate([0.0, 0.0, distance])
    assert np.allclose(lower.cell, upper.cell, atol=1e-6)
    bilayer = lower + upper
    bilayer.wrap()
    return bilayer


def untwisted_bilayer(seed: int) -> Structure:
    """A made-up bilayer, the second layer shifted at random."""
    lower = layer(0.1, seed)
    rng = np.random.default_rng(1000 + seed)
    shift = rng.uniform(size=2) @ lower.cell[:2] + [0.0, 0.0, MADE_UP_DISTANCE / 0.529177]
    upper = layer(0.1, 500 + seed).positions + shift
    return Structure(np.tile(lower.numbers, 2), np.concatenate([lower.positions, upper]), lower.cell)


def train_on_made_up_bilayers(folder: str) -> None:
    """A small model of untwisted bilayers."""
    with DatasetWriter("bilayers.h5", force=True) as writer:
        for seed in range(5):
            writer.add(calculate(untwisted_bilayer(seed)))
    settings = {
        "name": "bilayers",
        "data": {"files": ["bilayers.h5"], "split": "ordered", "sizes": [4, 1, 0]},
        "model": {
            "first": {"layers": 1, "channels": 8, "pair_channels": 16, "hidden_channels": 16, "neighbours": 12},
            "second": {"kind": "circle", "layers": 1, "width": 8},
        },
        "optimizer": {"steps": 40, "batch_size": 1, "learning_rate": 0.004, "ema": 0.9, "warmup_steps": 10},
    }
    harmose_dft.train(TrainConfig.model_validate(settings), out=folder, force=True)


def error_of(structure: Structure, model: str) -> float:
    """Mean absolute error of H against the made-up rule, meV."""
    predicted = harmose_dft.load(model).hamiltonian(structure)
    return float(np.abs((predicted - calculate(structure).hamiltonian[0]).values).mean() * HARTREE_IN_EV * 1e3)


m, n = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (1, 2)
made_up = len(sys.argv) < 6
if made_up:
    model, one_layer, distance = "model", to_ase(layer()), MADE_UP_DISTANCE
    if not Path(model).exists():
        train_on_made_up_bilayers(model)
else:
    model, one_layer, distance = sys.argv[3], read(sys.argv[4]), float(sys.argv[5])

bilayer = twisted_bilayer(one_layer, m, n, distance)
write("twisted.cif", bilayer)
prediction = harmose_dft.predict(bilayer, model)
bands = harmose_dft.bands(prediction, kpath="GMKG", points=40)
plot_bands(bands, "bands.png", window=(-6.0, 6.0), title=f"({m}, {n}), {twist_angle(m, n):.2f} degrees", force=True)
print(prediction)
print(f"({m}, {n}): {twist_angle(m, n):.2f} degrees, {len(bilayer)} atoms; bands in bands.png")
if made_up:
    twisted, untwisted = error_of(from_ase(bilayer), model), error_of(untwisted_bilayer(9), model)
    print(f"mean error of H: {twisted:.2f} meV, untwisted {untwisted:.2f} meV")

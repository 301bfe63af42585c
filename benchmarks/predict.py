"""Time of predictions beside that of the SCF they stand for, in one run on one machine.

    python benchmarks/predict.py [NAME] [--model organic] [--copies 8] [--no-scf] [--json predict.json]

NAME is one of the molecules in benchmarks/molecules. Copies of it, each displaced at random by 0.03 Bohr, are predicted
as one batch after one to warm up, with and without the trust report, and before ``keep_freed_memory`` is called; the
command line is started cold for a single one; PySCF's SCF (its defaults, the model's functional and basis) runs once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))

from common import MOLECULES, environment, held_out, save

from harmose_dft import Predictor, keep_freed_memory, load_model
from harmose_dft.adapters.pyscf import reference
from harmose_dft.cli import console
from harmose_dft.core.structure import Structure

DISPLACEMENT = 0.03
"""Bohr; standard deviation of each coordinate."""


def copies(molecule: Structure, count: int) -> list[Structure]:
    """The molecule, displaced."""
    rng = np.random.default_rng(0)
    moves = rng.normal(scale=DISPLACEMENT, size=(count, *molecule.positions.shape))
    return [Structure(molecule.numbers, molecule.positions + move) for move in moves]


def cold_start(path: Path, model: str) -> float:
    """Seconds of ``harmose-dft predict`` in a new process, everything included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "harmose_dft", "predict", str(path), "--model", model]
        command += ["--out", str(Path(folder) / "x.h5"), "--quiet"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def per_molecule(predictor: Predictor, batch: list[Structure], *, trust: bool) -> float:
    """Seconds of one molecule of a batch."""
    start = time.perf_counter()
    predictor.predict(batch, trust=trust)
    return (time.perf_counter() - start) / len(batch)


@click.command()
@click.argument("name", default="paracetamol")
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--copies", "count", default=8, show_default=True, help="Structures of the batch.")
@click.option("--scf/--no-scf", default=True, show_default=True, help="Whether PySCF's SCF runs as well.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
def main(name: str, model: str, count: int, scf: bool, output: Path | None) -> None:
    """Time predictions of the molecule NAME."""
    (molecule,) = held_out((name,))
    predictor = load_model(model)
    batch = copies(molecule, count)
    predictor.predict(batch[0])
    seconds: dict[str, float] = {"cold start, one molecule": cold_start(MOLECULES / f"{name}.xyz", model)}
    given_back = per_molecule(predictor, batch, trust=True)
    keep_freed_memory()
    per_molecule(predictor, batch, trust=True)
    seconds["molecule of a batch"] = per_molecule(predictor, batch, trust=False)
    seconds["molecule of a batch, with trust report"] = per_molecule(predictor, batch, trust=True)
    seconds["the same, freed memory not kept"] = given_back
    if scf:
        start = time.perf_counter()
        reference(molecule, predictor.model.functional, predictor.model.basis)
        seconds["SCF by PySCF"] = time.perf_counter() - start
    last = seconds.get("SCF by PySCF")
    rows = [(k, f"{v:.3f}", f"{v / last:.4f}" if last else "") for k, v in seconds.items()]
    title = f"{name}, {len(molecule)} atoms, {torch.get_num_threads()} threads"
    console.print_table(title, ("", "seconds", "of the SCF"), rows)
    if output is not None:
        found: dict[str, Any] = {"molecule": name, "atoms": len(molecule), "seconds": seconds}
        save(output, {**found, **environment()})


if __name__ == "__main__":
    main()

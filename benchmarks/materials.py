"""Crystals: stage 1 alone beside the two-stage model at equal training time, on sets of snapshots; a large supercell.

    python benchmarks/materials.py [--set openmx-graphene --set abacus-graphene] [--minutes 3] [--part test] \
        [--variant stage-1 --variant two-stage --variant density --variant paper] [--supercell 10] [--json m.json]

A set is a folder of calculations of one system, read from the code's own files below --samples and kept as a data set
in --work. 12 snapshots train, 3 validate, 3 test: numpy's default generator's permutation with seed 0. Every variant is
trained from scratch for the same time, counted in CPU seconds of one thread; figures are of the averaged weights at the
end, in meV, matrices after the best shift mu S, bands within 5 eV of the Fermi level on a path after the best shift.
--supercell N predicts the ideal N x N crystal with the last variant and diagonalises it along a k-path.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from common import ROOT, environment, save

from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.registry import read_calculations
from harmose_dft.cli import console
from harmose_dft.cli.render import format_number as number
from harmose_dft.core.memory import keep_freed_memory
from harmose_dft.core.progress import silent
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from harmose_dft.data import DatasetWriter, random_split
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.solver import bands
from harmose_dft.solver.kpaths import k_path
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.run import Fit
from harmose_dft.workflows.evaluate import evaluate

SETS = {"openmx-graphene": "openmx/graphene_3x3", "abacus-graphene": "abacus/graphene_3x3"}
"""Name -> folder below --samples; the sets with enough snapshots to learn from."""

SIZES = (12, 3, 3)
"""Snapshots that train, validate, test."""

FIRST = {"layers": 2, "channels": 24, "pair_channels": 32, "hidden_channels": 48, "neighbours": 12.0}

VARIANTS: dict[str, dict[str, Any]] = {
    "stage-1": {"model": {"second": None}, "optimizer": {"learning_rate": 8e-3}},
    "two-stage": {
        "model": {"second": {"kind": "circle", "layers": 1, "width": 24}}, "optimizer": {"learning_rate": 4e-3},
    },
    "density": {
        "model": {"second": {"kind": "circle", "layers": 3, "width": 24, "members": 2, "density": True}},
        "stages": {"mode": "staged", "first_fraction": 0.4, "learning_rate": 4e-3},
        "optimizer": {"learning_rate": 8e-3, "dropout": 0.2},
    },
    "paper": {"model": {"second": {"kind": "lab", "layers": 1, "width": 96}}, "optimizer": {"learning_rate": 4e-3}},
}
"""Settings of each variant: "two-stage" trains both stages together; the two members of the second stage of "density"
also see the density matrix of a stage 1 that has learned alone; "paper" has the lab-frame Transformer and rotated
copies. Learning rates are from the validation part of abacus-graphene after 3 minutes, the settings of "density" from
that of openmx-graphene (journal/results-materials.md); "paper" was not tuned."""

ROWS = (
    "mae_all", "mae_all_raw", "mae_cha_s", "mae_cha_s_5", "mae_cha_b", "band_mae", "eps_mae", "gap_mae", "cov_err",
)
"""Energies in meV."""

GRAPHENE_BOND = 1.42 / BOHR_IN_ANGSTROM
VACUUM = 15.0 / BOHR_IN_ANGSTROM


def prepared(name: str, samples: Path, work: Path) -> Path:
    """The set as a data set, converted once."""
    path = work / f"{name}.h5"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        records = read_calculations(samples / SETS[name])
        with DatasetWriter(path) as writer:
            for record in records:
                writer.add(record)
    return path


def configuration(data: Path, variant: str, minutes: float, seed: int, folder: Path) -> TrainConfig:
    """The training configuration of one run."""
    settings = VARIANTS[variant]
    return TrainConfig.model_validate({
        "name": f"{data.stem}-{variant}",
        "data": {"files": [data], "split": "random", "sizes": SIZES, "seed": 0},
        "model": {"first": FIRST, **settings["model"]},
        "optimizer": {
            "minutes": minutes, "clock": "cpu", "batch_size": 1, "ema": 0.99, "seed": seed, **settings["optimizer"],
        },
        "stages": settings.get("stages", {}),
        "output": folder, "threads": 1, "validate_every": 100,
    })


def trained(config: TrainConfig) -> Predictor:
    """Train unless the folder holds the finished model of this configuration."""
    def report(entry: Any) -> None:
        micro = HARTREE_IN_EV * 1e-3
        console.note(
            f"{config.name}: step {entry.step}, {entry.seconds:.0f} s, validation {entry.valid_mae_all * micro:.3f} meV"
        )

    if not (config.output / "model.json").exists():
        Fit(config, silent, report).run()
    return load_model(config.output)


def measured(predictor: Predictor, data: Path, part: str) -> dict[str, Any]:
    """Metrics, training steps and size of one model."""
    dataset = open_dataset(data)
    members = random_split(len(dataset), SIZES, 0)[part]
    found = evaluate(predictor, (dataset[int(i)] for i in members)).to_dict()
    training = predictor.model.training
    return {
        "metrics": found["model"],
        "inner_stage1": found["stage1"],
        "challenging_block": found["challenging_block"],
        "steps": training["steps"],
        "cpu_seconds": training["seconds"],
        "parameters": sum(p.numel() for p in predictor.network.parameters()),
    }


def graphene(repeat: int) -> Structure:
    """An ideal N x N cell of graphene in vacuum."""
    a = GRAPHENE_BOND * np.sqrt(3)
    primitive = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, VACUUM]])
    atoms = np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]])
    shifts = np.array([[i, j, 0] for i in range(repeat) for j in range(repeat)])
    positions = (atoms[None] + shifts[:, None]).reshape(-1, 3) @ primitive
    cell = primitive * np.array([[repeat], [repeat], [1]])
    return Structure(np.full(len(positions), 6), positions, cell)


def supercell(predictor: Predictor, repeat: int, points: int) -> dict[str, float]:
    """Time of S, H0, H and the bands along G-M-K-G of an N x N cell (the total also in CPU seconds); peak memory."""
    structure = graphene(repeat)
    start, cpu = time.perf_counter(), time.process_time()
    overlap = predictor.physics.overlap(structure)
    integrals = time.perf_counter() - start
    hamiltonian = predictor.hamiltonian(structure)
    predicted = time.perf_counter() - start
    path = k_path(structure, "GMKG", points=points, periodic=(True, True, False))
    bands(hamiltonian, overlap, path.kpoints)
    return {
        "atoms": len(structure),
        "orbitals": hamiltonian.size,
        "overlap_seconds": integrals,
        "prediction_seconds": predicted,
        "kpoints": len(path.kpoints),
        "total_seconds": time.perf_counter() - start,
        "total_cpu_seconds": time.process_time() - cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def show(name: str, part: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """The table of one set."""
    rows = [
        (f"{row} (meV)", *(number(v["metrics"][row], 4 if row == "cov_err" else 3) for v in found.values()))
        for row in ROWS
    ]
    rows += [(row, *(number(v["metrics"][row], 6) for v in found.values())) for row in ("psi_cos", "psi_subspace")]
    rows += [(row, *(f"{v[row]:g}" for v in found.values())) for row in ("parameters", "steps", "cpu_seconds")]
    console.print_table(f"{name}, {part} snapshots", ("", *found), rows)
    if "stage-1" in found:
        first = found["stage-1"]["metrics"]["mae_all"]
        for variant in found.keys() - {"stage-1"}:
            gain = 1 - found[variant]["metrics"]["mae_all"] / first
            change = f"{100 * abs(gain):.1f} % {'below' if gain > 0 else 'above'}"
            print(f"{variant}: mae_all {change} stage 1 alone at equal training time")


@click.command()
@click.option("--set", "sets", multiple=True, type=click.Choice(list(SETS)), default=list(SETS), show_default=True)
@click.option("--samples", type=click.Path(path_type=Path), default=ROOT.parent / "shared" / "samples")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "local" / "materials", help="Data and models.")
@click.option("--minutes", default=3.0, show_default=True, help="CPU minutes of training per model.")
@click.option("--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)),
              default=["stage-1", "two-stage", "density"], show_default=True)
@click.option("--seed", default=0, show_default=True, help="Seed of the weights and of the order of snapshots.")
@click.option("--part", type=click.Choice(["validation", "test"]), default="test", show_default=True)
@click.option("--supercell", "repeat", type=click.IntRange(min=1), help="Also predict an N x N cell.")
@click.option("--points", default=30, show_default=True, help="k-points along the supercell's path.")
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures here.")
def main(
    sets: tuple[str, ...], samples: Path, work: Path, minutes: float, variants: tuple[str, ...], seed: int, part: str,
    repeat: int | None, points: int, target: Path | None,
) -> None:
    """Train, measure, print."""
    keep_freed_memory()
    torch.set_num_threads(1)
    result: dict[str, Any] = {"environment": environment(), "minutes": minutes, "part": part, "seed": seed, "sets": {}}
    for name in sets:
        data = prepared(name, samples, work)
        found = {}
        for variant in variants:
            folder = work / f"{name}-{variant}-{minutes:g}min-seed{seed}"
            predictor = trained(configuration(data, variant, minutes, seed, folder))
            found[variant] = measured(predictor, data, part)
        result["sets"][name] = found
        show(name, part, found)
        if repeat is not None:
            large = supercell(predictor, repeat, points)
            result["sets"][name]["supercell"] = large
            rows = [(key, f"{value:g}") for key, value in large.items()]
            console.print_table(f"{name}, {repeat} x {repeat} cell", ("", ""), rows)
        if target is not None:
            save(target, result)


if __name__ == "__main__":
    main()

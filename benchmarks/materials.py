"""Crystals: the six systems of the paper, H0 alone, stage 1 alone and two stages at equal training time.

    python benchmarks/materials.py [--system BG ...] [--variant h0 --variant stage-1 ...] [--h0 fitted] [--minutes 4] \
        [--seed 0] [--snapshots N] [--supercell 10] [--gather materials.json]

Calculations are read from the code's own files below --shared and --more and kept as data sets in --work; which of them
test is fixed (materials_data.py). Every variant is trained from scratch on all others for the same time, counted in CPU
seconds of one thread; figures are of the averaged weights at the end, in meV, matrices after the best shift mu S, bands
within 5 eV of the Fermi level on a path after the best shift. Twisted cells, where a system has them, only test.

Every run (system, variant, H0, minutes, seed, number of snapshots) is kept in --work with its figures and is not
repeated; one that was interrupted goes on. --gather writes all figures in --work to one file instead of measuring;
runs that the file has already and --work has not are kept.
--supercell N predicts the ideal N x N crystal of MG with the last variant and diagonalises it along a k-path.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from common import ROOT, environment, save
from materials_data import SHARED, SIX, SYSTEMS, Snapshots, collect, twisted

from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.cli import console
from harmose_dft.cli.render import format_number as number
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.memory import keep_freed_memory
from harmose_dft.core.progress import silent
from harmose_dft.core.record import Record
from harmose_dft.core.spin import SPIN_OF_NSPIN
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from harmose_dft.metrics import MetricAccumulator
from harmose_dft.metrics.covariance import cov_err
from harmose_dft.metrics.evaluation import BAND_WINDOW
from harmose_dft.metrics.spectra import band_errors
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.physics.h0 import H0Settings
from harmose_dft.physics.numerical import NumericalPhysics, band_points
from harmose_dft.solver import Filling, bands, solve_structure
from harmose_dft.solver.kpaths import k_path
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.run import Fit

FIRST = {"layers": 2, "channels": 24, "pair_channels": 32, "hidden_channels": 48, "neighbours": 12.0}

VARIANTS: dict[str, dict[str, Any]] = {
    "h0": {},
    "stage-1": {"model": {"second": None}, "optimizer": {"learning_rate": 8e-3}},
    "two-stage": {
        "model": {"second": {"kind": "circle", "layers": 1, "width": 24}}, "optimizer": {"learning_rate": 4e-3},
    },
    "density": {
        "model": {"second": {"kind": "circle", "layers": 3, "width": 24, "members": 2, "density": True}},
        "stages": {"mode": "staged", "first_fraction": 0.4, "learning_rate": 4e-3},
        "optimizer": {"learning_rate": 8e-3, "dropout": 0.2},
    },
    "stage-1-h0-density": {
        "inputs": ["overlap", "baseline", "density"], "model": {"second": None}, "optimizer": {"learning_rate": 8e-3},
    },
    "two-stage-h0-density": {
        "inputs": ["overlap", "baseline", "density"],
        "model": {"second": {"kind": "circle", "layers": 1, "width": 24}}, "optimizer": {"learning_rate": 4e-3},
    },
    "paper": {"model": {"second": {"kind": "lab", "layers": 1, "width": 96}}, "optimizer": {"learning_rate": 4e-3}},
}
"""Settings of each variant: "h0" learns nothing beyond H0; "two-stage" trains both stages together; the two members of
the second stage of "density" also see the density matrix of a stage 1 that has learned alone; those of "h0-density" see
that of H0 from the start; "paper" has the lab-frame Transformer and rotated copies. Learning rates are from the
validation part of abacus-graphene after 3 minutes, the settings of "density" from that of openmx-graphene
(journal/results-materials.md), with the kinetic energy as H0; "paper" was not tuned. Nothing was tuned on the other
systems."""

ROWS = (
    "mae_all", "mae_cha_s", "mae_cha_b", "eps_mae", "band_mae", "gap_mae", "fermi_mae", "cov_err",
)
"""Energies in meV."""

MEV = HARTREE_IN_EV * 1e3
BAND_POINTS = 24
"""k-points along the path on which bands are compared."""

MESH = Filling(spacing=0.3)
"""Mesh on which Fermi levels are compared; both of a difference on the same mesh."""

Matrices = tuple[BlockMatrix, ...]
GRAPHENE_BOND = 1.42 / BOHR_IN_ANGSTROM
VACUUM = 15.0 / BOHR_IN_ANGSTROM


@dataclass(frozen=True)
class Run:
    """One training and its figures.

    Args:
        system: Key of the system.
        variant: Key of the variant.
        h0: Kind of H0.
        minutes: CPU minutes of training.
        seed: Seed of the weights and of the order of snapshots.
        data: The snapshots.
        work: Where its folder goes.
    """

    system: str
    variant: str
    h0: str
    minutes: float
    seed: int
    data: Snapshots
    work: Path

    @property
    def folder(self) -> Path:
        """Folder of the model and of its figures."""
        count = len(self.data.train_names)
        length = "" if self.variant == "h0" else f"-{self.minutes:g}min-seed{self.seed}"
        return self.work / "runs" / f"{self.system}-{self.variant}-{self.h0}{length}-{count}snapshots"

    @property
    def figures(self) -> Path:
        """File of its figures."""
        return self.folder / "figures.json"

    def configuration(self) -> TrainConfig:
        """The training configuration."""
        settings = VARIANTS[self.variant]
        return TrainConfig.model_validate({
            "name": f"{self.system}-{self.variant}",
            "data": {"files": [self.data.train], "split": "ordered", "sizes": (len(self.data.train_names), 0, 0)},
            "model": {"first": FIRST, **settings["model"]},
            "baseline": {"kind": self.h0},
            "optimizer": {
                "minutes": self.minutes, "clock": "cpu", "batch_size": 1, "ema": 0.99, "seed": self.seed,
                "warmup_steps": 20, **settings["optimizer"],
            },
            "stages": settings.get("stages", {}), **({"inputs": settings["inputs"]} if "inputs" in settings else {}),
            "output": self.folder, "threads": 1, "validate_every": 100, "checkpoint_minutes": 1.0,
        })

    def train(self) -> Predictor:
        """The model; trained unless the folder holds it."""
        if not (self.folder / "model.json").exists():
            Fit(self.configuration(), silent, lambda entry: None).run()
        return load_model(self.folder)

    def describe(self) -> dict[str, Any]:
        """What tells it from other runs."""
        return {
            "system": self.system, "variant": self.variant, "h0": self.h0, "minutes": self.minutes, "seed": self.seed,
            "train": list(self.data.train_names), "test": list(self.data.test_names),
            "settings": {"first": FIRST, **VARIANTS[self.variant]} if self.variant != "h0" else {},
        }


def compare(
    records: Sequence[Record], predict: Callable[[Structure], tuple[Matrices, Matrices]]
) -> dict[str, Any]:
    """All metrics on some calculations, and the CPU seconds of a prediction.

    Args:
        records: The calculations.
        predict: Structure -> H, and stage 1's where there are two.
    """
    basis = records[0].basis
    accumulator = MetricAccumulator(basis, kpoints=lambda s: band_points(s, basis, BAND_POINTS))
    seconds, fermi = 0.0, []
    predict(records[0].structure)  # tables are made once
    for record in records:
        start = time.process_time()
        hamiltonians, stage1 = predict(record.structure)
        seconds += time.process_time() - start
        error, reference = fermi_error(record, hamiltonians)
        fermi.append(error)
        accumulator.add(replace(record, fermi=reference), hamiltonians, stage1 or None)
    accumulator.add_cov_err(cov_err(lambda s: predict(s)[0], records[0].structure, basis))
    result = accumulator.result().to_dict()
    result["model"]["fermi_mae"] = float(np.mean(fermi)) * MEV
    atoms = sum(len(r.structure) for r in records)
    return {
        "metrics": result["model"], "inner_stage1": result["stage1"], "snapshots": len(records),
        "challenging_block": result["challenging_block"], "seconds_per_atom": seconds / atoms,
    }


def fermi_error(record: Record, hamiltonians: Matrices) -> tuple[float, float]:
    """Error of the Fermi level after the shift that aligns the bands around it, and the reference's, Hartree."""
    predicted, reference = (
        solve_structure(record.structure, h, record.overlap, record.n_electrons, MESH, multiple=1)
        for h in (hamiltonians, record.hamiltonian)
    )
    assert predicted.fermi is not None
    assert reference.fermi is not None
    _, shift = band_errors(reference.energies, predicted.energies, fermi=reference.fermi, window=BAND_WINDOW)
    return abs(predicted.fermi - reference.fermi - shift), reference.fermi


def measure(run: Run, twisted_cells: Path | None) -> dict[str, Any]:
    """Figures of a run, trained first where need be; those in its folder where it is finished."""
    result = run.describe()
    if run.figures.exists():
        stored: dict[str, Any] = json.loads(run.figures.read_text(encoding="utf-8"))
        if stored.get("settings", result["settings"]) != result["settings"]:
            raise click.UsageError(
                f"{run.folder} holds figures of other settings of {run.variant!r}: {stored['settings']}. Remove the "
                "folder to measure anew, or give another --work."
            )
        return stored
    if run.variant == "h0":
        training = run.data.records("train")
        start = time.process_time()
        physics = NumericalPhysics.fit(training[0].basis, "unknown", training, H0Settings(kind=run.h0), seed=0)
        result |= {"fit_seconds": time.process_time() - start}
        spin = SPIN_OF_NSPIN[training[0].nspin]

        def predict(structure: Structure) -> tuple[Matrices, Matrices]:
            return physics.h0.as_hamiltonian(structure, spin), ()
    else:
        predictor = run.train()
        trained = predictor.model.training
        parameters = sum(p.numel() for p in predictor.network.parameters())
        result |= {"steps": trained["steps"], "cpu_seconds": trained["seconds"], "parameters": parameters}

        def predict(structure: Structure) -> tuple[Matrices, Matrices]:
            found = predictor.matrices(structure)
            return found.hamiltonians, found.stage1
    result |= compare(run.data.records("test"), predict)
    if twisted_cells is not None:
        cells = open_dataset(twisted_cells)
        result["twisted"] = compare([cells[i] for i in range(len(cells))], predict)
    save(run.figures, result)
    return result


def gather(work: Path) -> list[dict[str, Any]]:
    """Figures of all finished runs in a folder, with the date on which each ended."""
    paths = sorted((work / "runs").glob("*/figures.json"))
    return [
        _shorten({k: v for k, v in json.loads(path.read_text(encoding="utf-8")).items() if k != "settings"})
        | {"date": time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))}
        for path in paths
    ]


def merge(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """All runs, the new one of two that are the same but for their figures."""
    def tell_apart(run: Mapping[str, Any]) -> tuple[Any, ...]:
        names = (tuple(run["train"]), tuple(run["test"]))
        return (run["system"], run["variant"], run["h0"], run["minutes"], run["seed"], *names)

    runs = {tell_apart(run): run for run in (*old, *new)}
    return [runs[key] for key in sorted(runs, key=str)]


def _shorten(value: Any) -> Any:
    """Floats with six digits; None and empty entries stay out."""
    if isinstance(value, dict):
        return {k: _shorten(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_shorten(v) for v in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


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


def show(system: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """The table of one system."""
    def cell(figures: Mapping[str, Any], row: str, digits: int) -> str:
        value = figures["metrics"].get(row)
        return "" if value is None else number(value, digits)

    rows = [(f"{row} (meV)", *(cell(v, row, 4 if row == "cov_err" else 3) for v in found.values())) for row in ROWS]
    rows += [(row, *(cell(v, row, 6) for v in found.values())) for row in ("psi_cos", "psi_subspace")]
    rows += [
        (row, *(f"{v[row]:g}" if row in v else "" for v in found.values()))
        for row in ("parameters", "steps", "cpu_seconds", "fit_seconds", "seconds_per_atom")
    ]
    console.print_table(f"{system}, test snapshots", ("", *found), rows)


@click.command()
@click.option("--system", "systems", multiple=True, type=click.Choice(list(SYSTEMS)), default=SIX,
              show_default=True)
@click.option("--shared", type=click.Path(path_type=Path), default=SHARED, help="Holds sets and samples.")
@click.option("--more", type=click.Path(path_type=Path), default=ROOT / "local" / "openmx",
              help="Further calculations.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "local" / "materials", help="Data and models.")
@click.option("--minutes", default=4.0, show_default=True, help="CPU minutes of training per model.")
@click.option("--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)),
              default=["h0", "stage-1", "two-stage"], show_default=True)
@click.option("--h0", default="fitted", show_default=True, help="Kind of H0: fitted, kinetic or none.")
@click.option("--seed", default=0, show_default=True, help="Seed of the weights and of the order of snapshots.")
@click.option("--snapshots", type=click.IntRange(min=1), help="Train on this many snapshots only.")
@click.option("--supercell", "repeat", type=click.IntRange(min=1), help="Also predict an N x N cell of MG.")
@click.option("--points", default=30, show_default=True, help="k-points along the supercell's path.")
@click.option("--gather", "target", type=click.Path(path_type=Path), help="Write all figures in --work to a file.")
def main(
    systems: tuple[str, ...], shared: Path, more: Path, work: Path, minutes: float, variants: tuple[str, ...], h0: str,
    seed: int, snapshots: int | None, repeat: int | None, points: int, target: Path | None,
) -> None:
    """Train, measure, print."""
    if target is not None:
        old = json.loads(target.read_text(encoding="utf-8"))["runs"] if target.exists() else []
        save(target, {"environment": environment(), "runs": merge(old, gather(work))})
        return
    if repeat is not None and "MG" not in systems:
        raise click.UsageError("--supercell is about a cell of MG, which is not among the systems.")
    keep_freed_memory()
    torch.set_num_threads(1)
    for name in systems:
        data = collect(SYSTEMS[name], shared, more, work, snapshots)
        cells = twisted(SYSTEMS[name], shared, more, work)
        runs = {variant: Run(name, variant, h0, minutes, seed, data, work) for variant in variants}
        show(name, {variant: measure(run, cells) for variant, run in runs.items()})
        if repeat is not None and name == "MG":
            rows = [(k, f"{v:g}") for k, v in supercell(runs[variants[-1]].train(), repeat, points).items()]
            console.print_table(f"{repeat} x {repeat} cell", ("", ""), rows)


if __name__ == "__main__":
    main()

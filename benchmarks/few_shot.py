"""Transfer of the bundled model to other functionals with 20 and 200 molecules, beside training from scratch.

    python benchmarks/few_shot.py geometries                   # xyz files in local/fewshot, from the labelled set
    python benchmarks/few_shot.py label [pbe0 wb97x-d]         # about 15 and 25 minutes of one core
    python benchmarks/few_shot.py settle pbe0 20 transfer 5e-4 [--minutes 2]   # errors of validation molecules
    python benchmarks/few_shot.py measure [pbe0 wb97x-d] [--json benchmarks/results/few_shot.json --version ...]

Training and validation molecules are of these parts of the SMILES split of the labelled set, test molecules of its test
part, small ones for the cost (``MOST_ATOMS``), in random order. Every model is trained for the same time on the CPU, on
the first 20 or on all 200 training molecules; the averaged weights at the end are measured on the test molecules.
``label`` and ``measure`` go on where they stopped.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from ase.io import write
from common import ORGANIC, ROOT, describe_columns, describe_measurement, environment, origin_options, save

from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import console
from harmose_dft.core.errors import DomainError
from harmose_dft.core.memory import keep_freed_memory
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import smiles_split
from harmose_dft.metrics import EvaluationResult
from harmose_dft.metrics.results import StageMetrics
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.folder import LOG
from harmose_dft.training.log import LogEntry
from harmose_dft.training.run import Fit
from harmose_dft.workflows.evaluate import evaluate
from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_settings import LabelSettings

FOLDER = Path(os.environ.get("HARMOSE_LOCAL", ROOT / "local")) / "fewshot"
"""Geometries, labels and models; git ignores it."""

FUNCTIONALS = {"pbe0": "pbe0", "wb97x-d": "hyb_gga_xc_wb97x_d"}
"""Name -> PySCF's. That of wB97X-D is libxc's of the electronic functional: of "wb97x-d" PySCF wants a dispersion
energy that it does not have, and dispersion is no part of H."""

PARTS = {
    "few": ("train", 0, 20), "more": ("train", 20, 200), "validation": ("validation", 0, 20), "test": ("test", 0, 30),
}
"""Data set -> part of the SMILES split of the labelled set, first and last of its molecules in random order."""

MOST_ATOMS = {"train": 11, "validation": 11, "test": 12}
"""Atoms of the largest molecules of each part of the split."""

TRAINING = {20: ("few",), 200: ("few", "more")}
"""Number of training molecules -> their data sets."""

MINUTES = {20: 2.5, 200: 5.0}
"""CPU time of a training."""

RATES = {("transfer", 20): 1e-3, ("transfer", 200): 2e-3, ("scratch", 20): 2e-3, ("scratch", 200): 4e-3}
"""Highest learning rates: with 20 molecules those with the smallest errors of validation molecules of PBE0 among 5e-4,
1e-3, 2e-3 and 5e-3 (transfer), 5e-4 and 2e-3 (from scratch)."""

LEVELS = ("eps_mae", "homo_mae", "lumo_mae", "gap_mae")
"""Metrics that are shown in millihartree."""

ABOUT = (
    "def2-SVP; test molecules: 30 of 7 to 12 atoms, of the test part of the common labelled set (crc32 rule), which "
    "no model has seen; training molecules: 20 or 200 of at most 11 atoms of its training part, which `organic` has "
    "seen with B3LYP. Small molecules were taken for the cost of the labels. Every model had the same CPU time of one"
    " thread: 2.5 minutes with 20, 5 minutes with 200 molecules; those from scratch have the sizes of `organic` and "
    "would go on improving. Highest learning rates 1e-3 and 2e-3 for transfer, 2e-3 and 4e-3 from scratch; those with"
    " 20 molecules were settled on 20 validation molecules of PBE0, others with 200 molecules were not tried. All "
    "test molecules count, also those that `predict` would refuse because a bond or element of theirs is in none of "
    "the training molecules. `hyb_gga_xc_wb97x_d` is the electronic functional of wB97X-D."
)

METHODS = {"transfer": "`organic`, trained further", "scratch": "from scratch"}


def select(name: str) -> list[Structure]:
    """Molecules of a data set; their order is that of numpy's default generator with seed 0, less the large ones."""
    part, first, last = PARTS[name]
    dataset = open_dataset(ORGANIC)
    order = np.random.default_rng(0).permutation(smiles_split(dataset)[part])
    small = [i for i in order.tolist() if len(dataset.structure(i)) <= MOST_ATOMS[part]][first:last]
    return [replace(dataset.structure(i), smiles=dataset.metadata(i)["smiles"], name=f"{part}-{i}") for i in small]


def data_file(functional: str, name: str) -> Path:
    """A data set."""
    return FOLDER / functional / f"{name}.h5"


def label_part(functional: str, name: str) -> None:
    """Label the molecules of a data set; what is there already stays."""
    settings = LabelSettings(FUNCTIONALS[functional], "def2-svp", 3, "accelerated")
    (FOLDER / functional).mkdir(parents=True, exist_ok=True)
    done = label(select(name), data_file(functional, name), settings)
    console.note(f"{functional}, {name}: {done.records} records, {done.done} new, {len(done.failures)} failed")


def configuration(
    functional: str, count: int, method: str, rate: float, minutes: float
) -> TrainConfig:
    """The configuration of a training; from scratch with the sizes and the kind of H0 of the bundled model."""
    organic = load_model("organic").model
    model = organic.network.config.model_dump()
    start = {"start_from": "organic"} if method == "transfer" else {
        "model": {**model, "charged": False}, "baseline": {"kind": organic.physics.h0.kind}
    }
    return TrainConfig.model_validate({
        **start,
        "name": f"{functional}-{method}-{count}",
        "data": {
            "files": [data_file(functional, name) for name in (*TRAINING[count], "validation")], "split": "smiles",
        },
        "optimizer": {"learning_rate": rate, "minutes": minutes, "clock": "cpu", "batch_size": 4},
        "threads": 1,
        "output": FOLDER / functional / f"{method}-{count}-{rate:g}-{minutes:g}",
        "validate_every": 10**9,
        "checkpoint_minutes": 1e6,
    })


def train(config: TrainConfig) -> LogEntry:
    """Train, or read what a training that is finished left: the last line of its log, with the validation errors."""
    config.output.parent.mkdir(parents=True, exist_ok=True)
    Fit(config, console.progress, lambda entry: None).run()
    return LogEntry(**json.loads((config.output / LOG).read_text(encoding="utf-8").splitlines()[-1]))


def measure_model(model: str | Path, functional: str) -> tuple[EvaluationResult, int]:
    """All metrics on all test molecules, and how many of them the model would refuse, whatever functional it is of.

    The domain is for this that of the bundled model: 20 molecules do not have every bond, and what is refused would
    otherwise be missing from the figures of one model only.
    """
    predictor = load_model(model)
    records = [without_functional(r) for r in open_dataset(data_file(functional, "test"))]
    refused = sum(map(partial(is_refused, predictor), records))
    predictor.model = replace(predictor.model, domain=load_model("organic").model.domain)
    return evaluate(predictor, records), refused


def is_refused(predictor: Predictor, record: Record) -> bool:
    """Whether a molecule lies outside a model's domain."""
    try:
        predictor.check(record.structure)
    except DomainError:
        return True
    return False


def without_functional(record: Record) -> Record:
    """A record that models of all functionals are measured on."""
    return replace(record, provenance={k: v for k, v in record.provenance.items() if k != "functional"})


def figures(metrics: StageMetrics) -> dict[str, float]:
    """Cells of the table: microhartree, and millihartree of levels."""
    levels = {name: round(1e3 * getattr(metrics, name), 2) for name in LEVELS}
    return {"mae_all": round(1e6 * metrics.mae_all, 1), **levels}


def baselines(functional: str) -> list[dict[str, Any]]:
    """Rows of the bundled model and its H0 as they are."""
    result, refused = measure_model("organic", functional)
    assert result.h0 is not None
    cells = {"H0 of `organic` alone": result.h0, "`organic` as it is": result.model}
    return [row(functional, 0, model, metrics) | {"refused": refused} for model, metrics in cells.items()]


def measure_training(functional: str, count: int, method: str) -> dict[str, Any]:
    """The row of one training."""
    config = configuration(functional, count, method, RATES[method, count], MINUTES[count])
    entry = train(config)
    result, refused = measure_model(config.output, functional)
    return row(functional, count, METHODS[method], result.model) | {"steps": entry.step, "refused": refused}


def row(functional: str, count: int, model: str, metrics: StageMetrics) -> dict[str, Any]:
    """A row of the table."""
    return {
        "functional": FUNCTIONALS[functional], "molecules": count or None, "model": model, "steps": None,
        **figures(metrics), "refused": None, "measurement": "measure",
    }


def head(measured: dict[str, str]) -> dict[str, Any]:
    """The result file without its rows.

    Args:
        measured: How they were measured.
    """
    titles = {
        "functional": "functional", "model": "model", "molecules": "molecules", "steps": "updates",
        "mae_all": "mae_all", "eps_mae": "eps_mae", "homo_mae": "HOMO", "lumo_mae": "LUMO", "gap_mae": "gap",
        "refused": "would be refused",
    }
    return {
        "title": "Few-shot transfer to other functionals",
        "about": ABOUT,
        "columns": describe_columns(titles, {"mae_all": "µHa"} | dict.fromkeys(LEVELS, "mHa")),
        "measurements": {"measure": measured},
        "environment": environment(),
    }


@click.group()
def main() -> None:
    """Few-shot transfer to other functionals."""
    keep_freed_memory()


@main.command()
def geometries() -> None:
    """Write the molecules as extended xyz files, to be labelled by ``harmose-dft label``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        write(FOLDER / f"{name}.xyz", [to_ase(s) for s in select(name)], format="extxyz")
        console.note(f"{FOLDER / name}.xyz")


@main.command("label")
@click.argument("functionals", nargs=-1, type=click.Choice(list(FUNCTIONALS)))
def label_all(functionals: tuple[str, ...]) -> None:
    """Label the molecules with FUNCTIONALS (all by default): first what the smaller training set needs."""
    chosen = functionals or tuple(FUNCTIONALS)
    for functional in chosen:
        for name in ("few", "validation", "test"):
            label_part(functional, name)
    for functional in chosen:
        label_part(functional, "more")


@main.command()
@click.argument("functional", type=click.Choice(list(FUNCTIONALS)))
@click.argument("count", type=click.Choice([str(n) for n in MINUTES]))
@click.argument("method", type=click.Choice(list(METHODS)))
@click.argument("rates", type=float, nargs=-1, required=True)
@click.option("--minutes", type=float, help="CPU time; the benchmark's own by default.")
def settle(functional: str, count: str, method: str, rates: tuple[float, ...], minutes: float | None) -> None:
    """Errors of the validation molecules after trainings with highest learning rates RATES."""
    rows = []
    for rate in rates:
        entry = train(configuration(functional, int(count), method, rate, minutes or MINUTES[int(count)]))
        errors = entry.train_mae_all, entry.valid_mae_all, entry.valid_mae_stage1, entry.valid_orbital_mae
        rows.append((f"{rate:g}", str(entry.step), *(f"{e:.0f}" for e in errors)))
    columns = ("learning rate", "updates", "training", "validation", "its stage 1", "its orbitals")
    console.print_table(f"{functional}, {count} molecules, {METHODS[method]}; uHa", columns, rows)


@main.command()
@click.argument("functionals", nargs=-1, type=click.Choice(list(FUNCTIONALS)))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures; continue if it exists.")
@origin_options
def measure(functionals: tuple[str, ...], output: Path | None, **origin: str) -> None:
    """Train and test, with FUNCTIONALS (all by default)."""
    measured = {} if output is None else describe_measurement("python benchmarks/few_shot.py measure", **origin)
    rows = json.loads(output.read_text(encoding="utf-8"))["rows"] if output and output.exists() else []

    def add(new: list[dict[str, Any]]) -> None:
        rows.extend(new)
        console.note(str(new))
        if output is not None:
            save(output, {**head(measured), "rows": rows})

    for functional in functionals or FUNCTIONALS:
        done = {(r["molecules"], r["model"]) for r in rows if r["functional"] == FUNCTIONALS[functional]}
        if not done:
            add(baselines(functional))
        for count in MINUTES:
            for method in METHODS:
                if (count, METHODS[method]) not in done:
                    add([measure_training(functional, count, method)])


if __name__ == "__main__":
    main()

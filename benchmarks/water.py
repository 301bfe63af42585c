"""Water, PBE/def2-SVP, 500 training frames: accuracy and speed, two stages beside stage 1 alone.

    python benchmarks/water.py DATA [--minutes 20] [--clock wall] [--threads 1] [--protocol random]
        [--variant two-stage] [--method soap] [--json water.json]

DATA is a file of 1500 frames of one water molecule (``numbers``, ``positions``, ``fock``). Protocols, as in its README:
time-ordered trains on frames 0:500, validates on 500:1000, tests on 1000:1500; random does so after a permutation by
numpy's default generator with seed 0. Each variant is trained from scratch for the same time on the same threads;
figures are of the averaged weights at the end, on all 500 test frames.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.cli import console
from harmose_dft.cli.render import format_number as number
from harmose_dft.core.memory import keep_freed_memory
from harmose_dft.model.loading import load_model
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.data import open_training_data
from harmose_dft.training.run import Fit
from harmose_dft.workflows.evaluate import evaluate

SIZES = (500, 500, 500)

PEERS = {
    "QHNet": (1225.0, 3059.0, 13.8, 28.0),
    "DeepH-E3": (1605.0, 8095.0, 27.5, 7.4),
    "SPHNet (8 of the 20 minutes)": (695.0, 5875.0, 24.0, 12.0),
}
"""Name -> mae_all and eps_mae in uHa on the time-ordered test frames after 20 minutes on one thread, training samples
per second at batch 10, and milliseconds per molecule at batch 32, as run by the team on two CPU cores."""

VARIANTS: dict[str, dict[str, Any] | None] = {
    "two-stage": {"kind": "circle", "layers": 1, "width": 64, "expansion": 4},
    "stage-1": None,
    "paper": {"kind": "lab", "layers": 1, "width": 96},
}
"""Second stage of each variant; that of two-stage, and stage 1's share, are from validation frames after 3 minutes."""

STAGES: dict[str, dict[str, Any]] = {
    "two-stage": {"mode": "staged", "first_fraction": 0.35},
    "stage-1": {},
    "paper": {"separate": True},
}
"""How the stages share the training."""


def configuration(
    data: Path, protocol: str, variant: str, minutes: float, clock: str, threads: int, folder: Path, method: str
) -> TrainConfig:
    """The training configuration of one run."""
    return TrainConfig.model_validate({
        "name": f"water-{variant}",
        "data": {"files": [data], "split": "ordered" if protocol == "time-ordered" else "random", "sizes": SIZES},
        "model": {
            "first": {
                "layers": 1, "channels": 32, "pair_channels": 48, "hidden_channels": 96, "neighbours": 2.0,
            },
            "potential": False,  # one molecule has no far atoms
            "second": VARIANTS[variant],
        },
        "optimizer": {
            "minutes": minutes, "clock": clock, "batch_size": 30, "learning_rate": 4e-3, "ema": 0.99,
            "method": method,
        },
        "loss": {"stage1": 1.0},
        "stages": STAGES[variant],
        "threads": threads,
        "output": folder,
        "validate_every": 10**9,
        "checkpoint_minutes": 1e6,
    })


@dataclass(frozen=True)
class Run:
    """Figures of one training run."""

    protocol: str
    variant: str
    metrics: dict[str, Any]
    training_per_second: float
    milliseconds_per_molecule: float
    steps: int

    def row(self) -> tuple[str, ...]:
        """Cells of the table."""
        whole, first = self.metrics["model"], self.metrics["stage1"]
        return (
            self.protocol, self.variant, number(whole["mae_all"], 2), number(first["mae_all"] if first else None, 2),
            number(whole["mae_median"], 2),
            number(whole["eps_mae"], 1), f"{whole['psi_cos']:.6f}", number(whole["cov_err"], 3),
            number(self.training_per_second, 0), number(self.milliseconds_per_molecule, 2), str(self.steps),
        )


def network_milliseconds(folder: Path, data: Path, threads: int) -> float:
    """Network time per molecule at batch 32, prepared graphs to blocks, as the peers were timed."""
    from harmose_dft.nn.graph import batch_graphs

    torch.set_num_threads(threads)
    predictor, dataset = load_model(folder), open_dataset(data)
    physics = predictor.physics
    raws = [
        predictor.featurizer.featurize(s, physics.overlap(s), physics.h0(s), physics.n_electrons(s))
        for s in (dataset.structure(i) for i in range(32))
    ]
    model = predictor.model
    graph = batch_graphs([predictor.featurizer.make_graph(r, model.normalizer, model.network.frames) for r in raws])
    with torch.no_grad():
        model.network(graph)
        start = time.perf_counter()
        for _ in range(10):
            model.network(graph)
    return (time.perf_counter() - start) / 320 * 1e3


def train_and_measure(
    data: Path, protocol: str, variant: str, minutes: float, clock: str, threads: int, method: str
) -> Run:
    """Train one variant and measure it on the test frames."""
    with tempfile.TemporaryDirectory() as name:
        config = configuration(data, protocol, variant, minutes, clock, threads, Path(name), method)
        model = Fit(config, console.progress, lambda entry: None).run()
        parts = open_training_data(config)
        predictor = load_model(Path(name))
        test = [parts.record(where) for where in parts.records("test")]
        metrics = evaluate(predictor, test, progress=console.progress).to_dict()
        rate = model.training["steps"] * config.optimizer.batch_size / model.training["seconds"]
        return Run(
            protocol, variant, metrics, rate, network_milliseconds(Path(name), data, threads), model.training["steps"]
        )


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--minutes", default=20.0, show_default=True, help="Training time of every run.")
@click.option("--clock", default="wall", show_default=True, type=click.Choice(["wall", "cpu"]), help="Of --minutes.")
@click.option("--threads", default=1, show_default=True)
@click.option("--protocol", "protocols", multiple=True, type=click.Choice(["time-ordered", "random"]))
@click.option("--variant", "variants", multiple=True, type=click.Choice(list(VARIANTS)))
@click.option("--method", default="soap", show_default=True, type=click.Choice(["soap", "muon", "adamw"]))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Also write the figures here.")
def main(
    data: Path,
    minutes: float,
    clock: str,
    threads: int,
    protocols: tuple[str, ...],
    variants: tuple[str, ...],
    method: str,
    output: Path | None,
) -> None:
    """Train and test on the water set."""
    keep_freed_memory()
    runs = []
    for protocol in protocols or ("time-ordered", "random"):
        for variant in variants or ("two-stage", "stage-1"):
            runs.append(train_and_measure(data, protocol, variant, minutes, clock, threads, method))
            console.note(str(runs[-1].row()))
    columns = (
        "protocol", "variant", "mae_all", "of stage 1", "mae_median", "eps_mae", "psi_cos", "cov_err", "samples/s",
        "ms/molecule", "steps",
    )
    title = f"water, {minutes:g} minutes ({clock} clock) on {threads} thread(s), {method}; errors in uHa"
    console.print_table(title, columns, [r.row() for r in runs], left=2)
    peers = [(name, *(number(v, 1) for v in figures)) for name, figures in PEERS.items()]
    console.print_table(
        "published methods, run by the team, time-ordered, 20 minutes, one thread",
        ("", "mae_all", "eps_mae", "samples/s", "ms/molecule"), peers,
    )
    if output is not None:
        settings = {"minutes": minutes, "clock": clock, "threads": threads, "method": method}
        found = settings | {"runs": [r.__dict__ for r in runs]}
        output.write_text(json.dumps(console.plain(found), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""``harmose-dft evaluate``: all metrics of a model on a data set, stage 1 and the full model side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import console

if TYPE_CHECKING:
    from ..data import Dataset


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--part", type=click.Choice(["train", "validation", "test"]),
    help="Only this part: of the split MODEL was trained with, or by SMILES (crc32 rule).  [default: all records]",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many records of each data set.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@click.option("--record", is_flag=True, help="Also keep the figures in MODEL's description, shown by `info`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def evaluate(
    model: str, data: tuple[Path, ...], part: str | None, limit: int | None, device: str, record: bool, as_json: bool
) -> None:
    """Measure MODEL (a bundled name or a folder) on the reference calculations in DATA."""
    from ..adapters.datasets import open_dataset
    from ..core.files import short_names
    from ..core.memory import keep_freed_memory
    from ..model.checkpoint import record_metrics
    from ..model.loading import load_model, model_folder
    from ..workflows.evaluate import evaluate as run

    keep_freed_memory()
    predictor = load_model(model, device=device)
    results: list[dict[str, Any]] = []
    for path in data:
        dataset = open_dataset(path)
        chosen = members(dataset, part, predictor.model.training)[:limit]
        with console.progress(f"evaluating {path.name}", len(chosen)) as bar:
            found = run(predictor, (dataset[i] for i in chosen), done=bar.advance)
        results.append({
            "data": str(path),
            "part": part or "all",
            "model": {"name": predictor.info.name, "sha256": predictor.info.sha256},
            "metrics": found.to_dict(),
        })
    if record:
        names = short_names(data)
        figures = {f"{name} ({r['part']})": r["metrics"] for name, r in zip(names, results, strict=True)}
        record_metrics(model_folder(model), figures)
    if as_json:
        console.print_json(results[0] if len(results) == 1 else results)
    else:
        for entry in results:
            show(entry)


def members(dataset: Dataset, part: str | None, training: Mapping[str, Any]) -> list[int]:
    """Records of a part; says so when records that a model was trained on are among them.

    Args:
        dataset: The data set.
        part: None for all.
        training: What the model's file says of its training.

    Raises:
        DataError: The split does not fit the data set.
    """
    from ..core.files import sha256
    from ..data import split_dataset

    split: Mapping[str, Any] = {"kind": "smiles"}
    known = sha256(dataset.path) in training.get("data_sha256", {}).values()
    if known:
        split = training.get("split", split)
        if part in (None, "train"):
            console.note(f"{dataset.path.name}: the model was trained on these records; --part test leaves them out.")
    return list(range(len(dataset))) if part is None else split_dataset(dataset, **split)[part].tolist()


def show(entry: Mapping[str, Any]) -> None:
    """One data set's metrics as tables."""
    from .report import PURE, number

    metrics = entry["metrics"]
    stages = [("full model", metrics["model"])] + ([("stage 1", metrics["stage1"])] if metrics["stage1"] else [])
    rows = []
    for name, value in metrics["model"].items():
        if isinstance(value, Mapping) or value is None:
            continue
        digits, label = (5, name) if name in PURE else (2, f"{name} ({metrics['unit']})")
        rows.append((label, *(number(stage[name], digits) for _, stage in stages)))
    title = f"{entry['data']} ({entry['part']}, {metrics['samples']} structures) by {entry['model']['name']}"
    console.print_table(title, ("", *(label for label, _ in stages)), rows)
    named = [(label, {"elements": m["mae_element"], "block": m["mae_block"]}) for label, m in stages]
    whole = named[0][1]
    worst = sorted(whole["block"], key=whole["block"].__getitem__, reverse=True)[:10]
    for title, kind, keys in (
        ("on-site blocks by element, pair blocks by pair of elements", "elements", list(whole["elements"])),
        ("worst blocks", "block", worst),
    ):
        cells = [(key, *(number(errors[kind][key], 2) for _, errors in named)) for key in keys]
        console.print_table(f"{title} ({metrics['unit']})", (kind, *(label for label, _ in named)), cells)

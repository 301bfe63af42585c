"""``harmose-dft evaluate``: all metrics of a model on a data set, stage 1 and the full model side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import console

if TYPE_CHECKING:
    from ..workflows.parts import Part


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--part", type=click.Choice(["train", "validation", "test"]),
    help="Only this part: of the split MODEL was trained with, or by SMILES (crc32 rule).  [default: all records]",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most this many records of each data set.")
@click.option("--refine", is_flag=True, help="Molecules: measure H as refined by three cheap Fock builds.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@click.option("--record", is_flag=True, help="Also keep the figures in MODEL's description, shown by `info`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def evaluate(
    model: str, data: tuple[Path, ...], part: Part | None, limit: int | None, refine: bool, device: str,
    record: bool, as_json: bool,
) -> None:
    """Measure MODEL (a bundled name or a folder) on the reference calculations in DATA."""
    from ..core.files import require_place, short_names
    from ..core.memory import keep_freed_memory
    from ..model.description import DESCRIPTION, record_metrics
    from ..model.loading import load, model_folder
    from ..workflows.evaluate import evaluate as run
    from .render import print_evaluation

    keep_freed_memory()
    if record:
        require_place(model_folder(model) / DESCRIPTION, force=True)
    predictor = load(model, device=device)
    results = [
        run(
            predictor, path, part=part, limit=limit, refine=refine, progress=console.progress, tell=console.note
        )
        for path in data
    ]
    name = part or "all"
    if as_json:
        about = {"name": predictor.info.name, "sha256": predictor.info.sha256}
        entries = [
            {"data": str(path), "part": name, "model": about, "metrics": result.to_dict()}
            for path, result in zip(data, results, strict=True)
        ]
        console.print_json(entries[0] if len(entries) == 1 else entries)
    else:
        for path, result in zip(data, results, strict=True):
            print_evaluation(result, f"{path} ({name}, {result.samples} structures) by {predictor.info.name}")
    if record:
        records = name if limit is None else f"{name}, first {limit}"
        figures = {f"{short} ({records})": r.to_dict() for short, r in zip(short_names(data), results, strict=True)}
        record_metrics(model_folder(model), figures)

"""``harmose-dft train``: a configuration, or a model and data, in; a model's folder out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import console

if TYPE_CHECKING:
    from ..training.log import LogEntry


HASH_SHOWN = 8
"""Characters of the hash of the weights that are shown."""


@click.command()
@click.argument("sources", metavar="CONFIG | DATA...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--from", "start", metavar="MODEL", help="Train this model further on the data sets DATA.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the model; overrides the configuration.")
@click.option("--device", help="cpu, cuda, ...; overrides the configuration.")
@click.option("--force", is_flag=True, help="Discard an earlier run or model in the folder and begin anew.")
def train(sources: tuple[Path, ...], start: str | None, out: Path | None, device: str | None, force: bool) -> None:
    """Train a model as CONFIG (YAML) says, or with --from an earlier model further on the data sets DATA.

    A run that was interrupted or killed goes on where its last checkpoint was written. Under torchrun every process
    takes a share of each batch.
    """
    from ..core.memory import keep_freed_memory
    from ..workflows.configuration import read_config
    from ..workflows.train import configure_further, is_first_process
    from ..workflows.train import train as run

    keep_freed_memory()
    if start is None and len(sources) > 1:
        raise click.UsageError("One configuration is expected; data sets are named in it, or after --from MODEL.")
    settings = read_config(sources[0]) if start is None else configure_further(start, sources, out)
    entries: list[LogEntry] = []

    def report(entry: LogEntry) -> None:
        entries.append(entry)
        print_entry(entry)

    model = run(settings, out=out, device=device, force=force, progress=console.progress, report=report)
    if not is_first_process():
        return
    if not entries:
        console.note("This run was finished before; nothing was trained. Raise its length, or begin anew with --force.")
    rows = [
        ("model", f"{model.name}, {model.functional}/{model.basis.name}"),
        ("parameters", str(sum(p.numel() for p in model.network.parameters()))),
        ("weights", model.sha256[:HASH_SHOWN]),
        ("training structures", str(model.training["structures"])),
        ("steps", str(model.training["steps"])),
        ("time (s)", str(model.training["seconds"])),
    ]
    console.print_table(str(out or settings.output), ("", ""), rows, left=2)


def print_entry(entry: LogEntry) -> None:
    """Print one line of progress."""
    trained = "before training" if math.isnan(entry.train_mae_all) else f"training {entry.train_mae_all:.1f} uHa"
    orbitals = "" if math.isnan(entry.valid_orbital_mae) else f"orbitals {entry.valid_orbital_mae:.1f} uHa, "
    console.note(
        f"step {entry.step}: {trained}, validation {entry.valid_mae_all:.1f} uHa "
        f"(stage 1 {entry.valid_mae_stage1:.1f}), {orbitals}"
        f"{entry.structures_per_second:.1f} structures/s"
        + (f", {entry.skipped} updates skipped (not finite)" if entry.skipped else "")
    )

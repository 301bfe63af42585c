"""``harmose-dft info``: what is installed, and what a model, result file or data set holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.structure import format_charge
from . import console
from .render import format_energy

if TYPE_CHECKING:
    from ..workflows.descriptions import ModelDescription, ResultDescription

ENERGIES = {
    "HOMO (eV)": "homo", "LUMO (eV)": "lumo", "Fermi level (eV)": "fermi", "gap (eV)": "gap",
    "direct gap (eV)": "direct_gap",
}
"""Heading of a column -> energy that it shows."""

TOLD_OF_TRAINING = ("structures", "steps", "seconds")
"""What the table says of a training; the JSON object has all of it."""

MANY_RECORDS = 20
"""Results of one file that are listed one by one."""


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def info(path: Path | None, as_json: bool) -> None:
    """Describe the installation, or PATH: a model (a bundled name, or a folder), a result file or a data set."""
    from ..workflows.descriptions import ModelDescription, ResultFileDescription
    from ..workflows.info import describe

    description = describe(path)
    if as_json:
        console.print_json(description.to_dict())
        return
    entries = shorten(description) if isinstance(description, ModelDescription) else description.to_dict()
    entries.pop("results", None)
    rows = [(k.replace("_", " "), format_value(v)) for k, v in entries.items()]
    console.print_table(str(path or "harmose-dft"), ("", ""), rows, left=2)
    if isinstance(description, ResultFileDescription):
        results = description.results
        console.print_table("structures", *tabulate(results[:MANY_RECORDS]))
        if len(results) > MANY_RECORDS:
            console.say(f"and {len(results) - MANY_RECORDS} more")


def tabulate(results: Sequence[ResultDescription]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Headings and rows of the structures of a result file; only columns in which there is something."""
    columns = {"formula": [r.formula for r in results], "atoms": [str(r.n_atoms) for r in results]}
    if any(r.charge for r in results):
        columns["charge"] = [format_charge(r.charge) for r in results]
    columns |= {
        heading: [format_energy(r.energies.get(name)) for r in results]
        for heading, name in ENERGIES.items()
        if any(name in r.energies for r in results)
    }
    if any(r.verdict is not None for r in results):
        columns["verdict"] = [r.verdict or "-" for r in results]
    return list(columns), list(zip(*columns.values(), strict=True))


def shorten(model: ModelDescription) -> dict[str, Any]:
    """What the table says of a model: no configurations, which only a program reads, nor those of its forerunners."""
    short = model.to_dict()
    del short["metrics"]
    short["training"] = {k: v for k, v in model.training.items() if k in TOLD_OF_TRAINING}
    starts = [f"{s['name']} ({s['sha256'][:8]})" for s in _forerunners(model.training)]
    short["trained further from"] = starts or "nothing"
    for name, figures in model.metrics.items():
        numbers = {k: f"{v:.4g}" for k, v in figures.items() if isinstance(v, float)}
        short[f"measured on {name}"] = {**numbers, "unit": figures.get("unit"), "samples": figures.get("samples")}
    return short


def _forerunners(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models a training went on from, the last one first."""
    start = training.get("started_from")
    return [] if start is None else [start, *_forerunners(start.get("training", {}))]


def format_value(value: object) -> str:
    """A value in a table cell."""
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)

"""``harmose-dft info``: what is installed, and what a model, result file or data set holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..core.structure import format_charge
from . import console
from .render import format_number

LEVELS = {"HOMO (eV)": "homo_ev", "LUMO (eV)": "lumo_ev", "gap (eV)": "gap_ev"}
"""Heading of a column -> key of the JSON object."""

TOLD_OF_TRAINING = ("structures", "steps", "seconds")
"""What the table says of a training; the JSON object has all of it."""

MANY_RECORDS = 20
"""Results of one file that are listed one by one."""


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def info(path: Path | None, as_json: bool) -> None:
    """Describe the installation, or PATH: a model (a bundled name, or a folder), a result file or a data set."""
    from ..workflows.info import describe

    description = describe(path)
    if as_json:
        console.print_json(description)
        return
    results = description.pop("results", None)
    rows = [(k.replace("_", " "), format_value(v)) for k, v in shorten(description).items()]
    console.print_table(str(path or "harmose-dft"), ("", ""), rows, left=2)
    if results:
        console.print_table("structures", *tabulate(results[:MANY_RECORDS]))
        if len(results) > MANY_RECORDS:
            console.say(f"and {len(results) - MANY_RECORDS} more")


def tabulate(results: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Headings and rows of the structures of a result file; charges and verdicts where there are any."""
    columns = {"formula": [r["formula"] for r in results], "atoms": [str(r["n_atoms"]) for r in results]}
    if any("charge" in r for r in results):
        columns["charge"] = [format_charge(r.get("charge", 0)) for r in results]
    columns |= {heading: [format_number(r[key], 3) for r in results] for heading, key in LEVELS.items()}
    if any("verdict" in r for r in results):
        columns["verdict"] = [r.get("verdict", "-") for r in results]
    return list(columns), list(zip(*columns.values(), strict=True))


def shorten(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description without what only a program reads: a model's configurations and those of its forerunners."""
    short = dict(description)
    if "training" in short:
        training = short["training"]
        short["training"] = {k: v for k, v in training.items() if k in TOLD_OF_TRAINING}
        starts = [f"{s['name']} ({s['sha256'][:8]})" for s in _forerunners(training)]
        short["trained further from"] = starts or "nothing"
    for name, figures in short.pop("metrics", {}).items():
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

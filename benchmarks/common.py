"""What the benchmarks share: the held-out molecules, their reference calculations, and result files."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

os.environ.setdefault("OMP_NUM_THREADS", "1")

from harmose_dft.adapters.structures import read_structures
from harmose_dft.core.structure import Structure

ROOT = Path(__file__).resolve().parents[1]
MOLECULES = ROOT / "benchmarks" / "molecules"
CACHE = ROOT / "local" / "data" / "named.h5"
"""Reference calculations of the held-out molecules; git ignores the folder."""

ORGANIC = Path(os.environ.get("HARMOSE_SHARED", ROOT.parent / "shared")) / "data" / "organic_b3lyp.h5"
"""The labelled organic molecules, where they are present."""


def held_out(names: Sequence[str] = ()) -> list[Structure]:
    """The named molecules, smallest first.

    Args:
        names: Which ones; all if empty.
    """
    paths = sorted(MOLECULES.glob("*.xyz"))
    if unknown := sorted(set(names) - {p.stem for p in paths}):
        raise click.UsageError(f"There is no {', '.join(unknown)} among {', '.join(p.stem for p in paths)}.")
    found = [Structure(s.numbers, s.positions, name=p.stem) for p in paths for s in read_structures(p)]
    return sorted((s for s in found if not names or s.name in names), key=lambda s: (len(s), s.name))


def origin_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options that say where figures come from; :func:`describe_measurement` takes their values.

    A benchmark is told the version, because the weights count as well as the commit, and what is not committed, too.
    """
    for option in (
        click.option("--date", default=lambda: time.strftime("%F"), help="Of the measurement.  [default: today]"),
        click.option("--machine", default="one thread", show_default=True, help="What it ran on, and beside what."),
        click.option("--version", default="", help="Commit and weights that are measured."),
    ):
        command = option(command)
    return command


def describe_measurement(command: str, *, version: str, machine: str, date: str) -> dict[str, str]:
    """How rows of a result file were measured: an entry of its "measurements".

    Raises:
        click.UsageError: The version was not told.
    """
    if not version:
        raise click.UsageError("A result file says what was measured: give --version, such as 'commit 1234567'.")
    return {"command": command, "date": date, "version": version, "machine": machine}


def describe_columns(titles: Mapping[str, str], units: Mapping[str, str | None] | None = None) -> list[dict[str, str]]:
    """The "columns" of a result file.

    Args:
        titles: Key of a row's entry -> heading.
        units: Key -> unit, of those that have one.
    """
    units = units or {}
    return [
        {"key": key, "title": title} | ({} if (unit := units.get(key)) is None else {"unit": unit})
        for key, title in titles.items()
    ]


def environment() -> dict[str, Any]:
    """Versions and threads that figures depend on."""
    import pyscf
    import torch

    return {
        "python": platform.python_version(),
        "pyscf": pyscf.__version__,
        "torch": torch.__version__,
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "processor": platform.processor() or platform.machine(),
    }


def save(path: Path, result: dict[str, Any]) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

"""Large cells: time and memory of H(R), of 40 states around the Fermi level, and of the density of states, by size.

    python benchmarks/large.py MODEL [--repeat 10 --repeat 20 ...] [--superlu 20] [--dos 71] [--json large.json]

MODEL is a model of graphene, such as benchmarks/materials.py trains (--system MG --minutes 2 --variant two-stage).
Cells are N x N graphene whose atoms are displaced at random (0.04 Bohr), each in a process of its own with one thread:
seconds are CPU seconds, beside which the wall time is kept, and GB is the largest resident size of the process.
Exponents are fitted to the times of cells of 800 atoms and more.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from common import describe_columns, describe_measurement, environment, origin_options, save
from materials import graphene

from harmose_dft.cli import console
from harmose_dft.core.memory import keep_freed_memory
from harmose_dft.core.structure import Structure
from harmose_dft.model.loading import load_model
from harmose_dft.workflows.large import CellMatrices, near_fermi, open_cell

STATES = 40

DISPLACEMENT = 0.04
"""Bohr."""

FITTED_FROM = 800
"""Atoms."""

GIBI = 2**20
"""KiB in a GiB."""


@contextmanager
def clock(row: dict[str, Any], name: str) -> Iterator[None]:
    """CPU and wall time of the block, and the process's largest size until then."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    row[f"{name}_cpu"] = time.process_time() - cpu
    row[f"{name}_wall"] = time.perf_counter() - wall
    row[f"{name}_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / GIBI


def cell_of(repeat: int) -> Structure:
    """An N x N cell of graphene with displaced atoms."""
    ideal = graphene(repeat)
    moved = ideal.positions + np.random.default_rng(0).normal(scale=DISPLACEMENT, size=ideal.positions.shape)
    return Structure(ideal.numbers, moved, ideal.cell)


def measure(model: Path, repeat: int, parts: tuple[str, ...]) -> dict[str, Any]:
    """Times and memory of one cell, in this process."""
    keep_freed_memory()
    torch.set_num_threads(1)
    predictor, structure = load_model(model), cell_of(repeat)
    row: dict[str, Any] = {"model": predictor.info.name, "repeat": repeat, "atoms": len(structure)}
    with clock(row, "h"):
        cell = open_cell(structure, predictor)
    row["orbitals"] = cell.hamiltonian[0].size
    tasks: dict[str, Callable[[CellMatrices], dict[str, Any]]] = {
        "states": lambda c: window_of(c, "pardiso"), "superlu": lambda c: window_of(c, "superlu"), "dos": dos_of,
    }
    for part in parts:
        with clock(row, part):
            figures = tasks[part](cell)
        row |= figures
    return row


def window_of(cell: CellMatrices, solver: str) -> dict[str, Any]:
    """Fermi level and number of counts, with the states around it computed."""
    window = near_fermi(cell, states=STATES, solver=solver)
    assert window.states is not None
    return {f"{solver}_fermi_ev": window.to_dict()["fermi_ev"], f"{solver}_counts": window.states.n_counts}


def dos_of(cell: CellMatrices) -> dict[str, Any]:
    """Stochastic Fermi level, its interval, and the relative error of the density of states where it is largest."""
    density: Any = near_fermi(cell, states=None, with_dos=True).to_dict()["dos"]
    top = int(np.argmax(density["states_per_ev"]))
    return {
        "dos_fermi_ev": density["fermi_ev"], "dos_interval_ev": density["fermi_interval_ev"],
        "dos_error": float(density["error_per_ev"][top] / density["states_per_ev"][top]),
        "vectors": density["n_vectors"], "steps": density["n_steps"],
    }


def exponent(rows: list[dict[str, Any]], name: str) -> float | None:
    """Slope of log time over log atoms."""
    points = [(r["atoms"], r[name]) for r in rows if name in r and r["atoms"] >= FITTED_FROM]
    if len(points) < 2:
        return None
    x, y = np.log(np.array(points, dtype=float)).T
    return float(np.polyfit(x, y, 1)[0])


COLUMNS = (
    ("model", "model", None), ("atoms", "atoms", None), ("orbitals", "orbitals", None), ("h_cpu", "S, H0, H", "s"),
    ("h_gb", "memory", "GiB"), ("states_cpu", "40 states at the Fermi level", "s"), ("states_gb", "memory", "GiB"),
    ("superlu_cpu", "the same by SuperLU", "s"), ("dos_cpu", "density of states", "s"),
)
"""Key, title, unit."""


def tabulate(cells: list[dict[str, Any]], measured: dict[str, str]) -> dict[str, Any]:
    """Figures as the documentation shows them, with the exponents and the wall times in the text."""
    keys = [key for key, _, _ in COLUMNS]
    rows = [{k: _shown(cell.get(k)) for k in keys} | {"measurement": "run"} for cell in cells]
    slopes = {name: exponent(cells, name) for name in ("h_cpu", "states_cpu")}
    largest = max(cells, key=lambda c: c["atoms"])
    text = (
        "N x N graphene with displaced atoms (OpenMX basis s2p1) at Gamma; seconds of one CPU core, largest resident "
        "size of the process. 40 states: the search for the Fermi level by counts, and shift-invert, with PARDISO."
    )
    if slopes["h_cpu"] is not None and slopes["states_cpu"] is not None:
        text += (
            f" From {FITTED_FROM} atoms on the times grow with the number of atoms to the power of "
            f"{slopes['h_cpu']:.2f} (H) and {slopes['states_cpu']:.2f} (states)."
        )
    if "dos_error" in largest:
        low, high = largest["dos_interval_ev"]
        text += (
            f" Density of states of {largest['atoms']} atoms: {largest['vectors']} random vectors, {largest['steps']} "
            f"Lanczos steps, broadening 0.3 eV, relative standard error {largest['dos_error']:.1%} at its maximum; "
            f"Fermi level {largest['dos_fermi_ev']:.2f} eV, 95 % interval {low:.2f} to {high:.2f} "
            f"(by counting {largest['pardiso_fermi_ev']:.4f} eV)."
        )
    titles = describe_columns({k: title for k, title, _ in COLUMNS}, {k: unit for k, _, unit in COLUMNS})
    return {
        "title": "Large cells", "about": text, "columns": titles, "measurements": {"run": measured}, "rows": rows,
        "exponents": slopes, "cells": cells, "environment": environment(),
    }


def _shown(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--repeat", "repeats", multiple=True, type=click.IntRange(min=3), default=[10, 20, 30, 45, 71],
              show_default=True)
@click.option("--superlu", default=20, show_default=True, help="Also by SuperLU up to this N.")
@click.option("--dos", default=71, show_default=True, help="The density of states, too, of cells from this N.")
@click.option("--h-only", is_flag=True, help="H(R) alone.")
@origin_options
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--one", hidden=True, help="Measure one cell in this process.")
def main(
    model: Path, repeats: tuple[int, ...], superlu: int, dos: int, h_only: bool, target: Path | None, one: str | None,
    **origin: str,
) -> None:
    """Measure, print."""
    if one is not None:
        print(json.dumps(measure(model, repeats[0], tuple(p for p in one.split(",") if p))))
        return
    command = "python benchmarks/large.py MODEL" + "".join(f" --repeat {n}" for n in repeats)
    measured = {} if target is None else describe_measurement(command, **origin)
    rows: list[dict[str, Any]] = []
    for repeat in repeats:
        parts = ["states"] + ["superlu"] * (repeat <= superlu) + ["dos"] * (repeat >= dos)
        chosen = "" if h_only else ",".join(parts)
        measuring = [sys.executable, __file__, str(model), "--repeat", str(repeat), "--one", f"{chosen},"]
        rows.append(json.loads(subprocess.run(measuring, check=True, stdout=subprocess.PIPE, text=True).stdout))
        console.say(json.dumps(rows[-1]))
        if target is not None:
            save(target, tabulate(rows, measured))
    keys = ("atoms", "orbitals", "h_cpu", "h_gb", "states_cpu", "states_gb")
    cells = [[f"{r[k]:.4g}" if k in r else "-" for k in keys] for r in rows]
    console.print_table("large cells, one thread", keys, cells)


if __name__ == "__main__":
    main()

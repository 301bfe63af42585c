"""What cheap Fock builds make of a start: errors after each build, from the network, from H0, from PySCF's own start.

    python benchmarks/refinement.py DATA... [--model organic] [--part test] [--limit 60] [--json refinement.json
                                    --version 'commit 1234567']

DATA are data sets with PySCF calculations that have SMILES; molecules of their test part (crc32 rule) count. Every
start is taken towards self-consistency as ``predict`` does it (density fitting, grid level 1, Pulay's extrapolation of
damped Fock matrices) by up to five builds; three are the program's own number. PySCF's own start is the superposition
of atomic densities (``init_guess = "minao"``), from which the first build gives the first Hamiltonian. Errors are those
of H, of all occupied levels, HOMO and LUMO, means over the molecules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import describe_columns, describe_measurement, environment, origin_options, save
from scipy.linalg import eigh

from harmose_dft import Predictor, load
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.pyscf import RoughSCF, to_ours
from harmose_dft.cli import console
from harmose_dft.core.errors import DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.units import MICRO
from harmose_dft.data import smiles_split
from harmose_dft.solver import solve

STARTS = {"network": "the network", "H0": "H0 alone", "PySCF": "PySCF's own start"}
BUILDS = 5

TITLES = {
    "data": "test molecules of", "molecules": "molecules", "start": "start", "builds": "Fock builds",
    "mae_all": "mae_all", "levels": "occupied levels", "homo": "HOMO", "lumo": "LUMO",
    "worst": "worst level, LUMO included",
}
UNITS = {"mae_all": "µHa", "levels": "mHa", "homo": "mHa", "lumo": "mHa", "worst": "mHa"}
ABOUT = (
    "Errors that are left of a start after some cheap Fock builds (density fitting, grid level 1, Pulay's "
    "extrapolation of damped Fock matrices; three are what `predict` makes), B3LYP/def2-SVP, means over molecules that "
    "training never saw. PySCF's own start is the superposition of atomic densities, from which the first build gives "
    "the first H."
)

Matrix = np.ndarray[Any, Any]


def steps(record: Record, predictor: Predictor, start: str) -> Iterator[tuple[int, Matrix]]:
    """Number of builds and H of each step from a start."""
    structure, basis = record.structure, record.basis
    overlap, scf = record.overlap.to_dense(), RoughSCF(structure, predictor.model.functional, record.basis)
    builds = 0
    if start == "PySCF":
        density = scf.mf.get_init_guess(key="minao")
        core = scf.mf.get_hcore()
        matrix = to_ours(np.asarray(core + scf.mf.get_veff(dm=density)), basis, structure.numbers)
        builds = 1
    else:
        matrices = predictor.matrices(structure)
        matrix = (matrices.hamiltonians[0] if start == "network" else matrices.h0).to_dense()
    yield builds, matrix
    while builds < BUILDS:
        spectrum = solve(matrix, overlap, record.n_electrons)
        matrix = scf.extrapolate(matrix, spectrum, scf.fock(spectrum), overlap)
        builds += 1
        yield builds, matrix


def measure(record: Record, matrix: Matrix) -> dict[str, float]:
    """Errors of a Hamiltonian, microhartree and mHartree."""
    exact, overlap = record.hamiltonian[0].to_dense(), record.overlap.to_dense()
    count = round(record.n_electrons) // 2
    levels, right = (eigh(m, overlap, eigvals_only=True) for m in (matrix, exact))
    apart = 1e3 * np.abs(levels - right)
    return {
        "mae_all": float(np.abs(matrix - exact).mean() / MICRO),
        "levels": float(apart[:count].mean()),
        "homo": float(apart[count - 1]),
        "lumo": float(apart[count]),
        "worst": float(apart[: count + 1].max()),
    }


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the molecules of a data set, one row for each start and number of builds."""
    table = []
    keys = {(row["data"], row["start"], row["builds"]): None for row in rows}
    for data, start, builds in keys:
        chosen = [r["errors"] for r in rows if (r["data"], r["start"], r["builds"]) == (data, start, builds)]
        means = {name: float(np.mean([errors[name] for errors in chosen])) for name in chosen[0]}
        means["worst"] = max(errors["worst"] for errors in chosen)
        rounded = {name: float(f"{value:.3g}") for name, value in means.items()}
        table.append({
            "data": data, "molecules": len(chosen), "start": STARTS[start], "builds": builds, **rounded,
            "measurement": "refinement",
        })
    return table


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--part", default="test", show_default=True, type=click.Choice(["test", "validation"]))
@click.option("--limit", type=click.IntRange(min=1), help="At most this many molecules of each data set.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
@origin_options
def main(
    data: tuple[Path, ...], model: str, part: str, limit: int | None, output: Path | None, **origin: str
) -> None:
    """Refine several starts and measure the errors after each Fock build."""
    command = f"python benchmarks/refinement.py {' '.join(path.name for path in data)} --part {part}"
    command += f" --limit {limit}" if limit else ""
    measured = {} if output is None else describe_measurement(command, **origin)
    predictor = load(model)
    rows = []
    for path in data:
        dataset = open_dataset(path)
        for i in smiles_split(dataset)[part].tolist()[:limit]:
            record = dataset[i]
            try:
                predictor.check(record.structure)
            except DomainError:
                continue
            for start in STARTS:
                for builds, matrix in steps(record, predictor, start):
                    errors = measure(record, matrix)
                    rows.append({"data": path.stem, "start": start, "builds": builds, "errors": errors})
            console.note(f"{path.stem} {i} {record.structure.formula}")
    table = summarize(rows)
    for row in table:
        console.say("  ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    if output is not None:
        save(output, {
            "title": "Refining by cheap Fock builds",
            "about": ABOUT,
            "columns": describe_columns(TITLES, UNITS),
            "rows": table,
            "measurements": {"refinement": measured},
            "model": {"name": predictor.info.name, "sha256": predictor.info.sha256},
            **environment(),
        })


if __name__ == "__main__":
    main()

"""SCF cycles and time from the predicted start beside PySCF's own, on molecules the model has never seen.

    python benchmarks/scf_guess.py [NAME...] [--model organic] [--density-fit] [--json scf_guess.json]

Both calculations of a molecule run one after the other in one process, with the model's functional and basis and
PySCF's default tolerances, on its level-3 grid. The time of the seeded one contains the prediction. Its Fock builds
contain the one that tests the start. Loading the model and a first small calculation come before the clock starts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import environment, held_out, save

from harmose_dft import Predictor, load_model, seed
from harmose_dft.adapters.pyscf import kohn_sham, to_mole
from harmose_dft.cli import console
from harmose_dft.core.structure import Structure
from harmose_dft.metrics import ScfRatio, mean_scf_ratio
from harmose_dft.plugins.pyscf import SeedWarning

BUILDS_BEFORE_CYCLES = 1
"""PySCF builds the Fock matrix of the start before its first cycle; the test of the start uses the same one, and a
rejected or failed prediction costs one more."""

COLUMNS = (
    "molecule", "atoms", "default builds", "seeded builds", "default s", "seeded s", "energy difference", "start",
)


def run(molecule: Structure, predictor: Predictor, density_fit: bool) -> dict[str, Any]:
    """Both calculations of one molecule."""
    entry: dict[str, Any] = {"name": molecule.name, "atoms": len(molecule)}
    for kind in ("default", "seeded"):
        mf = kohn_sham(to_mole(molecule, predictor.model.basis), predictor.model.functional)
        mf = mf.density_fit() if density_fit else mf
        cycles: list[int] = []
        mf.callback = lambda _, cycles=cycles: cycles.append(1)
        start = time.perf_counter()
        if kind == "seeded":
            mf = seed(mf, predictor)
        mf.kernel()
        entry[f"{kind}_seconds"] = time.perf_counter() - start
        entry[f"{kind}_builds"] = len(cycles) + BUILDS_BEFORE_CYCLES
        entry[f"{kind}_energy"], entry[f"{kind}_converged"] = float(mf.e_tot), bool(mf.converged)
    entry["predicted"], entry["reason"] = mf.guess.predicted, mf.guess.reason
    entry["commutator"] = mf.guess.commutator
    if mf.guess.commutator is not None and not mf.guess.predicted:
        entry["seeded_builds"] += BUILDS_BEFORE_CYCLES
    return entry


def ratio(entry: Mapping[str, Any]) -> ScfRatio:
    """The metric ``scf_ratio`` of one molecule."""
    return ScfRatio(
        entry["seeded_builds"], entry["default_builds"], entry["seeded_seconds"], entry["default_seconds"]
    )


def row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Cells of the table."""
    return (
        entry["name"], str(entry["atoms"]), str(entry["default_builds"]), str(entry["seeded_builds"]),
        f"{entry['default_seconds']:.1f}", f"{entry['seeded_seconds']:.1f}",
        f"{entry['seeded_energy'] - entry['default_energy']:.1e}", "predicted" if entry["predicted"] else "default",
    )


@click.command()
@click.argument("names", nargs=-1)
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--density-fit", is_flag=True, help="Density fitting in both calculations.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
def main(names: tuple[str, ...], model: str, density_fit: bool, output: Path | None) -> None:
    """Compare both starts on the held-out molecules NAMES (all by default)."""
    molecules = held_out(names)
    predictor = load_model(model)
    warnings.simplefilter("ignore", SeedWarning)
    water = Structure(np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 1.43, 1.1], [0.0, -1.43, 1.1]]))
    run(water, predictor, density_fit)
    entries = []
    for molecule in molecules:
        entries.append(run(molecule, predictor, density_fit))
        console.note("  ".join(row(entries[-1])))
    builds, seconds = mean_scf_ratio([ratio(e) for e in entries])
    title = f"SCF from {predictor.info.name} ({predictor.info.sha256[:8]})"
    console.print_table(title, COLUMNS, [row(e) for e in entries])
    click.echo(f"scf_ratio: {builds:.2f} of the Fock builds, {seconds:.2f} of the time")
    if output is not None:
        info = {"name": predictor.info.name, "sha256": predictor.info.sha256}
        means = {"scf_ratio": builds, "time_ratio": seconds}
        save(output, {"model": info, "density_fit": density_fit, **means, "molecules": entries, **environment()})


if __name__ == "__main__":
    main()

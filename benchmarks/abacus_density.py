"""How near the density that starts ABACUS lies to the converged one, on graphene snapshots that training never saw.

    python benchmarks/materials.py --system MG-abacus --variant stage-1 --minutes 2.5 --work WORK
    python benchmarks/abacus_density.py WORK/runs/MG-abacus-stage-1-fitted-2.5min-seed0-15snapshots
        [--abacus BINARY] [--out FILE --version ... --machine ...]

The error of a density is the integral of |n - n_converged| over the number of electrons, on the run's own grid: the
norm by which ABACUS's LCAO judges convergence. With ``--abacus`` the program runs each snapshot twice in a folder of
its own, from atomic densities and from ``harmose-dft seed --code abacus --run``, with the INPUT of the samples; its
steps and CPU seconds are counted, those of the prediction included.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import describe_columns, describe_measurement, origin_options, save
from materials_data import SHARED, SYSTEMS
from numpy.typing import NDArray

from harmose_dft.adapters.abacus import read
from harmose_dft.adapters.abacus.density import Setup, fill
from harmose_dft.adapters.code import StartingPoint
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.model.loading import load_model
from harmose_dft.model.prediction import Prediction
from harmose_dft.solver import count_on_grid, density_blocks, density_on_grid
from harmose_dft.workflows.seed import write_start

Floats = NDArray[np.float64]
ABOUT = (
    "Error of the density that ABACUS starts from: integral of |n - n_converged| over the number of electrons, on the "
    "run's grid; 3 x 3 cells of graphene with displaced atoms, which training never saw. The model is stage 1 alone, "
    "trained for 2.5 CPU minutes on 15 snapshots. \"Other k-points\": filled on 6 x 6 k-points with Fermi-Dirac "
    "smearing, as predictions are, instead of the run's 3 x 3. Steps, CPU time and energies are those of an ABACUS "
    "binary that ran each snapshot from atomic densities and from the predicted one, with the samples' INPUT "
    "(scf_thr 1e-8, ABACUS's default is 1e-7; Broyden mixing); the CPU time from the prediction includes "
    "`harmose-dft seed`."
)

DEFAULT_THRESHOLD = 1e-7
"""``scf_thr`` of ABACUS for orbitals; the samples' is 1e-8."""

IMAGES = 1
"""Cells to each side whose atoms reach this one; the cells are 14 Bohr wide and atomic densities die within them."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One run from atomic densities, and the prediction for it."""

    record: Record
    setup: Setup
    prediction: Prediction

    def scaled(self, matrices: tuple[BlockMatrix, ...]) -> Floats:
        """The density of some matrices on the grid, with the run's electrons."""
        structure, basis = self.record.structure, self.record.basis
        return self.normalise(sum(density_on_grid(p, structure, basis, self.setup.shape) for p in matrices))

    def normalise(self, values: Any) -> Floats:
        """A density with the run's electrons."""
        assert self.record.structure.cell is not None
        return np.asarray(values * self.record.n_electrons / count_on_grid(values, self.record.structure.cell))

    def filled(self, hamiltonian: tuple[BlockMatrix, ...]) -> Floats:
        """The density of a Hamiltonian whose bands are filled as in the run."""
        p = self.prediction
        start = StartingPoint(p.structure, p.basis, hamiltonian, p.overlap, p.spectrum, p.functional)
        return self.scaled(fill(start, self.setup)[0])

    def error(self, values: Floats, converged: Floats) -> float:
        """Integral of |n - n_converged| over the electrons."""
        assert self.record.structure.cell is not None
        return count_on_grid(np.abs(values - converged), self.record.structure.cell) / self.record.n_electrons


def atomic_density(structure: Structure, upf: Path, shape: tuple[int, int, int]) -> Floats:
    """The sum of the pseudopotential's atomic densities, with which ABACUS starts; for a crystal of one element."""
    assert structure.cell is not None
    text = upf.read_text(encoding="utf-8")
    tables = [re.search(rf"<{name}[ >][^<]*?>?\s*([-+0-9.eE\s]+)</{name}>", text) for name in ("PP_R", "PP_RHOATOM")]
    r, shell = (np.array(t[1].split(), dtype=float) for t in tables if t is not None)
    density = np.divide(shell, 4 * np.pi * r**2, out=np.zeros_like(r), where=r > 0)
    density[0] = density[1]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3) / np.array(shape)
    out = np.zeros(len(index))
    for position in structure.positions @ np.linalg.inv(structure.cell):
        offsets = index - position
        offsets -= np.round(offsets)
        for a in range(-IMAGES, IMAGES + 1):
            for b in range(-IMAGES, IMAGES + 1):
                distance = np.linalg.norm((offsets + np.array([a, b, 0])) @ structure.cell, axis=1)
                out += np.interp(distance, r, density, right=0.0)
    return out.reshape(shape)


def load(folder: Path, model: Path, run: Path) -> Snapshot:
    """A snapshot of the samples, with the inputs of the run that its files are of.

    Args:
        folder: Of the sample.
        model: Of the prediction.
        run: A folder that gets the inputs of a calculation.
    """
    (record,) = read(folder)
    run.mkdir(exist_ok=True)
    for source, name in (("INPUT.scf", "INPUT"), ("KPT.scf", "KPT"), ("STRU", "STRU")):
        (run / name).write_text((folder / source).read_text(encoding="utf-8"), encoding="utf-8")
    for library in (*folder.parent.glob("*.upf"), *folder.parent.glob("*.orb")):
        shutil.copyfile(library, run / library.name)
    setup = Setup.of_run(run, record.structure)
    return Snapshot(record, setup, load_model(model).predict(record.structure, trust=False))


def run_abacus(run: Path, binary: Path) -> dict[str, float]:
    """Steps, those until ABACUS's default threshold, CPU seconds and energy (eV) of a calculation.

    Raises:
        click.ClickException: It did not converge.
    """
    before = os.times()
    with open(run / "screen.log", "w", encoding="utf-8") as screen:
        subprocess.run([binary], cwd=run, stdout=screen, stderr=screen, check=True)
    after = os.times()
    log = (run / "OUT.ABACUS" / "running_scf.log").read_text(encoding="utf-8")
    energy = re.search(r"final etot is (\S+) eV", log)
    if energy is None or "charge density convergence is achieved" not in log:
        raise click.ClickException(f"ABACUS has not converged in {run}.")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    errors = [float(error) for error in re.findall(r"Density error is (\S+)", log)]
    enough = next(n for n, error in enumerate(errors, start=1) if error < DEFAULT_THRESHOLD)
    return {"steps": len(errors), "steps_default": enough, "cpu_seconds": seconds, "energy": float(energy[1])}


def compare_runs(run: Path, model: Path, binary: Path) -> dict[str, float]:
    """What ABACUS needs from atomic densities and from the predicted one."""
    plain = run_abacus(run, binary)
    start = time.process_time()
    written = write_start(run / "STRU", "abacus", model, run / "hrs1_nao.csr", options={"run": run})
    prediction_seconds = time.process_time() - start
    assert any(file.name == "SPIN1_CHG.cube" for file in written.files)
    with open(run / "INPUT", "a", encoding="utf-8") as text:
        text.write("init_chg file\nread_file_dir ./\n")
    seeded = run_abacus(run, binary)
    seeded["cpu_seconds"] += prediction_seconds
    difference = abs(seeded.pop("energy") - plain.pop("energy"))
    return {**plain, **{f"seeded_{key}": value for key, value in seeded.items()}, "energy": difference}


def measure(snapshot: Snapshot, upf: Path) -> dict[str, float]:
    """Errors of each start, and the CPU seconds of the predicted one."""
    converged = snapshot.filled(snapshot.record.hamiltonian)
    start = time.process_time()
    predicted = snapshot.error(snapshot.filled(snapshot.prediction.hamiltonians), converged)
    seconds = time.process_time() - start
    prediction = snapshot.prediction
    other = snapshot.scaled(density_blocks(prediction.spectrum, prediction.hamiltonians[0]))
    atomic = snapshot.normalise(atomic_density(snapshot.record.structure, upf, snapshot.setup.shape))
    return {
        "atomic": snapshot.error(atomic, converged), "predicted": predicted,
        "other_mesh": snapshot.error(other, converged), "seconds": seconds,
    }  # fmt: skip


@click.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--shared", type=click.Path(path_type=Path), default=SHARED, help="Holds samples.")
@click.option("--abacus", type=click.Path(path_type=Path, exists=True, resolve_path=True), help="Binary of ABACUS.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the rows into this result file.")
@origin_options
def main(model: Path, shared: Path, abacus: Path | None, out: Path | None, **origin: str) -> None:
    """Measure the test snapshots of MG-abacus, print, and write."""
    command = "python benchmarks/abacus_density.py MODEL" + (" --abacus BINARY" if abacus is not None else "")
    measured = {} if out is None else describe_measurement(command, **origin)
    system = SYSTEMS["MG-abacus"]
    folder = shared / system.root / system.folder
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name in system.tests:
            run = Path(work) / name
            figures = measure(load(folder / name, model, run), folder / "C.upf")
            if abacus is not None:
                figures |= compare_runs(run, model, abacus)
            rounded = {k: v if isinstance(v, int) else float(f"{v:.3g}") for k, v in figures.items()}
            rows.append({"snapshot": name, **rounded, "measurement": "density"})
            click.echo(rows[-1])
    if out is not None:
        titles = {
            "snapshot": "snapshot", "atomic": "atomic densities", "predicted": "predicted",
            "other_mesh": "predicted, other k-points", "seconds": "CPU s of the density",
            "steps": "steps from atomic densities", "seeded_steps": "steps from the prediction",
            "steps_default": "steps to 1e-7", "seeded_steps_default": "steps to 1e-7 from the prediction",
            "cpu_seconds": "CPU s", "seeded_cpu_seconds": "CPU s from the prediction",
            "energy": "energy difference (eV)",
        }  # fmt: skip
        save(out, {
            "title": "Starts of ABACUS",
            "about": ABOUT,
            "columns": describe_columns(titles),
            "measurements": {"density": measured},
            "rows": rows,
        })  # fmt: skip


if __name__ == "__main__":
    main()

"""CPU time of relaxations: the ASE calculator's SCF mode beside PySCF's own scanner, on molecules never trained on.

    python benchmarks/relaxation.py [--molecules 10] [--fmax 0.05] [--steps 30] [--json relaxation.json
                                    --version 'commit 1234567']

Molecules are those of the test part of the labelled set with the fewest atoms, from their displaced geometries. All
relax by ASE's BFGS with the same criterion and PySCF's defaults (B3LYP/def2-SVP, level-3 grid). PySCF's scanner starts
each SCF from the density of the step before; the calculator, with ``fit_gradient=True``, runs in its SCF mode, and in
its one-shot mode on a level-1 grid until the criterion is met and then in the SCF mode with the same optimiser. Times
are those of the process on the CPU, prediction included. A molecule is in the result file as soon as it is finished;
run it again after an interruption.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.optimize import BFGS
from common import ORGANIC, describe_columns, describe_measurement, environment, origin_options, save

from harmose_dft import HarmoseCalculator, load
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.pyscf import kohn_sham, to_mole
from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import console
from harmose_dft.core.structure import Structure
from harmose_dft.data import smiles_split

SCF = {"mode": "scf", "grid_level": 3}
VARIANTS = {"scf": (SCF,), "oneshot, then scf": ({"mode": "oneshot", "grid_level": 1}, SCF)}
"""Name -> settings of the calculator, in turn."""

TITLES = {
    "variant": "calculator", "molecules": "molecules", "steps": "steps", "steps_pyscf": "PySCF's steps",
    "cpu_ratio": "CPU time by PySCF's", "worst_cpu_ratio": "at most",
    "largest_distance": "farthest atom from PySCF's geometry", "largest_energy_difference": "largest energy difference",
}
UNITS = {"largest_distance": "Å", "largest_energy_difference": "eV"}
ABOUT = (
    "Relaxations to {fmax} eV/Å by ASE's BFGS of test molecules with the fewest atoms, from displaced geometries, with "
    "`HarmoseCalculator(fit_gradient=True)`, beside PySCF's own scanner of energies and gradients, which starts from "
    "the density of the step before (B3LYP/def2-SVP, level-3 grid). \"oneshot, then scf\": one-shot forces on a "
    "level-1 grid until the criterion is met, then PySCF's with the same optimiser. A relaxation that is not there "
    "after {steps} steps counts with them."
)


class Scanner(Calculator):  # type: ignore[misc]  # ASE has no annotations
    """PySCF's scanner of energies and gradients, which takes over the density of the step before.

    Args:
        structure: The first geometry.
        basis: The basis.
        xc: The functional.
    """

    implemented_properties = ("energy", "forces")

    def __init__(self, structure: Structure, basis: Any, xc: str) -> None:
        super().__init__()
        self.mol = to_mole(structure, basis)
        self.scan = kohn_sham(self.mol, xc, 3).nuc_grad_method().as_scanner()

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Called by ASE."""
        super().calculate(atoms, properties, system_changes)
        energy, gradient = self.scan(self.mol.set_geom_(self.atoms.positions, unit="Angstrom", inplace=False))
        self.results = {"energy": energy * units.Hartree, "forces": -gradient * units.Hartree / units.Bohr}


def smallest(count: int) -> list[Structure]:
    """The test molecules with the fewest atoms, named by their place in the data set."""
    dataset = open_dataset(ORGANIC)
    structures = [(i, dataset[i].structure) for i in smiles_split(dataset)["test"].tolist()]
    structures.sort(key=lambda pair: (len(pair[1]), pair[0]))
    return [Structure(s.numbers, s.positions, name=f"test-{i}") for i, s in structures[:count]]


def relax(
    structure: Structure, calculator: Calculator, fmax: float, steps: int, phases: Sequence[dict[str, Any]] = ({},)
) -> dict[str, Any]:
    """Steps, seconds and final state of one relaxation; with several settings of a calculator in turn."""
    atoms = to_ase(structure)
    atoms.calc = calculator
    begin = time.process_time()
    optimizer = BFGS(atoms, logfile=None)
    steps_by_phase = []
    for settings in phases:
        calculator.set(**settings)
        before = optimizer.nsteps
        converged = bool(optimizer.run(fmax=fmax, steps=steps))
        steps_by_phase.append(int(optimizer.nsteps) - before)
    seconds = time.process_time() - begin
    return {
        "cpu_seconds": round(seconds, 2), "steps": sum(steps_by_phase), "steps_by_phase": steps_by_phase,
        "converged": converged,
        "energy": float(atoms.get_potential_energy()), "positions": atoms.positions.tolist(),
    }


@click.command()
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--molecules", default=10, show_default=True, help="How many.")
@click.option("--fmax", default=0.05, show_default=True, help="Largest force at the end, eV/Angstrom.")
@click.option("--steps", default=30, show_default=True, help="Most steps.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures; continue if it exists.")
@origin_options
def main(model: str, molecules: int, fmax: float, steps: int, output: Path | None, **origin: str) -> None:
    """Relax held-out molecules with the calculator and with PySCF's scanner."""
    command = f"python benchmarks/relaxation.py --molecules {molecules}"
    measured = {} if output is None else describe_measurement(command, **origin)
    predictor = load(model)
    predictor.predict(smallest(1)[0], trust=False)  # nothing is initialised under the clock
    entries = json.loads(output.read_text())["molecules"] if output and output.exists() else []
    done = {e["name"] for e in entries}
    for molecule in smallest(molecules):
        if molecule.name in done:
            continue
        pyscf = relax(molecule, Scanner(molecule, predictor.model.basis, predictor.model.functional), fmax, steps)
        entry = {"name": molecule.name, "atoms": len(molecule), "pyscf": pyscf}
        for variant, phases in VARIANTS.items():
            result = relax(molecule, HarmoseCalculator(predictor, fit_gradient=True), fmax, steps, phases)
            moved = np.abs(np.subtract(pyscf["positions"], result.pop("positions"))).max()
            entry[variant] = {**result, "largest_distance": float(moved)}
        pyscf.pop("positions")
        entries.append(entry)
        console.note(f"{molecule.name} ({len(molecule)} atoms)  {entry}")
        if output is not None:
            save(output, {
                "title": "Relaxations by ASE",
                "about": ABOUT.format(fmax=fmax, steps=steps),
                "columns": describe_columns(TITLES, UNITS),
                "rows": summary(entries),
                "measurements": {"relaxation": measured},
                "model": {"name": predictor.info.name, "sha256": predictor.info.sha256},
                "molecules": entries,
                **environment(),
            })
    console.note(json.dumps(summary(entries)))


def summary(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the molecules, one row for each variant."""
    rows = []
    for variant in VARIANTS:
        ratios = [e[variant]["cpu_seconds"] / e["pyscf"]["cpu_seconds"] for e in entries]
        rows.append({
            "variant": variant,
            "molecules": len(entries),
            "steps": round(float(np.mean([e[variant]["steps"] for e in entries])), 1),
            "steps_pyscf": round(float(np.mean([e["pyscf"]["steps"] for e in entries])), 1),
            "cpu_ratio": round(float(np.mean(ratios)), 2),
            "worst_cpu_ratio": round(float(max(ratios)), 2),
            "largest_distance": float(f"{max(e[variant]['largest_distance'] for e in entries):.2g}"),
            "largest_energy_difference": float(
                f"{max(abs(e[variant]['energy'] - e['pyscf']['energy']) for e in entries):.2g}"
            ),
            "measurement": "relaxation",
        })
    return rows


if __name__ == "__main__":
    main()

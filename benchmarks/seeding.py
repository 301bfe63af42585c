"""Fock builds and CPU time of SCFs from PySCF's start and from the prediction, plain and accelerated.

    python benchmarks/seeding.py [NAME...] [--split 14] [--xc pbe] [--basis def2-tzvp] [--density-fit] [--radicals]
        [--variants default,both] [--json benchmarks/results/seeding/organic.json]

Every calculation has fresh objects, PySCF's default tolerances and its level-3 grid; the variants of a molecule run one
after the other in one process. Counted are the full Fock builds, that of the first density and that of PySCF's extra
diagonalisation included, and the cheap ones. Times are those of the process on the CPU, prediction included, so that
other processes disturb them little. Loading the model and a first small prediction come before. A molecule is in the
result file as soon as it is finished; run it again after an interruption.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import ORGANIC, environment, held_out, save

from harmose_dft import Predictor, load
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.pyscf import to_mole
from harmose_dft.cli import console
from harmose_dft.core.structure import Structure
from harmose_dft.data import smiles_split
from harmose_dft.metrics import ScfRatio, mean_scf_ratio
from harmose_dft.plugins.pyscf import SeedWarning, seed

SIZES = (8, 16, 24, 64)
"""Upper ends of the rows of the table, atoms."""


@dataclass(frozen=True)
class Method:
    """What is calculated.

    Args:
        xc: The functional.
        basis: A basis of PySCF; the model's own if None.
        density_fit: Whether the plain calculation fits the density, too.
        radicals: Whether the last hydrogen atom is taken away and the rest calculated with UKS.
    """

    xc: str
    basis: str | None
    density_fit: bool
    radicals: bool

    def mean_field(self, molecule: Structure, predictor: Predictor) -> Any:
        """A fresh mean-field object."""
        from pyscf import dft

        if self.radicals:
            kept = np.delete(np.arange(len(molecule)), np.flatnonzero(molecule.numbers == 1)[-1])
            molecule = Structure(molecule.numbers[kept], molecule.positions[kept], spin=1, name=molecule.name)
        mol = to_mole(molecule, self.basis or predictor.model.basis)
        mol.verbose = 0
        mf = dft.UKS(mol, xc=self.xc) if self.radicals else dft.RKS(mol, xc=self.xc)
        return mf.density_fit() if self.density_fit else mf


def _from_minao(mf: Any, predictor: Predictor) -> Any:
    mf = seed(mf, predictor)
    mf.kernel(dm0=mf.init_guess_by_minao(mf.mol))
    return mf


def _from(key: str) -> Callable[[Any, Predictor], Any]:
    def run(mf: Any, predictor: Predictor) -> Any:
        mf.init_guess = key
        return mf.run()

    return run


VARIANTS: dict[str, Callable[[Any, Predictor], Any]] = {
    "default": lambda mf, predictor: mf.run(),
    "start": lambda mf, predictor: seed(mf, predictor, accelerate=False).run(),
    "accelerator": _from_minao,
    "both": lambda mf, predictor: seed(mf, predictor).run(),
    "vsap": _from("vsap"),
    "huckel": _from("huckel"),
    "fast_newton": lambda mf, predictor: mf.newton().run(),
}
"""What is compared: a function that runs a fresh mean-field object and returns it."""


def measure(mf: Any, variant: str, predictor: Predictor) -> dict[str, Any]:
    """Builds, time and result of one calculation.

    Of the variant ``start`` also how far the predicted density is from self-consistency: the norm of its commutator,
    and the energy of its full Fock build above the converged one, Hartree.
    """
    from pyscf import dft

    method, counted = dft.uks.UKS if mf.istype("UKS") else dft.rks.RKS, [0]
    original = method.get_veff

    def get_veff(self: Any, *args: Any, **options: Any) -> Any:
        counted[0] += 1
        return original(self, *args, **options)

    method.get_veff = get_veff
    try:
        start = time.process_time()
        mf = VARIANTS[variant](mf, predictor)
        seconds = time.process_time() - start
    finally:
        method.get_veff = original
    acceleration = getattr(mf, "acceleration", None)
    cheap = acceleration.cheap_builds if acceleration else 0
    guess = getattr(mf, "guess", None)
    start_errors: dict[str, float] = {}
    if guess and guess.predicted and variant == "start":  # beside the clock
        start_errors["commutator"] = float(guess.commutator)
        start_errors["energy_above"] = float(mf.undo_seeded().energy_tot(guess.density) - mf.e_tot)
    return {
        **start_errors,
        "full_builds": counted[0] - cheap, "cheap_builds": cheap, "cpu_seconds": round(seconds, 2),
        "energy": float(mf.e_tot), "converged": bool(mf.converged),
        "predicted": bool(guess and guess.predicted), "reason": acceleration.reason if acceleration else "",
    }


def molecules(names: tuple[str, ...], split: int) -> Iterator[Structure]:
    """The held-out molecules, smallest first, after ``split`` ones of the test part of the labelled set."""
    if split and ORGANIC.is_file():
        dataset = open_dataset(ORGANIC)
        for i in smiles_split(dataset)["test"].tolist()[:split]:
            structure = dataset[i].structure
            yield Structure(structure.numbers, structure.positions, name=f"test-{i}")
    yield from held_out(names)


def ratio(entry: Mapping[str, Any], variant: str) -> ScfRatio:
    """The metric ``scf_ratio`` of one molecule, of full Fock builds and CPU time."""
    default, other = entry["variants"]["default"], entry["variants"][variant]
    return ScfRatio(other["full_builds"], default["full_builds"], other["cpu_seconds"], default["cpu_seconds"])


def summarize(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each variant and range of sizes, and one for all sizes."""
    rows = []
    for low, high in [*zip((0, *SIZES[:-1]), SIZES, strict=True), (0, SIZES[-1])]:
        group = [e for e in entries if low < e["atoms"] <= high]
        for variant in group[0]["variants"] if group else ():
            results = [e["variants"][variant] for e in group]
            figures = [ratio(e, variant) for e in group]
            builds_ratio, cpu_ratio = mean_scf_ratio(figures)
            rows.append({
                "atoms": f"{low + 1}-{high}", "molecules": len(group), "variant": variant,
                "full_builds": float(np.mean([r["full_builds"] for r in results])),
                "most_builds": max(r["full_builds"] for r in results),
                "cheap_builds": float(np.mean([r["cheap_builds"] for r in results])),
                "builds_ratio": builds_ratio, "cpu_ratio": cpu_ratio,
                "worst_cpu_ratio": max(f.time_ratio for f in figures),
                "largest_energy_difference": max(
                    abs(e["variants"][variant]["energy"] - e["variants"]["default"]["energy"]) for e in group
                ),
            })
    return rows


def table(rows: list[dict[str, Any]], title: str) -> None:
    """Print the summary."""
    columns = ("atoms", "molecules", "variant", "full builds", "at most", "CPU time", "at most", "energy, Ha")
    console.print_table(title, columns, [
        (r["atoms"], str(r["molecules"]), r["variant"], f"{r['full_builds']:.1f}", str(r["most_builds"]),
         f"{r['cpu_ratio']:.2f}", f"{r['worst_cpu_ratio']:.2f}", f"{r['largest_energy_difference']:.0e}")
        for r in rows
    ])


def warm_up(predictor: Predictor) -> None:
    """A first small calculation, so that nothing is imported or initialised under the clock."""
    water = Structure(np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 1.43, 1.1], [0.0, -1.43, 1.1]]))
    for variant in ("default", "both"):
        measure(Method("b3lyp", None, False, False).mean_field(water, predictor), variant, predictor)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--split", default=0, show_default=True, help="Molecules of the test part of the labelled set.")
@click.option("--xc", default="b3lyp", show_default=True, help="Functional.")
@click.option("--basis", help="Basis; the model's by default.")
@click.option("--density-fit", is_flag=True, help="Density fitting in all calculations.")
@click.option("--radicals", is_flag=True, help="Take the last hydrogen atom away and use UKS.")
@click.option("--variants", default="default,start,accelerator,both", show_default=True, help=", ".join(VARIANTS))
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures; continue if it exists.")
def main(
    names: tuple[str, ...], model: str, split: int, xc: str, basis: str | None, density_fit: bool, radicals: bool,
    variants: str, output: Path | None,
) -> None:
    """Compare the variants on the held-out molecules NAMES (all by default)."""
    predictor, method = load(model), Method(xc, basis, density_fit, radicals)
    warnings.simplefilter("ignore", SeedWarning)
    warm_up(predictor)
    entries = json.loads(output.read_text())["molecules"] if output and output.exists() else []
    done = {e["name"] for e in entries}
    head = {"model": {"name": predictor.info.name, "sha256": predictor.info.sha256}, "method": vars(method)}
    for molecule in molecules(names, split):
        if molecule.name in done:
            continue
        figures = {v: measure(method.mean_field(molecule, predictor), v, predictor) for v in variants.split(",")}
        entries.append({"name": molecule.name, "atoms": len(molecule), "variants": figures})
        console.note(f"{molecule.name} ({len(molecule)} atoms)  " + "  ".join(
            f"{v} {f['full_builds']}+{f['cheap_builds']} builds {f['cpu_seconds']} s" for v, f in figures.items()
        ))
        if output is not None:
            save(output, {**head, "summary": summarize(entries), "molecules": entries, **environment()})
    table(summarize(entries), f"{xc}/{basis or predictor.model.basis.name} from {predictor.info.name}")


if __name__ == "__main__":
    main()

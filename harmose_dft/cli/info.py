"""``harmose-dft info``: what is installed, and what a model, result file or data set holds."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..core.errors import FileFormatError
from . import console
from .report import number

if TYPE_CHECKING:
    from ..output import Result

DEPENDENCIES = ("torch", "e3nn", "torch-geometric", "numpy", "scipy", "h5py", "pyscf", "ase", "sisl", "matplotlib")
"""Packages whose versions are worth knowing when something differs between two machines."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

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
    found = installation() if path is None else describe(path)
    if as_json:
        console.print_json(found)
        return
    results = found.pop("results", None)
    rows = [(k.replace("_", " "), shown(v)) for k, v in short(found).items()]
    console.print_table(str(path or "harmose-dft"), ("", ""), rows, left=2)
    if results:
        lines = [(r["formula"], str(r["n_atoms"]), *(number(r[k], 3) for k in LEVELS.values())) for r in results]
        console.print_table("structures", ("formula", "atoms", *LEVELS), lines[:MANY_RECORDS])
        if len(results) > MANY_RECORDS:
            console.say(f"and {len(results) - MANY_RECORDS} more")


def installation() -> dict[str, Any]:
    """Versions, and the devices that torch can use."""
    import torch

    from ..model.loading import bundled_models

    found: dict[str, Any] = {"harmose-dft": __version__, "python": platform.python_version()}
    for package in DEPENDENCIES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found["devices"] = ["cpu", *(f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(count))]
    found["threads"] = torch.get_num_threads()
    found["bundled_models"] = bundled_models()
    return found


def describe(path: Path) -> dict[str, Any]:
    """What a file holds.

    Raises:
        FileFormatError: The file is missing, damaged, or nothing we know.
    """
    from ..model.loading import bundled_models

    if path.is_dir() or str(path) in bundled_models():
        return describe_model(str(path))
    if not path.is_file():
        raise FileFormatError("There is no such file, and no bundled model of this name.", path=path)
    with path.open("rb") as file:
        start = file.read(len(HDF5_SIGNATURE))
    from ..output.result import FORMAT

    result = start == HDF5_SIGNATURE and stored_format(path) == FORMAT
    return describe_results(path) if result else describe_dataset(path)


def describe_model(name: str) -> dict[str, Any]:
    """A model: what it predicts, what it was trained on, and how well it does.

    Raises:
        CheckpointError: The folder holds no readable model.
    """
    from ..core.structure import SYMBOLS
    from ..model import checkpoint
    from ..model.loading import model_folder

    found = checkpoint.describe_model(model_folder(name))
    return {
        "kind": "model",
        "name": found["name"],
        "sha256": found["weights_sha256"],
        "functional": found["functional"],
        "basis": found["basis"]["name"],
        "elements": [SYMBOLS[z] for z in found["elements"]],
        "baseline": found["baseline"]["kind"],
        **({"filling": filling} if (filling := found.get("filling")) else {}),
        "code": found["code"],
        "training": found["training"],
        "metrics": {name: _summary(figures) for name, figures in found["metrics"].items()},
        "licence": found["licence"],
        "citation": found["citation"],
    }


def _summary(figures: Any) -> Any:
    """Recorded metrics of the full model without those of single blocks."""
    if not isinstance(figures, Mapping) or "model" not in figures:
        return figures
    numbers = {k: v for k, v in figures["model"].items() if isinstance(v, int | float)}
    return {"unit": figures.get("unit"), "samples": figures.get("samples"), **numbers}


def stored_format(path: Path) -> str:
    """The ``format`` attribute of an HDF5 file; empty without one."""
    from ..core.hdf5 import open_hdf5

    try:
        with open_hdf5(path) as file:
            return str(file.attrs.get("format", ""))
    except OSError as error:
        raise FileFormatError("The HDF5 file is truncated or damaged; copy or create it again.", path=path) from error


def describe_results(path: Path) -> dict[str, Any]:
    """A result file: common provenance, and a row for each structure."""
    from ..output import read_results

    results = read_results(path)
    first = results[0].record
    return {
        "kind": "result of harmose-dft predict",
        "structures": len(results),
        "basis": str(first.basis),
        **first.provenance,
        "results": [_row(result) for result in results],
    }


def _row(result: Result) -> dict[str, Any]:
    from ..core.units import HARTREE_IN_EV

    spectrum = result.spectrum
    energies = dict(zip(LEVELS.values(), (spectrum.homo, spectrum.lumo, spectrum.gap), strict=True))
    structure = result.record.structure
    return {"formula": structure.formula, "n_atoms": len(structure)} | {
        name: value * HARTREE_IN_EV for name, value in energies.items()
    }


def describe_dataset(path: Path) -> dict[str, Any]:
    """A data set of any format that is read: size, elements, basis and level of theory.

    Raises:
        FileFormatError: The file is no data set, or damaged.
        DataError: It holds no records.
    """
    from ..adapters.datasets import open_dataset
    from ..data import HDF5Dataset

    dataset = open_dataset(path)
    structures = [dataset.structure(n) for n in range(len(dataset))]
    atoms = [len(s) for s in structures]
    methods = Counter(
        " ".join(m[k] for k in ("code", "functional", "basis") if k in m)
        for m in (dataset.metadata(n) for n in range(len(dataset)))
    )
    elements = Counter(symbol for s in structures for symbol in s.symbols)
    failures, bases = (dataset.failures, dataset.bases) if isinstance(dataset, HDF5Dataset) else ([], (dataset.basis,))
    return {
        "kind": "data set",
        "records": len(dataset),
        "failures": len(failures),
        "smallest_n_atoms": min(atoms),
        "largest_n_atoms": max(atoms),
        "crystals": sum(s.periodic for s in structures),
        "atoms_of_elements": dict(sorted(elements.items())),
        "levels_of_theory": dict(methods),
        "basis": [str(b) for b in bases],
    }


def short(found: Mapping[str, Any]) -> dict[str, Any]:
    """A description without what only a program reads: a model's configurations and those of its forerunners."""
    told = dict(found)
    if "training" in told:
        training = told["training"]
        told["training"] = {k: v for k, v in training.items() if k in TOLD_OF_TRAINING}
        told["trained further from"] = [f"{s['name']} ({s['sha256'][:8]})" for s in _forerunners(training)] or "nothing"
    for name, figures in told.pop("metrics", {}).items():
        numbers = {k: f"{v:.4g}" for k, v in figures.items() if isinstance(v, float)}
        told[f"measured on {name}"] = {**numbers, "unit": figures.get("unit"), "samples": figures.get("samples")}
    return told


def _forerunners(training: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models a training went on from, the last one first."""
    start = training.get("started_from")
    return [] if start is None else [start, *_forerunners(start.get("training", {}))]


def shown(value: Any) -> str:
    """A value in a table cell."""
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)

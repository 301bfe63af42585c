"""Describe the installation, a model, a result file or a data set."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ..adapters.datasets import open_dataset
from ..core.errors import FileFormatError
from ..core.hdf5 import HDF5_SIGNATURE, open_hdf5
from ..core.structure import SYMBOLS
from ..core.version import __version__
from ..data import HDF5Dataset
from ..model.description import read_description
from ..model.domain import TrainingDomain
from ..model.loading import bundled_models, model_folder
from ..model.trust.store import TrustFile
from ..output import Result, iterate_results
from ..output.result import FORMAT
from ..solver import band_gap
from .descriptions import (
    VERDICT,
    DatasetDescription,
    Description,
    InstallationDescription,
    ModelDescription,
    ResultDescription,
    ResultFileDescription,
)

DEPENDENCIES = ("torch", "e3nn", "torch-geometric", "numpy", "scipy", "h5py", "pyscf", "ase", "sisl", "matplotlib")
"""Packages whose versions are worth knowing when something differs between two machines."""


STAGES = {"model": "", "refined": ", refined"}
"""Recorded metrics that are shown, and what is added to the name of their data set."""


def describe_installation() -> InstallationDescription:
    """Versions of the packages, and the devices that torch can use."""
    versions = {"harmose-dft": __version__, "python": platform.python_version()}
    for package in DEPENDENCIES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = ["cpu", *(f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(count))]
    return InstallationDescription(versions, devices, torch.get_num_threads(), bundled_models())


def describe(path: str | Path | None = None) -> Description:
    """Describe the installation, a model, a result file or a data set.

    Args:
        path: A bundled model's name, a model's folder, or a file; None for the installation.

    Raises:
        FileFormatError: The file is missing, damaged, or nothing we know.
    """
    if path is None:
        return describe_installation()
    path = Path(path)
    if path.is_dir() or str(path) in bundled_models():
        return describe_model(str(path))
    if not path.is_file():
        raise FileFormatError(
            "There is no such file, and no bundled model of this name. Check the path; the bundled models are "
            f"{', '.join(bundled_models())}.", path=path,
        )
    with path.open("rb") as file:
        start = file.read(len(HDF5_SIGNATURE))
    result = start == HDF5_SIGNATURE and read_format(path) == FORMAT
    return describe_results(path) if result else describe_dataset(path)


def describe_model(name: str) -> ModelDescription:
    """A model: what it predicts, what it was trained on, and how well it does.

    Raises:
        CheckpointError: The folder holds no readable model.
    """
    description = read_description(model_folder(name))
    return ModelDescription(
        name=description["name"],
        sha256=description["weights_sha256"],
        functional=description["functional"],
        basis=description["basis"]["name"],
        elements=[SYMBOLS[z] for z in description["elements"]],
        domain=_describe_domain(description),
        error_bars=_describe_error_bars(model_folder(name), description["weights_sha256"]),
        h0=description["baseline"]["kind"],
        inputs=list(description["inputs"]),
        filling=description.get("filling"),
        code=description["code"],
        training=description["training"],
        metrics={
            f"{name}{words}": _summarize(metrics, stage)
            for name, metrics in description["metrics"].items()
            for stage, words in STAGES.items()
            if stage == "model" or (isinstance(metrics, Mapping) and stage in metrics)
        },
        licence=description["licence"],
        citation=description["citation"],
    )


def _describe_domain(description: Mapping[str, Any]) -> str:
    """What the model is for, in words."""
    kind = "crystals" if description.get("electrons") else "closed-shell molecules"
    domain = TrainingDomain.from_dict(description["domain"])
    return f"{kind}; {domain.in_words} Other elements, charges and shorter bonds are refused."


def _describe_error_bars(folder: Path, sha256: str) -> str:
    """What verdicts and intervals of the model rest on."""
    trust = TrustFile.load(folder, sha256)
    if trust is None:
        return "none: the model was not calibrated"
    source = trust.made_from
    if trust.bands is not None:
        return (
            "verdicts and a 95 % bound on the error of the bands, calibrated on "
            f"{source['crystals']} crystals that training never saw"
        )
    assert trust.refined is not None
    return (
        f"95 % intervals and verdicts, calibrated on {source['molecules']} molecules that training never saw, "
        f"{source['bad']} of them with an occupied level off by more than {1e3 * trust.refined.large_error:g} mHartree "
        "when refined"
    )


def _summarize(figures: object, stage: str) -> object:
    """Recorded metrics of the full model, or refined, without those of single blocks."""
    if not isinstance(figures, Mapping) or "model" not in figures:
        return figures
    numbers = {k: v for k, v in figures[stage].items() if isinstance(v, int | float)}
    return {"unit": figures.get("unit"), "samples": figures.get("samples"), **numbers}


def read_format(path: Path) -> str:
    """The ``format`` attribute of an HDF5 file; empty without one."""
    try:
        with open_hdf5(path) as file:
            return str(file.attrs.get("format", ""))
    except OSError as error:
        raise FileFormatError("The HDF5 file is truncated or damaged; copy or create it again.", path=path) from error


def describe_results(path: Path) -> ResultFileDescription:
    """A result file: common provenance, and a row for each structure.

    Raises:
        FileFormatError: The file is damaged, or holds no structures.
    """
    first_record, descriptions = None, []
    for result in iterate_results(path):
        first_record = first_record or result.record
        descriptions.append(_describe_result(result))
    if first_record is None:
        raise FileFormatError("The result file holds no structures; predict again.", path=path)
    common = {key: value for key, value in first_record.provenance.items() if key != VERDICT}
    return ResultFileDescription(str(first_record.basis), common, tuple(descriptions))


def _describe_result(result: Result) -> ResultDescription:
    structure, spectrum = result.record.structure, result.spectrum
    energies = {"homo": spectrum.homo, "lumo": spectrum.lumo, "gap": spectrum.gap}
    if structure.periodic:
        energies = {} if spectrum.fermi is None else {"fermi": spectrum.fermi}
        energies |= dict(zip(("gap", "direct_gap"), band_gap(spectrum), strict=True))
    return ResultDescription(
        structure.formula, len(structure), energies, structure.charge, result.record.provenance.get(VERDICT)
    )


def describe_dataset(path: Path) -> DatasetDescription:
    """A data set of any format that is read: size, elements, basis and level of theory.

    Raises:
        FileFormatError: The file is no data set, or damaged.
        DataError: It holds no records.
    """
    dataset = open_dataset(path)
    structures = [dataset.structure(n) for n in range(len(dataset))]
    atoms = [len(s) for s in structures]
    methods = Counter(
        " ".join(m[k] for k in ("code", "functional", "basis") if k in m)
        for m in (dataset.metadata(n) for n in range(len(dataset)))
    )
    elements = Counter(symbol for s in structures for symbol in s.symbols)
    failures, bases = (dataset.failures, dataset.bases) if isinstance(dataset, HDF5Dataset) else ([], (dataset.basis,))
    return DatasetDescription(
        records=len(dataset),
        failures=len(failures),
        smallest_n_atoms=min(atoms),
        largest_n_atoms=max(atoms),
        crystals=sum(s.periodic for s in structures),
        atoms_of_elements=dict(sorted(elements.items())),
        levels_of_theory=dict(methods),
        basis=[str(b) for b in bases],
    )

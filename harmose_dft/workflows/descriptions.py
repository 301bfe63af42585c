"""Descriptions of the installation, models, result files and data sets, as ``harmose-dft info`` prints them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core.units import HARTREE_IN_EV

VERDICT = "verdict"
"""Key of a result's provenance that is of one structure and not of the file."""


class Description(ABC):
    """What ``harmose-dft info`` says of something."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The JSON object of ``harmose-dft info --json``."""


@dataclass(frozen=True)
class InstallationDescription(Description):
    """The installation.

    Args:
        versions: Package -> version.
        devices: What torch can use: "cpu", "cuda:0 (name)", ...
        threads: Threads that torch takes.
        bundled_models: Names of the bundled models.
    """

    versions: Mapping[str, str]
    devices: list[str]
    threads: int
    bundled_models: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Versions at the top level."""
        return {
            **self.versions,
            "devices": self.devices,
            "threads": self.threads,
            "bundled_models": self.bundled_models,
        }


@dataclass(frozen=True)
class ModelDescription(Description):
    """A model.

    Args:
        name: Its name.
        sha256: Hash of the weights.
        functional: Functional that it stands for.
        basis: Name of its basis.
        elements: Symbols of the elements that it was trained on.
        domain: What it is for, in words.
        error_bars: What verdicts and intervals rest on, in words.
        h0: Kind of H0.
        inputs: Matrices that the networks see.
        filling: How bands are filled, as the model's file holds it; None for molecules.
        code: Code that made the training data.
        training: Its record in the model's file, with those of the models that training started from.
        metrics: Name of a data set -> figures of the full model on it, without those of single blocks.
        licence: Of the weights.
        citation: What to cite.
    """

    name: str
    sha256: str
    functional: str
    basis: str
    elements: list[str]
    domain: str
    error_bars: str
    h0: str
    inputs: list[str]
    filling: Mapping[str, Any] | None
    code: str
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    licence: str
    citation: str

    def to_dict(self) -> dict[str, Any]:
        """The fields; H0 is "baseline", as in the model's file."""
        fields = {key: value for key, value in vars(self).items() if key != "filling" or value}
        return {"kind": "model", **{"baseline" if key == "h0" else key: value for key, value in fields.items()}}


@dataclass(frozen=True)
class ResultDescription:
    """A structure of a result file.

    Args:
        formula: Hill formula.
        n_atoms: Number of atoms.
        energies: Hartree; "homo", "lumo" and "gap" of a molecule; "fermi", "gap" and "direct_gap" of a crystal, gaps on
            its mesh of k-points.
        charge: Net charge in units of e.
        verdict: Whether to use the prediction; None where there is none.
    """

    formula: str
    n_atoms: int
    energies: Mapping[str, float]
    charge: int
    verdict: str | None

    def to_dict(self) -> dict[str, Any]:
        """Energies in eV; charge and verdict where there are any."""
        levels = {f"{name}_ev": energy * HARTREE_IN_EV for name, energy in self.energies.items()}
        return {
            "formula": self.formula,
            "n_atoms": self.n_atoms,
            **levels,
            **({"charge": self.charge} if self.charge else {}),
            **({} if self.verdict is None else {VERDICT: self.verdict}),
        }


@dataclass(frozen=True)
class ResultFileDescription(Description):
    """A result file.

    Args:
        basis: Basis of the first structure.
        provenance: What holds of all structures: code, version, model, functional, ...
        results: The structures.
    """

    basis: str
    provenance: Mapping[str, str]
    results: tuple[ResultDescription, ...]

    def to_dict(self) -> dict[str, Any]:
        """Provenance at the top level."""
        return {
            "kind": "result of harmose-dft predict",
            "structures": len(self.results),
            "basis": self.basis,
            **self.provenance,
            "results": [result.to_dict() for result in self.results],
        }


@dataclass(frozen=True)
class DatasetDescription(Description):
    """A data set.

    Args:
        records: Number of calculations.
        failures: Number of structures that could not be calculated.
        smallest_n_atoms: Atoms of the smallest structure.
        largest_n_atoms: Atoms of the largest structure.
        crystals: Number of structures with a cell.
        atoms_of_elements: Symbol -> atoms in all structures.
        levels_of_theory: Code, functional and basis -> number of calculations.
        basis: Its bases.
    """

    records: int
    failures: int
    smallest_n_atoms: int
    largest_n_atoms: int
    crystals: int
    atoms_of_elements: dict[str, int]
    levels_of_theory: dict[str, int]
    basis: list[str]

    def to_dict(self) -> dict[str, Any]:
        """The fields."""
        return {"kind": "data set", **asdict(self)}

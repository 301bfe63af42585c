"""Models on disk: ``model.safetensors`` and ``model.json`` in one folder. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from ..core.basis import OrbitalBasis
from ..core.errors import UNPRINTABLE, CheckpointError, HarmoseError, shorten
from ..core.files import atomic_path, sha256
from ..nn.precision import single_precision
from ..nn.size import limit_parameters
from ..physics.base import Physics
from ..physics.choice import physics_class
from ..solver import Filling
from .description import DESCRIPTION, FORMAT_VERSION, VERSION, WEIGHTS, read_description, seal
from .domain import TrainingDomain
from .inputs import input_matrices
from .normalizer import Normalizer
from .two_stage import ModelConfig, TwoStageModel
from .upgrades import upgrade_parameters, upgrade_sizes

LONGEST_REASON = 300
"""Characters of a library's message that are passed on."""

NORMALIZER = "normalizer."
"""Prefix of the normalizer's arrays among the tensors."""


@dataclass(frozen=True, eq=False)
class ModelFile:
    """Everything a model needs to be used, and what a user should know of it.

    Args:
        name: Name of the model.
        network: The two-stage model with its weights.
        normalizer: Means and scales.
        basis: Orbital basis.
        inputs: Input matrices, in order.
        physics: Overlap, H0 and electrons of structures.
        functional: Exchange-correlation functional, exactly as the code that made the data names it.
        code: Code and version that made the training data.
        domain: Statistics of the training set.
        filling: How crystals are filled for the density that the model sees; None where it sees none.
        training: Training data, hash, time, configuration.
        metrics: Measured figures with the data they were measured on.
        licence: Licence of the weights.
        citation: What to cite.
        sha256: Hash of the weights file; empty before it is written.
    """

    name: str
    network: TwoStageModel
    normalizer: Normalizer
    basis: OrbitalBasis
    inputs: tuple[str, ...]
    physics: Physics
    functional: str
    code: str
    domain: TrainingDomain
    filling: Filling | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    citation: str = "Yin et al., Mach. Learn.: Sci. Technol. 2024, doi 10.1088/2632-2153/ad8d30"
    sha256: str = ""

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.network.parameters())
        return f"ModelFile({self.name!r}, {self.functional}/{self.basis.name}, {count} parameters, {self.sha256[:8]})"

    def save(self, folder: str | Path, *, force: bool = False) -> str:
        """Write the model's folder; returns the hash of the weights.

        Raises:
            OutputExistsError: A file exists and ``force`` is false.
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        for name, array in self.normalizer.arrays().items():
            tensors[NORMALIZER + name] = torch.from_numpy(np.ascontiguousarray(array))
        with atomic_path(folder / WEIGHTS, force) as weights, atomic_path(folder / DESCRIPTION, force) as description:
            save_file(tensors, weights, metadata={VERSION: str(FORMAT_VERSION)})
            digest = sha256(weights)
            description.write_text(seal(self._description(digest)), encoding="utf-8")
        return digest

    def _description(self, digest: str) -> dict[str, Any]:
        physics = self.physics.describe()
        return {
            "format": "harmose_dft model",
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "weights_sha256": digest,
            "functional": self.functional,
            "code": self.code,
            "basis": self.basis.to_dict(),
            "basis_fingerprint": self.basis.fingerprint,
            "elements": list(self.basis.elements),
            "convention": "harmose_dft: real harmonics, z-polar, no Condon-Shortley phase, m = -l..l",
            "units": {"energy": "hartree", "length": "bohr"},
            "inputs": list(self.inputs),
            "baseline": physics["baseline"],
            "model": self.network.config.model_dump(mode="json"),
            "domain": self.domain.to_dict(),
            "filling": None if self.filling is None else self.filling.to_dict(),
            "electrons": physics["electrons"],
            "training": dict(self.training),
            "metrics": dict(self.metrics),
            "licence": self.licence,
            "citation": self.citation,
        }

    @classmethod
    def load(cls, folder: str | Path) -> ModelFile:
        """Read a model's folder.

        Raises:
            CheckpointError: A file is missing or damaged, or the format is newer than this program.
        """
        from safetensors import SafetensorError

        folder = Path(folder)
        description = read_description(folder)
        weights = folder / WEIGHTS
        digest = sha256(weights)
        if digest != description["weights_sha256"]:
            raise CheckpointError(
                f"{weights} is damaged or belongs to another {DESCRIPTION}: its sha256 is {digest[:12]}, expected "
                f"{description['weights_sha256'][:12]}. Copy both files again from where the model came from."
            )
        try:
            return cls._assemble(description, weights, digest)
        except KeyError as error:
            raise CheckpointError(f"{folder} does not describe a usable model: {error} is missing.") from error
        except (TypeError, AttributeError, ValueError, RuntimeError, SafetensorError, HarmoseError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{folder} does not describe a usable model: {reason[:LONGEST_REASON]}. Copy both files again from "
                "where the model came from."
            ) from error

    @classmethod
    def _assemble(cls, d: Mapping[str, Any], weights: Path, digest: str) -> ModelFile:
        from safetensors.torch import load_file

        basis = OrbitalBasis.from_dict(d["basis"])
        if basis.fingerprint != d["basis_fingerprint"]:
            raise CheckpointError("the stored basis does not have the stored fingerprint; the file was edited")
        tensors = load_file(weights)
        arrays = {k.removeprefix(NORMALIZER): v.numpy() for k, v in tensors.items() if k.startswith(NORMALIZER)}
        version = int(d["format_version"])
        stored = sum(tensor.numel() for tensor in tensors.values())
        with single_precision(), limit_parameters(stored):
            network = TwoStageModel(basis, len(d["inputs"]), _read_sizes(upgrade_sizes(d["model"], version)))
        parameters = {k: v for k, v in tensors.items() if not k.startswith(NORMALIZER)}
        network.load_state_dict(upgrade_parameters(parameters, version, network))
        network.eval().requires_grad_(False)
        return cls(
            name=_line(d, "name"),
            network=network,
            normalizer=Normalizer.from_arrays(arrays),
            basis=basis,
            inputs=tuple(matrix.name for matrix in input_matrices(d["inputs"])),
            physics=physics_class(basis).from_description(d, basis, str(d["functional"])),
            functional=_line(d, "functional"),
            code=_line(d, "code"),
            domain=TrainingDomain.from_dict(d["domain"]),
            filling=Filling.from_dict(d["filling"]) if network.sees_density or d.get("filling") else None,
            training=d["training"],
            metrics=d["metrics"],
            licence=str(d["licence"]),
            citation=str(d["citation"]),
            sha256=digest,
        )


def _read_sizes(sizes: object) -> ModelConfig:
    """The sizes of a network.

    Raises:
        CheckpointError: A size is none, or beyond its bounds.
    """
    try:
        return ModelConfig.model_validate(sizes)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("model", *first["loc"])))
        raise CheckpointError(f"{key} = {shorten(repr(first['input']))}: {first['msg']}") from error


def _line(description: Mapping[str, Any], key: str) -> str:
    """A name in a description: one line of bounded length, without control characters."""
    text = str(description[key])
    if len(text) > LONGEST_REASON or "\n" in text or UNPRINTABLE.search(text):
        raise ValueError(f"its {key} is {shorten(text)!r}, expected a name of one line")
    return text

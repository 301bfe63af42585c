"""Models on disk: ``model.safetensors`` and ``model.json`` in one folder. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from ..core.basis import OrbitalBasis
from ..core.errors import UNPRINTABLE, CheckpointError, HarmoseError, printable, shorten
from ..core.files import atomic_path, sha256
from ..nn.potential import CHARGE_UNIT, LOCAL_UNIT
from ..nn.precision import single_precision
from ..nn.size import limit_parameters
from ..physics.base import Physics
from ..physics.choice import physics_class
from ..solver import Filling
from .domain import TrainingDomain
from .inputs import input_matrices
from .normalizer import Normalizer
from .two_stage import CORRECTION_UNIT, ModelConfig, TwoStageModel

FORMAT_VERSION = 8
"""Version of the model folder; older ones are upgraded on loading."""

WITH_POTENTIAL, WITHOUT_IDLE_ATTENTION, IN_FINE_UNITS, WITH_UNITS, SEALED = 2, 3, 4, 5, 7
"""Versions since which models may have a potential, have no weights that nothing reads, have today's units of
corrections (before: 1), of local potentials (0.02 Hartree), and of charges (0.1 e), have their own units of
corrections, and are sealed: the description holds a hash of itself, and the weights the format version, so that a
sealed model cannot pass for an older one. Names of the second stage's parameters change with its kind:
``SecondStage.upgraded_name``."""

SEALED_LATER = frozenset({"51cd0c46d737b07ee3193cd2c15955432c6dc7c344736788ec1c809088fa627a"})
"""Hashes of weights of earlier format versions whose descriptions are sealed all the same: the bundled model's."""

SEAL, VERSION = "description_sha256", "format_version"
"""Keys: the description's hash of itself; the format version, in the description and in the weights' metadata."""

SECOND = "second."
"""Prefix of the second stage's parameters."""

CHANGES_OF_UNIT = {
    r"second\.(spin\.)?head\..+": 1.0 / CORRECTION_UNIT,
    r"second\.potential\.(local\..+|transfer|dipole)": 1.0 / CORRECTION_UNIT,
    r"(first|second)\.potential\.local\..+": 0.02 / LOCAL_UNIT,
    r"(first|second)\.potential\.(transfer|dipole)": 0.1 / CHARGE_UNIT,
}
"""Factors of parameters whose names match, from before ``IN_FINE_UNITS`` to today."""

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"

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
        filling: How crystals are filled for the density that stage 2 sees; None where it sees none.
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
        description = _read_description(folder)
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
        sizes = {"potential": False, **d["model"]} if version < WITH_POTENTIAL else d["model"]
        stored = sum(tensor.numel() for tensor in tensors.values())
        with single_precision(), limit_parameters(stored):
            network = TwoStageModel(basis, len(d["inputs"]), _read_sizes(sizes))
        parameters = {k: v for k, v in tensors.items() if not k.startswith(NORMALIZER)}
        if version < IN_FINE_UNITS:
            parameters = {name: value * _in_fine_units(name) for name, value in parameters.items()}
        if (second := network.second) is not None:
            inside = {k.removeprefix(SECOND): v for k, v in parameters.items() if k.startswith(SECOND)}
            parameters = {k: v for k, v in parameters.items() if not k.startswith(SECOND)}
            parameters |= {SECOND + second.upgraded_name(k, version): v for k, v in inside.items()}
        if version < WITH_UNITS:
            parameters |= {name: value for name, value in network.state_dict().items() if name in network.unit_names}
        if version < WITHOUT_IDLE_ATTENTION:
            parameters = {name: parameters[name] for name in network.state_dict()}
        network.load_state_dict(parameters)
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
            filling=Filling.from_dict(d["filling"]) if network.sees_density else None,
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


def _in_fine_units(parameter: str) -> float:
    """Factor of a network's parameter from before ``IN_FINE_UNITS`` to today."""
    return math.prod(factor for pattern, factor in CHANGES_OF_UNIT.items() if re.fullmatch(pattern, parameter))


def describe_model(folder: str | Path) -> dict[str, Any]:
    """The description of a model without its weights.

    Raises:
        CheckpointError: The folder holds no readable description.
    """
    return _read_description(Path(folder))


def record_metrics(folder: str | Path, metrics: Mapping[str, Any]) -> None:
    """Keep measured figures in a model's description; figures of the same name are replaced.

    Args:
        folder: The model's folder.
        metrics: Name of the data -> figures with their unit, JSON-serialisable.

    Raises:
        CheckpointError: The folder holds no readable description.
    """
    description = describe_model(folder)
    description["metrics"] = {**description.get("metrics", {}), **metrics}
    with atomic_path(Path(folder) / DESCRIPTION, force=True) as path:
        path.write_text(seal(description), encoding="utf-8")


def seal(description: Mapping[str, Any]) -> str:
    """The text of a description with its own hash, :data:`SEAL`."""
    return json.dumps({**description, SEAL: seal_of(description)}, indent=1)


def seal_of(description: Mapping[str, Any]) -> str:
    """sha256 of a description as canonical JSON (sorted keys, no spaces), without :data:`SEAL`."""
    plain = json.loads(json.dumps({k: v for k, v in description.items() if k != SEAL}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _require_whole(folder: Path, description: Mapping[str, Any], version: int) -> None:
    """Refuse a description that was edited or damaged.

    Raises:
        CheckpointError: Its hash is missing where one is expected, or differs; or the weights are of another version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="np") as weights:
            stored = (weights.metadata() or {}).get(VERSION)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder} is no usable model: {WEIGHTS} is damaged ({error}). Copy it again.") from error
    flaw = ""
    if stored is not None and stored != str(version):
        flaw = f"it has format version {version}, its weights have {printable(stored)[:20]}"
    elif SEAL in description and description[SEAL] != seal_of(description):
        flaw = "it was changed after it was written: its hash of itself differs"
    elif SEAL not in description and (version >= SEALED or description.get("weights_sha256") in SEALED_LATER):
        flaw = "its hash of itself is missing"
    if flaw:
        raise CheckpointError(
            f"{folder / DESCRIPTION} is damaged or was edited: {flaw}. Copy both files again from where the model came "
            "from; harmose-dft evaluate --record is what adds figures to it."
        )


def _line(description: Mapping[str, Any], key: str) -> str:
    """A name in a description: one line of bounded length, without control characters."""
    text = str(description[key])
    if len(text) > LONGEST_REASON or "\n" in text or UNPRINTABLE.search(text):
        raise ValueError(f"its {key} is {shorten(text)!r}, expected a name of one line")
    return text


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise CheckpointError(
            f"{folder} is not a model: expected a folder with {WEIGHTS} and {DESCRIPTION}. Give the folder that "
            "`harmose-dft train` wrote, or the name of a bundled model."
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        version = int(description["format_version"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}. Copy it again from where the model came from.") from error
    if not isinstance(description.get("weights_sha256"), str):
        raise CheckpointError(f"{path} is damaged: it has no hash of the weights. Copy it again from its source.")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this program reads up to {FORMAT_VERSION}. Update harmose-dft."
        )
    _require_whole(folder, description, version)
    return dict(description)

"""``model.json``, the description beside a model's weights: its format version, its seal, its reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import CheckpointError, printable
from ..core.files import atomic_path

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
"""Files of a model's folder."""

FORMAT_VERSION = 8
"""Version of the model folder; older ones are upgraded on loading: :mod:`harmose_dft.model.upgrades`."""

SEALED = 7
"""Version since which models are sealed: the description holds a hash of itself, and the weights the format version, so
that a sealed model cannot pass for an older one."""

SEALED_LATER = frozenset({"51cd0c46d737b07ee3193cd2c15955432c6dc7c344736788ec1c809088fa627a"})
"""Hashes of weights of earlier format versions whose descriptions are sealed all the same: the bundled model's."""

SEAL, VERSION = "description_sha256", "format_version"
"""Keys: the description's hash of itself; the format version, in the description and in the weights' metadata."""


def read_description(folder: str | Path) -> dict[str, Any]:
    """What ``model.json`` says, checked to be whole and to belong to a file of weights, which is not read.

    Raises:
        CheckpointError: The folder holds no readable description, or one of a newer format or that was edited.
    """
    folder = Path(folder)
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


def record_metrics(folder: str | Path, metrics: Mapping[str, Any]) -> None:
    """Keep measured figures in a model's description; figures of the same name are replaced.

    Args:
        folder: The model's folder.
        metrics: Name of the data -> figures with their unit, JSON-serialisable.

    Raises:
        CheckpointError: The folder holds no readable description.
    """
    description = read_description(folder)
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

"""What a model's file says of its training."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..core.structure import Structure
from ..core.version import __version__
from ..data import structure_id
from ..model.checkpoint import ModelFile
from .config import TrainConfig

STRUCTURE_IDS = "structure_ids"
"""Key of the structures that training and validation used: the beginnings of their identities, separated by blanks."""

ID_DIGITS = 12
"""Hexadecimal digits that are kept of an identity: ten thousand structures beside as many others agree by chance once
in a million times."""

MOST_IDS = 20_000
"""Of more structures the model's file lists none, which would be a large part of it."""


def describe_training(
    config: TrainConfig,
    hashes: Mapping[str, str],
    training: Iterable[Structure],
    validation: Iterable[Structure],
    length: tuple[int, float],
    start: ModelFile | None,
) -> dict[str, Any]:
    """Data, versions, length and configuration of a training, JSON-serialisable.

    Args:
        config: The configuration.
        hashes: Name of a data set -> hash of its file.
        training: Structures that trained.
        validation: Structures that validated.
        length: Updates and seconds.
        start: The model that the training started from.
    """
    earlier = {} if start is None else {
        "started_from": {"name": start.name, "sha256": start.sha256, "training": dict(start.training)}
    }
    counts, ids = [], set()
    for structures in (training, validation):
        keys = [structure_id(structure)[:ID_DIGITS] for structure in structures]
        counts.append(len(keys))
        ids.update(keys)
    return earlier | {
        "harmose_dft": __version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "structures": counts[0],
        "validation_structures": counts[1],
        **({STRUCTURE_IDS: " ".join(sorted(ids))} if len(ids) <= MOST_IDS else {}),
        "data_sha256": dict(hashes),
        "steps": length[0],
        "seconds": round(length[1], 1),
        "split": {"kind": config.data.split, "sizes": config.data.sizes, "seed": config.data.seed},
        "configuration": config.model_dump(mode="json", exclude={"output", "data"}),
    }

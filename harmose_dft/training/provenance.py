"""What a model's file says of its training."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from .. import __version__
from ..model.checkpoint import ModelFile
from .config import TrainConfig


def describe_training(
    config: TrainConfig,
    hashes: Mapping[str, str],
    counts: tuple[int, int],
    length: tuple[int, float],
    start: ModelFile | None,
) -> dict[str, Any]:
    """Data, versions, length and configuration of a training, JSON-serialisable.

    Args:
        config: The configuration.
        hashes: Name of a data set -> hash of its file.
        counts: Training and validation structures.
        length: Updates and seconds.
        start: The model that the training started from.
    """
    earlier = {} if start is None else {
        "started_from": {"name": start.name, "sha256": start.sha256, "training": dict(start.training)}
    }
    return earlier | {
        "harmose_dft": __version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "structures": counts[0],
        "validation_structures": counts[1],
        "data_sha256": dict(hashes),
        "steps": length[0],
        "seconds": round(length[1], 1),
        "split": {"kind": config.data.split, "sizes": config.data.sizes, "seed": config.data.seed},
        "configuration": config.model_dump(mode="json", exclude={"output", "data"}),
    }

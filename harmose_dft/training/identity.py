"""What makes two runs the same: the data and the settings that weights depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ..model.checkpoint import ModelFile
from .config import TrainConfig

FREE_TO_CHANGE: dict[str, Any] = {
    "name": True, "start_from": True, "output": True, "device": True, "threads": True, "validate_every": True,
    "checkpoint_minutes": True, "validation_structures": True, "data": {"files"},
    "optimizer": {"steps", "minutes", "clock"},
}
"""Settings that a run may be resumed with different values of; contents of files and of the start count, not names."""


def identify_run(config: TrainConfig, hashes: Mapping[str, str], start: ModelFile | None) -> str:
    """Hash of everything that the weights of a run depend on, except how long it is where that may change.

    Args:
        config: The configuration.
        hashes: Name of a data set -> hash of its file.
        start: The model that the run starts from.
    """
    free = FREE_TO_CHANGE
    if config.stages.mode != "joint":  # stages change at a fraction of the length, which is then fixed too
        free = {name: value for name, value in FREE_TO_CHANGE.items() if name != "optimizer"}
    settings = config.model_dump(mode="json", exclude=free)
    used = sorted(hashes.values()) + ([] if start is None else [start.sha256])
    return hashlib.sha256(json.dumps([settings, used], sort_keys=True).encode()).hexdigest()

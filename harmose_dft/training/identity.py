"""What makes two runs the same: the data and the settings that weights depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import shorten
from ..model.checkpoint import ModelFile
from .config import TrainConfig

FREE_TO_CHANGE: dict[str, Any] = {
    "name": True, "start_from": True, "output": True, "device": True, "threads": True, "validate_every": True,
    "checkpoint_minutes": True, "validation_structures": True, "data": {"files"},
    "optimizer": {"steps", "minutes", "clock"},
}
"""Settings that a run may be resumed with different values of; contents of files and of the start count, not names."""

CONTENTS = "the contents or the order of data.files"
"""What the message names where the settings agree and the files do not."""


@dataclass(frozen=True)
class RunIdentity:
    """What the weights of a run depend on.

    Args:
        digest: Hash of the settings and of the files.
        settings: Dotted key -> value, such as "optimizer.batch_size" -> 8.
    """

    digest: str
    settings: Mapping[str, Any]

    def describe_differences(self, earlier: Mapping[str, Any]) -> str:
        """Settings that differ from those of an earlier run, with both values; files where no setting does.

        Args:
            earlier: Settings of the earlier run, by dotted key; empty where its state does not tell.
        """
        if not earlier:
            return ""
        keys = sorted(k for k in {*self.settings, *earlier} if self.settings.get(k) != earlier.get(k))
        values = [[shorten(json.dumps(of.get(key))) for of in (self.settings, earlier)] for key in keys]
        words = [f"{key} = {now}, then {then}" for key, (now, then) in zip(keys, values, strict=True)]
        return "; ".join(words) or CONTENTS


def identify_run(config: TrainConfig, hashes: Mapping[str, str], start: ModelFile | None) -> RunIdentity:
    """Everything that the weights of a run depend on, except how long it is where that may change.

    Args:
        config: The configuration.
        hashes: Name of a data set -> hash of its file.
        start: The model that the run starts from.
    """
    free = FREE_TO_CHANGE
    if config.stages.mode != "joint":  # stages change at a fraction of the length, which is then fixed too
        free = {name: value for name, value in FREE_TO_CHANGE.items() if name != "optimizer"}
    settings = config.model_dump(mode="json", exclude=free)
    used = list(hashes.values()) + ([] if start is None else [start.sha256])  # structures are taken in this order
    digest = hashlib.sha256(json.dumps([settings, used], sort_keys=True).encode()).hexdigest()
    return RunIdentity(digest, flatten(settings))


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Sections in sections as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= flatten(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat

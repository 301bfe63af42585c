"""The state of a training run on disk: safetensors, written atomically, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.errors import CheckpointError
from ..core.files import atomic_path


@dataclass(frozen=True)
class TrainState:
    """Where a run stands.

    Args:
        step: Number of steps.
        seconds: Training time.
        updates: Number of updates of the weights.
        tensors: Parameters and their running average, (parameter,), and what the optimizer keeps.
        run: Hash of the data and settings, empty where unknown.
        settings: Those settings by dotted key, empty where unknown.
    """

    step: int
    seconds: float
    updates: int
    tensors: dict[str, Tensor]
    run: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the state, replacing an older one only when complete."""
        from safetensors.torch import save_file

        numbers = {
            "step": str(self.step), "seconds": repr(self.seconds), "updates": str(self.updates), "run": self.run,
            "settings": json.dumps(self.settings),
        }
        with atomic_path(path, force=True) as temporary:
            save_file({k: v.detach().cpu().clone() for k, v in self.tensors.items()}, temporary, metadata=numbers)

    @classmethod
    def load(cls, path: Path) -> TrainState:
        """Read a state.

        Raises:
            CheckpointError: The file is damaged or not a training state.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                numbers = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            step, updates = int(numbers["step"]), int(numbers["updates"])
            settings = json.loads(numbers.get("settings", "{}"))
            if not isinstance(settings, dict):
                raise ValueError("its settings are no mapping")
            return cls(step, float(numbers["seconds"]), updates, tensors, numbers.get("run", ""), settings)
        except (SafetensorError, KeyError, OSError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is not a readable training state ({error}). Delete it to start the training anew."
            ) from error

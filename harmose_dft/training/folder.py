"""The folder of a training run: its state, its log, and the model that it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, OutputExistsError
from ..core.files import atomic_path, require_regular
from ..model.description import DESCRIPTION, WEIGHTS, read_description
from .identity import RunIdentity
from .log import LogEntry
from .state import TrainState

STATE = "state.safetensors"
LOG = "log.jsonl"


class RunFolder:
    """Where a run keeps what it needs to resume.

    Args:
        path: The folder, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def require_own(self, *, force: bool) -> None:
        """Refuse to replace a model that another run wrote, or one whose state is gone, and a file.

        Args:
            force: Whether such a model may be replaced.

        Raises:
            OutputExistsError: It would be replaced, or a file of the folder is a link.
        """
        if self.path.is_file():
            raise OutputExistsError(f"{self.path} is a file and was left as it is. Name a folder as output.")
        for name in (WEIGHTS, DESCRIPTION, STATE, LOG):
            require_regular(self.path / name)
        if (self.path / DESCRIPTION).exists() and not (self.path / STATE).exists() and not force:
            raise OutputExistsError(
                f"{self.path} holds a model without the state of its training ({STATE}), so training would replace "
                "it. Choose another output, go on from it by start_from, or replace it with --force."
            )

    def earlier(self, identity: RunIdentity, *, force: bool = False) -> TrainState | None:
        """The state to resume from, if there is one.

        Args:
            identity: Identity of the run's data and settings.
            force: Whether the run begins anew in any case; its own first state replaces the earlier one then.

        Raises:
            CheckpointError: The state cannot be read.
            ConfigError: It belongs to other data or settings.
        """
        path = self.path / STATE
        if force:
            return None
        state = TrainState.load(path) if path.is_file() else None
        if state is None or state.step == 0:  # nothing was learned, so that other settings are welcome
            return None
        if state.run not in ("", identity.digest):
            differences = identity.describe_differences(state.settings) or "or of an older version"
            raise ConfigError(
                f"{path} belongs to a run with other data or settings ({differences}) and cannot be gone on with; only "
                "the length of a run with stages.mode joint, its device and its output may change. Restore them, "
                "choose another output, or begin anew with --force."
            )
        return state

    def metrics(self) -> dict[str, Any]:
        """Figures that were recorded in the model's file since it was written; empty where there is none."""
        return dict(read_description(self.path)["metrics"]) if (self.path / DESCRIPTION).is_file() else {}

    def save(self, state: TrainState, identity: RunIdentity) -> None:
        """Write the state."""
        replace(state, run=identity.digest, settings=identity.settings).save(self.path / STATE)

    def begin_log(self, step: int) -> None:
        """Drop the lines of the log after a step, whose updates are made again, and those that are damaged.

        A run that begins has no lines: those of an earlier run, whose place it takes, are dropped.
        """
        path = self.path / LOG
        if path.is_file():
            kept = [line for line, entry in self._read_log() if 0 < step >= entry["step"]]
            with atomic_path(path, force=True) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def validation_errors(self) -> dict[int, float]:
        """Step -> validation error of the whole model in microhartree, of every line of the log that has one."""
        entries = [entry for _, entry in self._read_log()] if (self.path / LOG).is_file() else []
        return {e["step"]: float(error) for e in entries if isinstance(error := e.get("valid_mae_all"), int | float)}

    def _read_log(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Lines of the log with what they say; those that a crash has cut off, or that are damaged, are left out."""
        for line in (self.path / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and isinstance(entry.get("step"), int):
                    yield line, entry

    def log(self, entry: LogEntry) -> None:
        """Append a line to the log; numbers that are not finite become null."""
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            finite = {k: v if math.isfinite(v) else None for k, v in entry.to_dict().items()}
            file.write(json.dumps(finite) + "\n")

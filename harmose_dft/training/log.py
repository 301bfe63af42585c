"""Lines of the training log."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass

FIRST_SECONDS = 1e-9
"""Shortest time that a rate is computed from."""


@dataclass(frozen=True)
class LogEntry:
    """One line of the training log; errors in microhartree.

    Args:
        step: Number of updates.
        seconds: Training time so far.
        learning_rate: Current learning rate.
        gradient_norm: Norm of the last gradient.
        train_mae_all: Mean over the updates since the last line; NaN before the first one.
        valid_mae_stage1: Stage 1 on the validation set, averaged weights.
        valid_mae_all: Whole model on the validation set, averaged weights.
        valid_orbital_mae: First-order error of occupied and LUMO energies on the validation set; NaN where the samples
            hold no reference orbitals, as those of crystals.
        structures_per_second: Training throughput since the last line.
        skipped: Updates left out since the last line because an error or a gradient was not finite.
    """

    step: int
    seconds: float
    learning_rate: float
    gradient_norm: float
    train_mae_all: float
    valid_mae_stage1: float
    valid_mae_all: float
    valid_orbital_mae: float
    structures_per_second: float
    skipped: int

    def to_dict(self) -> dict[str, float]:
        """Name -> value."""
        return asdict(self)


class Meter:
    """Adds up what happens between two lines of the log.

    Attributes:
        updates: Number of updates.
        skipped: Number of those left out because their gradient was not finite.
        norm: Norm of the last gradient.
    """

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._errors, self._finite = 0.0, 0
        self.updates, self.skipped, self.norm = 0, 0, math.nan

    def count(self, error: float, norm: float) -> None:
        """Count an update.

        Args:
            error: Mean absolute error of its batch.
            norm: Norm of its gradient.
        """
        if math.isfinite(error):
            self._errors, self._finite = self._errors + error, self._finite + 1
        self.skipped += not math.isfinite(norm)
        self.updates, self.norm = self.updates + 1, norm

    @property
    def error(self) -> float:
        """Mean of the finite errors; NaN where there are none."""
        return self._errors / self._finite if self._finite else math.nan

    @property
    def elapsed(self) -> float:
        """Seconds since the last line, above 0."""
        return max(time.monotonic() - self._start, FIRST_SECONDS)

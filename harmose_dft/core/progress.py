"""How long tasks say how far they are: one protocol for every task and every way of showing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Counter(Protocol):
    """Counts finished steps of a task."""

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""


class Progress(Protocol):
    """Shows the progress of a task of known length."""

    def __call__(self, description: str, total: int) -> AbstractContextManager[Counter]:
        """Start a task.

        Args:
            description: Text beside the bar.
            total: Number of steps.

        Returns:
            A context in which the task runs; it gives the counter to advance.
        """


class SilentCounter:
    """Counts steps and shows nothing."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self.done += steps


@contextmanager
def silent(description: str, total: int) -> Iterator[SilentCounter]:
    """Progress that is not shown; see :class:`Progress`."""
    yield SilentCounter()

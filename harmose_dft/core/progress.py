"""How long-running functions report progress: to whatever the caller shows it with, by default to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Steps(Protocol):
    """A counter of finished steps."""

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""


Progress = Callable[[str, int], AbstractContextManager[Steps]]
"""Given a description and the number of steps: a context that shows progress while it is open."""


class _Unseen:
    """A counter that shows nothing."""

    def advance(self, steps: int = 1) -> None:
        """Count nothing."""


@contextmanager
def silent(description: str, total: int) -> Iterator[Steps]:
    """Show no progress.

    Args:
        description: Ignored.
        total: Ignored.

    Yields:
        A counter without effect.
    """
    yield _Unseen()


def ignore(message: str) -> None:
    """Drop a remark."""

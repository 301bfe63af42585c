"""SIGINT and SIGTERM that wait until a good moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def defer_interrupts() -> Iterator[Callable[[], bool]]:
    """Let the first SIGINT or SIGTERM wait until the block asks for it, or ends; a second one acts at once.

    Yields:
        Whether a signal waits. The block is to end soon then; what the signal does, it does when the block has ended.
    """
    if threading.current_thread() is not threading.main_thread():  # where Python has no signals
        yield lambda: False
        return
    waiting: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def wait(number: int, frame: FrameType | None) -> None:
        if waiting:
            restore()
            signal.raise_signal(number)
        waiting.append(number)

    for number, handler in handlers.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, wait)
    try:
        yield lambda: bool(waiting)
    finally:
        restore()
    if waiting:
        signal.raise_signal(waiting[0])

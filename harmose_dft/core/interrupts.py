"""SIGINT and SIGTERM that end a command at any time, or wait until a good moment.

Python raises an exception between any two instructions. While a module is imported, this exception may disappear: in a
bare ``except`` of that module, in the callbacks of Python's own import locks, in C++. In a finalizer (``__del__``) it
always does. There the signals wait, or end the process where nothing is begun.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}
"""What a signal is called in the one sentence that it leaves behind."""

DISCARDED = "Files being written are discarded; earlier ones are unchanged."
"""What becomes of files at a sudden end."""

PAUSE = 0.02
"""Seconds after which it is looked again whether an import has ended."""


def exit_code(number: int) -> int:
    """Exit code after a signal, as shells count them: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + number


def end_process(number: int, frame: FrameType | None = None) -> NoReturn:
    """Handler of a signal that says so and ends the process at once; nothing is cleaned up."""
    try:
        os.write(2, f"error: {WORDS[signal.Signals(number)]}. {DISCARDED}\n".encode())
    finally:
        os._exit(exit_code(number))


@contextmanager
def end_at_once() -> Iterator[None]:
    """End the process at SIGINT and SIGTERM while nothing is begun; other handlers, and ignored signals, stay."""
    with _handle(end_process):
        yield


@contextmanager
def raise_at_signals(main: FrameType, start_up: str) -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at SIGINT, and at SIGTERM, so that temporary files are removed after both.

    During imports and in finalizers the signals wait. During the imports of the start-up, when no other part of the
    package is at work, they end the process at once. A further SIGTERM does not disturb the clean-up; a second Ctrl-C
    does. Where a signal is still waiting or was lost when the block ends, KeyboardInterrupt is raised then.

    Args:
        main: Frame of the function that uses this; what is called outside of it does not count.
        start_up: Beginning of the names of the modules that do nothing but start commands.

    Yields:
        The signals that came.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stack = _stack(frame, main)
        is_repeated = number in received
        received.append(number)
        if number == signal.SIGTERM and _is_cleaning_up():
            return
        if is_repeated or _can_raise(stack):
            raise KeyboardInterrupt
        if _is_start_up(stack, start_up):
            end_process(number)
        if not _look_again(number, main):
            raise KeyboardInterrupt

    with _handle(stop):
        try:
            yield received
        finally:
            _forget_alarm()
    if received:
        raise KeyboardInterrupt


@contextmanager
def _handle(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle signals where Python would, which it does in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = (signal.SIG_DFL, signal.default_int_handler, end_process)
    before = {number: signal.getsignal(number) for number in WORDS}
    handled = {number: previous for number, previous in before.items() if previous in usual}
    for number in handled:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in handled.items():
            signal.signal(number, previous)


def _stack(frame: FrameType | None, main: FrameType) -> list[FrameType]:
    """Frames from the innermost one out to that of a function, without it."""
    frames = []
    while frame is not None and frame is not main:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_import(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _can_raise(stack: list[FrameType]) -> bool:
    """Whether an exception would reach the function that waits for it."""
    return not any(_is_import(frame) or frame.f_code.co_name == "__del__" for frame in stack)


def _is_start_up(stack: list[FrameType], start_up: str) -> bool:
    """Whether a module is being imported and no part of the package is at work but those that start commands."""
    last = max((n for n, frame in enumerate(stack) if _is_import(frame)), default=None)
    if last is None:
        return False
    names = [str(frame.f_globals.get("__name__")) for frame in stack[last:]]
    package = start_up.partition(".")[0] + "."
    return not any(name.startswith(package) and not name.startswith(start_up) for name in names)


def _is_cleaning_up() -> bool:
    """Whether a KeyboardInterrupt is being handled."""
    error = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


class _Alarm:
    """Handler of the alarm clock that sends a signal again as soon as an exception would arrive.

    Args:
        number: The signal.
        main: As in :func:`raise_at_signals`.
    """

    def __init__(self, number: int, main: FrameType) -> None:
        self.number, self.main = number, main

    def __call__(self, alarm: int, frame: FrameType | None) -> None:
        if _can_raise(_stack(frame, self.main)):
            _forget_alarm()
            signal.raise_signal(self.number)
        else:
            signal.setitimer(signal.ITIMER_REAL, PAUSE)


def _look_again(number: int, main: FrameType) -> bool:
    """Set the alarm clock, see :class:`_Alarm`.

    Returns:
        False where there is no alarm clock, or it is in use.
    """
    if not hasattr(signal, "setitimer") or signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
        return False

    signal.signal(signal.SIGALRM, _Alarm(number, main))
    signal.setitimer(signal.ITIMER_REAL, PAUSE)
    return True


def _forget_alarm() -> None:
    """Stop the alarm clock, if it was set here."""
    if hasattr(signal, "setitimer") and isinstance(signal.getsignal(signal.SIGALRM), _Alarm):
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


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

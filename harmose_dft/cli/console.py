"""What commands print with: results to stdout as tables or JSON, progress and notes to stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ..core.errors import UNPRINTABLE, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PIPE_WIDTH = 120
"""Columns of a table that does not go to a terminal."""

LOG_INTERVAL = 30.0
"""Seconds between two progress lines where stderr is not a terminal."""


@dataclass
class Settings:
    """How much to say; set by the options that all commands share."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False

    def reset(self) -> None:
        """Back to the defaults."""
        self.debug = self.quiet = self.verbose = False


settings = Settings()


def _terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; Python has none where the shell closed it."""
    return stream is not None and stream.isatty()


def stdout() -> Console:
    """Console for results."""
    from rich.console import Console

    return Console(width=None if _terminal(sys.stdout) else PIPE_WIDTH, highlight=False, soft_wrap=False)


def stderr() -> Console:
    """Console for progress and notes."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def error(message: str) -> None:
    """One paragraph that says why the command failed."""
    text = printable(" ".join(message.split()))
    if _terminal(sys.stderr):
        stderr().print("error:", style="bold red", end=" ")
        stderr().print(text, markup=False)
    else:
        print(f"error: {text}", file=sys.stderr)


def note(message: str) -> None:
    """A remark for the user, unless ``--quiet``."""
    if not settings.quiet:
        stderr().print(printable(message), markup=False)


def detail(message: str) -> None:
    """A remark that only ``--verbose`` shows."""
    if settings.verbose:
        stderr().print(printable(message), markup=False, style="dim" if _terminal(sys.stderr) else "")


def say(text: str = "") -> None:
    """A line of results on stdout, as it is but for control characters."""
    print(printable(text))


def print_json(value: object) -> None:
    """Print a result as JSON; numpy values become numbers and lists, numbers that are not finite become null.

    What a terminal would obey, and what the encoding of stdout lacks, stands in the strings as JSON's own escapes.
    """
    content = plain(value)
    text = _escape(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False))
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = _escape(json.dumps(content, indent=2, allow_nan=False))
    print(text)


def _escape(text: str) -> str:
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


Plain = dict[str, "Plain"] | list["Plain"] | str | int | float | bool | None
"""What JSON can hold."""


def plain(value: object) -> Plain:
    """Convert a value to JSON's own types; what JSON does not know becomes text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, left: int = 1) -> None:
    """Print a table of results on stdout.

    Args:
        title: Line above the table.
        columns: Headings.
        rows: Cells, shown by ``str``.
        left: Number of leading columns aligned to the left; the others are aligned to the right.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(columns))
    for i, column in enumerate(columns):
        table.add_column(escape(printable(column)), justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(str(cell))) for cell in row))
    out = stdout()
    out.print(printable(title), style="bold", markup=False, soft_wrap=True)
    out.print(table)


class Steps:
    """Progress of a task of known length; see :func:`progress`."""

    def __init__(self, description: str, total: int, bar: Progress | None) -> None:
        self.description, self.total, self.done = description, total, 0
        self._bar = bar
        self._task = bar.add_task(printable(description), total=total) if bar is not None else None
        self._start = self._last = time.monotonic()

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self.done += steps
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, description=printable(self.description))
        elif not settings.quiet and time.monotonic() - self._last > LOG_INTERVAL:
            self._last = time.monotonic()
            elapsed = self._last - self._start
            seconds_left = elapsed / self.done * (self.total - self.done) if self.done else math.inf
            note(f"{self.description}: {self.done}/{self.total}, {elapsed:.0f} s, about {seconds_left:.0f} s left")


@contextmanager
def progress(description: str, total: int) -> Iterator[Steps]:
    """A progress bar with time left on stderr; a line every half minute where stderr is not a terminal.

    Args:
        description: Text beside the bar.
        total: Number of steps.

    Yields:
        The counter to advance.
    """
    if settings.quiet or not _terminal(sys.stderr):
        yield Steps(description, total, None)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr(), transient=True) as bar:
        yield Steps(description, total, bar)

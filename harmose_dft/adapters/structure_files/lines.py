"""Lines of a text file, one after the other, with a look at those that follow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ...core.errors import FileFormatError


class LineQueue:
    """Lines that are taken one after the other.

    Args:
        lines: The lines.

    Attributes:
        taken: Number of lines that were taken, which is the number of the last one.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.taken = 0
        self._rest, self._ahead = iter(lines), deque[str]()

    def peek(self, count: int) -> list[str]:
        """The next lines, fewer at the end, which stay where they are."""
        self._ahead.extend(islice(self._rest, max(count - len(self._ahead), 0)))
        return list(islice(self._ahead, count))

    def take(self, count: int) -> list[str]:
        """The next lines, fewer at the end."""
        lines = self.peek(count)
        for _ in lines:
            self._ahead.popleft()
        self.taken += len(lines)
        return lines

    def next_with_text(self) -> str | None:
        """The next line that is not blank; None at the end."""
        while line := self.take(1):
            if line[0].strip():
                return line[0]
        return None


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a text file without their ends, of which no more than one is in memory at a time.

    Raises:
        FileFormatError: It is missing, no file, empty, binary or not UTF-8.
    """
    if not path.is_file():
        raise FileFormatError("There is no such file." if not path.exists() else "This is not a file.", path=path)
    offset, is_empty = 0, True
    with path.open("rb") as file:
        for raw in file:
            if b"\x00" in raw:
                raise FileFormatError("This is a binary file, not a structure in text form.", path=path,
                                      offset=offset + raw.index(b"\x00"))
            try:
                text = raw.decode("utf-8" if offset else "utf-8-sig")
            except UnicodeDecodeError as error:
                raise FileFormatError(
                    "The text is not UTF-8; save it as UTF-8 (plain ASCII will do).", path=path,
                    offset=offset + error.start,
                ) from error
            offset += len(raw)
            is_empty = is_empty and not text.strip()
            yield from text.splitlines()
    if is_empty:
        raise FileFormatError("The file is empty.", path=path)

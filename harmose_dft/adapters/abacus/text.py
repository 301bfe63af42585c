"""Numbers in the text files of ABACUS, with errors that name file and line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError

_PARENTHESES = bytes.maketrans(b"(),", b"   ")


def strip_comment(line: str) -> str:
    """A line of an input file (STRU, KPT) without its ``#`` or ``//`` comment, stripped."""
    return re.split(r"#|//", line, maxsplit=1)[0].strip()


def strip_comment_of_input(line: str) -> str:
    """A line of INPUT without its comment, stripped; ``//`` inside a word is part of a path."""
    return re.split(r"[#!]|(?<!\S)//", line, maxsplit=1)[0].strip()


def parse_floats(
    words: Sequence[str], path: Path, line: int, quantity: str, count: int | None = None
) -> NDArray[np.float64]:
    """Numbers of a line.

    Args:
        words: The line, split.
        path: The file, for the error.
        line: Line number (1-based), for the error.
        quantity: What the numbers are, for the error.
        count: How many to take from the front; all if None.

    Raises:
        FileFormatError: There are too few words, or one is not a number.
    """
    used_words = list(words if count is None else words[:count])
    if count is not None and len(used_words) < count:
        raise FileFormatError(f"Expected {count} numbers ({quantity}); got {len(used_words)}.", path=path, line=line)
    try:
        return np.array(used_words, dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(
            f"Expected numbers ({quantity}); got {' '.join(used_words)!r}.", path=path, line=line
        ) from error


def parse_numbers(text: bytes) -> NDArray[np.float64]:
    """All real numbers of a text up to the first word that is none.

    The caller compares the length with what it expects, which finds truncated and damaged text alike.
    """
    return _parse(text, np.float64)


def parse_integers(text: bytes) -> NDArray[np.int64]:
    """All integers of a text up to the first word that is none."""
    return _parse(text, np.int64)


def parse_complex(text: bytes) -> NDArray[np.complex128]:
    """All ``(re,im)`` pairs of a text up to the first word that is none."""
    numbers = _parse(text.translate(_PARENTHESES), np.float64)
    return numbers[: len(numbers) // 2 * 2].view(np.complex128)


def _parse(text: bytes, dtype: type[np.generic]) -> NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return np.fromstring(text, dtype=dtype, sep=" ")
        except ValueError:
            return np.empty(0, dtype=dtype)

"""Exceptions a user can act on: each message says what is wrong, what was got and expected, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that a terminal obeys instead of showing, or that turn the text around; line ends and tabs are not."""

LONGEST_QUOTE = 60
"""Characters of a foreign text that a message shows."""


def printable(text: str) -> str:
    """A text with its control characters written as escapes, ``\\x1b``, so that a terminal shows them."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def shorten(text: str) -> str:
    """The beginning of a foreign text, for a message."""
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


class HarmoseWarning(UserWarning):
    """What was made but should be used with care, or not at all: a prediction (see ``prediction.trust``), a model."""


class HarmoseError(Exception):
    """Base of every error this package raises on purpose; the command line prints it as one paragraph."""

    exit_code = 1


class ArgumentError(HarmoseError):
    """Arguments contradict each other, such as two outputs of one name, or one makes no sense."""

    exit_code = 2


class StructureError(HarmoseError):
    """A structure is malformed: overlapping or non-finite atoms, an impossible cell, an unreadable file."""


class BasisMismatchError(HarmoseError):
    """Two objects are expressed in different orbital bases."""


class DataError(HarmoseError):
    """A data set is empty, inconsistent or unfit for what is asked of it."""


class ConfigError(HarmoseError):
    """A configuration file has an unknown key or an invalid value."""


class CheckpointError(HarmoseError):
    """A model file is missing, damaged, or from an unknown format version."""


class SolverError(HarmoseError):
    """An eigenproblem cannot be solved as posed."""


class OutputExistsError(HarmoseError):
    """A file to be written exists already and overwriting was not asked for."""


class DomainError(HarmoseError):
    """The input lies outside what the model was trained for; no prediction is made."""

    exit_code = 3


class InputNote(UserWarning):
    """Something in an input was left out or chosen for the user, who should know; shown, not raised."""


class FileFormatError(HarmoseError):
    """A file does not follow its format.

    Args:
        message: What is wrong, what was expected, what to do.
        path: The file.
        line: Line number (text files, 1-based), where known.
        offset: Byte offset (binary files), where known.
    """

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None, offset: int | None = None
    ) -> None:
        self.path, self.line, self.offset = path, line, offset
        location = "" if path is None else f"{path}"
        if line is not None:
            location += f", line {line}"
        if offset is not None:
            location += f", byte {offset}"
        super().__init__(f"{location}: {message}" if location else message)

"""Errors of other libraries on damaged files, as errors of this package that name the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from .errors import FileFormatError, HarmoseError

P = ParamSpec("P")
T = TypeVar("T")


class OutOfRangeError(IndexError):
    """An index beyond the end of a sequence, which is the caller's error and no damage."""


PASSED = (HarmoseError, OutOfRangeError, MemoryError, NotImplementedError, AssertionError, NameError, ImportError)
"""Errors that say something else: this package's own, the caller's, the machine's, and those of a bug."""



class HasPath(Protocol):
    """Something that is read from a file."""

    path: Path


HasPathT = TypeVar("HasPathT", bound=HasPath)

LONGEST_REASON = 160
"""Characters of another library's message that are quoted."""


@contextmanager
def name_damage(path: str | Path, part: str = "The file") -> Iterator[None]:
    """Whatever goes wrong in this block means that a file is damaged, unless this package says otherwise.

    Libraries raise errors of any type on damaged files (HDF5: OSError, KeyError, RuntimeError; JSON: RecursionError;
    numpy: ValueError, OverflowError), and a reader cannot foresee them all. Running out of memory is no damage.

    Args:
        path: The file.
        part: The part of it that is read.

    Raises:
        FileFormatError: With the file and the reason.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except PASSED:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:LONGEST_REASON]}"
        raise FileFormatError(
            f"{part} is damaged, or of another layout than its kind has ({reason}). Copy or create it again.", path=path
        ) from error


def names_damage(
    method: Callable[Concatenate[HasPathT, P], T],
) -> Callable[Concatenate[HasPathT, P], T]:
    """A method of something with a ``path``, whose errors name the file (:func:`name_damage`)."""

    @wraps(method)
    def call(self: HasPathT, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with name_damage(self.path):
            return method(self, *args, **kwargs)

    return call

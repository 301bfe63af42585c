"""HDF5 files that appear whole: under another name while they are written, in their place when all went well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .errors import DataError
from .files import atomic_path

if TYPE_CHECKING:
    import h5py

SPARE_BYTES = 1 << 20
"""Room for what HDF5 writes beside the arrays; it crashes the process when a disk runs full under it."""


class HDF5Writer(ABC):
    """A file being written in a ``with`` block; it appears, complete, when the block ends without an error.

    Args:
        path: The file.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        self.path, self._force = Path(path), force
        self._stack = ExitStack()
        self._file: h5py.File | None = None

    def __enter__(self) -> Self:
        import h5py

        with ExitStack() as stack:
            self._file = stack.enter_context(h5py.File(stack.enter_context(atomic_path(self.path, self._force)), "w"))
            self._begin(self._file)
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def _open(self) -> h5py.File:
        if self._file is None:
            raise DataError(f"{self.path} is not open. Use the writer in a with statement.")
        return self._file

    @abstractmethod
    def _begin(self, file: h5py.File) -> None:
        """Write what comes first."""

    @abstractmethod
    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is known at the end only, unless the block failed.

        Args:
            kind: Of the error that ended the block; None where all went well.
        """

"""Which code wrote a file or folder, and the reader for it. Readers are imported when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.errors import FileFormatError
from ..core.record import Record


@dataclass(frozen=True)
class Reader:
    """A code's reader.

    Args:
        module: Module with ``recognise(path) -> bool`` and ``read(path)``, which gives records.
        what: What it recognises, for messages.
        pao_dir: Whether ``read`` takes the keyword ``pao_dir``.
    """

    module: str
    what: str
    pao_dir: bool = False

    def _function(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(import_module(self.module), name)
        return function

    def recognise(self, path: Path) -> bool:
        """Whether the path is of this code; cheap."""
        return bool(self._function("recognise")(path))

    def read(self, path: Path, pao_dir: Path | None = None) -> Iterable[Record]:
        """The calculations at the path; those of a data set are read one by one."""
        options = {"pao_dir": pao_dir} if self.pao_dir else {}
        records: Iterable[Record] = self._function("read")(path, **options)
        return records


READERS = MappingProxyType(
    {
        "OpenMX": Reader(
            "harmose_dft.adapters.openmx", "a .scfout file (HS.fileout on) or output/overlaps_0.h5 with its input", True
        ),
        "ABACUS": Reader(
            "harmose_dft.adapters.abacus", "a run with INPUT, STRU and OUT.<suffix> with CSR files (out_mat_hs2 1)"
        ),
        "DeepH": Reader(
            "harmose_dft.adapters.deeph", "a folder with POSCAR and hamiltonian.h5, or element.dat and hamiltonians.h5"
        ),
        "data set": Reader("harmose_dft.adapters.datasets", "an HDF5 or SQLite data set"),
    }
)
"""Code -> reader, in the order in which they are asked."""


def recognise(path: Path) -> str | None:
    """Name of the code that wrote a file or folder, or None."""
    return next((code for code, reader in READERS.items() if reader.recognise(path)), None)


def find_calculations(path: Path) -> list[Path]:
    """The path itself if it is a calculation; otherwise the calculations in the folders below it.

    Raises:
        FileFormatError: There is no such path, or no calculation of a known code.
    """
    if not path.exists():
        raise FileFormatError("There is no such file or folder. Check the path.", path=path)
    found = list(_walk(path))
    if not found:
        known = "; ".join(f"{code}: {reader.what}" for code, reader in READERS.items())
        raise FileFormatError(f"No calculation of a known code was found. Known are {known}.", path=path)
    return found


def read_calculations(path: Path, *, pao_dir: Path | None = None) -> list[Record]:
    """All calculations of a file, a folder, or the folders below it.

    Args:
        path: What a code wrote.
        pao_dir: OpenMX's folder of ``.pao`` files, if it is not where the input says.

    Raises:
        FileFormatError: Nothing there is known, or a file is damaged.
    """
    return [r for found in find_calculations(path) for r in iterate_calculation(found, pao_dir=pao_dir)]


def iterate_calculation(found: Path, *, pao_dir: Path | None = None) -> Iterable[Record]:
    """The records of a path that :func:`find_calculations` gave."""
    code = recognise(found)
    if code is None:
        raise FileFormatError("No known code wrote this. Use find_calculations to search a folder.", path=found)
    return READERS[code].read(found, pao_dir)


def _walk(path: Path) -> Iterator[Path]:
    if recognise(path) is not None:
        yield path
    elif path.is_dir():
        for below in sorted(path.iterdir()):
            if below.is_dir() and not below.name.startswith("."):
                yield from _walk(below)

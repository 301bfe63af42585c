"""The codes that the package knows, and the calculations in files and folders.

Every package in this folder that has a module ``code`` with a subclass of :class:`~harmose_dft.adapters.code.Code` is
found; no list is edited to add one.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .. import adapters
from ..core.errors import FileFormatError
from ..core.record import CONVERGED
from .code import Code, Options, PathOption, StartWriter

if TYPE_CHECKING:
    from ..core.record import Record


def codes() -> tuple[Code, ...]:
    """All codes, in the order in which they are asked."""
    return _codes(tuple(adapters.__path__))


@cache
def _codes(folders: tuple[str, ...]) -> tuple[Code, ...]:
    modules = []
    for package in pkgutil.iter_modules(folders, f"{adapters.__name__}."):
        name = f"{package.name}.code"
        if package.ispkg and find_spec(name) is not None:
            modules.append(import_module(name))
    kinds = {
        kind for module in modules for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Code) and kind.__module__ == module.__name__
    }
    return tuple(kind() for kind in sorted(kinds, key=lambda kind: (kind.priority, kind.name)))


def read_options() -> tuple[PathOption, ...]:
    """What readers can be told, of all codes."""
    return tuple(option for code in codes() for option in code.options)


def start_writers() -> dict[str, StartWriter]:
    """Name of a code on the command line -> writer of its start file."""
    return {code.start.key: code.start for code in codes() if code.start is not None}


def start_options() -> tuple[PathOption, ...]:
    """What writers of start files can be told, of all codes; each name once."""
    options = (option for writer in start_writers().values() for option in writer.options)
    return tuple({option.name: option for option in options}.values())


def layouts() -> dict[str, Code]:
    """Layout that calculations can be written in, besides the package's own data sets -> its code."""
    return {layout: code for code in codes() for layout in code.layouts}


def recognise(path: Path) -> Code | None:
    """The code that wrote a file or folder, or None."""
    return next((code for code in codes() if code.recognise(path)), None)


def find_calculations(path: Path) -> list[Path]:
    """The path itself if it is a calculation; otherwise the calculations in the folders below it.

    Raises:
        FileFormatError: There is no such path, or no calculation of a known code.
    """
    if not path.exists():
        raise FileFormatError("There is no such file or folder. Check the path.", path=path)
    calculations = list(_walk(path, set(path.resolve().parents)))
    if not calculations:
        formats = "; ".join(f"{code.name}: {code.recognises}" for code in codes() if code.recognises)
        raise FileFormatError(
            f"No calculation of a known code was found. Known are {formats}. A structure is read from its own file: "
            "give its name.", path=path,
        )  # fmt: skip
    return calculations


def read_calculations(path: Path, options: Options | None = None) -> list[Record]:
    """All calculations of a file, a folder, or the folders below it.

    Args:
        path: What a code wrote.
        options: What its reader is told: :func:`read_options`.

    Raises:
        FileFormatError: Nothing there is known, or a file is damaged.
    """
    return [record for place in find_calculations(path) for record in iterate_calculation(place, options)]


def iterate_calculation(
    path: Path, options: Options | None = None, *, allow_unconverged: bool = True
) -> Iterator[Record]:
    """The records of a path that :func:`find_calculations` gave; those of a data set are read one by one.

    Args:
        path: The path.
        options: What its reader is told.
        allow_unconverged: Whether a calculation may be read whose SCF has not converged.

    Raises:
        FileFormatError: No code wrote this, a file is damaged, or the SCF has not converged.
    """
    code = recognise(path)
    if code is None:
        raise FileFormatError("No known code wrote this. Use find_calculations to search a folder.", path=path)
    for record in code.read(path, options or {}):
        if record.provenance.get(CONVERGED) == "no" and not allow_unconverged:
            raise FileFormatError(
                "The self-consistent field has not converged, so that H belongs to no ground state. Run the "
                "calculation to convergence, or read it as it is with --allow-unconverged.", path=path,
            )  # fmt: skip
        yield record


def _walk(path: Path, seen: set[Path]) -> Iterator[Path]:
    """Calculations at a path and below; of a folder that links lead to as well, once: a link may lead upwards."""
    place = path.resolve()
    if place in seen:
        return
    seen.add(place)
    if recognise(path) is not None:
        yield path
    elif path.is_dir():
        for child in sorted(path.iterdir(), key=lambda child: (child.is_symlink(), child)):
            if child.is_dir() and not child.name.startswith("."):
                yield from _walk(child, seen)

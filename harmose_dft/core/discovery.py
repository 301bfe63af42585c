"""Extension points: the classes of one kind, found in the modules of a package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, base: type[T]) -> tuple[type[T], ...]:
    """The concrete subclasses of a class that the modules of a package define.

    Every module on the package's ``__path__`` is imported; a new class in a file of its own needs no list elsewhere.

    Args:
        package: Full name of the package.
        base: The abstract class.

    Returns:
        The classes, by the names of their modules; those of one module as they stand in it.
    """
    return tuple(_find_classes(package, base))


def _find_classes(package: str, base: type[T]) -> Iterator[type[T]]:
    folders = importlib.import_module(package).__path__
    for name in sorted(m.name for m in pkgutil.iter_modules(folders)):
        module = importlib.import_module(f"{package}.{name}")
        for value in vars(module).values():
            defined = inspect.isclass(value) and value.__module__ == module.__name__
            if defined and issubclass(value, base) and not inspect.isabstract(value):
                yield value

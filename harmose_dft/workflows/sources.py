"""Structures in whatever form they are given: as objects of this package or of ASE, or as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeGuard

from ..adapters.registry import find_calculations, iterate_calculation
from ..adapters.structures import from_ase, iterate_structures
from ..core.errors import FileFormatError
from ..core.structure import Structure
from ..model.loading import model_folder
from ..model.predictor import AtomsLike, Predictor

Source = Structure | AtomsLike | str | Path
"""A structure, or the path of a file with structures or of a DFT code's calculation."""


def is_one_source(sources: Source | Iterable[Source]) -> TypeGuard[Source]:
    """Whether a value is one source rather than several; a path as text and ASE's atoms can be iterated over, too."""
    return isinstance(sources, str | Path | Structure) or hasattr(sources, "get_chemical_symbols")


def as_structure(source: object) -> Structure | None:
    """The structure that an object is, this package's or ASE's atoms; None for anything else, such as a path.

    Raises:
        StructureError: The atoms are no possible structure.
    """
    if isinstance(source, Structure):
        return source
    return from_ase(source) if hasattr(source, "get_chemical_symbols") else None


def require_sources(path: str | Path, model: str | Path | Predictor | None = None) -> None:
    """Refuse an input or a model that does not exist, before anything is said of the outputs.

    Args:
        path: A file or folder.
        model: A bundled model's name, a model's folder, a loaded model, or none.

    Raises:
        FileFormatError: There is nothing at the path.
        CheckpointError: There is no such model.
    """
    if not Path(path).exists():
        raise FileFormatError("There is no such file or folder. Check the spelling.", path=path)
    if isinstance(model, str | Path):
        model_folder(model)


def iterate_path(path: str | Path) -> Iterator[Structure]:
    """Structures of a file, one by one, or those of the calculations in a folder.

    Raises:
        StructureError: A structure is malformed.
        FileFormatError: The file cannot be read, or the folder holds no calculation of a known code.
    """
    path = Path(path)
    if not path.is_dir():
        yield from iterate_structures(path)
        return
    for place in find_calculations(path):
        for record in iterate_calculation(place):
            yield record.structure


def collect_structures(sources: Source | Iterable[Source]) -> list[Structure]:
    """Read or convert all structures of a source, or of several in order.

    Raises:
        StructureError: A file cannot be read, or atoms overlap.
        TypeError: A source is neither a structure nor a path.
    """
    if is_one_source(sources):
        sources = [sources]
    if not isinstance(sources, Iterable):
        raise TypeError(f"Expected a Structure, ASE Atoms, a path, or several of them, got {type(sources).__name__}.")
    structures: list[Structure] = []
    for source in sources:
        if isinstance(source, str | Path):
            structures += iterate_path(source)
        elif (structure := as_structure(source)) is not None:
            structures.append(structure)
        else:
            raise TypeError(f"Expected a Structure, ASE Atoms or the path of a file, got {type(source).__name__}.")
    return structures

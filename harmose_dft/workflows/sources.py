"""Structures in whatever form they are given: as objects of this package or of ASE, or as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeGuard

from ..adapters.structures import from_ase, read_structures
from ..core.errors import FileFormatError
from ..core.structure import Structure
from ..model.loading import model_folder
from ..model.predictor import AtomsLike, Predictor

Source = Structure | AtomsLike | str | Path
"""A structure, or the path of a file with structures."""


def is_one_source(sources: Source | Iterable[Source]) -> TypeGuard[Source]:
    """Whether a value is one source rather than several; a path as text and ASE's atoms can be iterated over, too."""
    return isinstance(sources, str | Path | Structure) or hasattr(sources, "get_chemical_symbols")


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


def collect_structures(sources: Iterable[Source]) -> list[Structure]:
    """Read or convert all structures of several sources, in order.

    Raises:
        StructureError: A file cannot be read, or atoms overlap.
        TypeError: A source is neither a structure nor a path.
    """
    structures: list[Structure] = []
    for source in sources:
        if isinstance(source, Structure):
            structures.append(source)
        elif isinstance(source, str | Path):
            structures += read_structures(source)
        elif is_one_source(source):
            structures.append(from_ase(source))
        else:
            raise TypeError(f"Expected a Structure, ASE Atoms or the path of a file, got {type(source).__name__}.")
    return structures

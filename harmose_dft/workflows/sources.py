"""Structures in whatever form they are given: as objects of this package or of ASE, or as files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..adapters.structures import from_ase, read_structures
from ..core.errors import HarmoseError
from ..core.structure import Structure
from ..model.predictor import AtomsLike

Source = Structure | AtomsLike | str | Path
"""A structure, or the path of a file with structures."""


def collect_structures(sources: Iterable[Source]) -> list[Structure]:
    """All structures of several sources, in order.

    Raises:
        StructureError: A file cannot be read, or atoms overlap.
        TypeError: A source is neither a structure nor a path.
    """
    structures: list[Structure] = []
    for source in sources:
        structures += read_structures(source) if isinstance(source, str | Path) else [_convert(source)]
    return structures


def single_structure(source: Source) -> Structure:
    """The structure of one source.

    Raises:
        HarmoseError: A file holds several structures.
        StructureError: A file cannot be read.
        TypeError: The source is neither a structure nor a path.
    """
    structures = collect_structures([source])
    if len(structures) != 1:
        raise HarmoseError(f"{source} holds {len(structures)} structures, expected one. Give a list, [path], for all.")
    return structures[0]


def _convert(source: Structure | AtomsLike) -> Structure:
    if isinstance(source, Structure):
        return source
    if not hasattr(source, "get_chemical_symbols"):
        raise TypeError(f"Expected a Structure, ASE Atoms or the path of a file, got {type(source).__name__}.")
    return from_ase(source)

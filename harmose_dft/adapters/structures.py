"""Structure files and ASE's ``Atoms``: Angstrom outside, Bohr inside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import FileFormatError, HarmoseError, StructureError
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM
from .charge_spin import read_charge_and_spin
from .periodicity import require_periodicity
from .structure_files.by_ase import read_with_ase
from .structure_files.elements import LineError
from .structure_files.gaussian import read_gaussian
from .structure_files.lines import read_lines
from .structure_files.pdb import read_pdb
from .structure_files.sdf import read_sdf
from .structure_files.stru import read_stru_file
from .structure_files.traj import read_trajectory
from .structure_files.xyz import read_xyz

if TYPE_CHECKING:
    from ase import Atoms

FORMATS = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".sdf": "sdf",
    ".mol": "sdf",
    ".pdb": "proteindatabank",
    ".cif": "cif",
    ".vasp": "vasp",
    ".poscar": "vasp",
    ".xsf": "xsf",
    ".gen": "gen",
    ".gjf": "gaussian",
    ".com": "gaussian",
    ".traj": "trajectory",
    ".stru": "abacus",
}
"""Suffix -> name of the format; all but ASE's trajectories are text. Files named POSCAR* or CONTCAR* are VASP's."""

STRU = re.compile(r"STRU(?![A-Za-z])")
"""Names of ABACUS's structure files without a suffix from above: STRU, STRU_ION_D."""

READERS = {"extxyz": read_xyz, "sdf": read_sdf, "proteindatabank": read_pdb, "gaussian": read_gaussian}
"""Name of a format -> reader of its lines; the others are left to ASE."""

SMALLEST_DISTANCE = 0.3
"""Atoms closer than this many Angstrom count as overlapping (the shortest bond, H2, has 0.74)."""


def read_structures(path: str | Path) -> list[Structure]:
    """Every structure of a file, in order; see :func:`iterate_structures` for files with many."""
    return list(iterate_structures(path))


def iterate_structures(path: str | Path) -> Iterator[Structure]:
    """The structures of a file, in order; of xyz, sdf, pdb and traj files one is in memory at a time.

    Formats: xyz and extxyz, sdf and mol (V2000 and V3000), pdb, cif, VASP's POSCAR, xsf, gen, Gaussian's gjf and com,
    ASE's traj, ABACUS's STRU. A structure is periodic only if the file says so. Charge and spin come from the comments
    of xyz files (the keys of :mod:`harmose_dft.adapters.charge_spin`), the charges and radicals of sdf and mol files,
    the charges of pdb files, and the charge and multiplicity of gjf files; SMILES from extxyz's ``smiles``. Deuterium
    is hydrogen; of alternate locations in a pdb file the one with the highest occupancy is read.

    Args:
        path: The file.

    Yields:
        At least one structure, in Bohr, named after its title, or after the file, then with its number among several.

    Raises:
        FileFormatError: The file is missing, empty, binary, not UTF-8, truncated or of an unknown format.
        StructureError: Atoms overlap, a number is not finite, or the cell is impossible.
    """
    path = Path(path)
    kind = _format_of(path)
    structures = _convert(_frames(path, kind), path)
    first = next(structures, None)
    if first is None:
        raise FileFormatError(f"There is no structure in this {kind} file.", path=path)
    second = next(structures, None)
    if second is None:
        yield first
        return
    for number, structure in enumerate(chain((first, second), structures), start=1):
        yield structure if structure.name != path.stem else replace(structure, name=f"{path.stem}-{number}")


def from_ase(atoms: Atoms, name: str = "") -> Structure:
    """A structure from ASE's atoms.

    The total charge is ``info["charge"]`` or another of the keys of :mod:`harmose_dft.adapters.charge_spin`, or the sum
    of the initial charges; the number of unpaired electrons is ``info["spin"]`` or ``info["multiplicity"] - 1``, or the
    sum of the initial magnetic moments. Programs disagree on whether "spin" counts unpaired electrons or is the
    multiplicity; the number of electrons decides, as only one of the two can be right.

    Args:
        atoms: In Angstrom; the cell counts only if a direction is periodic.
        name: Name of the structure; ``info["name"]`` if empty.

    Raises:
        StructureError: A number is not finite, charge or spin is no integer, the cell is impossible, or leaves too
            little vacuum in a direction that is not periodic.
    """
    if atoms.pbc.any():
        require_periodicity(atoms)
    info = atoms.info
    charge, spin = read_charge_and_spin(atoms)
    return Structure(
        atoms.numbers,
        atoms.positions / BOHR_IN_ANGSTROM,
        atoms.cell.array / BOHR_IN_ANGSTROM if atoms.pbc.any() else None,
        charge,
        spin,
        name or str(info.get("name", "")),
        str(info.get("smiles", "")),
        unused_cell=bool(atoms.cell.array.any()) and not atoms.pbc.any(),
    )


def to_ase(structure: Structure) -> Atoms:
    """ASE's atoms of a structure, in Angstrom; name, SMILES, charge and spin, where there are any, in ``info``."""
    from ase import Atoms

    info = {key: value for key in ("name", "smiles", "charge", "spin") if (value := getattr(structure, key))}
    return Atoms(
        structure.numbers,
        structure.positions * BOHR_IN_ANGSTROM,
        cell=None if structure.cell is None else structure.cell * BOHR_IN_ANGSTROM,
        pbc=structure.periodic,
        info=info,
    )


def is_structure_file(path: Path) -> bool:
    """Whether the name is that of a format structures are read from."""
    return _known_format(path) is not None


def _known_format(path: Path) -> str | None:
    if path.name.upper().startswith(("POSCAR", "CONTCAR")):
        return "vasp"
    return FORMATS.get(path.suffix.lower()) or ("abacus" if STRU.match(path.name) else None)


def _format_of(path: Path) -> str:
    kind = _known_format(path)
    if kind is None and path.is_dir():
        raise FileFormatError("This is a folder, not a structure file.", path=path)
    if kind is None:
        raise FileFormatError(
            f"Structures are read from {', '.join(FORMATS)} and POSCAR files, and ABACUS's STRU; "
            f"{path.suffix or 'a name without suffix'} is not among them. ASE turns many others into one of these: "
            "ase convert FILE structures.xyz.",
            path=path,
        )
    return kind


def _frames(path: Path, kind: str) -> Iterator[Atoms]:
    """Structures as ASE's atoms, one by one."""
    try:
        if kind == "trajectory":
            yield from read_trajectory(path)
        elif kind == "abacus":
            yield from read_stru_file(path)
        elif kind in READERS:
            yield from READERS[kind](read_lines(path))
        else:
            yield from read_with_ase("\n".join(read_lines(path)) + "\n", kind)
    except LineError as error:
        raise FileFormatError(
            f"This cannot be read as {_suffix_name(path, kind)}: {error}. {error.advice}", path=path,
            line=error.line,
        ) from error
    except (MemoryError, HarmoseError):
        raise
    except Exception as error:  # ASE's readers raise errors of any type on malformed files
        raise FileFormatError(
            f"This cannot be read as {_suffix_name(path, kind)} ({_reason(error)}). Is the file complete?", path=path
        ) from error


def _suffix_name(path: Path, kind: str) -> str:
    return path.suffix.lstrip(".") or kind


def _convert(frames: Iterable[Atoms], path: Path) -> Iterator[Structure]:
    for k, atoms in enumerate(frames):
        name = str(atoms.info.get("name") or path.stem)
        try:
            if len(atoms) == 0:
                raise StructureError("The structure has no atoms; expected at least one. Check the file.")
            structure = from_ase(atoms, name)
            _require_separate(structure)
        except StructureError as error:
            raise StructureError(f"{path}{f', structure {k + 1}' if k else ''}: {error}") from error
        yield structure


def _require_separate(structure: Structure) -> None:
    distance, i, j = structure.shortest_distance()
    if distance * BOHR_IN_ANGSTROM < SMALLEST_DISTANCE:
        symbols = structure.symbols
        raise StructureError(
            f"Atoms {i + 1} ({symbols[i]}) and {j + 1} ({symbols[j]}) overlap: they are "
            f"{distance * BOHR_IN_ANGSTROM:.3f} Angstrom apart. Check the coordinates and their unit (Angstrom)."
        )


def _reason(error: Exception) -> str:
    """An error of ASE's in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__

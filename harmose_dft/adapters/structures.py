"""Structure files and ASE's ``Atoms``: Angstrom outside, Bohr inside."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import FileFormatError, StructureError
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM

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
}
"""Suffix -> ASE's name of the format; all of them are text. Files named POSCAR* or CONTCAR* are VASP's."""

SMALLEST_DISTANCE = 0.3
"""Atoms closer than this many Angstrom count as overlapping (the shortest bond, H2, has 0.74)."""

SDF_END = "$$$$"
SDF_CHARGES = {1: 3, 2: 2, 3: 1, 5: -1, 6: -2, 7: -3}
"""Charge codes of a V2000 atom line, used where there is no ``M  CHG`` line (CTfile formats, BIOVIA 2020)."""


def read_structures(path: str | Path) -> list[Structure]:
    """Every structure of a file, in order.

    Formats: xyz and extxyz, sdf and mol, pdb, cif, VASP's POSCAR, xsf, gen. A structure is periodic only if the file
    says so. Charge and spin come from extxyz's ``charge`` and ``spin`` (or ``multiplicity``), and from the charges and
    radicals of sdf and mol files; SMILES from extxyz's ``smiles``.

    Args:
        path: The file.

    Returns:
        At least one structure, in Bohr, named after the file (or the molecule's title).

    Raises:
        FileFormatError: The file is missing, empty, binary, not UTF-8, truncated or of an unknown format.
        StructureError: Atoms overlap, a number is not finite, or the cell is impossible.
    """
    path = Path(path)
    kind = _format_of(path)
    text = _text_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frames = _read_sdf(text) if kind == "sdf" else _read_with_ase(text, kind)
    except Exception as error:  # ASE's readers raise errors of any type on malformed files
        raise FileFormatError(
            f"This cannot be read as {path.suffix.lstrip('.') or kind} ({_reason(error)}). Is the file complete?",
            path=path,
        ) from error
    if not frames:
        raise FileFormatError(f"There is no structure in this {kind} file.", path=path)
    return list(_convert(frames, path))


def from_ase(atoms: Atoms, name: str = "") -> Structure:
    """A structure from ASE's atoms.

    The total charge is ``info["charge"]``, or the sum of the initial charges; the number of unpaired electrons is
    ``info["spin"]`` or ``info["multiplicity"] - 1``, or the sum of the initial magnetic moments. Programs disagree on
    whether "spin" counts unpaired electrons or is the multiplicity; the number of electrons decides, as only one of
    the two can be right.

    Args:
        atoms: In Angstrom; the cell counts only if a direction is periodic.
        name: Name of the structure; ``info["name"]`` if empty.

    Raises:
        StructureError: A number is not finite, charge or spin is no integer, or the cell is impossible.
    """
    info = atoms.info
    charge = _integer(info["charge"], "charge") if "charge" in info else round(float(atoms.get_initial_charges().sum()))
    electrons = int(atoms.numbers.sum()) - charge
    if "multiplicity" in info:
        spin = _integer(info["multiplicity"], "multiplicity") - 1
    elif "spin" in info:
        spin = _integer(info["spin"], "spin")
        spin -= 1 if (electrons - spin) % 2 else 0
    else:
        spin = round(abs(float(atoms.get_initial_magnetic_moments().sum())))
    if spin < 0:
        raise StructureError(f"A structure cannot have {spin} unpaired electrons; check spin or multiplicity.")
    return Structure(
        atoms.numbers,
        atoms.positions / BOHR_IN_ANGSTROM,
        atoms.cell.array / BOHR_IN_ANGSTROM if atoms.pbc.any() else None,
        charge,
        spin,
        name or str(info.get("name", "")),
        str(info.get("smiles", "")),
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
    return "vasp" if path.name.upper().startswith(("POSCAR", "CONTCAR")) else FORMATS.get(path.suffix.lower())


def _format_of(path: Path) -> str:
    kind = _known_format(path)
    if kind is None:
        raise FileFormatError(
            f"Structures are read from {', '.join(FORMATS)} and POSCAR files; {path.suffix or 'a name without suffix'} "
            "is not among them.",
            path=path,
        )
    return kind


def _text_of(path: Path) -> str:
    if not path.is_file():
        raise FileFormatError("There is no such file." if not path.exists() else "This is not a file.", path=path)
    raw = path.read_bytes()
    if not raw.strip():
        raise FileFormatError("The file is empty.", path=path)
    if b"\x00" in raw:
        offset = raw.index(b"\x00")
        raise FileFormatError("This is a binary file, not a structure in text form.", path=path, offset=offset)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            "The text is not UTF-8; save it as UTF-8 (plain ASCII will do).", path=path, offset=error.start
        ) from error


def _read_with_ase(text: str, kind: str) -> list[Atoms]:
    from ase.io import read

    try:
        frames = read(io.StringIO(text), index=":", format=kind)
    except Exception:
        if kind != "extxyz" or "lattice" in text.lower():
            raise
        frames = read(io.StringIO(text), index=":", format="xyz")
    for atoms in frames:
        if kind == "proteindatabank" and atoms.cell.volume <= 1.0 + 1e-6:
            atoms.pbc = False
    return list(frames)


def _read_sdf(text: str) -> list[Atoms]:
    """Every molecule of an sdf (or mol) file, with the charges and radicals of its properties."""
    from ase.io import read

    frames = []
    for block in re.split(rf"^{re.escape(SDF_END)}.*\n?", text, flags=re.MULTILINE):
        if not block.strip():
            continue
        lines = block.split("\n")
        if "V3000" in lines[3]:
            raise ValueError("the V3000 variant is not supported, save the file as V2000")
        if not any(line.startswith("M  END") for line in lines):
            raise ValueError("the line 'M  END' is missing")
        atoms = read(io.StringIO(block), format="sdf")
        assert not isinstance(atoms, list)
        charges, radicals = (_sdf_property(lines, key) for key in ("CHG", "RAD"))
        codes = [int(line[36:39] or 0) for line in lines[4 : 4 + len(atoms)]]
        charge = sum(charges) if charges or radicals else sum(SDF_CHARGES.get(c, 0) for c in codes)
        atoms.info |= {"charge": charge, "multiplicity": 1 + sum(r - 1 for r in radicals), "name": lines[0].strip()}
        frames.append(atoms)
    return frames


def _sdf_property(lines: Iterable[str], key: str) -> list[int]:
    """Values of the ``M  CHG`` or ``M  RAD`` lines: after the count, pairs of an atom's number and its value."""
    fields = [line.split() for line in lines if line.startswith(f"M  {key}")]
    return [int(value) for field in fields for value in field[4::2]]


def _convert(frames: list[Atoms], path: Path) -> Iterator[Structure]:
    for k, atoms in enumerate(frames):
        several = len(frames) > 1
        name = str(atoms.info.get("name") or (f"{path.stem}-{k + 1}" if several else path.stem))
        try:
            if len(atoms) == 0:
                raise StructureError("The structure has no atoms.")
            structure = from_ase(atoms, name)
            _require_separate(structure)
        except StructureError as error:
            raise StructureError(f"{path}{f', structure {k + 1}' if several else ''}: {error}") from error
        yield structure


def _require_separate(structure: Structure) -> None:
    distance, i, j = structure.shortest_distance()
    if distance * BOHR_IN_ANGSTROM < SMALLEST_DISTANCE:
        symbols = structure.symbols
        raise StructureError(
            f"Atoms {i + 1} ({symbols[i]}) and {j + 1} ({symbols[j]}) overlap: they are "
            f"{distance * BOHR_IN_ANGSTROM:.3f} Angstrom apart. Check the coordinates and their unit (Angstrom)."
        )


def _integer(value: Any, quantity: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not number.is_integer():
        raise StructureError(f"The {quantity} must be an integer; got {value}.")
    return int(number)


def _reason(error: Exception) -> str:
    """An error of ASE's in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__

"""Folders in which a code can be started, one for each structure: what the scripts in ``interfaces/`` share."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io import read

from ..core.errors import ArgumentError, FileFormatError, OutputExistsError, StructureError
from ..core.files import atomic_path, require_absent
from ..core.structure import format_charge
from .charge_spin import read_charge_and_spin

SMALLEST_VOLUME = 1e-6
"""Angstrom^3; a cell of less is none."""


def read_frames(paths: Sequence[Path]) -> list[tuple[str, Atoms]]:
    """Folder name and atoms of every frame: the file's name, numbered where it has several frames.

    Raises:
        FileFormatError: ASE cannot read a file.
        ArgumentError: Two structures would get the same name.
    """
    frames: list[tuple[str, Atoms]] = []
    for path in paths:
        try:
            images = read(path, index=":")
        except Exception as error:
            raise FileFormatError(f"ASE cannot read {path}: {error}") from error
        frames += [(path.stem if len(images) == 1 else f"{path.stem}_{n:04d}", atoms) for n, atoms in enumerate(images)]
    counts = Counter(name for name, _ in frames)
    if repeated := next((name for name, n in counts.items() if n > 1), None):
        raise ArgumentError(f"Two structures would get the folder name {repeated}. Rename a file.")
    return frames


def read_template(path: Path) -> str:
    """Text of an input file that others are made from.

    Raises:
        FileFormatError: The file is missing or not in UTF-8, which the files made from it are written in.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileFormatError(
            f"The template is not UTF-8 text: got the byte 0x{error.object[error.start]:02x}. Convert it (`iconv -f "
            f"latin1 -t utf-8 {path.name}`; gb18030 instead of latin1 for Chinese comments), or remove what is not "
            "ASCII.",
            path=path, line=line,
        ) from error
    except OSError as error:
        raise FileFormatError(
            f"The template cannot be read ({error.strerror}). Check the path given to --template.", path=path
        ) from error


def add_box(atoms: Atoms, margin: float | None, name: str) -> Atoms:
    """The structure with a cell: its own, or (molecules) a box, or (layers) vacuum where it lacks a vector.

    Args:
        atoms: With or without a cell.
        margin: Vacuum on every side of a molecule, Angstrom.
        name: Of the structure, for the error.

    Raises:
        StructureError: There is neither a cell nor a margin, or the lattice vectors are linearly dependent.
    """
    if abs(np.linalg.det(atoms.cell.array)) > SMALLEST_VOLUME:
        return atoms
    missing = tuple(np.flatnonzero(~atoms.cell.array.any(axis=1)).tolist())
    if not missing:
        raise StructureError(f"The lattice vectors of {name} are linearly dependent. Correct the cell.")
    if margin is None:
        lack = "no cell" if len(missing) == 3 else f"no lattice vector {' and '.join('abc'[axis] for axis in missing)}"
        raise StructureError(
            f"{name} has {lack}. For a molecule or a layer give the vacuum around it in Angstrom, such as --box 8."
        )
    boxed = atoms.copy()
    boxed.center(vacuum=margin, axis=missing)
    return boxed


def total_charge(atoms: Atoms, name: str, template_states_it: str = "") -> int:
    """Charge of a structure by ``info["charge"]`` (:mod:`harmose_dft.adapters.charge_spin`) or its initial charges.

    Args:
        atoms: The structure.
        name: Of the structure, for the error.
        template_states_it: Keyword by which the template states a charge; empty where it does not.

    Raises:
        StructureError: The charge is no whole number, or the structure and the template both state one.
    """
    try:
        charge, _ = read_charge_and_spin(atoms)
    except StructureError as error:
        raise StructureError(f"{name}: {error}") from error
    if charge and template_states_it:
        raise StructureError(
            f"{name} has the charge {format_charge(charge)}, and the template states one, too ({template_states_it}). "
            "Remove one of the two."
        )
    return charge


def parse_choices(texts: Sequence[str], example: str) -> dict[str, str]:
    """Element -> name, from texts such as "C=C.upf".

    Args:
        texts: Given on the command line.
        example: What is expected, for the error: "ELEMENT=FILE, such as C=C.upf".

    Raises:
        ArgumentError: A text is something else.
    """
    choices = {}
    for text in texts:
        element, equals, name = text.partition("=")
        if not equals or element not in atomic_numbers:
            raise ArgumentError(f"Expected {example}; got {text!r}.")
        choices[element] = name
    return choices


def positive_integer(text: str) -> int:
    """A number of k-points along a direction, for argparse.

    Raises:
        ValueError: It is something else.
    """
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def positive_length(text: str) -> float:
    """A length in Angstrom, for argparse.

    Raises:
        ValueError: It is something else.
    """
    if not 0.0 < (length := float(text)) < math.inf:
        raise ValueError(text)
    return length


def write_runs(runs: Mapping[Path, Mapping[str, str]], force: bool) -> None:
    """Write all folders; nothing if one of them may not be written.

    A new folder appears complete or not at all. In one that exists the files named here are replaced, each completely
    or not at all, and all others stay: results, and what a user keeps there.

    Args:
        runs: Folder -> name of a file -> its text.
        force: Whether files in existing folders may be replaced.

    Raises:
        OutputExistsError: A folder exists and ``force`` is false, or something that is no folder, or no regular file,
            is in the way.
    """
    for folder, files in runs.items():
        _require_writable(folder, files, force)
    for folder, files in runs.items():
        if folder.is_dir():
            _write_files(folder, files, force)
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            complete = Path(place) / folder.name
            complete.mkdir()
            _write_files(complete, files, force)
            complete.rename(folder)


def _require_writable(folder: Path, files: Mapping[str, str], force: bool) -> None:
    if not os.path.lexists(folder):
        return
    if not force:
        raise OutputExistsError(
            f"{folder} exists already and was left as it is. Use --force to replace its {', '.join(files)}."
        )
    if not folder.is_dir():
        raise OutputExistsError(f"{folder} is no folder and was left as it is. Choose another --output.")
    for name in files:
        require_absent(folder / name, force)


def _write_files(folder: Path, files: Mapping[str, str], force: bool) -> None:
    for name, text in files.items():
        with atomic_path(folder / name, force) as part:
            part.write_text(text, encoding="utf-8")

"""What ``predict_files`` reads: structure files, standard input and SMILES, frame by frame."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from ..adapters.smiles import from_smiles
from ..core.errors import FileFormatError, HarmoseError, InputNote, StructureError
from ..core.structure import Structure, format_charge
from .sources import iterate_path

KEPT = 64
"""Structures of a file up to which they stay in memory; longer files are read anew each time, frame by frame."""

LONGEST_STEM = 40
"""Characters of a SMILES in the name of a file."""

STDIN = "-"
"""The name that stands for standard input."""

SNIFFED = (
    (re.compile(r"\s*\d+\s*$"), ".xyz"), (re.compile(r"\s*(%|#)"), ".gjf"), (re.compile(r"\s*(data_|loop_)"), ".cif"),
    (re.compile(r"(HEADER|TITLE|COMPND|REMARK|CRYST1|MODEL|ATOM  |HETATM)"), ".pdb"),
)  # fmt: skip
"""First line of a text -> suffix of its format."""


@dataclass(frozen=True)
class Input:
    """Structures of one source, which can be gone through several times.

    Args:
        label: What tables call it: "water.xyz", or the SMILES.
        stem: Beginning of the names of its output files.
        count: Number of structures.
        periodic: How many of them are crystals.
        read: Goes through them.
        path: The file, where there is one.
    """

    label: str
    stem: str
    count: int
    periodic: int
    read: Callable[[], Iterator[Structure]]
    path: Path | None = None

    def iterate(self) -> Iterator[tuple[str, Structure]]:
        """Each structure with the source that tables show: "water.xyz", or "md.xyz#2" for the second of several.

        Raises:
            HarmoseError: The file has changed since it was counted.
        """
        number = 0
        for number, structure in enumerate(self.read(), start=1):
            yield (f"{self.label}#{number}" if self.count > 1 else self.label), structure
        if number != self.count:
            raise HarmoseError(f"{self.label} changed while it was read: {self.count} structures became {number}.")


def open_file(path: Path, label: str = "", stem: str = "") -> Input:
    """A structure file, or a folder of calculations, gone through once to the end.

    Args:
        path: The file, or the folder.
        label: What tables call it; by default its name.
        stem: Of its output files; by default its own.

    Raises:
        StructureError: A structure is malformed.
        FileFormatError: The file cannot be read.
    """
    frames = iterate_path(path)
    kept = list(islice(frames, KEPT))
    count, periodic = len(kept), sum(s.periodic for s in kept)
    for structure in frames:
        count, periodic = count + 1, periodic + structure.periodic
    folder = path.resolve().name if path.is_dir() else ""
    label, stem = label or folder or path.name, stem or folder or path.stem
    if count <= KEPT:
        return Input(label, stem, count, periodic, partial(iter, kept), path)
    return Input(label, stem, count, periodic, partial(_read_again, path), path)


def _read_again(path: Path) -> Iterator[Structure]:
    """The structures of a file whose notes have been shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputNote)
        yield from iterate_path(path)


@contextmanager
def open_inputs(
    paths: Sequence[Path], smiles: Sequence[str] = (), charge: int | None = None
) -> Iterator[list[Input]]:
    """The inputs of a command; standard input is kept in a temporary file for the time of the block.

    Args:
        paths: Structure files, in any order; "-" is standard input.
        smiles: Molecules as SMILES, whose geometries are relaxed.
        charge: Total charge of every structure; by default as its file says.

    Raises:
        HarmoseError: There is no input, or one cannot be read.
    """
    if not paths and not smiles:
        raise HarmoseError("There is nothing to predict: name structure files, - for standard input, or give --smiles.")
    with ExitStack() as stack:
        inputs = []
        for path in paths:
            if str(path) == STDIN:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                inputs.append(open_file(_spool(folder), "stdin", "stdin"))
            else:
                inputs.append(open_file(path))
        structures = [from_smiles(text) for text in smiles]
        stems = name_molecules(smiles, [s.formula for s in structures], [i.stem for i in inputs])
        for text, structure, stem in zip(smiles, structures, stems, strict=True):
            inputs.append(Input(text, stem, 1, 0, partial(iter, (structure,))))
        yield inputs if charge is None else [replace(i, read=partial(_charge, i, charge)) for i in inputs]


def name_molecules(smiles: Sequence[str], formulas: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Beginnings of the names of output files of molecules, all different, also where case does not count.

    A molecule is named by its formula. Isomers, and molecules whose formula is the name of a structure file, have their
    SMILES besides, letters and digits of it ("C2H6O-CCO"), and a number where these are equal, too.

    Args:
        smiles: The molecules.
        formulas: Their formulas.
        taken: Names of other inputs.
    """
    used = {name.lower() for name in taken}
    repeated = used | {f.lower() for f in formulas if sum(f.lower() == other.lower() for other in formulas) > 1}
    names = []
    for text, formula in zip(smiles, formulas, strict=True):
        stem = formula
        if formula.lower() in repeated:
            stem = f"{formula}-{re.sub(r'[^A-Za-z0-9]+', '_', text).strip('_')[:LONGEST_STEM]}"
        number = next(n for n in range(1, len(used) + 2) if _number_name(stem, n).lower() not in used)
        names.append(_number_name(stem, number))
        used.add(names[-1].lower())
    return names


def _number_name(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"


def _charge(source: Input, charge: int) -> Iterator[Structure]:
    """The structures of an input with a total charge.

    Raises:
        StructureError: The input gives a structure another one.
    """
    for name, structure in source.iterate():
        yield give_charge(structure, charge, name)


def give_charge(structure: Structure, charge: int | None, name: str) -> Structure:
    """A structure with the total charge that a command was told.

    Args:
        structure: As it was read.
        charge: Total charge; None leaves the structure as it is.
        name: What the message calls the structure.

    Raises:
        StructureError: The structure has another charge.
    """
    if charge is None:
        return structure
    try:
        return structure.with_charge(charge)
    except StructureError as error:
        raise StructureError(
            f"{name} has the charge {format_charge(structure.charge)}, --charge asks for {format_charge(charge)}. "
            "Leave --charge out, or correct the input."
        ) from error


def _spool(folder: Path) -> Path:
    """Standard input as a file of the suffix that its first line tells."""
    raw = folder / "stdin"
    with raw.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    with raw.open("r", encoding="utf-8-sig", errors="replace") as text:
        head = list(islice(text, 200))
    first = next((line for line in head if line.strip()), "")
    suffix = next((suffix for pattern, suffix in SNIFFED if pattern.match(first)), "")
    if any("V2000" in line or "V3000" in line for line in head[:4]):
        suffix = ".sdf"
    if not suffix:
        raise FileFormatError(
            "Standard input begins like none of xyz, sdf, mol, pdb, cif and gjf. Write it to a file whose suffix names "
            "its format.", path="stdin",
        )
    return raw.rename(folder / f"stdin{suffix}")

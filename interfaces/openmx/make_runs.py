"""Turn a set of structures into folders in which OpenMX can be started.

    python make_runs.py structures.xyz --data DFT_DATA19 --basis C=C6.0-s2p2d1 --output runs --kgrid 5 5 1

Reads everything that ASE reads (several frames, several files). Each structure gets a folder with one input file
NAME.dat; keywords come from a template, orbitals from --basis, potentials are looked up by element in the data folder.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from harmose_dft.adapters.openmx.input import parse_input
from harmose_dft.adapters.openmx.pao import read_pao
from harmose_dft.adapters.run_folders import (
    add_box,
    parse_choices,
    positive_integer,
    positive_length,
    read_frames,
    read_template,
    total_charge,
    write_runs,
)
from harmose_dft.adapters.text import find_existing, read_text
from harmose_dft.core.errors import FileFormatError, HarmoseError

TEMPLATE = Path(__file__).resolve().parent / "templates" / "scf.dat"

BAND_POINTS = 20
"""k-points of each segment of a band path."""


@dataclass(frozen=True)
class Species:
    """Orbitals and potential of an element.

    Args:
        element: Chemical symbol.
        basis: Such as "C6.0-s2p2d1".
        potential: Name of the ``.vps`` file without suffix.
        electrons: Valence electrons of the potential.
    """

    element: str
    basis: str
    potential: str
    electrons: float


def species_of(element: str, data: Path, bases: dict[str, str], potentials: dict[str, str], suffix: str) -> Species:
    """Orbitals and potential of an element, after checking that their files exist and fit.

    Args:
        element: Chemical symbol.
        data: Folder with PAO/ and VPS/.
        bases: Element -> orbitals.
        potentials: Element -> potential, for elements with several.
        suffix: What the name of a potential contains, such as "_PBE19".

    Raises:
        HarmoseError: A file is missing, there are several, or the .pao file has too few functions.
    """
    if element not in bases:
        raise HarmoseError(
            f"No orbitals are given for {element}. Add --basis {element}={element}6.0-s2p1, or as you need."
        )
    text = f"<Definition.of.Atomic.Species\n{element} {bases[element]} x\nDefinition.of.Atomic.Species>\n"
    try:
        given = parse_input(text, Path("--basis")).species[element]
        pao = find_existing(data / "PAO", f"{given.pao}.pao")
        if given.number != atomic_numbers[element] or pao is None:
            raise HarmoseError(
                f"{bases[element]} is not usable for {element}: {data / 'PAO'} has no such orbitals of it."
            )
        read_pao(pao, given.angular_momenta)
    except FileFormatError as error:
        raise HarmoseError(f"{error} Choose other orbitals with --basis.") from error
    pattern = re.compile(rf"^{element}{re.escape(suffix)}\w*\.vps(\.xz)?$")
    found = sorted({p.name.split(".vps")[0] for p in (data / "VPS").glob("*") if pattern.match(p.name)})
    name = potentials.get(element, found[0] if len(found) == 1 else "")
    if not name:
        raise HarmoseError(
            f"{data / 'VPS'} has {', '.join(found) or 'no potential'} for {element} with {suffix!r} in the name; "
            f"one is needed. Choose with --potential {element}=NAME."
        )
    file = find_existing(data / "VPS", f"{name}.vps")
    if file is None:
        raise HarmoseError(f"The potential {name}.vps chosen for {element} is not in {data / 'VPS'}.")
    return Species(element, bases[element], name, _valence(file))


def _valence(path: Path) -> float:
    """Valence electrons of a ``.vps`` file."""
    match = re.search(r"^\s*valence\.electron\s+(\d+(?:\.\d*)?)\s", read_text(path), re.MULTILINE)
    if match is None:
        raise HarmoseError(f"{path} does not state its number of valence electrons. Is it a potential of OpenMX?")
    return float(match[1])


def input_text(
    name: str, atoms: Atoms, species: dict[str, Species], keywords: str, data: str, kgrid: Sequence[int], path: str = ""
) -> str:
    """The input file.

    Args:
        name: System.Name.
        atoms: With a cell.
        species: By element.
        keywords: Text of the template.
        data: Folder with PAO/ and VPS/, as OpenMX shall find it.
        kgrid: Divisions of the mesh, (3,).
        path: Band path in ASE's names of special points, such as "GMKG"; none if empty.
    """
    symbols = atoms.get_chemical_symbols()
    used = list(dict.fromkeys(symbols))
    settings = parse_input(keywords, TEMPLATE)
    noncollinear = settings.keyword("scf.SpinPolarization").lower() == "nc"
    moments, directions = _moments(name, atoms, noncollinear)
    charge = total_charge(atoms, name, "scf.system.charge" if settings.charge else "")
    lines = [f"System.Name {name}", "System.CurrrentDirectory ./", f"DATA.PATH {data}", keywords.rstrip()]
    lines[3:3] = [f"scf.system.charge {charge}.0"] if charge else []
    lines += [f"scf.Kgrid {' '.join(map(str, kgrid))}", f"Species.Number {len(used)}", "<Definition.of.Atomic.Species"]
    lines += [f" {s} {species[s].basis} {species[s].potential}" for s in used]
    lines += ["Definition.of.Atomic.Species>", f"Atoms.Number {len(atoms)}"]
    lines += ["Atoms.SpeciesAndCoordinates.Unit Ang", "<Atoms.SpeciesAndCoordinates"]
    for n, (symbol, position) in enumerate(zip(symbols, atoms.positions, strict=True), start=1):
        half, moment = species[symbol].electrons / 2, moments[n - 1] / 2
        place = " ".join(f"{x:18.12f}" for x in position)
        lines.append(f" {n:5d} {symbol} {place} {half + moment:.4f} {half - moment:.4f}{directions[n - 1]}")
    lines += ["Atoms.SpeciesAndCoordinates>", "Atoms.UnitVectors.Unit Ang", "<Atoms.UnitVectors"]
    lines += [" ".join(f"{x:18.12f}" for x in vector) for vector in atoms.cell.array]
    lines += ["Atoms.UnitVectors>", *(_band_lines(atoms, path) if path else [])]
    return "\n".join(lines) + "\n"


def _moments(name: str, atoms: Atoms, noncollinear: bool) -> tuple[list[float], list[str]]:
    """Initial moments in Bohr magnetons, and the end of each atom's line: their polar and azimuthal angles.

    Raises:
        HarmoseError: The moments have directions, and the template is collinear.
    """
    moments = atoms.get_initial_magnetic_moments()
    if not noncollinear and np.ndim(moments) > 1:
        raise HarmoseError(
            f"The initial magnetic moments of {name} are vectors, which the template's scf.SpinPolarization does not "
            "take. Write nc there, or give one number for each atom."
        )
    if not noncollinear:
        return moments.tolist(), [""] * len(atoms)
    if np.ndim(moments) > 1:
        vectors, sizes = moments, np.linalg.norm(moments, axis=1)
    else:  # a negative moment has more spin down, as in collinear calculations
        vectors, sizes = np.zeros((len(atoms), 3)), moments
    theta = np.degrees(np.arctan2(np.linalg.norm(vectors[:, :2], axis=1), vectors[:, 2])).round(4).tolist()
    phi = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])).round(4).tolist()
    return sizes.tolist(), [f" {t} {p} {t} {p} 0 off" for t, p in zip(theta, phi, strict=True)]


def _band_lines(atoms: Atoms, path: str) -> list[str]:
    """The band path; the eigenvalues in .Band are the best reference for ``harmose-dft convert --check``."""
    try:
        band = atoms.cell.bandpath(path, npoints=0)
    except Exception as error:
        raise HarmoseError(f"The band path {path!r} does not fit the cell: {error}") from error
    points = re.findall(r"[A-Z]\d*", path)
    lines = ["Band.dispersion on", f"Band.Nkpath {len(points) - 1}", "<Band.kpath"]
    for a, b in pairwise(points):
        ends = "  ".join(" ".join(f"{x:.10f}" for x in band.special_points[p]) for p in (a, b))
        lines.append(f" {BAND_POINTS} {ends} {a} {b}")
    return [*lines, "Band.kpath>"]


def make_runs(given: argparse.Namespace) -> list[Path]:
    """All folders; nothing is written if one structure cannot be.

    Raises:
        HarmoseError: A file is missing, a structure has no cell, a folder exists, or the template leaves no matrices.
    """
    keywords = read_template(given.template)
    if parse_input(keywords, given.template).keyword("HS.fileout").lower() != "on":
        raise HarmoseError(f"{given.template}: without 'HS.fileout on' OpenMX writes no H(R) and S(R). Add the line.")
    if not (given.data / "PAO").is_dir() or not (given.data / "VPS").is_dir():
        raise HarmoseError(f"{given.data} has no PAO/ and VPS/. Give the folder DFT_DATA19 of the OpenMX distribution.")
    example = "ELEMENT=NAME, such as C=C6.0-s2p2d1"
    bases, potentials = (parse_choices(texts, example) for texts in (given.basis, given.potential))
    structures = [(name, add_box(atoms, given.box, name)) for name, atoms in read_frames(given.structures)]
    elements = sorted({s for _, atoms in structures for s in atoms.get_chemical_symbols()})
    species = {e: species_of(e, given.data, bases, potentials, given.suffix) for e in elements}
    runs: dict[Path, dict[str, str]] = {}
    for name, atoms in structures:
        folder = given.output / name
        data = os.path.relpath(given.data, folder)
        text = input_text(name, atoms, species, keywords, data, given.kgrid, given.bands)
        runs[folder] = {f"{name}.dat": text}
    write_runs(runs, given.force)
    return list(runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("structures", nargs="+", type=Path, help="structure files that ASE reads")
    parser.add_argument("--data", type=Path, required=True, help="folder DFT_DATA19 with PAO/ and VPS/")
    parser.add_argument("--basis", action="append", default=[], metavar="ELEMENT=PAO", help="such as C=C6.0-s2p2d1")
    parser.add_argument("--potential", action="append", default=[], metavar="ELEMENT=VPS", help="potential to use")
    parser.add_argument("--suffix", default="_PBE19", help="part of the potentials' names (_PBE19)")
    parser.add_argument("--output", "-o", type=Path, default=Path("runs"), help="where the folders go (runs)")
    parser.add_argument("--kgrid", nargs=3, type=positive_integer, default=(4, 4, 4), help="k mesh (4 4 4)")
    parser.add_argument("--bands", default="", metavar="PATH", help="band path, such as GMKG")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="keywords to start from")
    parser.add_argument("--box", type=positive_length, help="vacuum around molecules in Angstrom")
    parser.add_argument("--force", action="store_true", help="replace inputs in existing folders")
    given = parser.parse_args(arguments)
    try:
        made = make_runs(given)
    except (HarmoseError, OSError) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(f"{len(made)} folders in {given.output}; start OpenMX in each (templates/run_all.sh).")
    return 0


if __name__ == "__main__":
    sys.exit(main())

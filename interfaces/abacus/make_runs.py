"""Turn a set of structures into folders in which ABACUS can be started.

    python make_runs.py structures.xyz --library apns/ --output runs --kpoints 4 4 4

Reads everything that ASE reads (several frames, several files). Each structure gets a folder with INPUT, KPT and STRU;
INPUT comes from a template, and orbitals and pseudopotentials are looked up by element in the library folder.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from harmose_dft.adapters.abacus.files import TRUE, nspin_of_input
from harmose_dft.adapters.abacus.text import strip_comment_of_input
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
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.units import BOHR_IN_ANGSTROM

TEMPLATE = Path(__file__).resolve().parent / "templates" / "INPUT.scf"

SUFFIXES = {"orbital": (".orb",), "pseudopotential": (".upf",)}
"""What a library file of each kind ends in, lower case."""


def library_file(library: Path, element: str, kind: str, chosen: dict[str, str]) -> str:
    """Name of an element's orbital or pseudopotential file.

    Args:
        library: Folder of the files, named by element ("C_gga_7au_100Ry_2s2p1d.orb", "C.upf", "C-pbe.UPF").
        element: Chemical symbol.
        kind: "orbital" or "pseudopotential".
        chosen: Element -> file name, for elements with several files.

    Raises:
        HarmoseError: There is no such file, or there are several.
    """
    if element in chosen:
        if not (library / chosen[element]).is_file():
            raise HarmoseError(f"The {kind} file {chosen[element]} chosen for {element} is not in {library}.")
        return chosen[element]
    pattern = re.compile(rf"^{element}(?![a-z])", re.ASCII)
    found = [p.name for p in sorted(library.iterdir())
             if p.suffix.lower() in SUFFIXES[kind] and pattern.match(p.name)]  # fmt: skip
    if not found:
        raise HarmoseError(
            f"There is no {kind} file of {element} in {library}: expected a name that starts with {element!r} and ends "
            f"in {SUFFIXES[kind][0]}. Download it (pseudopotential and orbitals must be made for each other) or give "
            "another --library."
        )
    if len(found) > 1:
        raise HarmoseError(
            f"There are several {kind} files of {element} in {library}: {', '.join(found)}. Choose one: --{kind} "
            f"{element}={found[0]}"
        )
    return found[0]


def stru(atoms: Atoms, orbitals: dict[str, str], pseudopotentials: dict[str, str]) -> str:
    """A STRU file; species in the order of their first appearance, lattice vectors in Angstrom, positions direct.

    Args:
        atoms: With a cell.
        orbitals: Element -> ``.orb`` file name.
        pseudopotentials: Element -> ``.upf`` file name.
    """
    symbols = atoms.get_chemical_symbols()
    species = list(dict.fromkeys(symbols))
    moments, positions = atoms.get_initial_magnetic_moments(), atoms.get_scaled_positions(wrap=False)
    lines = ["ATOMIC_SPECIES"]
    lines += [f"{s} {atomic_masses[atomic_numbers[s]]:.4f} {pseudopotentials[s]}" for s in species]
    lines += ["", "NUMERICAL_ORBITAL", *(orbitals[s] for s in species)]
    lines += ["", "LATTICE_CONSTANT", f"{1.0 / BOHR_IN_ANGSTROM:.12f}", "", "LATTICE_VECTORS"]
    lines += [" ".join(f"{x:20.12f}" for x in vector) for vector in atoms.cell.array]
    lines += ["", "ATOMIC_POSITIONS", "Direct"]
    for s in species:
        members = [n for n, symbol in enumerate(symbols) if symbol == s]
        lines += ["", s, "0.00", str(len(members))]
        for n in members:
            components = np.atleast_1d(moments[n])
            moment = " mag " + " ".join(f"{m:.4f}" for m in components) if components.any() else ""
            lines.append(" ".join(f"{x:20.12f}" for x in positions[n]) + " 1 1 1" + moment)
    return "\n".join(lines) + "\n"


def input_text(template: Path, library: str, name: str, atoms: Atoms) -> str:
    """INPUT from a template, with the folder of orbitals and pseudopotentials, and the charge of ions, set.

    Args:
        template: INPUT to start from.
        library: Folder of orbitals and pseudopotentials, as ABACUS shall find it.
        name: Of the structure, for errors.
        atoms: The structure.

    Raises:
        HarmoseError: The template asks for something that leaves no H(R) and S(R), is collinear where the moments have
            directions, or states a charge where the structure has one.
    """
    lines = read_template(template).splitlines()
    words = [strip_comment_of_input(line).split() for line in lines]
    keywords = {w[0].lower(): w[1].lower() for w in words if len(w) > 1}
    if keywords.get("gamma_only", "0") in TRUE:
        raise HarmoseError(
            f"{template}: gamma_only 1 writes no H(R). Use gamma_only 0, with --kpoints 1 1 1 for Gamma."
        )
    overlap_only = keywords.get("calculation", "") == "get_s"
    if not overlap_only and not any(keywords.get(key, "0") in TRUE for key in ("out_mat_hs2", "out_hsr")):
        raise HarmoseError(f"{template}: without 'out_mat_hs2 1' ABACUS writes no H(R) and S(R). Add the line.")
    kept = [line for line, w in zip(lines, words, strict=True) if not w or w[0].lower() not in _FOLDERS]
    if np.ndim(atoms.get_initial_magnetic_moments()) > 1 and nspin_of_input(keywords) != "4":
        raise HarmoseError(
            f"The initial magnetic moments of {name} are vectors, which need noncolin 1 in {template}. Add it, or give "
            "one number for each atom."
        )
    charge = total_charge(atoms, name, next((key for key in ("nelec", "nelec_delta") if key in keywords), ""))
    kept += [f"{'nelec_delta':<20}{-charge}"] if charge else []
    return "\n".join([*kept, *(f"{folder:<20}{library}" for folder in _FOLDERS)]) + "\n"


_FOLDERS = ("pseudo_dir", "orbital_dir")


def make_runs(
    structures: Sequence[tuple[str, Atoms]], library: Path, output: Path, kpoints: Sequence[int], template: Path,
    chosen: dict[str, dict[str, str]], margin: float | None = None, force: bool = False,
) -> list[Path]:  # fmt: skip
    """All folders; nothing is written if one structure cannot be.

    Args:
        structures: Folder name and atoms of each.
        library: Folder of orbitals and pseudopotentials.
        output: Where the folders go.
        kpoints: Divisions of the Gamma-centred mesh, (3,).
        template: INPUT to start from.
        chosen: "orbital" and "pseudopotential" -> element -> file name.
        margin: Vacuum around molecules in Angstrom.
        force: Whether STRU, KPT and INPUT in existing folders may be replaced.

    Raises:
        HarmoseError: A file is missing, a structure has no cell, or a folder exists.
    """
    if not library.is_dir():
        raise HarmoseError(f"The library folder {library} does not exist.")
    runs: dict[Path, dict[str, str]] = {}
    for name, atoms in structures:
        elements = sorted(set(atoms.get_chemical_symbols()))
        names = {kind: {e: library_file(library, e, kind, chosen.get(kind, {})) for e in elements} for kind in SUFFIXES}
        folder = output / name
        runs[folder] = {
            "STRU": stru(add_box(atoms, margin, name), names["orbital"], names["pseudopotential"]),
            "KPT": f"K_POINTS\n0\nGamma\n{' '.join(map(str, kpoints))} 0 0 0\n",
            "INPUT": input_text(template, os.path.relpath(library, folder), name, atoms),
        }
    write_runs(runs, force)
    return list(runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("structures", nargs="+", type=Path, help="structure files that ASE reads")
    parser.add_argument("--library", type=Path, required=True, help="folder of .orb and .upf files")
    parser.add_argument("--output", "-o", type=Path, default=Path("runs"), help="where the folders go (runs)")
    parser.add_argument("--kpoints", nargs=3, type=positive_integer, default=(4, 4, 4), help="Gamma mesh (4 4 4)")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="INPUT to start from")
    parser.add_argument("--box", type=positive_length, help="vacuum around molecules in Angstrom")
    for kind in SUFFIXES:
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="ELEMENT=FILE", help=f"{kind} to use")
    parser.add_argument("--force", action="store_true", help="replace inputs in existing folders")
    given = parser.parse_args(arguments)
    try:
        chosen = {kind: parse_choices(getattr(given, kind), "ELEMENT=FILE, such as C=C.upf") for kind in SUFFIXES}
        structures = read_frames(given.structures)
        made = make_runs(
            structures, given.library, given.output, given.kpoints, given.template, chosen, given.box, given.force
        )
    except (HarmoseError, OSError) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(f"{len(made)} folders in {given.output}; start ABACUS in each (templates/run_all.sh).")
    return 0


if __name__ == "__main__":
    sys.exit(main())

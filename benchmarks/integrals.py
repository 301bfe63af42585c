"""Time and accuracy of the two-centre integrals: ``python benchmarks/integrals.py [--samples FOLDER]``.

Speed: overlap of silicon and graphene supercells on one core with a made-up basis of the size of a usual one (2s2p1d,
cutoff 7 Bohr). Accuracy, where a folder with abacus/ and openmx/ calculations is given: largest deviation from the
overlap that the code wrote. Prints both tables and writes them as JSON.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import environment, save  # first: it sets the number of threads

# isort: split
import numpy as np
from ase.build import bulk, graphene
from scipy.special import spherical_jn

from harmose_dft.adapters import abacus, openmx
from harmose_dft.core.basis import NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.physics.integrals import overlap

CUTOFF = 7.0
MEBIBYTE_IN_KIBIBYTE = 1024


def model_basis() -> OrbitalBasis:
    """Shells 2s2p1d of truncated spherical waves, j_l(q r) (1 - (r / cutoff)^2)^2, normalised."""
    r = np.linspace(0.0, CUTOFF, 701)
    shells = []
    for l, q in ((0, 0.6), (0, 1.1), (1, 0.8), (1, 1.3), (2, 1.0)):
        values = spherical_jn(l, q * r) * (1 - (r / CUTOFF) ** 2) ** 2
        shells.append(Shell(l, NumericalRadial(r, values / np.sqrt(np.trapezoid((values * r) ** 2, r)))))
    return OrbitalBasis("2s2p1d, 7 Bohr", {6: tuple(shells), 14: tuple(shells)})


def supercells() -> Iterator[tuple[str, Structure]]:
    """Crystals of 8 to about 4000 atoms."""
    for n in (1, 2, 3, 4, 5, 8):
        yield "silicon", _structure(bulk("Si", "diamond", a=5.43, cubic=True) * (n, n, n))
    for n in (3, 10, 23, 45):
        yield "graphene", _structure(graphene(a=2.46, size=(n, n, 1), vacuum=10.0))


def _structure(atoms: Any) -> Structure:
    return Structure(atoms.numbers, atoms.positions / BOHR_IN_ANGSTROM, np.asarray(atoms.cell) / BOHR_IN_ANGSTROM)


def speed(repeats: int) -> list[dict[str, Any]]:
    """Seconds of the overlap of every supercell (best of the repeats), the tables being made beforehand."""
    basis, rows = model_basis(), []
    for z in (14, 6):
        begin = time.perf_counter()
        overlap(Structure(np.array([z]), np.zeros((1, 3))), basis)
        tables = time.perf_counter() - begin
        for name, structure in supercells():
            if structure.numbers[0] != z:
                continue
            seconds = []
            for _ in range(repeats):
                begin = time.perf_counter()
                matrix = overlap(structure, basis)
                seconds.append(time.perf_counter() - begin)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE_IN_KIBIBYTE
            row = {"system": name, "atoms": len(structure), "orbitals": matrix.size, "pairs": len(matrix)}
            rows.append(row | {"tables_s": tables, "overlap_s": min(seconds), "process_peak_mib": peak})
    return rows


def records(folder: Path) -> Iterator[tuple[str, Record]]:
    """One record of every calculation below a folder, the code's overlap included."""
    paos = next(folder.rglob("DFT_DATA*"), None)
    for path in sorted(p for p in folder.rglob("*") if p.is_dir() and p.name not in ("OUT.ABACUS", "output")):
        try:
            if abacus.recognise(path):
                yield f"abacus/{path.relative_to(folder)}", abacus.read(path)[0]
            elif openmx.recognise(path):
                yield f"openmx/{path.relative_to(folder)}", openmx.read(path, pao_dir=paos)[0]
        except HarmoseError as error:
            print(f"{path.name}: {error}", file=sys.stderr)


def accuracy(folder: Path) -> list[dict[str, Any]]:
    """Largest and root-mean-square deviation from the codes' overlaps, on the pairs of either.

    A code that treats a crystal at Gamma only writes the sum over cells; the sums are compared then.
    """
    rows = []
    for name, record in records(folder):
        own, theirs = overlap(record.structure, record.basis), record.overlap
        if own.shifts.any() and not theirs.shifts.any():
            difference = own.to_dense() - theirs.to_dense()
        else:
            own, theirs = own.unite_with(theirs)
            difference = own.values - theirs.values
        rows.append(
            {
                "calculation": name,
                "elements": difference.size,
                "max_deviation": float(np.abs(difference).max()),
                "rms_deviation": float(np.sqrt((difference**2).mean())),
            }
        )
    return rows


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows as aligned columns."""
    text = [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    table = [list(rows[0]), *text]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    print()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, help="folder with ABACUS and OpenMX calculations to compare with")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("integrals.json"))
    arguments = parser.parse_args()
    result: dict[str, Any] = {"environment": environment(), "speed": speed(arguments.repeats)}
    print_table(result["speed"])
    if arguments.samples is not None:
        result["accuracy"] = accuracy(arguments.samples)
        print_table(result["accuracy"])
    save(arguments.output, result)


if __name__ == "__main__":
    main()

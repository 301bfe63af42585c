"""OpenMX's printed results: ``.out`` (version, energy, eigenvalues on the SCF mesh) and ``.Band`` (bands)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.record import Eigenvalues
from ..text import read_text

Floats = NDArray[np.float64]

K_SHIFT = (1e-6, -1e-6, 2e-6)
"""What OpenMX adds to the fractional coordinates of its SCF mesh to break symmetry."""

K_PRINTED = 1.1e-5
"""Largest distance of a printed k-coordinate (five decimals, shifted) from its mesh point."""

BAND_PRECISION = 0.5e-15
"""Half a unit of the last digit in ``.Band``, Hartree."""

RESIDUAL_FACTOR = 100.0
"""Hartree by which eigenvalues in ``.out`` may differ from those of ``.scfout``, per density residual of the last step.

They belong to the last step's input density, while ``.scfout`` has the final Hamiltonian. Where the difference
exceeds 0.01 meV on a system the reader was tested with (graphene, 0.0103 meV) the ratio is 72.
"""

_VERSION = re.compile(r"performed by OpenMX Ver\.?\s*(\S+)")
_UTOT = re.compile(r"^\s*Utot\.\s+(\S+)", re.MULTILINE)
_RESIDUAL = re.compile(r"SCF=\s*\d+\s+NormRD=\s*(\S+)")
_TITLE = re.compile(r"Eigenvalues \(Hartree\) (?:of|for) SCF KS-eq\.")
_KPOINT = re.compile(r"k1=\s*(\S+)\s+k2=\s*(\S+)\s+k3=\s*(\S+)")
_LEVEL = re.compile(r"^\s+(\d+)((?:\s+-?\d+\.\d+){1,2})\s*$")


@dataclass(frozen=True, eq=False)
class Output:
    """What an ``.out`` file says.

    Args:
        version: Such as "3.9.9"; empty where it does not say.
        energy: Total energy in Hartree, of the last geometry; None before the SCF cycle has ended.
        eigenvalues: At the SCF mesh (or of a cluster), if printed.
    """

    version: str
    energy: float | None
    eigenvalues: Eigenvalues | None


def read_output(text: str, path: Path, spins: int, mesh: tuple[int, int, int]) -> Output:
    """What the text of an ``.out`` file says.

    Args:
        text: The text.
        path: The file, for messages and as the source of the eigenvalues.
        spins: 2 for a collinear calculation, else 1 (a calculation without spin prints each level twice).
        mesh: ``scf.Kgrid``; k-points are printed with five decimals and are snapped to it.

    Raises:
        FileFormatError: The table of eigenvalues is damaged.
    """
    version, energies, residuals = _VERSION.search(text), _UTOT.findall(text), _RESIDUAL.findall(text)
    energy = float(energies[-1]) if energies else None
    residual = float(residuals[-1]) if residuals else 0.0
    return Output(
        version[1] if version else "",
        energy,
        _scf_eigenvalues(text, path, spins, mesh, RESIDUAL_FACTOR * residual),
    )


def _scf_eigenvalues(
    text: str, path: Path, spins: int, mesh: tuple[int, int, int], precision: float
) -> Eigenvalues | None:
    """The last table of eigenvalues, or None where there is none or where its k-points are not of the mesh."""
    titles = list(_TITLE.finditer(text))
    if not titles:
        return None
    first_line = text.count("\n", 0, titles[-1].start()) + 1
    kpoints: list[Floats | None] = []
    levels: list[list[list[float]]] = []
    for number, line in enumerate(text[titles[-1].start() :].splitlines(), start=first_line):
        if match := _KPOINT.search(line):
            kpoints.append(_find_on_mesh(np.array([float(k) for k in match.groups()]), mesh))
            levels.append([])
        elif match := _LEVEL.match(line):
            if int(match[1]) == 1 and not kpoints:
                kpoints.append(np.zeros(3))
                levels.append([])
            if not levels or int(match[1]) != len(levels[-1]) + 1:
                raise FileFormatError("The levels are not numbered consecutively.", path=path, line=number)
            levels[-1].append([float(e) for e in match[2].split()])
        elif "Mulliken" in line or "Fractional coordinates" in line:
            break
    if not levels or len({len(e) for e in levels}) != 1 or len({len(e) for k in levels for e in k}) != 1:
        raise FileFormatError(
            "The table of eigenvalues is incomplete: k-points have different numbers of levels.", path=path,
            line=first_line
        )
    if any(k is None for k in kpoints):
        return None
    energies = np.array(levels).transpose(2, 0, 1)[:spins]
    return Eigenvalues(np.array(kpoints), energies, path.name, precision)


def _find_on_mesh(printed_kpoints: Floats, mesh: tuple[int, int, int]) -> Floats | None:
    """The shifted point -1/2 + (2 i + 1) / (2 n) of the mesh nearest to a printed k-point, or None if none is near.

    Along a direction with one point k is zero, without a shift.
    """
    out = np.zeros(3)
    for axis, n in enumerate(mesh):
        i = np.round((printed_kpoints[axis] + 0.5) * n - 0.5)
        out[axis] = -0.5 + (2 * i + 1) / (2 * n)
        if abs(out[axis] - printed_kpoints[axis]) > K_PRINTED:
            return None
        out[axis] += K_SHIFT[axis] if n > 1 else 0.0
    return out


def read_bands(path: Path) -> tuple[Eigenvalues, float]:
    """Eigenvalues (absolute) and chemical potential in Hartree of a ``.Band`` file.

    A header (bands, spin switch, chemical potential), the reciprocal lattice, the path, and for every k-point
    ``bands k1 k2 k3`` followed by a line of energies; of a collinear calculation up and down alternate.

    Raises:
        FileFormatError: The file is truncated or has other counts than its header says.
    """
    lines = read_text(path).splitlines()

    def numbers(index: int, count: int, quantity: str) -> list[float]:
        words = lines[index].split() if index < len(lines) else []
        try:
            values = [float(w) for w in words[:count]]
        except ValueError:
            values = []
        if len(values) != count:
            raise FileFormatError(
                f"Expected {count} numbers ({quantity}); got {len(words)} words. The file is truncated or damaged.",
                path=path, line=index + 1,
            )  # fmt: skip
        return values

    bands, spin, fermi = numbers(0, 3, "bands, spin, chemical potential")
    n_bands, spins = int(bands), 2 if spin == 1 else 1
    paths = int(numbers(2, 1, "number of paths")[0])
    points = sum(int(numbers(3 + i, 1, "points of a path")[0]) for i in range(paths))
    kpoints, energies = np.zeros((points, 3)), np.zeros((spins, points, n_bands))
    line = 3 + paths
    for k in range(points):
        for s in range(spins):
            count, *kpoints[k] = numbers(line, 4, "bands and k-point")
            if count != n_bands:
                raise FileFormatError(f"Expected {n_bands} bands, got {count:g}.", path=path, line=line + 1)
            energies[s, k] = numbers(line + 1, n_bands, "energies")
            line += 2
    return Eigenvalues(kpoints, energies, path.name, BAND_PRECISION), fermi

"""Paths through the Brillouin zone: named special points from ASE or seekpath."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.arguments import require_count
from ..core.connectivity import dispersive_axes
from ..core.errors import StructureError
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM
from .kpoints import reciprocal_vectors

Floats = NDArray[np.float64]

SEEKPATH = "seekpath"
"""Path name that asks for seekpath's recommended path."""

SYMMETRY_PRECISION = 1e-4
"""Tolerance of the lattice detection, relative for ASE, in Angstrom for seekpath."""


@dataclass(frozen=True, eq=False)
class KPath:
    """k-points along straight segments between special points.

    Args:
        kpoints: Fractional coordinates with respect to the structure's own reciprocal cell, (k, 3). Those of a layer
            lie in its plane; where the third lattice vector is tilted, the third coordinate therefore is not zero.
        distances: Length of the path up to each point in 1/Bohr (2 pi included), (k,); a jump has no length.
        ticks: Position and name of the special points, "G" being Gamma; "K|U" where the path jumps.
    """

    kpoints: Floats
    distances: Floats
    ticks: tuple[tuple[float, str], ...]


def k_path(
    structure: Structure,
    path: str | None = None,
    *,
    points: int = 100,
    periodic: tuple[bool, bool, bool] = (True, True, True),
) -> KPath:
    """Path through named special points of the structure's lattice.

    Args:
        structure: A crystal.
        path: Names such as "GMKG", with a comma where the path jumps ("GXMG,RX"); None for the path that ASE recommends
            for the lattice, "seekpath" for the one of Hinuma et al., Comput. Mater. Sci. 128, 140 (2017).
        periodic: Along which lattice vectors bands may disperse: with (True, True, False) the points are those of the
            two-dimensional lattice of a layer in vacuum, in its plane; seekpath ignores it.
        points: Roughly how many k-points; segments share them by length and hold two at least.

    Raises:
        StructureError: The structure has no cell or no direction in which bands disperse, the lattice lacks a named
            point, or the path is too short.
        ArgumentError: There are fewer than two points.
    """
    require_count("The number of k-points along a path (points)", points, 2)
    if structure.cell is None:
        raise StructureError("A molecule has no Brillouin zone; a k-path needs a structure with a cell.")
    if not any(periodic):
        raise StructureError("No orbital reaches across the cell: this is a molecule in a box, whose bands are flat.")
    special, runs = _seekpath(structure) if path == SEEKPATH else _ase(structure.cell, path, periodic)
    if path != SEEKPATH and not all(periodic):
        special = {name: _within(k, structure.cell, periodic) for name, k in special.items()}
    reciprocal = reciprocal_vectors(structure.cell)
    lengths = [np.linalg.norm(np.diff([special[name] for name in run], axis=0) @ reciprocal, axis=1) for run in runs]
    total = float(sum(length.sum() for length in lengths))
    if total == 0.0:
        raise StructureError(
            f"The k-path {path!r} has no length; name at least two different points, one after the other "
            "(GMKG): a comma or | begins a new piece."
        )
    kpoints: list[Floats] = []
    distances: list[float] = []
    ticks: list[tuple[float, str]] = []
    for run, length in zip(runs, lengths, strict=True):
        x = distances[-1] if distances else 0.0
        ticks = [*ticks[:-1], (x, f"{ticks[-1][1]}|{run[0]}")] if ticks else [(x, run[0])]
        kpoints.append(special[run[0]])
        distances.append(x)
        for start, end, step in zip(run[:-1], run[1:], length.tolist(), strict=True):
            fractions = np.arange(1, (n := max(1, round(points * step / total))) + 1) / n
            kpoints.extend(special[start] + f * (special[end] - special[start]) for f in fractions)
            distances.extend((distances[-1] + step * fractions).tolist())
            ticks.append((distances[-1], end))
    return KPath(np.array(kpoints), np.array(distances), tuple(ticks))


def path_across(
    structure: Structure,
    pairs: NDArray[np.int64],
    shifts: NDArray[np.int64],
    path: str | None = None,
    *,
    points: int = 100,
) -> KPath:
    """:func:`k_path` along the directions in which chains of overlapping orbitals lead on, such as a layer's plane.

    Args:
        structure: A crystal.
        pairs: Its pairs of overlapping atoms, (edge, 2).
        shifts: Lattice shift of the second atom of each, (edge, 3).
        path: As in :func:`k_path`.
        points: Likewise.

    Raises:
        StructureError: As :func:`k_path`.
        ArgumentError: Likewise.
    """
    a, b, c = dispersive_axes(pairs, shifts).tolist()
    return k_path(structure, path, points=points, periodic=(a, b, c))


def _ase(
    cell: Floats, path: str | None, periodic: tuple[bool, bool, bool]
) -> tuple[dict[str, Floats], list[list[str]]]:
    """Special points and runs of names by ASE's lattice detection."""
    from ase.cell import Cell
    from ase.dft.kpoints import parse_path_string

    bandpath: Any = Cell(cell * BOHR_IN_ANGSTROM).bandpath(npoints=0, eps=SYMMETRY_PRECISION, pbc=periodic)
    text = bandpath.path if path is None else path
    for greek, plain in (("Γ", "G"), ("-", ""), (" ", ""), ("|", ",")):
        text = text.replace(greek, plain)
    try:
        runs = [list(run) for run in parse_path_string(text) if run]
    except (ValueError, IndexError, AttributeError):
        runs = []
    unknown_points = [name for run in runs for name in run if name not in bandpath.special_points]
    if unknown_points or not runs:
        raise StructureError(
            f"The k-path {path!r} cannot be read or names {unknown_points or 'nothing'}; this lattice has the points "
            f"{', '.join(sorted(bandpath.special_points))}. Write for example {bandpath.path!r}."
        )
    return bandpath.special_points, runs


def _within(kpoint: Floats, cell: Floats, periodic: tuple[bool, bool, bool]) -> Floats:
    """The k-point in the span of the periodic lattice vectors that has the same k.a along each of them.

    Args:
        kpoint: Fractional, (3,).
        cell: Lattice vectors as rows, Bohr.
        periodic: Which of them are periodic.

    Returns:
        Fractional coordinates, (3,).
    """
    axes = np.flatnonzero(periodic)
    out: Floats = cell @ (kpoint @ reciprocal_vectors(cell, periodic)) / (2 * np.pi)
    out[axes] = kpoint[axes]
    return out


def _seekpath(structure: Structure) -> tuple[dict[str, Floats], list[list[str]]]:
    """Special points and runs of names by seekpath, for the cell as given."""
    import seekpath

    assert structure.cell is not None
    fractional = structure.positions @ np.linalg.inv(structure.cell)
    crystal = (structure.cell * BOHR_IN_ANGSTROM, fractional, structure.numbers)
    with warnings.catch_warnings():
        # Displaced atoms leave angles of nearly 90 degrees, whose points lie where those of 90 degrees do.
        warnings.simplefilter("ignore", seekpath.hpkot.EdgeCaseWarning)
        try:
            seekpath_result = seekpath.get_path_orig_cell(crystal, symprec=SYMMETRY_PRECISION)
        except seekpath.hpkot.SymmetryDetectionError as error:
            raise StructureError(
                f"seekpath finds no symmetry of {structure.formula}, as where two atoms are in one place. Correct the "
                "structure, or take ASE's path: leave seekpath out."
            ) from error
    rename = {name: "G" if name == "GAMMA" else name for name in seekpath_result["point_coords"]}
    special = {rename[name]: np.asarray(k, dtype=np.float64) for name, k in seekpath_result["point_coords"].items()}
    runs: list[list[str]] = []
    for start, end in seekpath_result["path"]:
        if runs and runs[-1][-1] == rename[start]:
            runs[-1].append(rename[end])
        else:
            runs.append([rename[start], rename[end]])
    return special, runs

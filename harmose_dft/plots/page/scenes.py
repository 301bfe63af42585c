"""Three-dimensional figures of a page: atoms and bonds with an orbital, with charges, or in a crystal's cell."""

from __future__ import annotations

from html import escape
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...core.errors import printable
from ...core.structure import SYMBOLS, Structure
from ...core.units import BOHR_IN_ANGSTROM
from ..picture import choose_view, covalent_radius, element_color
from .data import OrbitalView, Report
from .figures import Figure, array, number
from .surfaces import Mesh, join, orbital_surfaces, sphere, tube

Floats = NDArray[np.float64]

POSITIVE, NEGATIVE = "#2f6fb7", "#d9663b"
"""Colours of the two signs of an orbital."""

BOND_COLOR = "#9a9da1"
ARROW_COLOR = "#2b2e33"
CELL_COLOR = "#7d838a"
CHARGE_COLORS = [[0.0, "#c8452f"], [0.5, "#f2f2f0"], [1.0, "#2f6fb7"]]
"""From negative to positive charge."""

TILT = (-52.0, 22.0)
"""Degrees by which the first view is turned away from the molecule's largest plane."""

BOND_RADIUS = 0.1
BOND_STRETCH = 1.25
"""Atoms closer than this times the sum of their covalent radii are joined."""

MANY_ATOMS = 40
"""A crystal's cell is repeated as long as not more atoms are drawn."""

GLOSSY = {"ambient": 0.62, "diffuse": 0.55, "specular": 0.35, "roughness": 0.4, "fresnel": 0.1}
MATT = {"ambient": 0.7, "diffuse": 0.5, "specular": 0.1, "roughness": 0.6, "fresnel": 0.02}

LIGHT = {"x": -4e4, "y": 6e4, "z": -2e3}
"""Behind the viewer's left shoulder: plotly's light is in the camera's frame, z pointing away from the viewer."""

FILL = 2.1
"""Side of the drawn cube, in plotly's units, at which it is as high as its place."""

WIDE = 1.3
"""Width over height of the place of a scene, at least."""

DISTANT = 6.0
"""Distance of the camera in those units; without perspective it changes nothing but what is cut off in front."""

AROUND = 1.3
"""Space around the atoms in Angstrom, for orbitals and balls."""


def orbital_scene(report: Report, orbital: OrbitalView) -> tuple[Figure, float]:
    """A molecule with the isosurfaces of an orbital.

    Returns:
        The figure, and |psi| on the surfaces in Bohr^(-3/2).
    """
    structure = report.structure
    isovalue, *surfaces = orbital_surfaces(structure, report.basis, orbital.coefficients)
    traces = molecule_traces(structure, atom_labels(report))
    for surface, color in zip(surfaces, (POSITIVE, NEGATIVE), strict=True):
        if surface is not None:
            mesh = Mesh(surface.vertices * BOHR_IN_ANGSTROM, surface.faces)
            traces.append(mesh_trace(mesh, color=color, opacity=0.72, lighting=GLOSSY))
    return frame_view(structure, traces), isovalue


def charge_scene(report: Report) -> Figure:
    """A molecule or cell whose atoms are coloured by charge, with an arrow for the dipole moment."""
    structure = report.structure
    charges = next(iter(report.charges.values()))
    traces = molecule_traces(structure, atom_labels(report), charges=charges)
    if report.dipole is not None and np.linalg.norm(report.dipole) > 0.02:
        traces.append(mesh_trace(arrow(structure, report.dipole), color=ARROW_COLOR, lighting=MATT))
    return frame_view(structure, traces)


def crystal_scene(report: Report) -> Figure:
    """A crystal: a few cells of it, and the edges of one; of a layer those in its plane."""
    structure = report.structure
    is_bonded = bonded_axes(structure)
    repeated, labels = repeat_for_view(structure, atom_labels(report), is_bonded)
    return frame_view(repeated, [cell_trace(structure, is_bonded), *molecule_traces(repeated, labels)])


def molecule_traces(
    structure: Structure, labels: list[str], charges: Floats | None = None
) -> list[dict[str, Any]]:
    """Balls and sticks, in Angstrom, coloured by element or by charge; the pointer shows each atom's label."""
    positions = structure.positions * BOHR_IN_ANGSTROM
    traces = []
    if sticks := [tube(positions[i], positions[j], (BOND_RADIUS,) * 2) for i, j in bonds(structure)]:
        traces.append(mesh_trace(join(sticks), color=BOND_COLOR, lighting=MATT))
    numbers = structure.numbers.tolist()
    balls = [sphere(p, ball_radius(z)) for p, z in zip(positions, numbers, strict=True)]
    if charges is None:
        for z in sorted(set(numbers)):
            mesh = join([ball for ball, other in zip(balls, numbers, strict=True) if other == z])
            traces.append(mesh_trace(mesh, color=as_rgb(element_color(z)), lighting=MATT))
    else:
        scale = max(float(np.abs(charges).max()), 0.05)
        per_vertex = np.repeat(charges, len(balls[0].vertices))
        coloring = {
            "intensity": array(per_vertex, "f4"), "colorscale": CHARGE_COLORS, "cmin": -scale, "cmax": scale,
            "colorbar": {
                "title": {"text": "charge (e)", "side": "right"}, "thickness": 8, "len": 0.7, "outlinewidth": 0,
                "tickfont": {"size": 11},
            },
        }
        traces.append(mesh_trace(join(balls), lighting=MATT, **coloring))
    traces.append({
        "type": "scatter3d", "mode": "markers", "hoverinfo": "text", "text": labels,
        **{axis: array(column, "f4") for axis, column in zip("xyz", positions.T, strict=True)},
        "marker": {"size": 14, "opacity": 0.004, "color": "#888888"},
    })
    return traces


def mesh_trace(mesh: Mesh, **properties: Any) -> dict[str, Any]:
    """Triangles as a trace; small indices take two bytes each."""
    kind = "u2" if len(mesh.vertices) < 2**16 else "i4"
    corners = {axis: array(column, "f4") for axis, column in zip("xyz", mesh.vertices.T, strict=True)}
    faces = {name: array(column, kind) for name, column in zip("ijk", mesh.faces.T, strict=True)}
    return {"type": "mesh3d", "hoverinfo": "skip", "lightposition": LIGHT, **corners, **faces, **properties}


def frame_view(structure: Structure, traces: list[dict[str, Any]]) -> Figure:
    """Traces as a figure without axes; the camera looks onto the largest plane, a little from the side."""
    positions = structure.positions * BOHR_IN_ANGSTROM
    view = choose_view(positions, TILT)
    middle = 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    half = float(0.5 * np.ptp(positions, axis=0).max()) + AROUND
    width, height, _ = np.ptp(positions @ view.T, axis=0) + 2 * AROUND
    side = FILL * 2 * half / max(width / WIDE, height)
    axes = {
        f"{axis}axis": {"visible": False, "showspikes": False, "range": [number(x - half), number(x + half)]}
        for axis, x in zip("xyz", middle, strict=True)
    }
    camera = {"eye": point(DISTANT * view[2]), "up": point(view[1]), "projection": {"type": "orthographic"}}
    shape = {"aspectmode": "manual", "aspectratio": point(np.full(3, side))}
    layout = {
        "scene": {**axes, **shape, "dragmode": "orbit", "camera": camera},
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    }
    return Figure(traces, layout)


def point(vector: Floats) -> dict[str, float]:
    """A vector as plotly has it."""
    return {axis: number(x) for axis, x in zip("xyz", vector, strict=True)}


def atom_labels(report: Report) -> list[str]:
    """What the pointer shows at each atom: "C3" and its charges."""
    labels = [f"{symbol}{n}" for n, symbol in enumerate(report.structure.symbols, start=1)]
    for name, charges in report.charges.items():
        labels = [f"{label}<br>{escape(printable(name))} {q:+.3f} e" for label, q in zip(labels, charges, strict=True)]
    return labels


def arrow(structure: Structure, dipole: Floats) -> Mesh:
    """An arrow along the dipole moment through the middle of the molecule, 1 Angstrom per Debye, within bounds."""
    middle = structure.positions.mean(axis=0) * BOHR_IN_ANGSTROM
    size = float(np.linalg.norm(dipole))
    span = float(np.ptp(structure.positions, axis=0).max()) * BOHR_IN_ANGSTROM
    length = float(np.clip(2.54 * size, 1.4, max(1.4, 0.9 * span)))
    direction = dipole / size
    start, neck, end = (middle + x * length * direction for x in (-0.5, 0.32, 0.5))
    return join([tube(start, neck, (0.08, 0.08)), tube(neck, end, (0.22, 0.004), 16)])


def bonds(structure: Structure) -> list[tuple[int, int]]:
    """Pairs of atoms within the structure that are closer than :data:`BOND_STRETCH` covalent radii."""
    radii = covalent_radii(structure.numbers) / BOHR_IN_ANGSTROM
    pairs = cKDTree(structure.positions).query_pairs(BOND_STRETCH * 2 * radii.max(), output_type="ndarray")
    if not len(pairs):
        return []
    distances = np.linalg.norm(structure.positions[pairs[:, 0]] - structure.positions[pairs[:, 1]], axis=1)
    near = distances < BOND_STRETCH * radii[pairs].sum(axis=1)
    return [(int(i), int(j)) for i, j in pairs[near]]


def covalent_radii(numbers: NDArray[np.int64]) -> Floats:
    """Angstrom, (atom,)."""
    return np.array([covalent_radius(z) for z in numbers.tolist()])


def ball_radius(z: int) -> float:
    """Angstrom."""
    return 0.16 + 0.22 * covalent_radius(z)


def as_rgb(color: tuple[float, float, float]) -> str:
    """Such as "rgb(77,77,77)"."""
    return "rgb({},{},{})".format(*(round(255 * x) for x in color))


def bonded_axes(structure: Structure) -> tuple[bool, bool, bool]:
    """Along which lattice vectors bonds leave the cell."""
    steps = list(product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)))
    a, b, c = (any(_bonded_across(structure, step) for step in steps if step[axis] == 1) for axis in range(3))
    return a, b, c


def repeat_for_view(
    structure: Structure, labels: list[str], is_bonded: tuple[bool, bool, bool]
) -> tuple[Structure, list[str]]:
    """Copies of the cell along the directions in which bonds leave it, as many as :data:`MANY_ATOMS` allow."""
    cell = structure.cell
    assert cell is not None
    n = 1
    while any(is_bonded) and (n + 1) ** sum(is_bonded) * len(structure) <= MANY_ATOMS:
        n += 1
    shifts = np.array(list(product(*(range(n if bonded else 1) for bonded in is_bonded))))
    positions = (structure.positions[None] + (shifts @ cell)[:, None]).reshape(-1, 3)
    return Structure(np.tile(structure.numbers, len(shifts)), positions, cell), labels * len(shifts)


def _bonded_across(structure: Structure, step: tuple[int, int, int]) -> bool:
    """Whether an atom is bonded to one of the neighbouring cell."""
    assert structure.cell is not None
    radii = covalent_radii(structure.numbers) / BOHR_IN_ANGSTROM
    image = structure.positions + np.array(step) @ structure.cell
    near = cKDTree(structure.positions).sparse_distance_matrix(
        cKDTree(image), BOND_STRETCH * 2 * radii.max(), output_type="ndarray"
    )
    return bool((near["v"] < BOND_STRETCH * (radii[near["i"]] + radii[near["j"]])).any())


def cell_trace(structure: Structure, is_bonded: tuple[bool, bool, bool]) -> dict[str, Any]:
    """Edges of a cell; of a layer only those in its plane, at its height."""
    assert structure.cell is not None
    cell = structure.cell * BOHR_IN_ANGSTROM
    height = (structure.positions @ np.linalg.inv(structure.cell)).mean(axis=0)
    drawn = np.array(is_bonded) if any(is_bonded) else np.full(3, True)
    points: list[Floats] = []
    for corner in product(*((0.0, 1.0) if axis else (x,) for axis, x in zip(drawn, height, strict=True))):
        for axis in np.flatnonzero(drawn & (np.array(corner) == 0.0)):
            step = np.eye(3)[axis]
            points += [np.array(corner) @ cell, (np.array(corner) + step) @ cell, np.full(3, np.nan)]
    columns = {axis: array(column) for axis, column in zip("xyz", np.transpose(points), strict=True)}
    line = {"color": CELL_COLOR, "width": 3}
    return {"type": "scatter3d", "mode": "lines", "hoverinfo": "skip", "line": line, **columns}


def describe_atoms(structure: Structure) -> str:
    """Number of atoms of each element, such as "2 C, 6 H, 1 O"."""
    numbers, counts = np.unique(structure.numbers, return_counts=True)
    order = sorted(zip(numbers.tolist(), counts.tolist(), strict=True), key=lambda row: (row[0] != 6, row[0] != 1))
    return ", ".join(f"{n} {SYMBOLS[z]}" for z, n in order)

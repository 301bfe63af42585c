"""Triangles: isosurfaces of orbitals, spheres, cylinders and cones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import HarmoseError
from ...core.orbitals import orbital_values
from ...core.structure import Structure

Floats = NDArray[np.float64]

MARGIN = 5.0
"""Space around the outermost atoms in Bohr."""

SPACING = 0.42
"""Bohr between the points where an orbital is evaluated, in a small molecule."""

MOST_POINTS = 160_000
"""In larger molecules the spacing grows to keep to so many points."""

ENCLOSED = 0.7
"""Share of an orbital's density inside its surface, at least."""

LARGEST_ISOVALUE = 0.05
"""Bohr^(-3/2), the usual value; orbitals of large molecules are thinner and get a lower one."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles.

    Args:
        vertices: (vertex, 3).
        faces: Indices of vertices, (face, 3).
    """

    vertices: Floats
    faces: NDArray[np.int64]


def join(meshes: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])
    faces = np.concatenate([m.faces + offset for m, offset in zip(meshes, offsets, strict=True)])
    return Mesh(np.concatenate([m.vertices for m in meshes]), faces)


def orbital_surfaces(
    structure: Structure, basis: OrbitalBasis, coefficients: Floats
) -> tuple[float, Mesh | None, Mesh | None]:
    """Surfaces of an orbital that hold :data:`ENCLOSED` of its density or more.

    Args:
        structure: A molecule.
        basis: Its basis, with radial functions.
        coefficients: The orbital's coefficients, (ao,).

    Returns:
        |psi| on the surface in Bohr^(-3/2), and the surfaces where psi is positive and negative, in Bohr.

    Raises:
        HarmoseError: scikit-image is not installed.
    """
    low, high = structure.positions.min(axis=0) - MARGIN, structure.positions.max(axis=0) + MARGIN
    spacing = max(SPACING, float(np.prod(high - low) / MOST_POINTS) ** (1 / 3))
    axes = [np.arange(a, b + spacing, spacing) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = orbital_values(structure, basis, coefficients, points)
    isovalue = find_isovalue(values)
    volume = values.reshape([len(axis) for axis in axes])
    positive, negative = (_triangulate(sign * volume, isovalue, spacing, low) for sign in (1.0, -1.0))
    return isovalue, positive, negative


def find_isovalue(values: Floats) -> float:
    """|psi| on the surface that holds :data:`ENCLOSED` of the density; :data:`LARGEST_ISOVALUE` where that is less.

    Args:
        values: psi on an even grid, any shape.
    """
    density = np.sort(values.ravel() ** 2)[::-1]
    inside = np.cumsum(density)
    index = int(np.searchsorted(inside, ENCLOSED * inside[-1]))
    return min(float(np.sqrt(density[index])), LARGEST_ISOVALUE)


def _triangulate(volume: Floats, isovalue: float, spacing: float, origin: Floats) -> Mesh | None:
    """The surface on which a volume has a value; None where it does not reach it."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise HarmoseError(
            "Surfaces of orbitals need scikit-image, which is not installed. Install it with: "
            "pip install 'harmose-dft[report]'"
        ) from error
    if volume.max() <= isovalue:
        return None
    vertices, faces, _, _ = marching_cubes(volume, isovalue, spacing=(spacing,) * 3)
    return Mesh(np.asarray(vertices, dtype=np.float64) + origin, np.asarray(faces, dtype=np.int64))


@lru_cache(maxsize=4)
def unit_sphere(rings: int = 8, segments: int = 14) -> Mesh:
    """A sphere of radius one from rings of latitude."""
    theta = np.pi * np.arange(1, rings) / rings
    phi = 2 * np.pi * np.arange(segments) / segments
    ring = np.stack(
        [np.outer(np.sin(theta), np.cos(phi)), np.outer(np.sin(theta), np.sin(phi)),
         np.repeat(np.cos(theta)[:, None], segments, axis=1)], axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    s, following = np.arange(segments), (np.arange(segments) + 1) % segments
    faces = [np.stack([np.full(segments, len(ring)), s, following], axis=1)]
    for row in range(rings - 2):
        a, b = row * segments, (row + 1) * segments
        faces += [np.stack([a + s, b + s, a + following], axis=1), np.stack([a + following, b + s, b + following], 1)]
    last = (rings - 2) * segments
    faces.append(np.stack([np.full(segments, len(ring) + 1), last + following, last + s], axis=1))
    return Mesh(vertices, np.concatenate(faces))


def sphere(center: Floats, radius: float) -> Mesh:
    """A ball."""
    unit = unit_sphere()
    return Mesh(center + radius * unit.vertices, unit.faces)


def tube(start: Floats, end: Floats, radii: tuple[float, float], segments: int = 10) -> Mesh:
    """A cylinder or cone without lids.

    Args:
        start: One end of the axis, (3,).
        end: The other end, (3,).
        radii: Radius at the two ends.
        segments: Sides of the polygon that stands for a circle.
    """
    axis = (end - start) / np.linalg.norm(end - start)
    helper = np.eye(3)[np.argmin(np.abs(axis))]
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    phi = 2 * np.pi * np.arange(segments) / segments
    circle = np.outer(np.cos(phi), u) + np.outer(np.sin(phi), v)
    vertices = np.concatenate([start + radii[0] * circle, end + radii[1] * circle])
    s, following = np.arange(segments), (np.arange(segments) + 1) % segments
    faces = np.concatenate(
        [np.stack([s, following, segments + s], 1), np.stack([following, segments + following, segments + s], 1)]
    )
    return Mesh(vertices, faces)

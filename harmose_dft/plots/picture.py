"""An orbital as a shaded isosurface around a ball-and-stick molecule, by casting one ray per pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.orbitals import orbital_values
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM

Array = NDArray[np.float64]

POSITIVE, NEGATIVE = (0.13, 0.42, 0.75), (0.86, 0.33, 0.20)
"""Colours of the two signs."""

ELEMENT_COLORS = {
    1: (0.92, 0.92, 0.92), 6: (0.30, 0.30, 0.30), 7: (0.20, 0.30, 0.85), 8: (0.85, 0.10, 0.10),
    9: (0.45, 0.80, 0.35), 16: (0.90, 0.78, 0.15), 17: (0.15, 0.75, 0.20),
}
"""Those of the elements that are drawn most; the others have Jmol's, as ASE has them."""

MARGIN = 4.5
"""Space around the outermost atoms in Bohr."""

COARSE = 0.36
"""Spacing in Bohr of the points where the orbital is evaluated; between them it is interpolated."""

LIGHT = np.array([-0.35, 0.45, 0.82])
"""Direction of the light (the viewer looks along -z)."""


def draw_orbital(
    structure: Structure,
    basis: OrbitalBasis,
    coefficients: Array,
    *,
    isovalue: float = 0.05,
    tilt: tuple[float, float] = (-55.0, 20.0),
    pixels_per_bohr: int = 30,
) -> Array:
    """Draw one orbital of a molecule.

    Args:
        structure: The molecule.
        basis: Its basis, with radial functions.
        coefficients: The orbital's coefficients, (ao,).
        isovalue: |psi| on the surface, Bohr^(-3/2).
        tilt: Rotation in degrees about the horizontal and the vertical axis, away from the view onto the plane in
            which the molecule is largest.
        pixels_per_bohr: Resolution.

    Returns:
        (row, column, 4): red, green, blue and opacity in 0..1; the first row is the top.
    """
    view, middle = choose_view(structure.positions, tilt), structure.positions.mean(axis=0)
    centers = (structure.positions - middle) @ view.T
    half = np.abs(centers).max(axis=0) + MARGIN
    coarse = [np.linspace(-h, h, max(int(2 * h / COARSE), 8)) for h in half]
    points = np.stack(np.meshgrid(*coarse, indexing="ij"), axis=-1).reshape(-1, 3)
    values = orbital_values(structure, basis, coefficients, points @ view + middle)
    fine = [np.linspace(-h, h, int(2 * h * n)) for h, n in zip(half, (2 * pixels_per_bohr,) * 2 + (10,), strict=True)]
    volume = _interpolate(values.reshape([len(c) for c in coarse]), coarse, fine)
    image, depth = _molecule(structure, centers, fine[0], fine[1])
    _blend_surface(image, depth, volume, fine, isovalue)
    return _crop(_halve(image)).transpose(1, 0, 2)[::-1]


def _interpolate(values: Array, coarse: list[Array], fine: list[Array]) -> NDArray[np.float32]:
    """Interpolate by cubic splines along each axis in turn, from the coarse to the fine points."""
    from scipy.interpolate import CubicSpline

    out = values.astype(np.float32)
    for nodes, points in zip(coarse, fine, strict=True):
        weights = CubicSpline(nodes, np.eye(len(nodes)))(points).astype(np.float32)
        out = np.tensordot(out, weights, axes=(0, 1))
    return out


def choose_view(positions: Array, tilt: tuple[float, float]) -> Array:
    """Rows are the viewer's right, up and towards; the molecule's longest extent is horizontal.

    Args:
        positions: Any unit, (atom, 3).
        tilt: Rotation in degrees about the horizontal and the vertical axis, away from the view onto the plane in
            which the molecule is largest.
    """
    axes = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=True)[2]
    axes *= np.sign(axes[np.arange(3), np.abs(axes).argmax(axis=1)])[:, None]  # machines differ in the signs
    axes[2] = np.cross(axes[0], axes[1])
    a, b = np.radians(tilt)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return np.asarray(about_y @ about_x @ axes)


def covalent_radius(z: int) -> float:
    """Covalent radius of an element in Angstrom; B. Cordero et al., Dalton Trans. 2008, 2832."""
    from ase.data import covalent_radii

    return float(covalent_radii[z]) if z < len(covalent_radii) else 1.6


def element_color(z: int) -> tuple[float, float, float]:
    """Colour of an element's atoms: red, green, blue in 0..1."""
    from ase.data.colors import jmol_colors

    if z in ELEMENT_COLORS or z >= len(jmol_colors):
        return ELEMENT_COLORS.get(z, (0.6, 0.6, 0.6))
    red, green, blue = jmol_colors[z].tolist()
    return red, green, blue


def _molecule(structure: Structure, centers: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Image (column, row, 4) and depth (column, row) of balls and sticks; sticks are rows of small balls."""
    image = np.zeros((len(x), len(y), 4))
    depth = np.full((len(x), len(y)), -np.inf)
    radii = np.array([covalent_radius(z) for z in structure.numbers.tolist()]) / BOHR_IN_ANGSTROM
    for i in range(len(structure)):
        for j in range(i):
            if np.linalg.norm(centers[i] - centers[j]) < 1.25 * (radii[i] + radii[j]):
                for t in np.linspace(0.0, 1.0, 40):
                    _ball(image, depth, (1 - t) * centers[i] + t * centers[j], 0.2, (0.55, 0.55, 0.55), x, y)
    for z, center, radius in zip(structure.numbers.tolist(), centers, radii, strict=True):
        _ball(image, depth, center, 0.25 + 0.2 * radius, element_color(z), x, y)
    return image, depth


def _ball(
    image: Array, depth: Array, center: Array, radius: float, color: tuple[float, float, float], x: Array, y: Array
) -> None:
    """Draw a sphere where it is nearer to the viewer than what is there."""
    columns = np.flatnonzero(np.abs(x - center[0]) < radius)
    rows = np.flatnonzero(np.abs(y - center[1]) < radius)
    if not len(columns) or not len(rows):
        return
    window = (slice(columns[0], columns[-1] + 1), slice(rows[0], rows[-1] + 1))
    dx, dy = (x[window[0]] - center[0])[:, None], (y[window[1]] - center[1])[None, :]
    height = np.sqrt(np.maximum(radius**2 - dx**2 - dy**2, 0.0))
    nearer = (height > 0) & (center[2] + height > depth[window])
    normal = np.stack(np.broadcast_arrays(dx, dy, height), axis=-1) / radius
    image[window][nearer] = _shade(np.asarray(color), normal)[nearer]
    depth[window][nearer] = (center[2] + height)[nearer]


def _blend_surface(
    image: Array, depth: Array, volume: NDArray[np.float32], axes: list[Array], isovalue: float
) -> None:
    """Draw, half transparent, the first point along each ray (from +z) where |psi| reaches the isovalue."""
    above_isovalue = np.abs(volume[:, :, ::-1]) > isovalue
    columns, rows = np.nonzero(above_isovalue.any(axis=2))
    level = volume.shape[2] - 1 - above_isovalue.argmax(axis=2)[columns, rows]
    steps = [axis[1] - axis[0] for axis in axes]
    last = np.array(volume.shape)[:, None] - 1
    index = np.stack([columns, rows, level])
    value = volume[tuple(index)]
    normal = np.empty((len(value), 3))
    for d in range(3):
        step = np.eye(3, dtype=int)[:, d : d + 1]
        value_ahead, value_behind = (volume[tuple(np.clip(index + s * step, 0, last))] for s in (1, -1))
        normal[:, d] = -np.sign(value) * (value_ahead - value_behind) / steps[d]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    next_value = np.abs(volume[columns, rows, np.minimum(level + 1, last[2])])
    fraction = np.clip((np.abs(value) - isovalue) / np.maximum(np.abs(value) - next_value, 1e-12), 0.0, 1.0)
    height = axes[2][level] + fraction * steps[2]
    color = np.where(value[:, None] > 0, np.array(POSITIVE), np.array(NEGATIVE))
    front = height > depth[columns, rows]
    columns, rows = columns[front], rows[front]
    surface_color, opacity = _shade(color[front], normal[front]), 0.78
    background = image[columns, rows]
    alpha = opacity + background[:, 3:] * (1 - opacity)
    blended = (opacity * surface_color[:, :3] + (1 - opacity) * background[:, 3:] * background[:, :3]) / alpha
    image[columns, rows] = np.concatenate([blended, alpha], axis=1)


def _shade(color: Array, normal: Array) -> Array:
    """Colour of a lit surface (Lambert's law and a highlight), opaque: (..., 4)."""
    light = LIGHT / np.linalg.norm(LIGHT)
    halfway = light + np.array([0.0, 0.0, 1.0])
    halfway /= np.linalg.norm(halfway)
    diffuse = np.clip(normal @ light, 0.0, 1.0)[..., None]
    highlight = np.clip(normal @ halfway, 0.0, 1.0)[..., None] ** 40
    shaded = np.clip(color * (0.42 + 0.62 * diffuse) + 0.35 * highlight, 0.0, 1.0)
    return np.concatenate([shaded, np.ones_like(diffuse)], axis=-1)


def _halve(image: Array) -> Array:
    """Half the resolution, by averaging with premultiplied opacity: smooth edges."""
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2].copy()
    even[..., :3] *= even[..., 3:]
    small = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 4).mean(axis=(1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.asarray(np.clip(small, 0.0, 1.0))


def _crop(image: Array, border: int = 4) -> Array:
    """The image without its transparent margins."""
    rows, columns = (np.flatnonzero(image[..., 3].any(axis=1 - d)) for d in range(2))
    return image[max(rows[0] - border, 0) : rows[-1] + border, max(columns[0] - border, 0) : columns[-1] + border]

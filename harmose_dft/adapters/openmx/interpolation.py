"""The radial functions that OpenMX makes of the tables of a ``.pao`` file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

from ...core.basis import NumericalRadial

STEP = 0.01
"""Spacing in Bohr of the table that replaces the file's: fine enough for any interpolation to follow it to 1e-8."""


def interpolate(r: NDArray[np.float64], values: NDArray[np.float64]) -> NumericalRadial:
    """R(r) as OpenMX evaluates it, on r = 0, 0.01, ... Bohr.

    The logarithmic mesh of a ``.pao`` file is coarse where the orbital ends (0.15 Bohr), so that the interpolation is
    part of the definition of the orbital: a spline through the same points changes overlaps by up to 4e-4. OpenMX
    (RadialF.c) uses cubics whose slopes at the mesh points are those of the parabola through the point and its
    neighbours. That leaves a slope where the table reaches zero, and the function ends one mesh interval later.

    Args:
        r: Mesh in Bohr, ascending, (point,).
        values: Table of one function, (point,).
    """
    last = np.flatnonzero(values)[-1] if values.any() else len(r) - 1
    end = r[min(last + 2, len(r) - 1)]
    grid = np.linspace(0.0, end, max(int(np.ceil(end / STEP)), 1) + 1)
    return NumericalRadial(grid, CubicHermiteSpline(r, values, np.gradient(values, r))(grid))

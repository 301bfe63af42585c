"""The orbitals between the points of a .pao table are those that OpenMX evaluates."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.adapters.openmx.interpolation import STEP, interpolate


def test_points_of_the_table_are_kept() -> None:
    r = np.exp(np.linspace(-7, np.log(8.0), 80))
    r[40:] = np.round(r[40:] / STEP) * STEP  # points of the new table as well
    values = np.where(r < 5, np.exp(-r) * (5 - r) ** 2, 0.0)
    radial = interpolate(r, values)
    kept = np.flatnonzero((np.arange(80) >= 40) & (r <= radial.cutoff + 1e-9))
    at = np.searchsorted(radial.r, r[kept] - 1e-9)
    np.testing.assert_allclose(radial.r[at], r[kept], atol=1e-9)
    np.testing.assert_allclose(radial.values[at], values[kept], atol=1e-12)


def test_slopes_are_those_of_the_parabola_through_three_points() -> None:
    r = np.array([0.5, 1.0, 2.0, 4.0, 5.0, 6.0])
    values = 3.0 - 2.0 * r + 0.25 * r**2  # a parabola is reproduced exactly between inner points
    radial = interpolate(r, values)
    inner = (radial.r >= 1.0) & (radial.r <= 5.0)
    np.testing.assert_allclose(radial.values[inner], (3.0 - 2.0 * radial.r + 0.25 * radial.r**2)[inner], atol=1e-12)


def test_the_function_ends_one_interval_after_the_first_zero() -> None:
    r = np.arange(1, 11) * 0.5
    values = np.where(r < 2.9, 1.0, 0.0)  # last non-zero point 2.5, first zero 3.0
    radial = interpolate(r, values)
    assert radial.cutoff == pytest.approx(3.5)
    tail = (radial.r > 3.0) & (radial.r < 3.5)
    # slope at 3.0: (0 - 1) / 2 / 0.5 = -1; the cubic with this slope and zeros at both ends
    y = (radial.r[tail] - 3.0) / 0.5
    np.testing.assert_allclose(radial.values[tail], -0.5 * y * (1 - y) ** 2, atol=1e-12)

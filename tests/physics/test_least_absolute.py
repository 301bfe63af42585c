"""Fits by least absolute deviations."""

from __future__ import annotations

import numpy as np

from harmose_dft.physics.least_absolute import least_absolute


def test_a_few_wrong_elements_do_not_spoil_the_fit() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(400, 3))
    true = np.array([1.0, -2.0, 0.5])
    target = columns @ true
    target[:40] += 100.0
    found = least_absolute(columns, target, np.ones(400))
    np.testing.assert_allclose(found, true, atol=1e-3)
    squares = np.linalg.lstsq(columns, target, rcond=None)[0]
    assert np.abs(squares - true).max() > 1.0


def test_weights_choose_what_counts() -> None:
    columns, target = np.ones((4, 1)), np.array([1.0, 1.0, 5.0, 5.0])
    assert abs(least_absolute(columns, target, np.array([3.0, 3.0, 1.0, 1.0]))[0] - 1.0) < 1e-3
    assert abs(least_absolute(columns, target, np.array([1.0, 1.0, 3.0, 3.0]))[0] - 5.0) < 1e-3

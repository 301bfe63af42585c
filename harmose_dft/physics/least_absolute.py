"""Linear fits by least absolute deviations, which a few elements far off do not spoil."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RIDGE = 1e-7
"""Penalty on squared parameters, relative to the largest column norm, against columns that nearly cancel."""

ITERATIONS = 12
"""Rounds of iteratively reweighted least squares, which turn squared into absolute deviations."""

SMALLEST_DEVIATION = 1e-4
"""Hartree; deviations below it are weighted as if they were this large."""


def least_absolute(columns: Floats, target: Floats, weights: Floats, *, ridge: float = RIDGE) -> Floats:
    """argmin_q sum_i w_i |y_i - (X q)_i| by iteratively reweighted least squares.

    Args:
        columns: X, (element, parameter).
        target: y, (element,).
        weights: w, (element,).
        ridge: Penalty on squared parameters, relative to the largest column norm.
    """
    current = weights
    solution: Floats = np.zeros(columns.shape[1])
    for _ in range(ITERATIONS):
        weighted = columns * current[:, None]
        normal = columns.T @ weighted
        normal[np.diag_indices_from(normal)] += ridge * normal.diagonal().max()
        solution = np.asarray(np.linalg.solve(normal, weighted.T @ target), dtype=np.float64)
        current = weights / np.maximum(np.abs(target - columns @ solution), SMALLEST_DEVIATION)
    return np.asarray(solution)

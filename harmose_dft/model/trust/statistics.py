"""Statistics of calibrations: groups that stay together, penalised regressions, conformal quantiles, the ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.stats import rankdata

from .signals import LinearFunction, logistic

Floats = NDArray[np.float64]
Element = TypeVar("Element", bound=np.generic)

PENALTY = 0.3
"""Half the squared length of the weights is added to the loss with this factor; signals are standardised."""

FOLDS = 10
"""Parts of the calibration set, each of which is judged by a model of the others."""


class Grouped(Protocol):
    """What belongs to a group."""

    @property
    def group(self) -> str:
        """Name of the group."""


def split_groups(cases: Sequence[Grouped], parts: int, seed: int) -> list[NDArray[np.int64]]:
    """Indices of cases in parts of about equal numbers of groups, drawn at random."""
    names = sorted({case.group for case in cases})
    order = dict(zip(names, np.random.default_rng(seed).permutation(len(names)).tolist(), strict=True))
    place = np.array([order[case.group] % parts for case in cases])
    return [np.flatnonzero(place == part) for part in range(parts)]


def predict_left_out(
    fit: Callable[[Floats, NDArray[Element]], LinearFunction],
    x: Floats,
    y: NDArray[Element],
    parts: Sequence[NDArray[np.int64]],
) -> Floats:
    """Predictions for each part of the cases by a regression on all the other parts, (case,).

    Args:
        fit: Makes a regression: :func:`fit_logistic` or :func:`fit_ridge`.
        x: Standardised signals, (case, signal).
        y: What to predict, (case,).
        parts: Indices of the cases of each part.
    """
    values = np.zeros(len(x))
    for part in parts:
        rest = np.setdiff1d(np.arange(len(x)), part)
        values[part] = fit(x[rest], y[rest])(x[part])
    return values


def fit_logistic(x: Floats, bad: NDArray[np.bool_], steps: int = 50) -> LinearFunction:
    """Penalised logistic regression by Newton's method.

    Args:
        x: Standardised signals, (case, signal).
        bad: What to predict, (case,).
        steps: Newton steps at most.
    """
    design = np.column_stack([x, np.ones(len(x))])
    penalty = PENALTY * np.diag([*np.ones(x.shape[1]), 1e-3])
    weights = np.zeros(design.shape[1])
    for _ in range(steps):
        p = logistic(design @ weights)
        gradient = design.T @ (p - bad) + penalty @ weights
        hessian = (design.T * (p * (1.0 - p))) @ design + penalty
        step = solve(hessian, gradient, assume_a="pos")
        weights = weights - step * min(1.0, 5.0 / max(float(np.linalg.norm(step)), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    return LinearFunction(weights[:-1], float(weights[-1]))


def fit_ridge(x: Floats, y: Floats) -> LinearFunction:
    """Penalised least squares; the intercept is not penalised.

    Args:
        x: Standardised signals, (case, signal).
        y: What to predict, (case,).
    """
    centre, mean = x.mean(axis=0), float(y.mean())
    moved = x - centre
    weights = solve(moved.T @ moved + PENALTY * np.eye(x.shape[1]), moved.T @ (y - mean), assume_a="pos")
    return LinearFunction(np.asarray(weights), mean - float(centre @ weights))


def conformal_quantile(scores: Floats, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores; infinite where n is too small for the coverage."""
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if 0 < rank <= len(scores) else float("inf")


def area_under_roc(scores: Floats, bad: NDArray[np.bool_]) -> float | None:
    """Probability that a bad case has a higher score than a good one; None where one kind is missing."""
    positive, negative = int(bad.sum()), int((~bad).sum())
    if not positive or not negative:
        return None
    return float((rankdata(scores)[bad].sum() - positive * (positive + 1) / 2) / (positive * negative))

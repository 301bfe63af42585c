"""Learning a calibration from molecules with known errors, and judging it on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.stats import rankdata

from ...core.errors import DataError
from .calibration import LARGE_ERROR, QUANTITIES, Calibration, Regression, Verdict, logistic, take_logarithms

Floats = NDArray[np.float64]

PENALTY = 0.3
"""Half the squared length of the weights is added to the loss with this factor; signals are standardised."""

FOLDS = 10
"""Parts of the calibration set, each of which is judged by a model of the others."""

MARGIN = 0.5
"""Share of the smallest risk of a bad molecule below which a prediction is good."""

REFUSED_FROM = 0.5
"""Risk from which a prediction is not to be used: more likely bad than not."""

FEWEST = 40
"""A calibration set needs as many molecules, and as many good ones and bad ones as a tenth of it."""


@dataclass(frozen=True)
class Case:
    """A molecule with known errors.

    Args:
        group: Molecules of one group are never divided between what is fitted and what is judged.
        kind: Kind of molecule, for reports.
        signals: Signals of the prediction by name.
        errors: Absolute error of each quantity, Hartree or e*Bohr.
        largest_level_error: Largest error of an occupied level, Hartree.
        doubtful: Whether a rule without statistics rules out that the prediction is good.
        ruled_out: Whether one rules out its use.
    """

    group: str
    kind: str
    signals: Mapping[str, float]
    errors: Mapping[str, float]
    largest_level_error: float
    doubtful: bool = False
    ruled_out: bool = False

    def is_bad(self, limit: float) -> bool:
        """Whether an occupied level is off by more than a limit, Hartree."""
        return self.largest_level_error > limit


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


def fit_calibration(
    cases: Sequence[Case],
    signals: Sequence[str],
    *,
    large_error: float = LARGE_ERROR,
    accepted_bad: float = 0.0,
    coverage: float = 0.95,
    seed: int = 0,
) -> Calibration:
    """Learn the risk, the verdicts' thresholds and the intervals.

    Thresholds and quantiles come from predictions for molecules that the regressions did not see: each of ten parts is
    judged by regressions on the other nine (cross-conformal; Vovk, Ann. Math. Artif. Intell. 74, 9 (2015)).

    Args:
        cases: Molecules with known errors that training never saw.
        signals: Names of the signals to use.
        large_error: Error of an occupied level from which a prediction counts as bad, Hartree.
        accepted_bad: Share of the bad molecules that may count as good. At 0 the risk of a good one lies below
            :data:`MARGIN` of the smallest risk of a bad one.
        coverage: Share of intervals that are to hold.
        seed: Seed of the parts.

    Raises:
        DataError: There are too few molecules, or too few good or bad ones.
    """
    names = tuple(signals)
    bad = np.array([case.is_bad(large_error) for case in cases])
    if len(cases) < FEWEST or min(bad.sum(), (~bad).sum()) < FEWEST // 10:
        raise DataError(
            f"A calibration needs {FEWEST} molecules and {FEWEST // 10} good and bad ones each (bad: an occupied level "
            f"off by more than {large_error * 1e3:g} mHartree); got {len(cases)} with {int(bad.sum())} bad ones. Label "
            "more molecules, odd ones among them."
        )
    raw = np.array([take_logarithms(case.signals, names) for case in cases])
    centre, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-6)
    x = (raw - centre) / scale
    logs = {
        q: np.log10(np.maximum([case.errors[q] for case in cases], floor)) for q, floor in QUANTITIES.items()
    }
    risks, sizes = np.zeros(len(cases)), {q: np.zeros(len(cases)) for q in QUANTITIES}
    for part in split_groups(cases, FOLDS, seed):
        rest = np.setdiff1d(np.arange(len(cases)), part)
        risks[part] = logistic(fit_logistic(x[rest], bad[rest])(x[part]))
        for q, values in logs.items():
            sizes[q][part] = fit_ridge(x[rest], values[rest])(x[part])
    lowest = np.quantile(risks[bad], accepted_bad) if accepted_bad else MARGIN * risks[bad].min()
    good_below = min(float(lowest), REFUSED_FROM)
    judging = Calibration(
        names, centre, scale, fit_logistic(x, bad), good_below, REFUSED_FROM,
        {q: fit_ridge(x, values) for q, values in logs.items()}, {}, coverage, large_error,
    )
    verdicts = [limit_verdict(judging.judge(risk), case) for risk, case in zip(risks, cases, strict=True)]
    quantiles: dict[Verdict, dict[str, float]] = {}
    for verdict in Verdict:
        members = np.array([v == verdict for v in verdicts])
        scores = {q: np.array([c.errors[q] for c in cases]) / 10 ** sizes[q] for q in QUANTITIES}
        widths = {q: conformal_quantile(score[members], coverage) for q, score in scores.items()}
        quantiles[verdict] = {q: width for q, width in widths.items() if np.isfinite(width)}
    return replace(judging, quantiles=quantiles)


def limit_verdict(verdict: Verdict, case: Case) -> Verdict:
    """A verdict on a case after the rules that need no statistics."""
    if case.ruled_out:
        return Verdict.DO_NOT_USE
    return Verdict.CAREFUL if case.doubtful and verdict == Verdict.GOOD else verdict


def fit_logistic(x: Floats, bad: NDArray[np.bool_], steps: int = 50) -> Regression:
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
    return Regression(weights[:-1], float(weights[-1]))


def fit_ridge(x: Floats, y: Floats) -> Regression:
    """Penalised least squares; the intercept is not penalised.

    Args:
        x: Standardised signals, (case, signal).
        y: What to predict, (case,).
    """
    centre, mean = x.mean(axis=0), float(y.mean())
    moved = x - centre
    weights = solve(moved.T @ moved + PENALTY * np.eye(x.shape[1]), moved.T @ (y - mean), assume_a="pos")
    return Regression(np.asarray(weights), mean - float(centre @ weights))


def conformal_quantile(scores: Floats, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n scores; infinite where n is too small for the coverage."""
    rank = int(np.ceil((len(scores) + 1) * coverage))
    return float(np.sort(scores)[rank - 1]) if 0 < rank <= len(scores) else float("inf")


def evaluate_calibration(calibration: Calibration, cases: Sequence[Case]) -> dict[str, object]:
    """Figures of a calibration on molecules that it was not made from.

    Returns:
        JSON-serialisable: numbers of molecules by verdict, bad ones among those accepted, coverage and median
        half-width of each quantity among those accepted as good, area under the ROC curve of the risk.
    """
    risks = np.array([calibration.estimate_risk(case.signals) for case in cases])
    verdicts = [limit_verdict(calibration.judge(r), c) for r, c in zip(risks, cases, strict=True)]
    good = [c for c, v in zip(cases, verdicts, strict=True) if v == Verdict.GOOD]
    bad = np.array([case.is_bad(calibration.large_error) for case in cases])
    widths = [w for c in good if (w := calibration.half_widths(c.signals, Verdict.GOOD)) is not None]
    held = {
        q: float(np.mean([c.errors[q] <= w[q] for c, w in zip(good, widths, strict=True)])) if widths else None
        for q in QUANTITIES
    }
    return {
        "molecules": len(cases),
        "bad": int(bad.sum()),
        "auc": area_under_roc(risks, bad),
        "verdicts": {str(v): verdicts.count(v) for v in Verdict},
        "bad_by_verdict": {
            str(v): sum(b for b, u in zip(bad.tolist(), verdicts, strict=True) if u == v) for v in Verdict
        },
        "largest_level_error_of_good": max((c.largest_level_error for c in good), default=None),
        "refused_though_within": sum(
            not b for b, v in zip(bad.tolist(), verdicts, strict=True) if v == Verdict.DO_NOT_USE
        ),
        "coverage_of_good": held,
        "median_half_width_of_good": {
            q: float(np.median([w[q] for w in widths])) if widths else None for q in QUANTITIES
        },
        "kinds": dict(count_kinds(cases, verdicts, calibration.large_error)),
    }


def count_kinds(
    cases: Sequence[Case], verdicts: Sequence[Verdict], large_error: float
) -> Iterator[tuple[str, dict[str, int]]]:
    """For each kind: molecules, bad ones, and how many had each verdict."""
    for kind in sorted({case.kind for case in cases}):
        members = [(c, v) for c, v in zip(cases, verdicts, strict=True) if c.kind == kind]
        counts = {str(v): sum(u == v for _, u in members) for v in Verdict}
        yield kind, {"molecules": len(members), "bad": sum(c.is_bad(large_error) for c, _ in members), **counts}


def area_under_roc(scores: Floats, bad: NDArray[np.bool_]) -> float | None:
    """Probability that a bad case has a higher score than a good one; None where one kind is missing."""
    positive, negative = int(bad.sum()), int((~bad).sum())
    if not positive or not negative:
        return None
    return float((rankdata(scores)[bad].sum() - positive * (positive + 1) / 2) / (positive * negative))

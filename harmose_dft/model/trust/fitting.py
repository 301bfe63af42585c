"""Learning a calibration from molecules with known errors, and judging it on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import DataError
from .calibration import LARGE_ERROR, QUANTITIES, SIGNALS, Calibration
from .signals import Floats, SignalSet, logistic
from .statistics import (
    FOLDS,
    area_under_roc,
    conformal_quantile,
    fit_logistic,
    fit_ridge,
    predict_left_out,
    split_groups,
)
from .verdicts import Rules, Verdict

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
    bad = np.array([case.is_bad(large_error) for case in cases])
    if len(cases) < FEWEST or min(bad.sum(), (~bad).sum()) < FEWEST // 10:
        raise DataError(
            f"A calibration needs {FEWEST} molecules and {FEWEST // 10} good and bad ones each (bad: an occupied level "
            f"off by more than {large_error * 1e3:g} mHartree); got {len(cases)} with {int(bad.sum())} bad ones, two "
            "thirds of those in the data, while the rest judges. Label more molecules, odd ones among them."
        )
    used, x = SignalSet.fit([case.signals for case in cases], signals, SIGNALS)
    logs = {
        q: np.log10(np.maximum([case.errors[q] for case in cases], floor)) for q, floor in QUANTITIES.items()
    }
    parts = split_groups(cases, FOLDS, seed)
    risks = logistic(predict_left_out(fit_logistic, x, bad, parts))
    lowest = np.quantile(risks[bad], accepted_bad) if accepted_bad else MARGIN * risks[bad].min()
    calibration = Calibration(
        signals=used,
        risk=fit_logistic(x, bad),
        good_below=min(float(lowest), REFUSED_FROM),
        refused_from=REFUSED_FROM,
        sizes={q: fit_ridge(x, values) for q, values in logs.items()},
        quantiles={},
        coverage=coverage,
        large_error=large_error,
    )
    verdicts = [limit_verdict(calibration.judge(risk), case) for risk, case in zip(risks, cases, strict=True)]
    scores = {
        q: np.array([c.errors[q] for c in cases]) / 10 ** predict_left_out(fit_ridge, x, values, parts)
        for q, values in logs.items()
    }
    return replace(calibration, quantiles=take_quantiles(scores, verdicts, coverage))


def take_quantiles(
    scores: Mapping[str, Floats], verdicts: Sequence[Verdict], coverage: float
) -> dict[Verdict, dict[str, float]]:
    """Conformal quantiles of the cases of each verdict; without entry where these are too few.

    Args:
        scores: Quantity -> |error| / typical error of each case, (case,).
        verdicts: Of each case.
        coverage: Share of intervals that are to hold.
    """
    quantiles: dict[Verdict, dict[str, float]] = {}
    for verdict in Verdict:
        members = np.array([v == verdict for v in verdicts])
        widths = {q: conformal_quantile(score[members], coverage) for q, score in scores.items()}
        quantiles[verdict] = {q: width for q, width in widths.items() if np.isfinite(width)}
    return quantiles


def limit_verdict(verdict: Verdict, case: Case) -> Verdict:
    """A verdict on a case after the rules that need no statistics."""
    return Rules(case.doubtful, case.ruled_out).limit(verdict)


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

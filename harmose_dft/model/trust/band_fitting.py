"""Learning a bound on the error of bands from crystals with known errors, and judging it on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import DataError
from .bands import SIGNALS, BandCalibration
from .signals import SignalSet
from .statistics import FOLDS, conformal_quantile, fit_ridge, predict_left_out, split_groups
from .verdicts import NO_RULES, Rules, Verdict

FEWEST = 20
"""A 95 % bound needs as many crystals: the largest of fewer scores is exceeded too often."""

EXACT = 1e-6
"""Hartree; bands with a smaller mean error count as exact."""


@dataclass(frozen=True)
class BandCase:
    """A crystal with known errors.

    Args:
        group: Crystals of one group are never divided between what is fitted and what is judged.
        signals: Signals of the prediction by name.
        error: Mean error of the bands near the Fermi level, Hartree.
        rules: What rules without statistics say of the prediction.
    """

    group: str
    signals: Mapping[str, float]
    error: float
    rules: Rules = NO_RULES


def fit_band_calibration(cases: Sequence[BandCase], *, coverage: float = 0.95, seed: int = 0) -> BandCalibration:
    """Learn the typical error and the bound.

    Scores are of crystals that the regression did not see: each of ten parts is judged by one on the other nine.

    Args:
        cases: Crystals with known errors that training never saw.
        coverage: Share of the bounds that are to hold.
        seed: Seed of the parts.

    Raises:
        DataError: There are too few crystals.
    """
    if len(cases) < FEWEST:
        raise DataError(
            f"A bound that holds for {100 * coverage:g} % of the crystals needs {FEWEST} of them that training never "
            f"saw; got {len(cases)}, two thirds of those in the data, while the rest judges. Label "
            "more, of all kinds that you are going to predict."
        )
    names = tuple(name for name in SIGNALS if all(name in case.signals for case in cases))
    used, x = SignalSet.fit([case.signals for case in cases], names, SIGNALS)
    errors = np.array([case.error for case in cases])
    logs = np.log10(np.maximum(errors, EXACT))
    sizes = predict_left_out(fit_ridge, x, logs, split_groups(cases, FOLDS, seed))
    quantile = conformal_quantile(errors / 10**sizes, coverage)
    return BandCalibration(used, fit_ridge(x, logs), quantile, coverage)


def evaluate_band_calibration(calibration: BandCalibration, cases: Sequence[BandCase]) -> dict[str, object]:
    """Figures of a calibration on crystals that it was not made from.

    Returns:
        JSON-serialisable: number of crystals, share of the bounds that hold, errors and bounds in Hartree, and of each
        verdict the number of crystals and their largest error.
    """
    bounds = [calibration.bound(case.signals) for case in cases]
    judged = [case.rules.limit(calibration.judge(bound)) for case, bound in zip(cases, bounds, strict=True)]
    errors = {v: [c.error for c, u in zip(cases, judged, strict=True) if u == v] for v in Verdict}
    held = [c.error <= b.mean_error for c, b in zip(cases, bounds, strict=True)]
    return {
        "crystals": len(cases),
        "coverage": float(np.mean(held)),
        "median_error": float(np.median([case.error for case in cases])),
        "median_bound": float(np.median([bound.mean_error for bound in bounds])),
        "verdicts": {str(v): len(e) for v, e in errors.items()},
        "largest_error_by_verdict": {str(v): max(e, default=None) for v, e in errors.items()},
    }

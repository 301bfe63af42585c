"""Error bars and verdicts of a model, learned on molecules whose right answers are known and that training never saw.

A logistic regression on a few standardised numbers (signals) gives the risk that an occupied level is off by more than
5 mHartree (of the network's own predictions: 20). Intervals are split conformal (Vovk, Gammerman and Shafer,
Algorithmic Learning in a Random World, 2005) with scores |error| / size, where a linear model of the signals tells the
size (Lei et al., J. Am. Stat. Assoc. 113, 1094 (2018)), and with quantiles of their own for each verdict (Mondrian).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .signals import LinearFunction, SignalSet, logistic
from .verdicts import Verdict

LARGE_ERROR = 0.02
"""Hartree; a network's own prediction with an occupied level farther off counts as bad."""

LARGE_REFINED_ERROR = 0.005
"""Hartree; the same of a refined prediction."""

SIGNALS = {
    "commutator": 1e-5,
    "rotation": 1e-8,
    "homo_change": 3e-5,
    "lumo_change": 3e-5,
    "level_change": 3e-5,
    "largest_level_change": 3e-5,
    "core_change": 1e-4,
    "dipole_change": 1e-3,
    "last_commutator": 1e-5,
    "last_rotation": 1e-8,
    "last_homo_change": 3e-5,
    "last_lumo_change": 3e-5,
    "last_level_change": 3e-5,
    "last_largest_level_change": 3e-5,
    "last_core_change": 1e-4,
    "last_dipole_change": 1e-3,
    "correction_rotation": 1e-6,
    "correction_homo": 1e-4,
    "correction_lumo": 1e-4,
    "correction_levels": 1e-4,
    "h0_distance": 1e-5,
    "environment_distance": 0.1,
    "gap": 0.01,
}
"""Every signal -> the size below which it counts as zero, in its unit (Hartree, e*Bohr or none). Regressions see the
decimal logarithm of the absolute value."""

QUANTITIES = {"homo": 1e-5, "lumo": 1e-5, "gap": 1e-5, "mean_occupied": 1e-5, "dipole": 3e-4}
"""What has an interval -> the error below which a prediction counts as exact, Hartree or e*Bohr."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How signals become a risk, a verdict and intervals.

    Args:
        signals: Which of :data:`SIGNALS` it uses.
        risk: Log-odds that an occupied level is off by more than ``large_error``.
        good_below: Risk below which a prediction is good.
        refused_from: Risk from which a prediction is not to be used.
        sizes: Decimal logarithm of the typical error of each quantity.
        quantiles: Half-widths in units of the typical error, by verdict and quantity; without entry where too few
            molecules of the verdict were known.
        coverage: Share of intervals that hold.
        large_error: Error of an occupied level from which a prediction counts as bad, Hartree.
    """

    signals: SignalSet
    risk: LinearFunction
    good_below: float
    refused_from: float
    sizes: Mapping[str, LinearFunction]
    quantiles: Mapping[Verdict, Mapping[str, float]]
    coverage: float = 0.95
    large_error: float = LARGE_ERROR

    def estimate_risk(self, signals: Mapping[str, float]) -> float:
        """Probability that an occupied level is off by more than ``large_error``."""
        return float(logistic(self.risk(self.signals.standardise(signals))))

    def judge(self, risk: float) -> Verdict:
        """Verdict on a prediction of some risk."""
        if risk < self.good_below:
            return Verdict.GOOD
        return Verdict.CAREFUL if risk < self.refused_from else Verdict.DO_NOT_USE

    def half_widths(self, signals: Mapping[str, float], verdict: Verdict) -> dict[str, float] | None:
        """Half-width of the interval of each quantity; None where the verdict was too rare for a quantile."""
        quantiles = self.quantiles.get(verdict, {})
        if set(quantiles) != set(QUANTITIES):
            return None
        standardised = self.signals.standardise(signals)
        return {name: quantiles[name] * 10 ** float(self.sizes[name](standardised)) for name in QUANTITIES}

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description."""
        return {
            **self.signals.to_dict(),
            "risk": self.risk.to_dict(),
            "good_below": self.good_below,
            "refused_from": self.refused_from,
            "sizes": {name: size.to_dict() for name, size in self.sizes.items()},
            "quantiles": {str(verdict): dict(values) for verdict, values in self.quantiles.items()},
            "coverage": self.coverage,
            "large_error": self.large_error,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            KeyError: An entry is missing, or a signal or quantity is unknown.
            ValueError: An entry is of another kind, or lengths differ.
        """
        signals = SignalSet.from_dict(data, SIGNALS)
        return cls(
            signals=signals,
            risk=signals.read_function(data["risk"]),
            good_below=float(data["good_below"]),
            refused_from=float(data["refused_from"]),
            sizes={name: signals.read_function(data["sizes"][name]) for name in QUANTITIES},
            quantiles={Verdict(v): {str(k): float(x) for k, x in q.items()} for v, q in data["quantiles"].items()},
            coverage=float(data["coverage"]),
            large_error=float(data["large_error"]),
        )

"""How far the bands of a crystal may be off, learned on calculations that training never saw.

A linear model of the logarithms of a few numbers (signals) tells the typical error; the bound is split conformal (Lei
et al., J. Am. Stat. Assoc. 113, 1094 (2018)), with the scores error / typical error of the calibration set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ...core.units import HARTREE_IN_EV
from ...metrics.evaluation import BAND_WINDOW
from .signals import LinearFunction, SignalSet
from .verdicts import Verdict

SIGNALS = {"environment_distance": 0.1, "h0_distance": 1e-5, "correction_size": 1e-7, "member_spread": 1e-7}
"""Every signal -> the size below which it counts as zero, in its unit (Hartree or none)."""

LARGE_ERROR, REFUSED_ERROR = 0.05 / HARTREE_IN_EV, 0.5 / HARTREE_IN_EV
"""Hartree; a larger bound on the mean error of the bands makes a prediction one to be careful with, or not to be used.
50 meV can be seen in a plot of the bands, 0.5 eV makes another material of it."""


@dataclass(frozen=True)
class BandBound:
    """A bound on the mean error of the bands near the Fermi level, after the best constant shift.

    Bands within :data:`~harmose_dft.metrics.evaluation.BAND_WINDOW` of it count.

    Args:
        mean_error: Hartree.
        coverage: Share of the structures of the calibration's kind whose error is no larger.
    """

    mean_error: float
    coverage: float

    @property
    def in_words(self) -> str:
        """One clause."""
        return (
            f"bands within {BAND_WINDOW * HARTREE_IN_EV:g} eV of the Fermi level off by {self.mean_error_mev:.3g} meV "
            f"on average at most ({100 * self.coverage:g} %)"
        )

    @property
    def mean_error_mev(self) -> float:
        """The bound in meV."""
        return self.mean_error * HARTREE_IN_EV * 1e3

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures."""
        return {"coverage": self.coverage, "mean_error_mev": self.mean_error_mev}


@dataclass(frozen=True, eq=False)
class BandCalibration:
    """How signals become a bound on the error of bands, and a verdict.

    Args:
        signals: Which of :data:`SIGNALS` it uses.
        size: Decimal logarithm of the typical error, Hartree.
        quantile: The bound in units of the typical error.
        coverage: Share of the bounds that hold.
    """

    signals: SignalSet
    size: LinearFunction
    quantile: float
    coverage: float = 0.95

    def bound(self, signals: Mapping[str, float]) -> BandBound:
        """The bound of a prediction."""
        return BandBound(self.quantile * 10 ** float(self.size(self.signals.standardise(signals))), self.coverage)

    @staticmethod
    def judge(bound: BandBound) -> Verdict:
        """Verdict on a prediction with a bound."""
        if bound.mean_error <= LARGE_ERROR:
            return Verdict.GOOD
        return Verdict.CAREFUL if bound.mean_error <= REFUSED_ERROR else Verdict.DO_NOT_USE

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description."""
        return {
            **self.signals.to_dict(),
            "size": self.size.to_dict(),
            "quantile": self.quantile,
            "coverage": self.coverage,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            KeyError: An entry is missing, or a signal is unknown.
            ValueError: An entry is of another kind, or lengths differ.
        """
        signals = SignalSet.from_dict(data, SIGNALS)
        return cls(signals, signals.read_function(data["size"]), float(data["quantile"]), float(data["coverage"]))

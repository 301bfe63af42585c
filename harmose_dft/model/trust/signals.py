"""Signals of a prediction, standardised for regression, and the linear functions of them that a calibration keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SMALLEST_SCALE = 1e-6
"""Standard deviation of a logarithm below which a signal counts as constant."""


@dataclass(frozen=True, eq=False)
class SignalSet:
    """The signals that a calibration uses, and how they become numbers of order one.

    Regressions see decimal logarithms of absolute values, with mean 0 and deviation 1 over the calibration set.

    Args:
        names: Names of the signals.
        floors: The absolute value below which each signal counts as zero, in its unit, (signal,).
        centre: Mean of each signal's logarithm, (signal,).
        scale: Its standard deviation, (signal,).
    """

    names: tuple[str, ...]
    floors: Floats
    centre: Floats
    scale: Floats

    @classmethod
    def fit(
        cls, cases: Sequence[Mapping[str, float]], names: Sequence[str], floors: Mapping[str, float]
    ) -> tuple[Self, Floats]:
        """Take mean and deviation from a calibration set.

        Args:
            cases: Signals of each prediction by name.
            names: Those to use.
            floors: The absolute value below which each counts as zero.

        Returns:
            The signals, and their standardised values in the calibration set, (case, signal).
        """
        start = cls(tuple(names), _pick(floors, names), np.zeros(len(names)), np.ones(len(names)))
        raw = np.array([start.take_logarithms(signals) for signals in cases])
        centre, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), SMALLEST_SCALE)
        return cls(start.names, start.floors, centre, scale), (raw - centre) / scale

    def standardise(self, signals: Mapping[str, float]) -> Floats:
        """Standardised values of a prediction's signals, (signal,)."""
        return (self.take_logarithms(signals) - self.centre) / self.scale

    def take_logarithms(self, signals: Mapping[str, float]) -> Floats:
        """Decimal logarithms of the absolute values, each at least as large as its floor, (signal,)."""
        sizes = zip(self.names, self.floors.tolist(), strict=True)
        return np.array([np.log10(max(abs(signals[name]), floor)) for name, floor in sizes])

    def to_dict(self) -> dict[str, object]:
        """The entries of a stored calibration that describe its signals, JSON-serialisable."""
        return {"signals": list(self.names), "centre": self.centre.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], floors: Mapping[str, float]) -> Self:
        """Inverse of :meth:`to_dict`.

        Args:
            data: A stored calibration; its other entries do not matter.
            floors: Every signal that there is -> the absolute value below which it counts as zero.

        Raises:
            KeyError: An entry is missing, or a signal is unknown.
            ValueError: An entry is of another kind, or lengths differ.
        """
        names = tuple(str(name) for name in data["signals"])
        if unknown := set(names) - set(floors):
            raise KeyError(f"signal {min(unknown)!r}")
        centre, scale = (_read_vector(data[key], len(names)) for key in ("centre", "scale"))
        return cls(names, _pick(floors, names), centre, scale)

    def read_function(self, data: Mapping[str, Any]) -> LinearFunction:
        """A stored function of these signals.

        Raises:
            KeyError: An entry is missing.
            ValueError: An entry is of another kind, or there is not one weight for each signal.
        """
        return LinearFunction(_read_vector(data["weights"], len(self.names)), float(data["intercept"]))


@dataclass(frozen=True, eq=False)
class LinearFunction:
    """A linear function of standardised signals.

    Args:
        weights: (signal,).
        intercept: Its value for average signals.
    """

    weights: Floats
    intercept: float

    def __call__(self, standardised: Floats) -> Floats:
        """Values, (...,), of standardised signals, (..., signal)."""
        return np.asarray(standardised @ self.weights + self.intercept)

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description."""
        return {"weights": self.weights.tolist(), "intercept": self.intercept}


def logistic(log_odds: Floats) -> Floats:
    """Probability of log-odds."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))


def _pick(floors: Mapping[str, float], names: Sequence[str]) -> Floats:
    return np.array([floors[name] for name in names], dtype=np.float64)


def _read_vector(values: object, length: int) -> Floats:
    """An array (signal,) from JSON.

    Raises:
        ValueError: Its length is another one.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (length,):
        raise ValueError("its vectors do not have one entry for each signal")
    return vector

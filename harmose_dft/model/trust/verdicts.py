"""What a calibration says of a prediction: a verdict, and intervals of its quantities."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What to do with a prediction."""

    GOOD = "good"
    CAREFUL = "careful"
    DO_NOT_USE = "do not use"


@dataclass(frozen=True)
class Interval:
    """A predicted quantity with its interval: ``value`` plus or minus ``half_width``, both in the quantity's unit."""

    value: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """Upper end."""
        return self.value + self.half_width


@dataclass(frozen=True)
class Intervals:
    """Intervals that hold the values of the calculation which the model stands for.

    Args:
        coverage: Share of the predictions of the same verdict whose interval holds the right value, of each quantity.
        homo: Highest occupied level, Hartree.
        lumo: Lowest unoccupied level, Hartree.
        gap: LUMO minus HOMO, Hartree.
        mean_occupied: Mean of the occupied levels, Hartree.
        dipole: Length of the dipole moment, e*Bohr.
    """

    coverage: float
    homo: Interval
    lumo: Interval
    gap: Interval
    mean_occupied: Interval
    dipole: Interval


@dataclass(frozen=True)
class Rules:
    """What rules that need no statistics say of a prediction.

    Args:
        doubtful: It is not good.
        ruled_out: It is not to be used.
        unrefined_ion: It is doubtful as an ion that no Fock build has judged.
    """

    doubtful: bool = False
    ruled_out: bool = False
    unrefined_ion: bool = False

    def limit(self, verdict: Verdict) -> Verdict:
        """The verdict of statistics, as far as the rules allow it."""
        if self.ruled_out:
            return Verdict.DO_NOT_USE
        return Verdict.CAREFUL if self.doubtful and verdict == Verdict.GOOD else verdict


NO_RULES = Rules()
"""No rule speaks against a prediction."""

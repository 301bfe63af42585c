"""How far a prediction can be trusted: checks, cheap Fock builds, calibrated verdicts and error bars."""

from __future__ import annotations

from .bands import BandBound
from .certificate import Certificate, Deviation
from .report import TrustReport, Verification
from .verdicts import Interval, Intervals, Verdict

__all__ = ["BandBound", "Certificate", "Deviation", "Interval", "Intervals", "TrustReport", "Verdict", "Verification"]

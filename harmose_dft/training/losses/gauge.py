"""The multiple of S by which the matrices of crystals are off."""

from __future__ import annotations

from torch import Tensor

from ..samples import Need
from .base import Loss
from .errors import Errors


class Gauge(Loss):
    """Mean absolute multiple of S that the matrices of crystals are off by; H - H0 fixes it up to the Fermi level."""

    name = "gauge"
    description = "crystals: the multiple of S by which their H is off; 0 leaves it free"
    weight = 0.0
    order = 2
    needs = frozenset({Need.OVERLAP})

    def value(self, errors: Errors) -> Tensor:
        """The mean over structures, Hartree."""
        return errors.gauge

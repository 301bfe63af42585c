"""Errors among occupied orbitals."""

from __future__ import annotations

from torch import Tensor

from ..samples import Need
from .base import Loss
from .errors import Errors


class Occupied(Loss):
    """Mean absolute <i|dH|j> of occupied reference orbitals."""

    name = "occupied"
    description = "<i|dH|j>, both occupied"
    weight = 0.1
    order = 4
    needs = frozenset({Need.ORBITALS})

    def value(self, errors: Errors) -> Tensor:
        """The mean over pairs of orbitals, Hartree."""
        return errors.orbitals.occupied

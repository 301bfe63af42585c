"""Errors that rotate the occupied space."""

from __future__ import annotations

from torch import Tensor

from ..samples import Need
from .base import Loss
from .errors import Errors


class Mixing(Loss):
    """Mean absolute <i|dH|a> of an occupied and a virtual reference orbital."""

    name = "mixing"
    description = "<i|dH|a>, occupied and virtual: what rotates the occupied space"
    weight = 0.1
    order = 5
    needs = frozenset({Need.ORBITALS})

    def value(self, errors: Errors) -> Tensor:
        """The mean over pairs of orbitals, Hartree."""
        return errors.orbitals.mixing

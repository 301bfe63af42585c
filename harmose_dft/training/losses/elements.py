"""The error of all matrix elements."""

from __future__ import annotations

from torch import Tensor

from .base import Loss
from .errors import Errors


class Elements(Loss):
    """Mean absolute error of all matrix elements: mae_all, for crystals after the best shift by a multiple of S."""

    name = "elements"
    description = "all matrix elements"
    weight = 1.0
    order = 1

    def value(self, errors: Errors) -> Tensor:
        """The mean, Hartree."""
        return errors.elements

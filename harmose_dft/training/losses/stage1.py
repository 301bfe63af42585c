"""The error of stage 1's own Hamiltonian."""

from __future__ import annotations

from torch import Tensor

from .base import Loss, Subject
from .errors import Errors


class Stage1(Loss):
    """Mean absolute error of all elements of stage 1's own Hamiltonian, where both stages learn together."""

    name = "stage1"
    description = "weight of stage 1's own baseline Hamiltonian in joint training"
    weight = 0.2
    order = 6
    subject = Subject.STAGE1

    def value(self, errors: Errors) -> Tensor:
        """The mean, Hartree."""
        return errors.elements

"""First-order errors of orbital energies."""

from __future__ import annotations

from torch import Tensor

from ..samples import Need
from .base import Loss
from .errors import Errors


class OrbitalEnergies(Loss):
    """Mean absolute <i|dH|i> of the occupied reference orbitals and of the LUMO."""

    name = "orbital_energies"
    description = "<i|dH|i> of occupied orbitals and the LUMO"
    weight = 0.1
    order = 3
    needs = frozenset({Need.ORBITALS})

    def value(self, errors: Errors) -> Tensor:
        """The mean over orbitals, Hartree."""
        return errors.orbitals.energies

"""The physics that a basis belongs to; nothing else chooses between molecules and crystals."""

from __future__ import annotations

from ..core.basis import OrbitalBasis
from .base import Physics
from .gaussian import GaussianPhysics
from .numerical import NumericalPhysics


def physics_class(basis: OrbitalBasis) -> type[Physics]:
    """Orbitals that end at a cutoff are those of crystals, all others of molecules."""
    return NumericalPhysics if basis.has_cutoffs else GaussianPhysics

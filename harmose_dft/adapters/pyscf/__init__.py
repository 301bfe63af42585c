"""PySCF: orbital bases, integrals, reference calculations and Fock builds, in our conventions and units."""

from __future__ import annotations

from .calculations import RECIPES, FockResidual, fock_residual, kohn_sham, reference, require_closed_shell
from .molecule import (
    basis_from_mole,
    core_hamiltonian,
    dipole_integrals,
    from_ours,
    orbital_basis,
    overlap,
    to_blocks,
    to_mole,
    to_ours,
)

__all__ = [
    "RECIPES",
    "FockResidual",
    "basis_from_mole",
    "core_hamiltonian",
    "dipole_integrals",
    "fock_residual",
    "from_ours",
    "kohn_sham",
    "orbital_basis",
    "overlap",
    "reference",
    "require_closed_shell",
    "to_blocks",
    "to_mole",
    "to_ours",
]

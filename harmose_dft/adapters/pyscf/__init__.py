"""PySCF: orbital bases, integrals, reference calculations and Fock builds, in our conventions and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .calculations import (
        RECIPES,
        Converged,
        FockResidual,
        converge,
        fock_residual,
        kohn_sham,
        reference,
        reference_by,
        require_closed_shell,
    )
    from .crystal import KPOINT_SPACING, reference_crystal
    from .gradient import exact_gradient, fitted_gradient
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
    from .rough import RoughSCF

__all__ = [
    "KPOINT_SPACING",
    "RECIPES",
    "Converged",
    "FockResidual",
    "RoughSCF",
    "basis_from_mole",
    "converge",
    "core_hamiltonian",
    "dipole_integrals",
    "exact_gradient",
    "fitted_gradient",
    "fock_residual",
    "from_ours",
    "kohn_sham",
    "orbital_basis",
    "overlap",
    "reference",
    "reference_by",
    "reference_crystal",
    "require_closed_shell",
    "to_blocks",
    "to_mole",
    "to_ours",
]

__getattr__, __dir__ = attach(__name__, {
    "KPOINT_SPACING": "crystal",
    "reference_crystal": "crystal",
    "FockResidual": "calculations",
    "RECIPES": "calculations",
    "Converged": "calculations",
    "converge": "calculations",
    "reference_by": "calculations",
    "fock_residual": "calculations",
    "kohn_sham": "calculations",
    "reference": "calculations",
    "require_closed_shell": "calculations",
    "exact_gradient": "gradient",
    "fitted_gradient": "gradient",
    "basis_from_mole": "molecule",
    "core_hamiltonian": "molecule",
    "dipole_integrals": "molecule",
    "from_ours": "molecule",
    "orbital_basis": "molecule",
    "overlap": "molecule",
    "to_blocks": "molecule",
    "to_mole": "molecule",
    "to_ours": "molecule",
    "RoughSCF": "rough",
})

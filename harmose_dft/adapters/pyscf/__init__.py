"""PySCF: orbital bases, integrals, reference calculations and Fock builds, in our conventions and units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .calculations import reference, reference_by
    from .crystal import KPOINT_SPACING, reference_crystal
    from .gradient import exact_gradient, fitted_gradient
    from .mean_field import kohn_sham, require_closed_shell
    from .molecule import (
        basis_from_mole,
        core_charges,
        core_hamiltonian,
        count_electrons,
        dipole_integrals,
        from_ours,
        orbital_basis,
        overlap,
        to_blocks,
        to_mole,
        to_ours,
    )
    from .recipes import RECIPES, Converged, converge
    from .residual import FockResidual, fock_residual
    from .rough import RoughSCF

__all__ = [
    "KPOINT_SPACING",
    "RECIPES",
    "Converged",
    "FockResidual",
    "RoughSCF",
    "basis_from_mole",
    "converge",
    "core_charges",
    "core_hamiltonian",
    "count_electrons",
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
    "FockResidual": "residual",
    "RECIPES": "recipes",
    "Converged": "recipes",
    "converge": "recipes",
    "reference_by": "calculations",
    "fock_residual": "residual",
    "kohn_sham": "mean_field",
    "reference": "calculations",
    "require_closed_shell": "mean_field",
    "exact_gradient": "gradient",
    "fitted_gradient": "gradient",
    "basis_from_mole": "molecule",
    "core_charges": "molecule",
    "core_hamiltonian": "molecule",
    "count_electrons": "molecule",
    "dipole_integrals": "molecule",
    "from_ours": "molecule",
    "orbital_basis": "molecule",
    "overlap": "molecule",
    "to_blocks": "molecule",
    "to_mole": "molecule",
    "to_ours": "molecule",
    "RoughSCF": "rough",
})

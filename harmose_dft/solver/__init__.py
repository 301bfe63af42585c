"""From Hamiltonian and overlap to spectra and the properties that follow from them."""

from __future__ import annotations

from .dos import DensityOfStates, density_of_states
from .filling import Filling, mesh, solve_structure, spacing_of
from .kpoints import monkhorst_pack
from .molecule import OVERLAP_THRESHOLD, smallest_overlap_eigenvalue, solve, solve_batch
from .occupations import Smearing, fermi_level
from .periodic import band_gap, bands, density_blocks, solve_kpoints, wavefunction
from .properties import (
    count_electrons,
    dipole,
    energy_weighted_density_blocks,
    energy_weighted_density_matrix,
    loewdin_charges,
    mulliken_charges,
    state_populations,
)
from .sparse import Method, bands_near, states_near

__all__ = [
    "OVERLAP_THRESHOLD",
    "DensityOfStates",
    "Filling",
    "Method",
    "Smearing",
    "band_gap",
    "bands",
    "bands_near",
    "count_electrons",
    "density_blocks",
    "density_of_states",
    "dipole",
    "energy_weighted_density_blocks",
    "energy_weighted_density_matrix",
    "fermi_level",
    "loewdin_charges",
    "mesh",
    "monkhorst_pack",
    "mulliken_charges",
    "smallest_overlap_eigenvalue",
    "solve",
    "solve_batch",
    "solve_kpoints",
    "solve_structure",
    "spacing_of",
    "state_populations",
    "states_near",
    "wavefunction",
]

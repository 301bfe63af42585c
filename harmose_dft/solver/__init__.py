"""From Hamiltonian and overlap to spectra and the properties that follow from them."""

from __future__ import annotations

from .dos import DensityOfStates, density_of_states
from .filling import Filling, mesh, solve_structure, spacing_of
from .frontier import FrontierStates, frontier_states
from .grid import count_on_grid, density_on_grid
from .kpoints import monkhorst_pack
from .molecule import OVERLAP_THRESHOLD, smallest_overlap_eigenvalue, solve, solve_batch
from .occupations import Smearing, fermi_level
from .pencil import Pencil, choose_factor, factor_classes
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
from .stochastic import StochasticDensity, stochastic_density

__all__ = [
    "OVERLAP_THRESHOLD",
    "DensityOfStates",
    "Filling",
    "FrontierStates",
    "Method",
    "Pencil",
    "Smearing",
    "StochasticDensity",
    "band_gap",
    "bands",
    "bands_near",
    "choose_factor",
    "count_electrons",
    "count_on_grid",
    "density_blocks",
    "density_of_states",
    "density_on_grid",
    "dipole",
    "energy_weighted_density_blocks",
    "energy_weighted_density_matrix",
    "factor_classes",
    "fermi_level",
    "frontier_states",
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
    "stochastic_density",
    "wavefunction",
]

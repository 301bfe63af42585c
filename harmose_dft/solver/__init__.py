"""From Hamiltonian and overlap to spectra and the properties that follow from them."""

from __future__ import annotations

from .kpoints import monkhorst_pack
from .molecule import OVERLAP_THRESHOLD, smallest_overlap_eigenvalue, solve, solve_batch
from .occupations import Smearing, fermi_level
from .periodic import band_gap, bands, density_blocks, solve_kpoints, wavefunction

__all__ = [
    "OVERLAP_THRESHOLD",
    "Smearing",
    "band_gap",
    "bands",
    "density_blocks",
    "fermi_level",
    "monkhorst_pack",
    "smallest_overlap_eigenvalue",
    "solve",
    "solve_batch",
    "solve_kpoints",
    "wavefunction",
]

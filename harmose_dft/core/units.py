"""Unit conversions; everything inside the package is in Hartree atomic units.

The values come from CODATA through ``scipy.constants``. A file format that was written with other constants
(ABACUS, OpenMX) is converted with *its* constants in its adapter, which derives them from the names below.
"""

from __future__ import annotations

from typing import Final

from scipy import constants as _codata

HARTREE_IN_EV: Final = float(_codata.physical_constants["Hartree energy in eV"][0])
"""1 Hartree in electronvolt."""

BOHR_IN_ANGSTROM: Final = float(_codata.physical_constants["Bohr radius"][0] * 1e10)
"""1 Bohr in Angstrom."""

RYDBERG_IN_HARTREE: Final = 0.5
"""1 Rydberg in Hartree (exact)."""

DIPOLE_AU_IN_DEBYE: Final = float(
    _codata.physical_constants["atomic unit of electric dipole mom."][0] * _codata.c * 1e21
)
"""1 e*Bohr in Debye (1 D = 1e-21 / c C*m)."""

KELVIN_IN_HARTREE: Final = float(_codata.k / _codata.physical_constants["Hartree energy"][0])
"""Boltzmann's constant in Hartree per Kelvin."""

MICRO: Final = 1e-6
"""Hartree per microhartree."""

"""The units of ABACUS: the constants that are compiled into the code, and their Hartree equivalents.

ABACUS (``source_base/constants.h``) converts its own Rydberg and Bohr results to eV and Angstrom with the two numbers
below. Its printed eV must be taken back with the same numbers: with the CODATA values an eigenvalue comparison is off
by 1e-2 meV.
"""

from __future__ import annotations

from typing import Final

from ...core.units import RYDBERG_IN_HARTREE

ABACUS_RYDBERG_IN_EV: Final = 13.605698
"""1 Rydberg in electronvolt, as compiled into ABACUS."""

ABACUS_BOHR_IN_ANGSTROM: Final = 0.5291770
"""1 Bohr in Angstrom, as compiled into ABACUS."""

EV_IN_HARTREE: Final = RYDBERG_IN_HARTREE / ABACUS_RYDBERG_IN_EV
"""One electronvolt as ABACUS prints it, in Hartree."""

ANGSTROM_IN_BOHR: Final = 1.0 / ABACUS_BOHR_IN_ANGSTROM
"""One Angstrom as ABACUS prints or reads it, in Bohr."""

DROPPED_BELOW: Final = 1e-10
"""Matrix elements (Rydberg, or 1 for S) that ABACUS leaves out of a CSR file."""

CSR_PRECISION: Final = 0.5e-8
"""Half a unit of the last of the eight decimals of a CSR file (Rydberg, or 1 for S)."""

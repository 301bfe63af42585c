"""The one constant of OpenMX that its files depend on."""

from __future__ import annotations

from typing import Final

OPENMX_BOHR_IN_ANGSTROM: Final = 0.529177249
"""1 Bohr in Angstrom, as compiled into OpenMX (``openmx_common.h``, ``BohrR``).

Positions that an input gives in Angstrom are divided by it; ``.scfout`` holds the quotients, in Bohr. Matrices and
eigenvalues are in Hartree throughout and need no constant.
"""

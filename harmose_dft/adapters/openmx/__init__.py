"""OpenMX 3.9 (and 3.7, 3.8): calculations written with ``HS.fileout on``, overlap-only runs, ``.pao`` orbitals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .constants import OPENMX_BOHR_IN_ANGSTROM
    from .folder import read, recognise

__all__ = ["OPENMX_BOHR_IN_ANGSTROM", "read", "recognise"]

__getattr__, __dir__ = attach(__name__, {
    "OPENMX_BOHR_IN_ANGSTROM": "constants",
    "read": "folder",
    "recognise": "folder",
})

"""ABACUS (LCAO): reads calculations into records, writes H(R) and densities that it starts from.

Versions: CSR text of 2.x and 3.x (verified on real output of 3.8.1) and of 3.9.0.25 and newer (after the code's
documentation). See ``interfaces/abacus/README.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.lazy import attach

if TYPE_CHECKING:
    from .cube import CubeNames, DensityCube, read_density_cube, write_density_cube
    from .files import recognise
    from .reader import read
    from .writer import Layout, write_hr, write_sr

__all__ = [
    "CubeNames",
    "DensityCube",
    "Layout",
    "read",
    "read_density_cube",
    "recognise",
    "write_density_cube",
    "write_hr",
    "write_sr",
]

__getattr__, __dir__ = attach(__name__, {
    "recognise": "files",
    "read": "reader",
    "CubeNames": "cube",
    "DensityCube": "cube",
    "read_density_cube": "cube",
    "write_density_cube": "cube",
    "Layout": "writer",
    "write_hr": "writer",
    "write_sr": "writer",
})

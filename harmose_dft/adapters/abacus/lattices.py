"""Lattices by name (``latname`` of INPUT), as ABACUS makes them from ``LATTICE_PARAMETERS`` of STRU.

Vectors in units of the lattice constant; after ABACUS's documentation ("More on latname") and its numbering by
Quantum ESPRESSO's ``ibrav``.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

N_PARAMETERS: Final = {
    "sc": 0, "fcc": 0, "bcc": 0, "hexagonal": 1, "trigonal": 1, "st": 1, "bct": 1, "so": 2, "baco": 2, "fco": 2,
    "bco": 2, "sm": 3, "bacm": 3, "triclinic": 5,
}
"""Name -> how many numbers ``LATTICE_PARAMETERS`` has: b/a, c/a, and cosines of angles."""


def lattice_vectors(name: str, parameters: list[float]) -> NDArray[np.float64]:
    """Lattice vectors as rows, in units of the lattice constant.

    Args:
        name: One of :data:`N_PARAMETERS`.
        parameters: b/a where it is free, c/a where it is free, then cosines: of a and b, of a and c, of b and c.

    Raises:
        ValueError: The parameters are no lattice.
    """
    p = [*parameters, *[nan] * 5]
    b, c = (p[0], p[1]) if N_PARAMETERS[name] > 1 else (nan, p[0])
    rows: list[list[float]]
    match name:
        case "sc":
            rows = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        case "fcc":
            rows = [[-0.5, 0, 0.5], [0, 0.5, 0.5], [-0.5, 0.5, 0]]
        case "bcc":
            rows = [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5]]
        case "hexagonal":
            rows = [[1, 0, 0], [-0.5, sqrt(3) / 2, 0], [0, 0, c]]
        case "trigonal":
            s, t = sqrt(1 + 2 * p[0]), sqrt(1 - p[0])
            x, y, z = t / sqrt(2), t / sqrt(6), s / sqrt(3)
            rows = [[x, -y, z], [0, 2 * y, z], [-x, -y, z]]
        case "st":
            rows = [[1, 0, 0], [0, 1, 0], [0, 0, c]]
        case "bct":
            rows = [[0.5, -0.5, c / 2], [0.5, 0.5, c / 2], [-0.5, -0.5, c / 2]]
        case "so":
            rows = [[1, 0, 0], [0, b, 0], [0, 0, c]]
        case "baco":
            rows = [[0.5, b / 2, 0], [-0.5, b / 2, 0], [0, 0, c]]
        case "fco":
            rows = [[0.5, 0, c / 2], [0.5, b / 2, 0], [0, b / 2, c / 2]]
        case "bco":
            rows = [[0.5, b / 2, c / 2], [-0.5, b / 2, c / 2], [-0.5, -b / 2, c / 2]]
        case "sm":
            rows = [[1, 0, 0], [b * p[2], b * sqrt(1 - p[2] ** 2), 0], [0, 0, c]]
        case "bacm":
            rows = [[0.5, 0, -c / 2], [b * p[2], b * sqrt(1 - p[2] ** 2), 0], [0.5, 0, c / 2]]
        case _:
            ab, ac, bc = p[2:5]
            sine = sqrt(1 - ab**2)
            height = sqrt(1 + 2 * ab * ac * bc - ab**2 - ac**2 - bc**2) / sine
            rows = [[1, 0, 0], [b * ab, b * sine, 0], [c * ac, c * (bc - ac * ab) / sine, c * height]]
    out = np.array(rows, dtype=np.float64)
    if not np.isfinite(out).all() or abs(np.linalg.det(out)) < 1e-9:
        raise ValueError(f"the parameters {parameters} give no lattice")
    return out

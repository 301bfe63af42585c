"""How far a predictor is from transforming its matrices as the structure is rotated or inverted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ..core.basis import OrbitalBasis
from ..core.rotations import random_rotations, rotate_matrix
from ..core.structure import Structure
from .matrices import Matrices, as_tuple


def cov_err(
    predict: Callable[[Structure], Matrices],
    structure: Structure,
    basis: OrbitalBasis,
    *,
    rotations: ArrayLike | None = None,
) -> float:
    """Largest |H(Qx) - D(Q) H(x) D(Q)^+| over rotations and inversions Q, in the units of H.

    Args:
        predict: Structure -> matrix, or one per spin direction.
        structure: Where it is probed.
        basis: Shells per element.
        rotations: Orthogonal matrices, (rotation, 3, 3); four random ones, two of them improper, by default.
    """
    matrices = random_rotations(4) if rotations is None else np.asarray(rotations, dtype=np.float64)
    unrotated = as_tuple(predict(structure))
    worst = 0.0
    for q in matrices:
        for matrix, from_rotated in zip(unrotated, as_tuple(predict(structure.rotate(q))), strict=True):
            expected = rotate_matrix(matrix, structure.numbers, basis, q)
            worst = max(worst, float(np.abs((from_rotated - expected).values).max(initial=0.0)))
    return worst

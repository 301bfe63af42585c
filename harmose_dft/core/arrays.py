"""Small operations on index arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def running_sum(counts: ArrayLike) -> NDArray[np.int64]:
    """Where consecutive runs of given lengths begin, and where the last one ends: (0, c0, c0 + c1, ...).

    Args:
        counts: Lengths, (n,).

    Returns:
        (n + 1,).
    """
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

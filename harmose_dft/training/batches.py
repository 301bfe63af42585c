"""Which samples an update learns from."""

from __future__ import annotations

import numpy as np


class BatchOrder:
    """A fresh permutation of the samples each epoch, a function of seed and step only.

    Args:
        seed: Seed of the permutations.
        batch_size: Samples of an update.
    """

    def __init__(self, seed: int, batch_size: int) -> None:
        self.seed, self.batch_size = seed, batch_size
        self._epoch: int | None = None
        self._order: list[int] = []

    def indices(self, step: int, count: int) -> list[int]:
        """Samples of an update.

        Args:
            step: Number of finished updates.
            count: Number of samples.
        """
        size = min(self.batch_size, count)
        epoch, place = divmod(step, count // size)
        if self._epoch != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(count).tolist()
        return self._order[place * size : (place + 1) * size]

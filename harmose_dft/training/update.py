"""One update of the weights: gradients are clipped, an optimizer moves the weights, their average follows."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .config import OPTIMIZERS, OptimizerConfig
from .flat import FlatParameters

NORM_DECAY = 0.99
"""Decay of the running mean square of gradient norms."""

KNOWN_AFTER = 100
"""Updates after which the usual norm of a gradient is known."""


class WeightUpdate:
    """Clips the gradient and updates the weights and their running average.

    Args:
        flat: The weights.
        config: Settings of the optimizer.

    Attributes:
        mean_square: Running mean square of the norms of clipped gradients.
    """

    def __init__(self, flat: FlatParameters, config: OptimizerConfig) -> None:
        self.flat, self.config = flat, config
        self.optimizer = OPTIMIZERS[config.method](flat, config.weight_decay)
        self.mean_square = 0.0

    @torch.no_grad()
    def step(self, rate: float) -> float:
        """One update from the gradient in ``flat``; nothing changes if the gradient's norm is not finite.

        Args:
            rate: Learning rate.

        Returns:
            The gradient's norm before clipping.
        """
        largest = self._largest_norm()
        norm = self.flat.clip(largest)
        if not math.isfinite(norm):
            return norm
        weight = max(1.0 - NORM_DECAY, 1.0 / (1 + self.flat.updates))
        self.mean_square += weight * (min(norm, largest) ** 2 - self.mean_square)
        self.optimizer.step(rate)
        self.flat.update_average()
        return norm

    def _largest_norm(self) -> float:
        """Norm that gradients are clipped to: the configuration's, and a multiple of the usual one once it is known."""
        if self.flat.updates < KNOWN_AFTER:
            return self.config.clip
        return min(self.config.clip, self.config.clip_ratio * math.sqrt(self.mean_square))

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of everything that the next updates depend on, without the weights."""
        return {"mean_square": torch.tensor([self.mean_square], dtype=torch.float64), **self.optimizer.state()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Resume from a state, once ``flat`` has its number of updates."""
        self.mean_square = float(tensors["mean_square"])
        self.optimizer.restore(tensors)

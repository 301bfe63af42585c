"""Optimizers that treat weight matrices apart."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ..flat import FlatParameters
from .adamw import AdamW
from .base import Optimizer

MATRICES = "matrices_"
"""Prefix of what a state holds of the matrices."""


class MatrixOptimizer(Optimizer):
    """Moves weight matrices against a direction of its own, and all other weights by AdamW.

    Args:
        flat: The weights; their matrices come first.
        weight_decay: Decoupled decay.
    """

    def __init__(self, flat: FlatParameters, weight_decay: float) -> None:
        super().__init__(flat, weight_decay)
        self.groups = flat.groups
        self.matrices, self.gradient = flat.vector.detach()[: flat.n_matrix], flat.gradient[: flat.n_matrix]
        self.others = AdamW(flat, weight_decay, flat.n_matrix)

    @abstractmethod
    def direction(self, gradient: Tensor, updates: int) -> Tensor:
        """Direction of one more update; its elements are at most of order one.

        Args:
            gradient: Gradients of all matrices, one vector.
            updates: Number of finished updates.
        """

    @abstractmethod
    def memory(self) -> dict[str, Tensor]:
        """Name -> tensor of what the next directions depend on; written to when a run resumes."""

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update."""
        self.matrices.mul_(1.0 - rate * self.weight_decay)
        self.matrices.sub_(self.direction(self.gradient, self.flat.updates), alpha=rate)
        self.others.step(rate)

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of everything that the next updates depend on."""
        return self.others.state() | {f"{MATRICES}{name}": value for name, value in self.memory().items()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Resume from a state."""
        for name, value in self.memory().items():
            value.copy_(tensors[f"{MATRICES}{name}"])
        self.others.restore(tensors)

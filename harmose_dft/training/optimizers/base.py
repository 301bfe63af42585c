"""What every optimizer offers, and how those that treat weight matrices apart share the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from ..flat import FlatParameters

BETAS = (0.9, 0.99)
"""Decay of AdamW's and SOAP's running means of gradients and of their squares."""

EPSILON = 1e-10
"""Added to roots of mean squares that are divided by; gradients are those of errors in Hartree."""


class Optimizer(ABC):
    """Moves the weights against their gradients. A new one is one subclass in a file of this folder.

    Args:
        flat: The weights and their gradients; ``flat.updates`` counts the finished updates.
        weight_decay: Decoupled decay of all weights.

    Attributes:
        name: Value of ``optimizer.method`` in the configuration.
    """

    name: ClassVar[str]

    def __init__(self, flat: FlatParameters, weight_decay: float) -> None:
        self.flat, self.weight_decay = flat, weight_decay

    @abstractmethod
    def step(self, rate: float) -> None:
        """One update.

        Args:
            rate: Learning rate; elements of a direction are of order one.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of everything that the next updates depend on; names and shapes do not change."""

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Resume from a state.

        Args:
            tensors: All of :meth:`state` and possibly more; ``flat`` has its weights and number of updates already.
        """

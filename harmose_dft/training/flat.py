"""All parameters of a model as one vector, so that an update costs the same few operations for any number of layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class FlatParameters:
    """Parameters, gradients and their running average as contiguous vectors; the module's tensors become views.

    Args:
        module: Its parameters are moved into the vector.
        decay: Decay of the running average.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.names = [n for n, _ in module.named_parameters()]
        parameters = list(module.parameters())
        self.sizes = [p.numel() for p in parameters]
        self.vector = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.vector.grad = torch.zeros_like(self.vector)
        self.average = self.vector.detach().clone()
        self.decay, self.updates = decay, 0
        views = zip(
            parameters, self.vector.detach().split(self.sizes), self.vector.grad.split(self.sizes), strict=True
        )
        for parameter, value, gradient in views:
            parameter.data = value.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)

    @property
    def gradient(self) -> Tensor:
        """The gradient vector."""
        assert self.vector.grad is not None
        return self.vector.grad

    @torch.no_grad()
    def zero_gradient(self) -> None:
        """Set the gradient to zero in place, so that the views stay views."""
        self.gradient.zero_()

    @torch.no_grad()
    def clip(self, largest: float) -> float:
        """Scale the gradient down to a norm; returns the norm it had."""
        norm = float(self.gradient.norm())
        if norm > largest:
            self.gradient.mul_(largest / norm)
        return norm

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the running average; it starts as a plain average so that the first updates do not linger."""
        self.updates += 1
        self.average.lerp_(self.vector.detach(), 1.0 - min(self.decay, (1 + self.updates) / (10 + self.updates)))

    @torch.no_grad()
    def keep_average(self) -> None:
        """Give the module the averaged parameters for good."""
        self.vector.data.copy_(self.average)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the context the module has the averaged parameters."""
        own = self.vector.detach().clone()
        self.vector.data.copy_(self.average)
        try:
            yield
        finally:
            self.vector.data.copy_(own)

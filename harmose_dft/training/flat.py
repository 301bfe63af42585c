"""All parameters of a model as one vector, so that an update costs the same few operations for any number of layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SMALLEST_SIDE = 8
"""Parameters with fewer rows or columns are not listed as matrices."""


@dataclass(frozen=True)
class MatrixGroup:
    """Matrices of one shape, next to each other in the vector.

    Args:
        start: Where the first begins.
        count: Number of matrices.
        rows: Of each.
        columns: Of each.
    """

    start: int
    count: int
    rows: int
    columns: int

    def view(self, vector: Tensor) -> Tensor:
        """Their part of a vector, (count, rows, columns)."""
        size = self.count * self.rows * self.columns
        return vector[self.start : self.start + size].view(self.count, self.rows, self.columns)


class FlatParameters:
    """Parameters, gradients and their running average as contiguous vectors; the module's tensors become views.

    Matrices come first, those of one shape next to each other. Embedding tables and very narrow matrices do not count.

    Args:
        module: Its parameters are moved into the vector.
        decay: Decay of the running average.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        matrices, vectors = _sorted_parameters(module)
        parameters = matrices + vectors
        self.n_matrix = sum(p.numel() for p in matrices)
        self.groups = _groups(matrices)
        sizes = [p.numel() for p in parameters]
        self.vector = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
        self.vector.grad = torch.zeros_like(self.vector)
        self.average = self.vector.detach().clone()
        self.decay, self.updates = decay, 0
        views = zip(parameters, self.vector.detach().split(sizes), self.vector.grad.split(sizes), strict=True)
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
    def use_average(self) -> Iterator[None]:
        """Within the context the module has the averaged parameters."""
        current = self.vector.detach().clone()
        self.vector.data.copy_(self.average)
        try:
            yield
        finally:
            self.vector.data.copy_(current)


def _sorted_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices, or stacks of them, by shape, and the other parameters."""
    tables = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in module.parameters():
        wide = parameter.ndim >= 2 and min(parameter.shape[-2:]) >= SMALLEST_SIDE
        (matrices if wide and id(parameter) not in tables else vectors).append(parameter)
    return sorted(matrices, key=lambda p: tuple(p.shape[-2:])), vectors


def _groups(matrices: list[nn.Parameter]) -> list[MatrixGroup]:
    groups: list[MatrixGroup] = []
    start = 0
    for parameter in matrices:
        rows, columns = parameter.shape[-2:]
        count = parameter.numel() // (rows * columns)
        if groups and (groups[-1].rows, groups[-1].columns) == (rows, columns):
            last = groups.pop()
            groups.append(MatrixGroup(last.start, last.count + count, rows, columns))
        else:
            groups.append(MatrixGroup(start, count, rows, columns))
        start += parameter.numel()
    return groups

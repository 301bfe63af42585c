"""SOAP: Adam in the eigenbases of the gradients' covariances."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor

from ..flat import FlatParameters
from .base import BETAS, EPSILON
from .matrices import MatrixOptimizer

COVARIANCE_DECAY = 0.95
"""Decay of the running covariances of gradients."""

BASIS_EVERY = 10
"""Updates between refreshments of the eigenbases."""

LARGEST_SIDE = 512
"""Longer sides of a matrix are not rotated."""

FLOOR = 3e-6
"""Directions whose gradients are smaller than this part of the largest hardly move: rounding makes up what they are."""


class Soap(MatrixOptimizer):
    """Adam in the eigenbases of the gradients' covariances.

    N. Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", arXiv:2409.11321. All matrices of a
    shape are multiplied at once.

    Args:
        flat: The weights; their matrices come first.
        weight_decay: Decoupled decay.

    Attributes:
        mean: Running mean of the gradient in the eigenbases.
        square: Running mean of its squares.
        work: Scratch space of the same size; holds the last direction.
        sides: Of each group of matrices, the sides that are rotated.
    """

    name = "soap"

    def __init__(self, flat: FlatParameters, weight_decay: float) -> None:
        super().__init__(flat, weight_decay)
        self.mean, self.square, self.work = (torch.zeros_like(self.matrices) for _ in range(3))
        self.sides = [
            [Side(g.view(self.work), axis) for axis, size in ((1, g.rows), (2, g.columns)) if size <= LARGEST_SIDE]
            for g in self.groups
        ]

    def direction(self, gradient: Tensor, updates: int) -> Tensor:
        """Direction of one more update after a number of them; zero at the first, which only finds the bases."""
        for group, sides in zip(self.groups, self.sides, strict=True):
            for side in sides:
                side.accumulate(group.view(gradient), 1.0 - COVARIANCE_DECAY if updates else 1.0)
        if not updates:
            for side in chain.from_iterable(self.sides):
                side.find_basis()
            return self.work.zero_()
        self.rotate(gradient, Side.into_basis)
        self.mean.lerp_(self.work, 1.0 - BETAS[0])
        self.square.mul_(BETAS[1]).addcmul_(self.work, self.work, value=1.0 - BETAS[1])
        unbiased = math.sqrt(1.0 - BETAS[1] ** updates)
        torch.sqrt(self.square, out=self.work)
        for group in self.groups:
            scale = group.view(self.work)
            scale.add_(scale.amax(dim=(1, 2), keepdim=True), alpha=FLOOR)
        torch.div(self.mean, self.work.add_(EPSILON * unbiased), out=self.work)
        self.rotate(self.work, Side.out_of_basis)
        self.work.mul_(unbiased / (1.0 - BETAS[0] ** updates))
        if updates % BASIS_EVERY == 0:
            self.refresh_bases()
        return self.work

    def rotate(self, vector: Tensor, turn: Callable[[Side, Tensor], Tensor]) -> None:
        """Turn the matrices of a vector, which may be ``work`` itself, into ``work``."""
        for group, sides in zip(self.groups, self.sides, strict=True):
            matrices = group.view(vector)
            for side in sides:
                matrices = turn(side, matrices)
            group.view(self.work).copy_(matrices)

    def refresh_bases(self) -> None:
        """Let the eigenbases follow the covariances, and the running means follow their directions."""
        for group, sides in zip(self.groups, self.sides, strict=True):
            mean, square = group.view(self.mean), group.view(self.square)
            for side in sides:
                unturned = side.out_of_basis(mean)
                places = side.refresh_basis()
                mean.copy_(side.into_basis(unturned))
                square.copy_(square.gather(side.axis, places.expand_as(square)))

    def memory(self) -> dict[str, Tensor]:
        """Running means, covariances and bases."""
        tensors = {"mean": self.mean, "square": self.square}
        for n, side in enumerate(chain.from_iterable(self.sides)):
            tensors |= {f"covariance_{n}": side.covariance, f"basis_{n}": side.basis}
        return tensors


class Side:
    """Covariance of the rows (axis 1) or of the columns (axis 2) of gradients, and its eigenvectors."""

    def __init__(self, gradients: Tensor, axis: int) -> None:
        count, size = gradients.shape[0], gradients.shape[axis]
        self.axis = axis
        self.covariance = gradients.new_zeros(count, size, size)
        self.basis = gradients.new_zeros(count, size, size)

    def accumulate(self, gradients: Tensor, share: float) -> None:
        """Move the running covariance towards that of the gradients."""
        rows = gradients if self.axis == 1 else gradients.mT
        self.covariance.baddbmm_(rows, rows.mT, beta=1.0 - share, alpha=share)

    def find_basis(self) -> None:
        """Take the eigenvectors of the covariance, largest eigenvalues first."""
        self.basis.copy_(torch.linalg.eigh(self.covariance).eigenvectors.flip(-1))

    def into_basis(self, x: Tensor) -> Tensor:
        """Matrices as seen in the basis."""
        return torch.bmm(self.basis.mT, x) if self.axis == 1 else torch.bmm(x, self.basis)

    def out_of_basis(self, x: Tensor) -> Tensor:
        """Back from the basis."""
        return torch.bmm(self.basis, x) if self.axis == 1 else torch.bmm(x, self.basis.mT)

    def refresh_basis(self) -> Tensor:
        """One power iteration, largest eigenvalues first.

        Returns:
            Which old direction each new one comes from, shaped to gather along the axis.
        """
        moved = torch.bmm(self.covariance, self.basis)
        order = (self.basis * moved).sum(dim=1).argsort(dim=1, descending=True)
        self.basis.copy_(torch.linalg.qr(moved.gather(2, order[:, None].expand_as(moved))).Q)
        return order[:, :, None] if self.axis == 1 else order[:, None]

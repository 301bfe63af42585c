"""Muon: momentum with equal singular values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..flat import FlatParameters
from .base import EPSILON
from .matrices import MatrixOptimizer

MOMENTUM = 0.95
"""Decay of the momentum."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 of an iteration."""

ITERATIONS = 5
"""Iterations of Newton and Schulz for each update."""

NEGLIGIBLE = 1e-6
"""Gradients of a matrix below this part of the largest of its shape are taken for rounding."""

LIKE_ADAM = 0.2
"""Root mean square of the elements of directions, which is AdamW's usual one, so that both share a rate."""


class Muon(MatrixOptimizer):
    """Momentum with all its singular values made equal, so that directions of small gradients are learned as fast.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the size of updates of
    J. Liu et al., arXiv:2502.16982. ``torch.optim.Muon`` takes matrices one by one, in bfloat16, which is slow on CPUs;
    here all matrices of a shape are multiplied at once.

    Args:
        flat: The weights; their matrices come first.
        weight_decay: Decoupled decay.
    """

    name = "muon"

    def __init__(self, flat: FlatParameters, weight_decay: float) -> None:
        super().__init__(flat, weight_decay)
        self.momentum, self.moves = torch.zeros_like(self.matrices), torch.zeros_like(self.matrices)

    def direction(self, gradient: Tensor, updates: int) -> Tensor:
        """Direction of one more update."""
        self.momentum.lerp_(gradient, 1.0 - MOMENTUM)
        lookahead = torch.lerp(gradient, self.momentum, MOMENTUM)
        for group in self.groups:
            size = LIKE_ADAM * math.sqrt(max(group.rows, group.columns))
            torch.mul(orthogonalise(group.view(lookahead)), size, out=group.view(self.moves))
        return self.moves

    def memory(self) -> dict[str, Tensor]:
        """The momentum."""
        return {"momentum": self.momentum}


def orthogonalise(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values between about 0.7 and 1.2.

    Singular values below a thousandth of a matrix's norm stay smaller. Whole matrices that are negligible, by
    themselves or beside the largest, such as gradients that only rounding keeps from vanishing by symmetry, give zero.

    Args:
        matrices: (count, rows, columns).
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalise(matrices.mT).mT
    linear, cubic, quintic = NEWTON_SCHULZ
    norms = matrices.flatten(1).norm(dim=1)
    significant = norms > torch.clamp(NEGLIGIBLE * norms.max(), min=EPSILON)
    x = matrices * torch.where(significant, 1.0 / torch.where(significant, norms, 1.0), 0.0)[:, None, None]
    for _ in range(ITERATIONS):
        square = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=cubic, alpha=quintic), x, beta=linear)
    return x

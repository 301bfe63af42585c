"""Radial functions of the pair distance."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def envelope(distance: Tensor, cutoff: float) -> Tensor:
    """Smooth cutoff 1 - 10 u^3 + 15 u^4 - 6 u^5 with u = d / cutoff; value and two derivatives vanish at the cutoff.

    Args:
        distance: Bohr, (edge,).
        cutoff: Bohr.
    """
    u = (distance / cutoff).clamp(max=1.0)
    return 1.0 - u**3 * (10.0 - 15.0 * u + 6.0 * u**2)


class RadialBasis(nn.Module):
    """Gaussians, evenly spaced in exp(-d / d0), which puts most of them where bonds are.

    The exponential-normal basis of PhysNet (Unke & Meuwly, JCTC 2019, eq. 7).

    Args:
        size: Number of functions.
        cutoff: Bohr.
        decay: d0 in Bohr.
    """

    centers: Tensor

    def __init__(self, size: int, cutoff: float, decay: float = 4.0) -> None:
        super().__init__()
        self.size, self.decay = size, decay
        last = float(torch.exp(torch.tensor(-cutoff / decay)))
        self.register_buffer("centers", torch.linspace(last, 1.0, size))
        self.width = (2.0 / size * (1.0 - last)) ** -2

    def forward(self, distance: Tensor) -> Tensor:
        """Values at each distance in Bohr, (edge, size)."""
        return torch.exp(-self.width * (torch.exp(-distance[:, None] / self.decay) - self.centers) ** 2)

"""Non-linear layers on the circle of rotations about a bond.

A feature set with channels c_m is read as functions f(phi) = f_0 + sqrt(2) sum_m (c_m cos m phi + s_m sin m phi),
sampled at K equally spaced angles. A point-wise non-linear layer on the samples commutes with rotations by multiples of
2 pi / K exactly, and with all rotations up to aliasing: products of order p of frequencies up to M are exact for
K > (p + 1) M. K is a property of the quadrature, not of the weights: it can be raised for a trained model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .o2 import O2Features


class CircleGrid(nn.Module):
    """Samples of feature sets of equal channel count for every m, and back.

    Args:
        m_max: Highest frequency.
        points: Number K of angles, more than 2 m_max.
    """

    synthesis: Tensor
    analysis: Tensor

    def __init__(self, m_max: int, points: int) -> None:
        super().__init__()
        self.m_max = m_max
        self.set_points(points)

    def set_points(self, points: int, phase: float = 0.0) -> None:
        """Change the number of angles.

        Args:
            points: Number K of angles.
            phase: The first angle. Aliasing turns with it as exp(i K phase) and averages out over all phases.
        """
        if points <= 2 * self.m_max:
            raise ValueError(f"{points} angles cannot resolve frequency {self.m_max}; use more than {2 * self.m_max}.")
        angle = phase + 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
        rows = [torch.ones_like(angle)]
        for m in range(1, self.m_max + 1):
            rows += [math.sqrt(2) * torch.cos(m * angle), math.sqrt(2) * torch.sin(m * angle)]
        synthesis = torch.stack(rows, dim=1)
        reference = self.synthesis if hasattr(self, "synthesis") else torch.empty(0)
        self.register_buffer("synthesis", synthesis.to(reference), persistent=False)
        self.register_buffer("analysis", (synthesis.T / points).to(reference), persistent=False)

    def sample(self, features: O2Features) -> Tensor:
        """(edge, K, channel) from a feature set whose even and pair channels agree in number."""
        components = [features.even[:, None], *features.pairs[: self.m_max]]
        return self.synthesis @ torch.cat(components, dim=1)

    def project(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scalars and pairs of sampled functions; the inverse of :meth:`sample` for band-limited ones."""
        even, *pairs = (self.analysis @ samples).split([1] + [2] * self.m_max, dim=1)
        return even[:, 0], pairs


class CircleMLP(nn.Module):
    """LayerNorm, dense layer, SiLU, dense layer, at every angle; pair geometry is injected before SiLU.

    Args:
        inputs: Channels in.
        hidden: Channels inside.
        outputs: Channels out.
        radial: Number of radial functions.

    Attributes:
        dropout: Share of the hidden channels of a pair that is left out in training, at all angles alike.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, radial: int) -> None:
        super().__init__()
        self.dropout = 0.0
        self.norm = nn.LayerNorm(inputs)
        self.enter = nn.Linear(inputs, hidden)
        self.geometry = nn.Linear(radial, hidden, bias=False)
        self.leave = nn.Linear(hidden, outputs)

    def forward(self, samples: Tensor, radial: Tensor) -> Tensor:
        """(edge, K, inputs), (edge, radial) -> (edge, K, outputs)."""
        x = self.enter(self.norm(samples)) + self.geometry(radial)[:, None]
        x = nn.functional.silu(x)
        if self.dropout > 0 and self.training:
            x = x * nn.functional.dropout(x.new_ones(len(x), 1, x.shape[-1]), self.dropout)
        out: Tensor = self.leave(x)
        return out

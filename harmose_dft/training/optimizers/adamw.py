"""AdamW."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..flat import FlatParameters
from .base import BETAS, Optimizer


class AdamW(Optimizer):
    """Adam with decoupled weight decay, of all weights or of those from a place of the vector on.

    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", arXiv:1711.05101.

    Args:
        flat: The weights.
        weight_decay: Decoupled decay.
        start: First element of the vector that it moves.
    """

    name = "adamw"

    def __init__(self, flat: FlatParameters, weight_decay: float, start: int = 0) -> None:
        super().__init__(flat, weight_decay)
        self.rest = nn.Parameter(flat.vector.detach()[start:])
        self.rest.grad = flat.gradient[start:]
        self.adam = torch.optim.AdamW([self.rest], betas=BETAS, weight_decay=weight_decay, fused=True)

    def step(self, rate: float) -> None:
        """One update."""
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of the running means."""
        adam = self.adam.state.get(self.rest, {})
        zeros = torch.zeros_like(self.rest.detach())
        return {"adam_mean": adam.get("exp_avg", zeros), "adam_square": adam.get("exp_avg_sq", zeros)}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Resume from a state."""
        if self.flat.updates:
            device = self.rest.device
            self.adam.state[self.rest] = {
                "step": torch.tensor(float(self.flat.updates), device=device),
                "exp_avg": tensors["adam_mean"].clone().to(device),
                "exp_avg_sq": tensors["adam_square"].clone().to(device),
            }

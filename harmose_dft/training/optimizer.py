"""Updates of the weights: SOAP or Muon for matrices, AdamW for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor, nn

from .config import OptimizerConfig
from .flat import FlatParameters, MatrixGroup

BETAS = (0.9, 0.99)
"""Decay of AdamW's and SOAP's running means of gradients and of their squares."""

EPSILON = 1e-10
"""Added to roots of mean squares that are divided by; gradients are those of errors in Hartree."""

NORM_DECAY = 0.99
"""Of the running mean square of gradient norms."""

KNOWN_AFTER = 100
"""Updates after which the usual norm of a gradient is known."""

COVARIANCE_DECAY = 0.95
"""Decay of the running covariances of gradients."""

BASIS_EVERY = 10
"""Updates between refreshments of the eigenbases."""

LARGEST_SIDE = 512
"""Longer sides of a matrix are not rotated."""

FLOOR = 3e-6
"""Directions whose gradients are smaller than this part of the largest hardly move: rounding makes up what they are."""

MOMENTUM = 0.95
"""Of Muon."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of x, x^3 and x^5 of an iteration."""

ITERATIONS = 5
"""Of Newton and Schulz for each update."""

NEGLIGIBLE = 1e-6
"""Gradients of a matrix below this part of the largest of its shape are taken for rounding."""

LIKE_ADAM = 0.2
"""Root mean square of the elements of Muon's directions, which is AdamW's usual one, so that both share a rate."""


class MatrixRule(Protocol):
    """Turns the gradient of all matrices, one vector, into the direction they move against."""

    def direction(self, gradient: Tensor, updates: int) -> Tensor:
        """Direction of one more update after a number of them; its elements are at most of order one."""

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of what the next directions depend on; to be written to when a run goes on."""


class Optimizer:
    """Clips the gradient and updates the weights and their running average.

    Args:
        flat: The weights.
        config: Its settings.
    """

    def __init__(self, flat: FlatParameters, config: OptimizerConfig) -> None:
        self.flat, self.config = flat, config
        kind = {"soap": Soap, "muon": Muon, "adamw": None}[config.method]
        split = 0 if kind is None else flat.n_matrix
        self.matrices, self.gradient = flat.vector.detach()[:split], flat.gradient[:split]
        self.rule: MatrixRule | None = None if kind is None else kind(flat.groups, self.matrices)
        self.rest = nn.Parameter(flat.vector.detach()[split:])
        self.rest.grad = flat.gradient[split:]
        self.adam = torch.optim.AdamW(
            [self.rest], lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay, fused=True
        )
        self.mean_square = 0.0
        """Of the norms of clipped gradients."""

    @torch.no_grad()
    def step(self, rate: float) -> float:
        """One update at a learning rate from the gradient in ``flat``; returns the gradient's norm before clipping.

        Nothing changes if the norm is not finite.
        """
        largest = self._largest_norm()
        norm = self.flat.clip(largest)
        if not math.isfinite(norm):
            return norm
        updates = self.flat.updates
        self.mean_square += max(1.0 - NORM_DECAY, 1.0 / (1 + updates)) * (min(norm, largest) ** 2 - self.mean_square)
        if self.rule is not None:
            self.matrices.mul_(1.0 - rate * self.config.weight_decay)
            self.matrices.sub_(self.rule.direction(self.gradient, updates), alpha=rate)
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        self.flat.update_average()
        return norm

    def _largest_norm(self) -> float:
        """Norm that gradients are clipped to: the configuration's, and a multiple of the usual one once it is known."""
        if self.flat.updates < KNOWN_AFTER:
            return self.config.clip
        return min(self.config.clip, self.config.clip_ratio * math.sqrt(self.mean_square))

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor of everything that the next updates depend on."""
        adam = self.adam.state.get(self.rest, {})
        zeros = torch.zeros_like(self.rest.detach())
        found = {
            "adam_mean": adam.get("exp_avg", zeros),
            "adam_square": adam.get("exp_avg_sq", zeros),
            "mean_square": torch.tensor([self.mean_square], dtype=torch.float64),
        }
        if self.rule is not None:
            found |= {f"matrices_{name}": value for name, value in self.rule.state().items()}
        return found

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a state, once ``flat`` has its number of updates."""
        self.mean_square = float(tensors["mean_square"])
        if self.rule is not None:
            for name, value in self.rule.state().items():
                value.copy_(tensors[f"matrices_{name}"])
        if self.flat.updates:
            device = self.rest.device
            self.adam.state[self.rest] = {
                "step": torch.tensor(float(self.flat.updates), device=device),
                "exp_avg": tensors["adam_mean"].clone().to(device),
                "exp_avg_sq": tensors["adam_square"].clone().to(device),
            }


class Muon:
    """Momentum with all its singular values made equal, so that directions of small gradients are learned as fast.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the size of updates of
    J. Liu et al., arXiv:2502.16982. ``torch.optim.Muon`` takes matrices one by one, in bfloat16, which is slow on CPUs;
    here all matrices of a shape are multiplied at once.

    Args:
        groups: The matrices.
        vector: All of them as one vector; its values are not used.
    """

    def __init__(self, groups: Sequence[MatrixGroup], vector: Tensor) -> None:
        self.groups = groups
        self.momentum, self.found = torch.zeros_like(vector), torch.zeros_like(vector)

    def direction(self, gradient: Tensor, updates: int) -> Tensor:
        """Direction of one more update."""
        self.momentum.lerp_(gradient, 1.0 - MOMENTUM)
        ahead = torch.lerp(gradient, self.momentum, MOMENTUM)
        for group in self.groups:
            size = LIKE_ADAM * math.sqrt(max(group.rows, group.columns))
            torch.mul(orthogonalised(group.view(ahead)), size, out=group.view(self.found))
        return self.found

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor, which may be written to."""
        return {"momentum": self.momentum}


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices with the same singular vectors and singular values between about 0.7 and 1.2.

    Singular values below a thousandth of a matrix's norm stay smaller. Whole matrices that are negligible, by
    themselves or beside the largest, such as gradients that only rounding keeps from vanishing by symmetry, give zero.

    Args:
        matrices: (count, rows, columns).
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalised(matrices.mT).mT
    linear, cubic, quintic = NEWTON_SCHULZ
    norms = matrices.flatten(1).norm(dim=1)
    known = norms > torch.clamp(NEGLIGIBLE * norms.max(), min=EPSILON)
    x = matrices * torch.where(known, 1.0 / torch.where(known, norms, 1.0), 0.0)[:, None, None]
    for _ in range(ITERATIONS):
        square = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=cubic, alpha=quintic), x, beta=linear)
    return x


class Soap:
    """Adam in the eigenbases of the gradients' covariances.

    N. Vyas et al., "SOAP: improving and stabilizing Shampoo using Adam", arXiv:2409.11321. All matrices of a
    shape are multiplied at once.

    Args:
        groups: The matrices.
        vector: All of them as one vector; its values are not used.
    """

    def __init__(self, groups: Sequence[MatrixGroup], vector: Tensor) -> None:
        self.groups = groups
        self.mean = torch.zeros_like(vector)
        """Running mean of the gradient in the eigenbases."""
        self.square = torch.zeros_like(vector)
        """Running mean of its squares."""
        self.work = torch.zeros_like(vector)
        self.sides = [
            [_Side(g.view(vector), axis) for axis, size in ((1, g.rows), (2, g.columns)) if size <= LARGEST_SIDE]
            for g in groups
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
        self._rotate(gradient, _Side.into_basis)
        self.mean.lerp_(self.work, 1.0 - BETAS[0])
        self.square.mul_(BETAS[1]).addcmul_(self.work, self.work, value=1.0 - BETAS[1])
        known = math.sqrt(1.0 - BETAS[1] ** updates)
        torch.sqrt(self.square, out=self.work)
        for group in self.groups:
            scale = group.view(self.work)
            scale.add_(scale.amax(dim=(1, 2), keepdim=True), alpha=FLOOR)
        torch.div(self.mean, self.work.add_(EPSILON * known), out=self.work)
        self._rotate(self.work, _Side.out_of_basis)
        self.work.mul_(known / (1.0 - BETAS[0] ** updates))
        if updates % BASIS_EVERY == 0:
            self._refresh_bases()
        return self.work

    def _rotate(self, vector: Tensor, turn: Callable[[_Side, Tensor], Tensor]) -> None:
        """Turn the matrices of a vector, which may be ``work`` itself, into ``work``."""
        for group, sides in zip(self.groups, self.sides, strict=True):
            found = group.view(vector)
            for side in sides:
                found = turn(side, found)
            group.view(self.work).copy_(found)

    def _refresh_bases(self) -> None:
        for group, sides in zip(self.groups, self.sides, strict=True):
            mean, square = group.view(self.mean), group.view(self.square)
            for side in sides:
                unturned = side.out_of_basis(mean)
                places = side.refresh_basis()
                mean.copy_(side.into_basis(unturned))
                square.copy_(square.gather(side.axis, places.expand_as(square)))

    def state(self) -> dict[str, Tensor]:
        """Name -> tensor, which may be written to."""
        found = {"mean": self.mean, "square": self.square}
        for n, side in enumerate(chain.from_iterable(self.sides)):
            found |= {f"covariance_{n}": side.covariance, f"basis_{n}": side.basis}
        return found


class _Side:
    """Covariance of the rows (axis 1) or of the columns (axis 2) of gradients, and its eigenvectors."""

    def __init__(self, gradients: Tensor, axis: int) -> None:
        count, size = gradients.shape[0], gradients.shape[axis]
        self.axis = axis
        self.covariance = gradients.new_zeros(count, size, size)
        self.basis = gradients.new_zeros(count, size, size)

    def accumulate(self, gradients: Tensor, share: float) -> None:
        rows = gradients if self.axis == 1 else gradients.mT
        self.covariance.baddbmm_(rows, rows.mT, beta=1.0 - share, alpha=share)

    def find_basis(self) -> None:
        self.basis.copy_(torch.linalg.eigh(self.covariance).eigenvectors.flip(-1))

    def into_basis(self, x: Tensor) -> Tensor:
        return torch.bmm(self.basis.mT, x) if self.axis == 1 else torch.bmm(x, self.basis)

    def out_of_basis(self, x: Tensor) -> Tensor:
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

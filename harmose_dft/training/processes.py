"""Training by several processes: each takes its share of a batch, gradients are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


class Processes:
    """The processes of a training: those of ``torch.distributed`` where it is initialised (torchrun), else this one.

    Args:
        device: Where the weights are.

    Attributes:
        rank: Number of this process.
        world: Number of processes.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch; never empty."""
        return items[self.rank :: self.world] or items[:1]

    def weight(self, sizes: Sequence[float]) -> float:
        """What means over this process's part count for, so that their mean over the processes is that over the batch.

        Args:
            sizes: How much each item of the batch counts.
        """
        return self.world * sum(sizes[self.rank :: self.world]) / sum(sizes)

    @torch.no_grad()
    def average(self, values: Tensor) -> None:
        """Replace values by their mean over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values.div_(self.world)

    @torch.no_grad()
    def agree(self, *tensors: Tensor) -> None:
        """Replace tensors by those of the first process; rounding differs between machines, and grows."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def first_of(self, number: float) -> float:
        """A number as the first process has it."""
        if self.world == 1:
            return number
        shared = torch.tensor([number], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

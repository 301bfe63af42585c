"""Where a training stands among its phases: the weights that move, their optimizer, and the samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import DataError
from ..model.two_stage import TwoStageModel
from .config import OptimizerConfig
from .flat import FlatParameters
from .phases import Phase, SampleSets
from .processes import Processes
from .update import WeightUpdate

KEPT = "kept."
"""Prefix of a state's tensors of the model that do not move in its phase."""


class Course:
    """The phases of a training, one of which has begun.

    Args:
        model: The model.
        samples: What it learns from and is validated with.
        phases: The phases in order.
        config: Settings of the optimizer.
        processes: The processes of the training.

    Attributes:
        phase: The phase that has begun.
        flat: The weights that move, as one vector of which the model's parameters are views.
        weights: Updates them.
    """

    def __init__(
        self, model: TwoStageModel, samples: SampleSets, phases: Sequence[Phase], config: OptimizerConfig,
        processes: Processes,
    ) -> None:
        self.model, self.samples, self.phases = model, samples, phases
        self.config, self.processes = config, processes
        self.begin(phases[0])

    def begin(self, phase: Phase, *, follows: bool = False) -> None:
        """Begin a phase.

        Args:
            phase: One of the phases.
            follows: Whether another has just ended, whose averaged weights are in the model.
        """
        self.phase = phase
        self.samples = phase.enter(self.model, self.samples, follows=follows)
        self.flat = FlatParameters(phase.moves(self.model), self.config.ema)
        self.weights = WeightUpdate(self.flat, self.config)

    def advance(self, progress: float) -> None:
        """Begin the next phase where its time has come; what has learned so far keeps its averaged weights.

        Args:
            progress: Fraction of the training that is done.
        """
        later = self.phases[self.phases.index(self.phase) + 1 :]
        if later and progress >= self.phase.end:
            self.processes.agree(self.flat.average)
            self.flat.keep_average()
            self.begin(later[0], follows=True)

    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor of everything needed to resume from here, with what does not move any more."""
        return {
            "parameters": self.flat.vector.detach(),
            "average": self.flat.average,
            **self.weights.state(),
            **{KEPT + name: tensor for name, tensor in self.phase.kept(self.model).items()},
        }

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Resume, in the phase that the tensors are of.

        Args:
            tensors: Those of another course of the same model and configuration.
            updates: Updates of the weights that move.

        Raises:
            DataError: They are of a model of another size, or of another version of this program.
        """
        kept = {name.removeprefix(KEPT): value for name, value in tensors.items() if name.startswith(KEPT)}
        if kept and not self.phase.kept(self.model):
            self._begin_with(kept)
        if _shapes(self.tensors()) != _shapes(tensors):
            raise self._other_model()
        self.flat.updates = updates
        self.flat.vector.data.copy_(tensors["parameters"])
        self.flat.average.copy_(tensors["average"])
        self.weights.restore(tensors)

    def _begin_with(self, kept: dict[str, Tensor]) -> None:
        """Begin the phase in which some tensors do not move, with these."""
        phase = next((p for p in self.phases if p.kept(self.model)), self.phase)
        targets = phase.kept(self.model)
        if _shapes(targets) != _shapes(kept):
            raise self._other_model()
        for name, target in targets.items():
            target.copy_(kept[name])
        self.begin(phase)

    def _other_model(self) -> DataError:
        return DataError(
            "The checkpoint is of a model of another size, of another optimizer or of an older version; it does not "
            f"fit this configuration of {len(self.flat.vector)} parameters. Resume with the configuration and the "
            "version it was written with, or start anew."
        )


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}

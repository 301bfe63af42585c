"""Phases of a training: which parameters move, and what happens when a phase begins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..model.density import DensityInput
from ..model.two_stage import TwoStageModel
from .config import OptimizerConfig, StagesConfig
from .samples import Sample
from .staged import add_densities, add_stage1, set_correction_units


@dataclass(frozen=True, eq=False)
class SampleSets:
    """Samples that a training learns from and those that it validates with."""

    training: Sequence[Sample]
    validation: Sequence[Sample]


class Phase(ABC):
    """A stretch of a training.

    Args:
        begin: Fraction of the training at which it begins.
        end: Fraction at which the next one begins; 1 for the last.
        learning_rate: Highest learning rate; None: the optimizer's.

    Attributes:
        stage1_only: Whether the model's output is that of stage 1.
        joint: Whether both stages learn, so that stage 1's own Hamiltonian is judged too.
    """

    stage1_only: ClassVar[bool] = False
    joint: ClassVar[bool] = False

    def __init__(self, begin: float = 0.0, end: float = 1.0, learning_rate: float | None = None) -> None:
        self.begin, self.end, self.learning_rate = begin, end, learning_rate

    @abstractmethod
    def moves(self, model: TwoStageModel) -> nn.Module:
        """The part of the model whose parameters move."""

    def kept(self, model: TwoStageModel) -> dict[str, Tensor]:
        """Name -> tensor of the model that does not move and that the state of a run holds for this phase."""
        return {}

    def enter(self, model: TwoStageModel, samples: SampleSets, *, follows: bool) -> SampleSets:
        """Begin: prepare the model, and the samples for it.

        Args:
            model: The model, with the weights that it keeps.
            samples: The samples as the phase before has them.
            follows: Whether another phase has just ended; else the run begins or resumes here.

        Returns:
            The samples that the phase learns from.
        """
        return samples

    def rate(self, progress: float, updates: int, config: OptimizerConfig) -> float:
        """Learning rate of the next update: linear warm-up, then cosine decay over the phase.

        Args:
            progress: Fraction of the whole training that is done.
            updates: Finished updates of the phase.
            config: Settings of the optimizer.
        """
        done = min((progress - self.begin) / (self.end - self.begin), 1.0)
        decay = max(config.final_fraction, 0.5 * (1.0 + math.cos(math.pi * done)))
        highest = self.learning_rate or config.learning_rate
        return highest * decay * min(1.0, (updates + 1) / max(config.warmup_steps, 1))


class WholeModel(Phase):
    """All parameters of a model with one stage."""

    def moves(self, model: TwoStageModel) -> nn.Module:
        """The model."""
        return model


class BothStages(WholeModel):
    """Both stages together."""

    joint = True


class FirstAlone(Phase):
    """Stage 1 alone."""

    stage1_only = True

    def moves(self, model: TwoStageModel) -> nn.Module:
        """Stage 1."""
        return model.first


class SecondAlone(Phase):
    """Stage 2 alone, on top of a stage 1 that stays as it is, so that its results and densities are worked out once.

    Args:
        begin: Fraction of the training at which it begins.
        end: Fraction at which it ends.
        learning_rate: Highest learning rate; None: the optimizer's.
        density: Works out the density of stage 1's Hamiltonian, where stage 2 sees it.
        device: Where the model is.
    """

    def __init__(
        self, begin: float, end: float, learning_rate: float | None, density: DensityInput | None, device: str
    ) -> None:
        super().__init__(begin, end, learning_rate)
        self.density, self.device = density, device

    def moves(self, model: TwoStageModel) -> nn.Module:
        """Stage 2."""
        assert model.second is not None
        return model.second

    def kept(self, model: TwoStageModel) -> dict[str, Tensor]:
        """Everything but stage 2."""
        return {name: value for name, value in model.state_dict().items() if not name.startswith("second.")}

    def enter(self, model: TwoStageModel, samples: SampleSets, *, follows: bool) -> SampleSets:
        """Store stage 1's results and its densities; after a phase of stage 1, take scales and units from them."""
        model.first.requires_grad_(False)
        training, validation = (
            add_stage1(model, part, self.device) for part in (samples.training, samples.validation)
        )
        if model.sees_density:
            assert self.density is not None
            training, validation = (
                add_densities(model, part, self.density, self.device, set_scales=scales)
                for part, scales in ((training, follows), (validation, False))
            )
        if follows:
            set_correction_units(model, training, self.device)
        return SampleSets(training, validation)


def plan_phases(
    stages: StagesConfig, model: TwoStageModel, density: DensityInput | None, device: str
) -> tuple[Phase, ...]:
    """The phases of a training, in order.

    Args:
        stages: How the stages share the training.
        model: The model.
        density: Works out the density of stage 1's Hamiltonian, where stage 2 sees it.
        device: Where the model is.
    """
    if model.second is None:
        return (WholeModel(),)
    if stages.mode == "staged":
        change = stages.first_fraction
        return FirstAlone(0.0, change), SecondAlone(change, 1.0, stages.learning_rate, density, device)
    if model.sees_density:  # the density is that of a finished stage 1, which the run starts from
        return (SecondAlone(0.0, 1.0, None, density, device),)
    return (BothStages(),)

"""The training configuration: every field has a default that runs, unknown keys are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ..core.discovery import discover
from ..core.sections import LARGEST_SEED, LARGEST_WEIGHT, MOST_COUNTED, Count, Number, Section
from ..model.inputs import InputName
from ..model.two_stage import SECOND_STAGES, ModelConfig
from ..physics.h0 import H0Section, H0Settings
from ..solver import Smearing
from ..solver.filling import SMALLEST_SPACING, SMEARING
from .objective import LossConfig
from .optimizers.base import Optimizer

OPTIMIZERS = {o.name: o for o in discover("harmose_dft.training.optimizers", Optimizer)}  # type: ignore[type-abstract]
"""Name of an optimizer -> its class."""

LONGEST = 5.3e6
"""Minutes of ten years."""

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""A name without control characters."""

if TYPE_CHECKING:
    Method = str
else:
    Method = Literal[tuple(OPTIMIZERS)]


class DataConfig(Section):
    """Where the calculations are and how they are split."""

    files: tuple[Path, ...] = Field((), description="data sets; several are joined")
    split: Literal["smiles", "random", "ordered"] = Field(
        "random", description="smiles: crc32 rule, needs SMILES in the records; random: seeded; ordered: as in the file"
    )
    sizes: tuple[Annotated[Count, Field(ge=0, le=MOST_COUNTED)], ...] = Field(
        (), max_length=3, description="training, validation, test counts; empty: 80, 10, 10 %, at least one validates"
    )
    seed: Count = Field(0, ge=0, le=LARGEST_SEED, description="seed of the random split")
    max_training: Count | None = Field(
        None, ge=1, le=MOST_COUNTED, description="use only this many training structures"
    )


class OptimizerConfig(Section):
    """How weights move: the optimizer, with warm-up and cosine decay."""

    method: Method = Field(
        "soap",
        description=f"of weight matrices, 8 wide or more: {', '.join(OPTIMIZERS)}; other weights always take adamw",
    )
    learning_rate: Number = Field(2e-3, gt=0, le=10.0, description="highest learning rate")
    final_fraction: Number = Field(1e-3, ge=0, le=1, description="learning rate at the end, relative")
    warmup_steps: Count = Field(100, ge=0, le=MOST_COUNTED, description="updates of linear warm-up")
    batch_size: Count = Field(
        8, ge=1, le=MOST_COUNTED, description="structures of an update, of all processes together"
    )
    steps: Count | None = Field(20000, ge=1, le=MOST_COUNTED, description="number of updates; exact to resume")
    minutes: Number | None = Field(
        None, gt=0, le=LONGEST, description="train for this long instead of for a number of steps"
    )
    clock: Literal["wall", "cpu"] = Field(
        "wall", description="what minutes count; cpu: time of this process, whatever else the machine does"
    )
    weight_decay: Number = Field(0.0, ge=0, le=LARGEST_WEIGHT, description="of all weights, decoupled")
    dropout: Number = Field(
        0.0, ge=0, lt=1, description="share of a circle stage's hidden channels left out at random; for few data"
    )
    clip: Number = Field(0.1, gt=0, le=LARGEST_WEIGHT, description="largest norm of the gradient (loss in Hartree)")
    clip_ratio: Number = Field(
        4.0, gt=1, le=LARGEST_WEIGHT, description="largest norm relative to that of the last hundred updates"
    )
    ema: Number = Field(0.998, ge=0, lt=1, description="decay of the running average of the weights")
    seed: Count = Field(
        0, ge=0, le=LARGEST_SEED, description="seed of the initial weights, of the batches and of augmentation"
    )

    @model_validator(mode="after")
    def _has_an_end(self) -> OptimizerConfig:
        if self.steps is None and self.minutes is None:
            raise ValueError("set steps or minutes, so that training ends")
        return self


class StagesConfig(Section):
    """How the two stages share the training time."""

    mode: Literal["joint", "staged"] = Field(
        "joint", description="joint: together; staged: stage 1 alone, which then stays as it is, then stage 2 alone"
    )
    separate: bool = Field(
        False, description="stage 1's Hamiltonian learns from its own error alone, as loss.stage1 weighs it"
    )
    first_fraction: Number = Field(0.35, gt=0, lt=1, description="staged: share of the training that is stage 1's")
    learning_rate: Number | None = Field(
        None, gt=0, le=10.0, description="staged: highest learning rate of stage 2; default: the optimizer's"
    )


class FillingConfig(Section):
    """How crystals are filled for a density that the model sees (inputs, model.second.density)."""

    spacing: Number | None = Field(
        None, ge=SMALLEST_SPACING, le=100.0,
        description="largest spacing of k-points in 1/Bohr, 2 pi included; default: of the data's own",
    )
    smearing: Smearing = Field(Smearing.FERMI_DIRAC, description="smearing function")
    width: Number = Field(SMEARING, gt=0, le=1.0, description="its width in Hartree")


class AugmentationConfig(Section):
    """Rotated copies, for a second stage that learns covariance: none, then small rotations, then full ones."""

    start: Number = Field(0.6, ge=0, le=1, description="fraction of training without rotations")
    full: Number = Field(0.8, ge=0, le=1, description="fraction of training after which rotations are full")
    small_angle: Number = Field(15.0, gt=0, le=180.0, description="largest small rotation, degrees")

    def largest_rotation(self, progress: float) -> float:
        """Largest angle of rotated copies, radians; pi: any rotation, 0: none.

        Args:
            progress: Fraction of the training that is done.
        """
        if progress < self.start:
            return 0.0
        return math.pi if progress >= self.full else math.radians(self.small_angle)


def describe_lost_dropout(optimizer: OptimizerConfig, model: ModelConfig) -> str:
    """A sentence where dropout is asked for and the model has no stage that takes it; empty otherwise."""
    if not optimizer.dropout or (model.second is not None and model.second.takes_dropout):
        return ""
    kinds = [str(s.Config.model_fields["kind"].default) for s in SECOND_STAGES if s.Config.takes_dropout]
    return f"optimizer.dropout is of a second stage of kind {' or '.join(kinds)}; this model has none"


class TrainConfig(Section):
    """Everything ``harmose-dft train`` needs.

    Fields that are not set may have other defaults for the orbitals of the data: see
    :meth:`harmose_dft.physics.base.Physics.training_defaults`.
    """

    name: str = Field(
        "model", min_length=1, max_length=100, pattern=ONE_LINE,
        description="name of the model; where it is left out, that of its folder",
    )
    start_from: str | None = Field(
        None, description="train this model further: a bundled name or a folder; its inputs, H0 and sizes are kept"
    )
    data: DataConfig = DataConfig()
    inputs: tuple[InputName, ...] = Field(
        ("overlap", "baseline", "density"),
        description="matrices the network sees: S, H0, Loewdin density of H0; default of crystals: S, H0",
    )
    baseline: H0Section = H0Settings()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    stages: StagesConfig = StagesConfig()
    filling: FillingConfig = FillingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    output: Path = Field(Path("model"), description="folder of the model, of its state and log")
    device: str = Field("cpu", description="cpu, cuda, cuda:1, ...")
    threads: Count | None = Field(None, ge=1, le=4096, description="CPU threads; default: all")
    validate_every: Count = Field(500, ge=1, le=MOST_COUNTED, description="updates between validations")
    checkpoint_minutes: Number = Field(5.0, gt=0, le=LONGEST, description="time between checkpoints")
    validation_structures: Count = Field(
        100, ge=1, le=MOST_COUNTED, description="validation structures used while training"
    )

    @model_validator(mode="after")
    def _has_the_stages_it_trains(self) -> TrainConfig:
        if self.start_from is not None:  # which brings its own stages
            return self
        if self.stages.mode == "staged" and self.model.second is None:
            raise ValueError("stages.mode staged needs a second stage, but model.second is null")
        if text := describe_lost_dropout(self.optimizer, self.model):
            raise ValueError(text)
        if self.model.sees_density and self.stages.mode != "staged":
            raise ValueError("model.second.density is that of a finished stage 1: set stages.mode to staged")
        return self

    @model_validator(mode="after")
    def _has_the_h0_whose_density_it_sees(self) -> TrainConfig:
        if "inputs" in self.model_fields_set and "density" in self.inputs and self.baseline.kind == "none":
            raise ValueError("the input density is that of H0, which baseline.kind none leaves out")
        return self

    @model_validator(mode="after")
    def _takes_the_start_as_it_is(self) -> TrainConfig:
        if self.start_from is None:
            return self
        if fixed := [name for name in ("inputs", "baseline", "model", "filling") if name in self.model_fields_set]:
            raise ValueError(f"start_from brings its own {', '.join(fixed)}: leave that out of the configuration")
        if self.stages.mode != "joint":
            raise ValueError(f"start_from brings both stages trained; stages.mode {self.stages.mode} is for new models")
        return self

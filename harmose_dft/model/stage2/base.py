"""The second stage: what every kind offers to the model, to training and to prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import nn

from ...core.sections import Section
from ...core.spin import Spin
from ...nn.blocks import Blocks
from ...nn.geometry import FrameBuilder, PairGeometry
from ...nn.graph import PairGraph
from ...nn.layout import OrbitalLayout
from ...nn.potential import Potential
from ..stage1 import FirstStageConfig, StageOneOutput


class SecondStageConfig(Section):
    """Size of a second stage; each kind has a subclass with its own ``kind`` and fields.

    Attributes:
        kind: Name in configurations, a ``Literal`` with a default in subclasses.
        spins: Which Hamiltonians the kind describes.
        takes_dropout: Whether training may leave channels out at random (``optimizer.dropout``).
    """

    spins: ClassVar[tuple[Spin, ...]] = ("none",)
    takes_dropout: ClassVar[bool] = False

    kind: str

    @property
    def sees_density(self) -> bool:
        """Whether graphs must hold the density matrix of stage 1's Hamiltonian."""
        return False

    @property
    def reach(self) -> int:
        """Number of pairs, one after the other, through which a correction depends on features of stage 1.

        Large cells are predicted in parts with so many more neighbours around them: too small a number makes H wrong.
        """
        return 1


@dataclass(frozen=True)
class StageSetting:
    """What a second stage is built into.

    Args:
        layout: Orbital slots of the basis.
        frames: Bond frames, and the layout of a density's components.
        first: Configuration of the first stage.
        potential: Whether stage 1 has a potential, which a second stage may correct too.
        spin: Which matrices depend on spin; one of the ``spins`` of the configuration.
    """

    layout: OrbitalLayout
    frames: FrameBuilder
    first: FirstStageConfig
    potential: bool
    spin: Spin


@dataclass(frozen=True)
class TrainingMoment:
    """Where training stands when a second stage takes its view of a batch.

    Args:
        seed: Seed of the run.
        step: Number of finished updates.
        rank: Number of this process.
        largest_rotation: Largest angle of rotated copies that the schedule asks for, radians; pi: any rotation.
    """

    seed: int
    step: int
    rank: int = 0
    largest_rotation: float = 0.0

    def generator(self, stream: int) -> np.random.Generator:
        """Random numbers of this step, the same in all processes and in a resumed run.

        Args:
            stream: 1 and up; different streams are independent.
        """
        return np.random.default_rng([self.seed, self.step, stream])


class SecondStage(nn.Module, ABC):
    """Correction to stage 1's Hamiltonian. A new kind is one subclass in a file of this folder.

    Args:
        config: Sizes, of the class ``Config``.
        setting: What it is built into.

    Attributes:
        Config: Class of its configuration.
        sees_stored_stage1: Whether stage 1 has the same output for a sample at every update, so that it may be stored
            once stage 1 no longer learns; not so where :meth:`training_view` changes the geometry.
        runs_in_slices: Whether its layers run in slices at prediction (:mod:`harmose_dft.nn.slices`), to save memory.
    """

    Config: ClassVar[type[SecondStageConfig]]
    sees_stored_stage1: ClassVar[bool] = True
    runs_in_slices: ClassVar[bool] = False

    def __init__(self, config: SecondStageConfig, setting: StageSetting) -> None:
        super().__init__()

    @abstractmethod
    def forward(
        self, stage1: StageOneOutput, graph: PairGraph, geometry: PairGeometry
    ) -> Sequence[tuple[Blocks, Potential | None]]:
        """The correction, exactly Hermitian.

        Args:
            stage1: Features and Hamiltonian of stage 1.
            graph: The prepared graph, with a density where the configuration says so.
            geometry: Bond frames of the pairs.

        Returns:
            One entry for each member network, whose mean is the correction: blocks in units of the model's scales, and
            the correction of the potential, None without one.
        """

    def prepare_training(self, dropout: float) -> None:
        """Get ready to learn.

        Args:
            dropout: Share of channels that are left out at random; above 0 only where the configuration takes it.
        """

    def training_view(self, graph: PairGraph, frames: FrameBuilder, moment: TrainingMoment) -> PairGraph:
        """The graph of a batch as this update sees it; random choices of the update are made here.

        Args:
            graph: Graph of the batch.
            frames: Rotates graphs.
            moment: Where training stands.

        Returns:
            The graph itself or, of rotated structures, another one, for which reference orbitals do not hold.
        """
        return graph

    def prepare_prediction(self) -> None:
        """Get ready to predict, as accurately as the weights allow."""

    @classmethod
    def upgraded_name(cls, parameter: str, version: int) -> str:
        """Today's name of a parameter in a model's file.

        Args:
            parameter: Its name within the second stage.
            version: Format version of the file.
        """
        return parameter

"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..core.errors import DataError
from ..model.density import DensityInput
from ..model.stage2.circle import CircleTransformer
from ..model.stage2.lab import LabTransformer
from ..model.two_stage import TwoStageModel, TwoStageOutput
from ..nn.blocks import Blocks
from ..nn.graph import PairGraph
from .config import TrainConfig
from .flat import FlatParameters
from .losses import element_error, gauge_error, orbital_errors
from .optimizer import Optimizer
from .samples import Batch, Sample, collate
from .staged import set_correction_units, with_densities, with_first_stage
from .state import TrainState

FIRST_SECONDS = 1e-9

KEPT = "kept."
"""Prefix of what stage 2 alone does not change among the tensors of a state."""

AGREE_EVERY = 10
"""Updates after which all processes take the first one's weights: rounding differs between machines, and grows."""


@dataclass(frozen=True)
class LogEntry:
    """One line of the training log; errors in microhartree.

    Args:
        step: Number of updates.
        seconds: Training time so far.
        learning_rate: Current learning rate.
        gradient_norm: Norm of the last gradient.
        train_mae_all: Mean over the updates since the last line.
        valid_mae_stage1: Stage 1 on the validation set, averaged weights.
        valid_mae_all: Whole model on the validation set, averaged weights.
        valid_orbital_mae: First-order error of occupied and LUMO energies on the validation set.
        structures_per_second: Training throughput since the last line.
        skipped: Updates left out since the last line because an error or a gradient was not finite.
    """

    step: int
    seconds: float
    learning_rate: float
    gradient_norm: float
    train_mae_all: float
    valid_mae_stage1: float
    valid_mae_all: float
    valid_orbital_mae: float
    structures_per_second: float
    skipped: int

    def to_dict(self) -> dict[str, float]:
        """Name -> value."""
        return asdict(self)


class Trainer:
    """Minimises the loss over prepared samples; everything needed to go on is in its state.

    With ``torch.distributed`` initialised (torchrun), every process draws its share of each batch and gradients are
    averaged.

    Args:
        model: The model; its parameters become views of one vector.
        training: Training samples.
        validation: Validation samples.
        config: The configuration.
        density: Works out the density of stage 1's Hamiltonian, where stage 2 sees it.
    """

    def __init__(
        self,
        model: TwoStageModel,
        training: Sequence[Sample],
        validation: Sequence[Sample],
        config: TrainConfig,
        density: DensityInput | None = None,
    ) -> None:
        if not training:
            raise DataError("The training set is empty.")
        self.model, self.config, self.density = model.to(config.device), config, density
        self.training = training
        self.validation = validation
        self.second_alone = False
        """Whether stage 1 has had its share of the training and stays as it is."""
        self._learn(model.first if self._staged else model)
        self.step, self.seconds = 0, 0.0
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self._order: tuple[int, list[int]] = (-1, [])
        if isinstance(model.second, CircleTransformer):
            model.second.set_dropout(config.optimizer.dropout)
        if model.sees_density and not self._staged:
            self._keep_first_stage(set_scales=False)

    def _learn(self, module: nn.Module) -> None:
        """Make a module's parameters the ones that move."""
        self.flat = FlatParameters(module, self.config.optimizer.ema)
        self.optimizer = Optimizer(self.flat, self.config.optimizer)

    @property
    def _staged(self) -> bool:
        return self.config.stages.mode == "staged" and self.model.second is not None

    @property
    def progress(self) -> float:
        """Fraction of the training that is done."""
        o = self.config.optimizer
        if o.minutes is not None:
            return min(1.0, self.seconds / (60.0 * o.minutes))
        assert o.steps is not None
        return min(1.0, self.step / o.steps)

    def run(self, report: Callable[[LogEntry], None], checkpoint: Callable[[], None], tick: Callable[[], None]) -> None:
        """Train to the end.

        Args:
            report: Receives a log entry after each validation.
            checkpoint: Called every ``checkpoint_minutes`` and at the end.
            tick: Called after each update.
        """
        clock = time.process_time if self.config.optimizer.clock == "cpu" else time.monotonic
        last_saved = last_report = time.monotonic()
        done, errors, began, skipped = 0, 0.0, self.step, 0
        while self.progress < 1.0:
            started = clock()
            error, norm = self.update()
            if math.isfinite(error):
                errors, done = errors + error, done + 1
            skipped += not math.isfinite(norm)
            self.seconds = self._agreed(self.seconds + clock() - started)
            tick()
            if self.step % self.config.validate_every == 0 or self.progress >= 1.0:
                elapsed = max(time.monotonic() - last_report, FIRST_SECONDS)
                rate = (self.step - began) * self.config.optimizer.batch_size / elapsed
                report(self._entry(errors / max(done, 1), norm, rate, skipped))
                done, errors, began, last_report, skipped = 0, 0.0, self.step, time.monotonic(), 0
            if time.monotonic() - last_saved > 60.0 * self.config.checkpoint_minutes:
                checkpoint()
                last_saved = time.monotonic()
        checkpoint()

    def _agreed(self, seconds: float) -> float:
        """The first process's training time, so that all processes end and change stages at the same step."""
        if self.world == 1 or self.config.optimizer.minutes is None:
            return seconds
        told = torch.tensor([seconds], dtype=torch.float64, device=self.config.device)
        dist.broadcast(told, 0)
        return float(told)

    def update(self) -> tuple[float, float]:
        """One step; returns the batch's mae_all in Hartree and the norm of the gradient."""
        if self._staged and not self.second_alone and self.progress >= self.config.stages.first_fraction:
            if self.world > 1:
                dist.broadcast(self.flat.average, 0)
            self.flat.keep_average()
            self._keep_first_stage(set_scales=True)
            set_correction_units(self.model, self.training, self.config.device)
        batch = collate([self.training[i] for i in self._indices()]).to(self.config.device)
        if isinstance(self.model.second, LabTransformer):
            batch = self._augmented(batch)
        elif isinstance(self.model.second, CircleTransformer):
            rng = np.random.default_rng([self.config.optimizer.seed, self.step, 2])
            self.model.second.set_points(self.model.second.points, float(rng.uniform(0, 2 * math.pi)))
            torch.manual_seed(int(rng.integers(2**31)) + self.rank)  # what dropout leaves out
        self.model.train()
        self.flat.zero_gradient()
        loss, error = self._loss(batch)
        loss.backward()
        if not math.isfinite(error):
            self.flat.gradient.fill_(math.nan)  # so that every process leaves this update out
        if self.world > 1:
            dist.all_reduce(self.flat.gradient)
            self.flat.gradient.div_(self.world)
        norm = self.optimizer.step(self._learning_rate())
        self.step += 1
        if self.world > 1 and self.step % AGREE_EVERY == 0:
            dist.broadcast(self.flat.vector.detach(), 0)
            dist.broadcast(self.flat.average, 0)
        return error, norm

    def _keep_first_stage(self, *, set_scales: bool) -> None:
        """From now on stage 1 stays as it is and stage 2 learns; densities get the scales of the training samples."""
        self.second_alone = True
        self.model.first.requires_grad_(False)
        self.training, self.validation = (
            with_first_stage(self.model, samples, self.config.device) for samples in (self.training, self.validation)
        )
        if self.model.sees_density:
            assert self.density is not None
            self.training, self.validation = (
                with_densities(self.model, samples, self.density, self.config.device, set_scales=new)
                for samples, new in ((self.training, set_scales), (self.validation, False))
            )
        assert self.model.second is not None
        self._learn(self.model.second)

    def _predicted(self, batch: Batch) -> TwoStageOutput:
        return self.model(batch.graph, first_only=self._staged and not self.second_alone, first=batch.first)

    def _loss(self, batch: Batch) -> tuple[Tensor, float]:
        weights, mask = self.config.loss, self._mask(batch.graph)
        output = self._predicted(batch)
        joint, members = not (self._staged or self.second_alone) and self.model.second is not None, output.members
        if joint and self.config.stages.separate:
            still = output.baseline.map(lambda x: x.detach() - x)  # the same values without that gradient
            members = tuple(member + still for member in members)
        found = [self._member_loss(member, batch, mask) for member in members]
        loss, error = (torch.stack(parts).mean() for parts in zip(*found, strict=True))
        if joint and weights.stage1 > 0:
            loss = loss + weights.stage1 * element_error(output.baseline, batch, mask)
        return loss, float(error.detach())

    def _member_loss(self, total: Blocks, batch: Batch, mask: Blocks) -> tuple[Tensor, Tensor]:
        """Loss of what one member of stage 2 makes of a batch, and its mae_all."""
        weights = self.config.loss
        error = element_error(total, batch, mask)
        loss = weights.elements * error
        if batch.gauge and weights.gauge > 0:
            loss = loss + weights.gauge * gauge_error(total, batch, mask)
        if batch.orbitals is not None and weights.orbital_energies + weights.occupied + weights.mixing > 0:
            energies, occupied, mixing = orbital_errors(total, batch.graph, batch.orbitals)
            loss = loss + weights.orbital_energies * energies + weights.occupied * occupied + weights.mixing * mixing
        return loss, error

    def _mask(self, graph: PairGraph) -> Blocks:
        return self.model.scales(graph).map(lambda scale: (scale != 0).to(scale.dtype))

    def _learning_rate(self) -> float:
        o, stages, done, highest = self.config.optimizer, self.config.stages, self.progress, None
        if self.second_alone and self._staged:
            done = (done - stages.first_fraction) / (1 - stages.first_fraction)
            highest = stages.learning_rate
        elif self._staged:
            done = done / stages.first_fraction
        decay = max(o.final_fraction, 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0))))
        return (highest or o.learning_rate) * decay * min(1.0, (self.flat.updates + 1) / max(o.warmup_steps, 1))

    def _indices(self) -> list[int]:
        """Samples of this step and process: a fresh permutation each epoch, a function of seed and step only."""
        size = min(self.config.optimizer.batch_size, len(self.training))
        per_epoch = len(self.training) // size
        epoch, place = divmod(self.step, per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.config.optimizer.seed, epoch])
            self._order = (epoch, rng.permutation(len(self.training)).tolist())
        chosen = self._order[1][place * size : (place + 1) * size]
        return chosen[self.rank :: self.world] or chosen[:1]

    def _augmented(self, batch: Batch) -> Batch:
        """A batch turned as a whole by a random rotation, once the schedule asks for it."""
        schedule, done = self.config.augmentation, self.progress
        if done < schedule.start:
            return batch
        rng = np.random.default_rng([self.config.optimizer.seed, self.step, 1])
        largest = math.pi if done >= schedule.full else math.radians(schedule.small_angle)
        rotation = torch.from_numpy(random_rotation(rng, largest)).to(batch.graph.vectors)
        graph = self.model.frames.rotate(batch.graph, rotation)
        return replace(batch, graph=graph, orbitals=None)

    @torch.no_grad()
    def validate(self) -> tuple[float, float, float]:
        """mae_all of stage 1 and of the whole model and the first-order orbital error, Hartree, averaged weights."""
        if not self.validation:
            return math.nan, math.nan, math.nan
        first = total = energies = 0.0
        count = 0
        self.model.eval()
        with self.flat.averaged():
            for start in range(0, len(self.validation), 16):
                batch = collate(self.validation[start : start + 16]).to(self.config.device)
                output, mask = self._predicted(batch), self._mask(batch.graph)
                first += float(element_error(output.baseline, batch, mask)) * batch.n_elements
                total += float(element_error(output.total, batch, mask)) * batch.n_elements
                if batch.orbitals is not None:
                    error = orbital_errors(output.total, batch.graph, batch.orbitals)[0]
                    energies += float(error) * batch.graph.n_structures / len(self.validation)
                count += batch.n_elements
        return first / count, total / count, energies

    def _entry(self, error: float, norm: float, rate: float, skipped: int) -> LogEntry:
        first, total, energies = (1e6 * x for x in self.validate())
        return LogEntry(
            self.step, round(self.seconds, 2), self._learning_rate(), norm, 1e6 * error, first, total, energies, rate,
            skipped,
        )

    def state(self) -> TrainState:
        """Everything needed to go on exactly from here."""
        kept = {KEPT + k: v for k, v in self._kept().items()} if self.second_alone else {}
        return TrainState(
            step=self.step,
            seconds=self.seconds,
            updates=self.flat.updates,
            tensors={
                "parameters": self.flat.vector.detach(),
                "average": self.flat.average,
                **self.optimizer.state(),
                **kept,
            },
        )

    def _kept(self) -> dict[str, Tensor]:
        """What of the model stage 2 alone does not change."""
        return {k: v for k, v in self.model.state_dict().items() if not k.startswith("second.")}

    @torch.no_grad()
    def restore(self, state: TrainState) -> None:
        """Go on from a state.

        Raises:
            DataError: The state is of a model of another size, or of another version of this program.
        """
        if not self.second_alone and any(name.startswith(KEPT) for name in state.tensors):
            self._restore_first_stage(state)
        own = {name: tuple(tensor.shape) for name, tensor in self.state().tensors.items()}
        if own != {name: tuple(tensor.shape) for name, tensor in state.tensors.items()}:
            raise self._other_model()
        self.step, self.seconds, self.flat.updates = state.step, state.seconds, state.updates
        self.flat.vector.data.copy_(state.tensors["parameters"])
        self.flat.average.copy_(state.tensors["average"])
        self.optimizer.restore(state.tensors)

    def _restore_first_stage(self, state: TrainState) -> None:
        found = {k.removeprefix(KEPT): v for k, v in state.tensors.items() if k.startswith(KEPT)}
        own = self._kept()
        if not self._staged or {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in found.items()}:
            raise self._other_model()
        for name, value in own.items():
            value.copy_(found[name])
        self._keep_first_stage(set_scales=False)

    def _other_model(self) -> DataError:
        return DataError(
            "The checkpoint is of a model of another size, of another optimizer or of an older version; it does not "
            f"fit this configuration of {len(self.flat.vector)} parameters. Resume with the configuration and the "
            "version it was written with, or start anew."
        )


def random_rotation(rng: np.random.Generator, largest: float) -> np.ndarray:
    """A rotation matrix about a random axis; uniform over all rotations if the largest angle is pi."""
    from scipy.spatial.transform import Rotation

    if largest >= math.pi:
        return np.asarray(Rotation.random(rng=rng).as_matrix())
    axis = rng.normal(size=3)
    return np.asarray(Rotation.from_rotvec(axis / np.linalg.norm(axis) * rng.uniform(0, largest)).as_matrix())

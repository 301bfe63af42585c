"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..core.errors import DataError
from ..model.density import DensityInput
from ..model.stage2.base import TrainingMoment
from ..model.two_stage import TwoStageModel, TwoStageOutput
from .batches import BatchOrder
from .config import TrainConfig
from .course import Course
from .log import LogEntry, Meter
from .objective import Objective
from .phases import SampleSets, plan_phases
from .processes import Processes
from .samples import Batch, Sample, collate
from .state import TrainState
from .validation import validate

AGREE_EVERY = 10
"""Updates after which all processes take the first one's weights."""


class Trainer:
    """Minimises the loss over prepared samples; everything needed to resume is in its state.

    With ``torch.distributed`` initialised (torchrun), every process takes its share of each batch and gradients are
    averaged.

    Args:
        model: The model; its parameters become views of one vector.
        training: Training samples.
        validation: Validation samples.
        config: The configuration.
        density: Works out the density of stage 1's Hamiltonian, where stage 2 sees it.
    """

    def __init__(
        self, model: TwoStageModel, training: Sequence[Sample], validation: Sequence[Sample], config: TrainConfig,
        density: DensityInput | None = None,
    ) -> None:
        if not training:
            raise DataError("The training set is empty.")
        self.model, self.config = model.to(config.device), config
        self.step, self.seconds = 0, 0.0
        self.processes = Processes(config.device)
        self.objective = Objective(model, config.loss, separate=config.stages.separate)
        self.order = BatchOrder(config.optimizer.seed, config.optimizer.batch_size)
        if model.second is not None:
            model.second.prepare_training(config.optimizer.dropout)
        phases = plan_phases(config.stages, model, density, config.device)
        self.course = Course(model, SampleSets(training, validation), phases, config.optimizer, self.processes)

    @property
    def progress(self) -> float:
        """Fraction of the training that is done."""
        o = self.config.optimizer
        if o.minutes is not None:
            return min(1.0, self.seconds / (60.0 * o.minutes))
        assert o.steps is not None
        return min(1.0, self.step / o.steps)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update."""
        return self.course.phase.rate(self.progress, self.course.flat.updates, self.config.optimizer)

    def run(
        self,
        report: Callable[[LogEntry], None],
        checkpoint: Callable[[], None],
        tick: Callable[[], None],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the end.

        Args:
            report: Receives a log entry after each validation.
            checkpoint: Called every ``checkpoint_minutes`` and at the end.
            tick: Called after each update.
            is_stopped: Asked after each update; if so, the end comes now.
        """
        clock = time.process_time if self.config.optimizer.clock == "cpu" else time.monotonic
        meter, saved = Meter(), time.monotonic()
        if self.step == 0 and self.config.start_from is not None:
            report(self._entry(meter))  # the model that training starts from
            meter = Meter()
        while self.progress < 1.0 and not is_stopped():
            started = clock()
            meter.count(*self.update())
            seconds = self.seconds + clock() - started
            # The first process's time, so that all processes end and change phases at the same step.
            self.seconds = seconds if self.config.optimizer.minutes is None else self.processes.first_of(seconds)
            tick()
            if self.step % self.config.validate_every == 0 or self.progress >= 1.0:
                report(self._entry(meter))
                meter = Meter()
            if time.monotonic() - saved > 60.0 * self.config.checkpoint_minutes:
                checkpoint()
                saved = time.monotonic()
        checkpoint()

    def update(self) -> tuple[float, float]:
        """One step; returns the batch's mae_all in Hartree and the norm of the gradient."""
        self.course.advance(self.progress)
        samples = self.batch()
        flat, batch = self.course.flat, self.view(collate(list(self.processes.share(samples))).to(self.config.device))
        self.model.train()
        flat.zero_gradient()
        loss, mean = self.objective(self.predict(batch), batch, joint=self.course.phase.joint)
        error = float(mean)
        loss.backward()
        # The loss is a mean over matrix elements. Where one is not finite, every process leaves this update out.
        weight = self.processes.weight([sample.n_elements for sample in samples])
        flat.gradient.mul_(weight if math.isfinite(error) else math.nan)
        self.processes.average(flat.gradient)
        norm = self.course.weights.step(self.learning_rate)
        self.step += 1
        if self.step % AGREE_EVERY == 0:
            self.processes.agree(flat.vector.detach(), flat.average)
        return error, norm

    def batch(self) -> list[Sample]:
        """The samples of the next update, of all processes together."""
        training = self.course.samples.training
        return [training[i] for i in self.order.indices(self.step, len(training))]

    def view(self, batch: Batch) -> Batch:
        """A batch as stage 2 wants to learn from it at this step."""
        if self.model.second is None:
            return batch
        rotation = self.config.augmentation.largest_rotation(self.progress)
        moment = TrainingMoment(self.config.optimizer.seed, self.step, self.processes.rank, rotation)
        graph = self.model.second.training_view(batch.graph, self.model.frames, moment)
        return batch if graph is batch.graph else replace(batch, graph=graph, orbitals=None)

    def predict(self, batch: Batch) -> TwoStageOutput:
        """The model's output as the phase has it."""
        output: TwoStageOutput = self.model(
            batch.graph, stage1_only=self.course.phase.stage1_only, stage1_output=batch.stage1_output
        )
        return output

    def validate(self) -> tuple[float, float, float]:
        """mae_all of stage 1 and of the whole model and the first-order orbital error, Hartree, averaged weights."""
        self.model.eval()
        with self.course.flat.use_average():
            return validate(self.predict, self.objective, self.course.samples.validation, self.config.device)

    def _entry(self, meter: Meter) -> LogEntry:
        rate = meter.updates * self.config.optimizer.batch_size / meter.elapsed
        error, stage1_mae, total_mae, orbital_mae = (1e6 * x for x in (meter.error, *self.validate()))
        return LogEntry(
            self.step, round(self.seconds, 2), self.learning_rate, meter.norm, error, stage1_mae, total_mae,
            orbital_mae, rate,
            meter.skipped,
        )

    def finish(self) -> None:
        """Give the model the averaged weights and make it one for prediction."""
        self.course.flat.keep_average()
        self.model.eval().requires_grad_(False)

    def state(self) -> TrainState:
        """Everything needed to resume exactly from here."""
        return TrainState(self.step, self.seconds, self.course.flat.updates, self.course.tensors())

    def restore(self, state: TrainState) -> None:
        """Resume from a state.

        Raises:
            DataError: The state is of a model of another size, or of another version of this program.
        """
        self.course.restore(state.tensors, state.updates)
        self.step, self.seconds = state.step, state.seconds

"""From a configuration to a trained model: data, H0, samples, training, model folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..core.errors import DomainError, HarmoseWarning
from ..core.files import sha256, short_names
from ..core.progress import Progress
from ..core.record import name_code
from ..core.structure import Structure
from ..model.checkpoint import ModelFile
from ..model.density import DensityInput
from ..model.domain import TrainingDomain
from ..model.extension import extend_normalizer, extend_parameters
from ..model.featurize import Featurizer
from ..model.trust.store import set_aside
from ..physics.base import Physics
from ..physics.choice import physics_class
from ..physics.h0.base import untrained_elements
from ..solver import Filling, Smearing
from ..solver.filling import MESH_SPACING
from .config import OptimizerConfig, TrainConfig
from .data import TrainingData, open_training_data
from .folder import RunFolder
from .identity import RunIdentity, identify_run
from .log import LogEntry
from .loop import Trainer
from .objective import collect_needs
from .prepare import RawSample, SampleBuilder
from .provenance import describe_training
from .samples import Need
from .session import train
from .start import build_network, continue_from, set_scales, starting_model
from .state import TrainState

RISEN = 1.2
"""Times the smallest validation error above which the last one is worth a warning; less is noise of few structures."""


@dataclass(frozen=True, eq=False)
class Assembly:
    """A training that is ready to begin or to resume.

    Args:
        trainer: The trainer, restored where there is a state of an earlier run.
        model: The model's file as it will be, but for the weights and what is said of the training.
        identity: Identity of the run.
        hashes: Name of a data set -> hash of its file.
        structures: Those that train, and those that validate.
        start: The model that it starts from.
    """

    trainer: Trainer
    model: ModelFile
    identity: RunIdentity
    hashes: dict[str, str]
    structures: tuple[list[Structure], list[Structure]]
    start: ModelFile | None


class Fit:
    """One training run in a folder; running it again goes on where it stopped.

    Args:
        config: The configuration.
        progress: Shows progress.
        report: Receives every line of the training log.
        force: Whether a model in the folder that this run did not write may be replaced.
    """

    def __init__(
        self, config: TrainConfig, progress: Progress, report: Callable[[LogEntry], None], *, force: bool = False
    ) -> None:
        self.config, self.progress, self.report, self.force = config, progress, report, force
        self.folder = RunFolder(config.output)
        if config.threads is not None:
            torch.set_num_threads(config.threads)

    def run(self) -> ModelFile:
        """Prepare, train, write the model's folder.

        Raises:
            DataError: The data does not fit the configuration.
            CheckpointError: The state of an earlier run cannot be read.
            ConfigError: It belongs to other data or settings.
            OutputExistsError: The folder holds a model without the state of its run.
        """
        assembly = self.assemble()
        trainer, model = assembly.trainer, assembly.model
        train(trainer, self.folder, assembly.identity, self.progress, self.report)
        trainer.finish()
        length = trainer.step, trainer.seconds
        training = describe_training(
            self.config, assembly.hashes, *assembly.structures, length=length, start=assembly.start
        )
        model = replace(model, training=training)
        if trainer.processes.rank > 0:
            return model
        model = replace(model, sha256=model.save(self.folder.path, force=True))
        for text in (describe_overfitting(self.folder.validation_errors()), set_aside(self.folder.path, model.sha256)):
            if text:
                warnings.warn(f"{self.folder.path}: {text}", HarmoseWarning, stacklevel=2)
        return model

    def assemble(self) -> Assembly:
        """Prepare everything up to the first update; raises as :meth:`run` does."""
        self.folder.require_own(force=self.force)
        data = open_training_data(self.config)
        paths = [d.path for d in data.datasets]
        hashes = {name: sha256(path) for name, path in zip(short_names(paths), paths, strict=True)}
        start = starting_model(self.config, self.folder.path)
        if start is not None:
            self.config, data = continue_from(self.config, start), data.for_model(start)
        self.config = with_physics_defaults(self.config, data)
        identity = identify_run(self.config, hashes, start)
        earlier = self.folder.earlier(identity, force=self.force)
        builder, parts = self._prepare(data, start)
        normalizer = builder.fit_normalizer(parts["train"])
        if start is not None:
            layout, larger = start.network.layout, builder.featurizer.layout
            normalizer = extend_normalizer(start.normalizer, normalizer, layout, larger)
        structures = {part: [r.features.integrals.structure for r in samples] for part, samples in parts.items()}
        domain = TrainingDomain.of(structures["train"])
        training, validation = (builder.make_samples(parts[name], normalizer) for name in ("train", "validation"))
        network = build_network(data.basis, normalizer, self.config)
        if start is not None:
            extend_parameters(start.network, network)
            set_scales(network, normalizer)
        filling = builder.featurizer.filling
        density = None
        if filling is not None and self.config.model.sees_density:
            density = DensityInput(builder.featurizer, normalizer, filling)
        trainer = Trainer(network, training, validation, self.config, density)
        if earlier is not None:
            trainer.restore(earlier)
            if text := describe_shortening(self.config.optimizer, earlier):
                warnings.warn(f"{self.folder.path}: {text}", HarmoseWarning, stacklevel=2)
        first = data.record(data.records("train")[0])
        model = ModelFile(
            name=self.config.name,
            network=network,
            normalizer=normalizer,
            basis=data.basis,
            inputs=self.config.inputs,
            physics=builder.physics,
            functional=data.functional,
            code=name_code(first.provenance),
            domain=domain,
            filling=filling,
            metrics=self.folder.metrics() if earlier is not None and trainer.progress >= 1.0 else {},
        )
        return Assembly(trainer, model, identity, hashes, (structures["train"], structures["validation"]), start)

    def _prepare(
        self, data: TrainingData, start: ModelFile | None = None
    ) -> tuple[SampleBuilder, dict[str, list[RawSample]]]:
        """Builder of samples, and the samples of each part.

        Raises:
            DataError: A structure to validate on holds an element that H0 does not know, as no training structure does.
        """
        records = {
            "train": data.records("train"),
            "validation": data.records("validation")[: self.config.validation_structures],
        }
        builder = self._builder(data, start)
        raw_samples: dict[str, list[RawSample]] = {part: [] for part in records}
        with self.progress("preparing", sum(len(w) for w in records.values())) as bar:
            for part, indices in records.items():
                for index in indices:
                    try:
                        raw_samples[part].append(builder.make_raw(data.record(index)))
                    except DomainError as error:
                        learned = data.elements(records["train"]) | set(() if start is None else start.basis.elements)
                        if untrained := data.elements([index]) - learned:
                            raise untrained_elements(untrained) from error
                        raise
                    bar.advance()
        return builder, raw_samples

    def _builder(self, data: TrainingData, start: ModelFile | None = None) -> SampleBuilder:
        """Builder of samples, with the physics of the training set."""
        config, loss = self.config, self.config.loss
        physics = physics_class(data.basis).fit(
            data.basis, data.functional, data.part("train"), config.baseline,
            seed=config.data.seed, h0=None if start is None else start.physics.h0.with_functional(data.functional),
        )
        filling = self._filling(physics, data) if start is None else start.filling
        return SampleBuilder(
            Featurizer.of_model(data.basis, config.inputs, physics, config.model, filling),
            physics,
            config.model.first.l_max,
            orbitals=Need.ORBITALS in collect_needs(loss),
            spin=config.model.spin,
            keeps_integrals=config.model.sees_density,
        )

    def _filling(self, physics: Physics, data: TrainingData) -> Filling | None:
        """k-points and smearing for a density that the model sees: without a chosen spacing, that of the training data.

        None where it sees none, or only that of H0 of molecules.
        """
        periodic = data.record(data.records("train")[0]).structure.periodic
        if not (self.config.model.sees_density or (periodic and "density" in self.config.inputs)):
            return None
        filling = self.config.filling
        spacing = filling.spacing or physics.mesh_spacing(data.part("train")) or MESH_SPACING
        return Filling(spacing, filling.smearing, 0.0 if filling.smearing is Smearing.NONE else filling.width)


def describe_overfitting(errors: Mapping[int, float]) -> str:
    """A sentence where the validation error has risen in training; empty otherwise.

    Args:
        errors: Step -> validation error in microhartree; step 0 is the model that training started from.
    """
    if len(errors) < 2:
        return ""
    best, last = min(errors, key=lambda step: errors[step]), max(errors)
    if errors[last] <= RISEN * errors[best]:
        return ""
    before = "in the model that it started from" if best == 0 else f"after step {best}"
    return (
        f"the validation error is {errors[last]:.0f} uHa at the end and was {errors[best]:.0f} uHa {before}: the model "
        "has learned its training structures by heart. Train on more structures, for fewer steps, or at a lower rate."
    )


def describe_shortening(optimizer: OptimizerConfig, earlier: TrainState) -> str:
    """A sentence where a run has gone further than it is to be long; empty otherwise.

    Args:
        optimizer: Its length.
        earlier: Where it stands.
    """
    update = earlier.seconds / max(earlier.step, 1)
    if optimizer.minutes is not None:  # a run ends with the update in which its time is up
        length, reached = f"optimizer.minutes = {optimizer.minutes:g}", f"{earlier.seconds / 60:.1f} minutes"
        is_longer = earlier.seconds > 60 * optimizer.minutes + 2 * update
    else:
        assert optimizer.steps is not None
        length, reached = f"optimizer.steps = {optimizer.steps}", f"{earlier.step} updates"
        is_longer = earlier.step > optimizer.steps
    if not is_longer:
        return ""
    return (
        f"{length}, but the run has had {reached} already. Nothing is trained; the model has the weights of then, of a "
        "run that was to be longer, whose learning rate had not fallen to its end unless that one was finished. Give "
        "the length of before to go on, or --force to begin anew."
    )


def with_physics_defaults(config: TrainConfig, data: TrainingData) -> TrainConfig:
    """The configuration with the defaults of the data's orbitals where it says nothing."""
    physics = physics_class(data.basis)
    named = "kind" in config.baseline.model_fields_set
    defaults = physics.training_defaults(data.basis, data.part("train"), config.baseline.kind if named else None)
    changes: dict[str, Any] = {}
    if defaults.h0 is not None and not named:
        changes["baseline"] = config.baseline.with_kind(defaults.h0)
    if defaults.inputs is not None and "inputs" not in config.model_fields_set:
        changes["inputs"] = defaults.inputs
    model: dict[str, Any] = {}
    if defaults.cutoff is not None and "cutoff" not in config.model.first.model_fields_set:
        model["first"] = config.model.first.model_copy(update={"cutoff": defaults.cutoff})
    if defaults.spin is not None and "spin" not in config.model.model_fields_set:
        model["spin"] = defaults.spin
    if defaults.lattice is not None and config.model.potential and "lattice" not in config.model.model_fields_set:
        model["lattice"] = defaults.lattice
    if "charged" not in config.model.model_fields_set or config.start_from is not None:
        model["charged"] = config.model.charged or data.has_ions("train")
    if model:
        changes["model"] = config.model.model_copy(update=model)
    return config.model_copy(update=changes)

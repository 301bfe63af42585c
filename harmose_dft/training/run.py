"""From a configuration to a trained model: data, physics baseline, samples, training, model folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..core.basis import OrbitalBasis
from ..core.errors import ConfigError, DataError
from ..core.files import sha256, short_names
from ..core.progress import Progress
from ..core.record import Record
from ..core.spin import SPIN_OF_NSPIN, Spin
from ..model.checkpoint import ModelFile
from ..model.density import DensityInput
from ..model.domain import TrainingDomain
from ..model.featurize import Featurizer
from ..model.loading import baseline_blocks, baseline_from_dict, baseline_to_dict
from ..physics.fitted import fit_potentials
from ..physics.h0 import Baseline
from ..physics.h0 import baseline as named_baseline
from ..physics.integrals import orbital_cutoffs
from ..physics.numerical import ElectronCount, TwoCentreMatrices, is_numerical
from ..solver import Filling, Smearing, spacing_of
from ..solver.filling import MESH_SPACING
from .config import TrainConfig
from .data import TrainingData, open_training_data
from .folder import RunFolder
from .identity import identify_run
from .log import LogEntry
from .loop import Trainer
from .objective import collect_needs
from .prepare import RawSample, SampleBuilder
from .provenance import describe_training
from .samples import Need
from .session import train
from .start import build_network, continue_from, set_scales, starting_model

FIT_ORBITALS = 140
"""Potentials are fitted to molecules of at most this many orbitals, where there are enough of them."""


@dataclass(frozen=True, eq=False)
class Assembly:
    """A training that is ready to begin or to resume.

    Args:
        trainer: The trainer, restored where there is a state of an earlier run.
        model: The model's file as it will be, but for the weights and what is said of the training.
        identity: Identity of the run.
        hashes: Name of a data set -> hash of its file.
        start: The model that it starts from.
    """

    trainer: Trainer
    model: ModelFile
    identity: str
    hashes: dict[str, str]
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
        counts = len(trainer.course.samples.training), len(trainer.course.samples.validation)
        length = trainer.step, trainer.seconds
        training = describe_training(self.config, assembly.hashes, counts, length, assembly.start)
        model = replace(model, training=training)
        if trainer.processes.rank > 0:
            return model
        return replace(model, sha256=model.save(self.folder.path, force=True))

    def assemble(self) -> Assembly:
        """Prepare everything up to the first update; raises as :meth:`run` does."""
        self.folder.require_own(force=self.force)
        data = open_training_data(self.config)
        paths = [d.path for d in data.datasets]
        hashes = {name: sha256(path) for name, path in zip(short_names(paths), paths, strict=True)}
        start = starting_model(self.config, self.folder.path)
        if start is not None:
            self.config, data = continue_from(self.config, start), data.for_model(start)
        if is_numerical(data.basis):
            self.config = for_crystals(self.config, data.basis, spin_of(data))
        identity = identify_run(self.config, hashes, start)
        earlier = self.folder.earlier(identity)
        builder, electrons, baseline, parts = self._prepare(data, start)
        normalizer = builder.normalizer(parts["train"])
        if start is not None:
            normalizer = start.normalizer.extended(normalizer)
        training = builder.samples(parts["train"], normalizer)
        validation = builder.samples(parts["validation"], normalizer)
        domain = TrainingDomain.of(r.features.integrals.structure for r in parts["train"])
        del parts
        network = build_network(data.basis, normalizer, self.config)
        if start is not None:
            network.load_state_dict(start.network.state_dict())
            set_scales(network, normalizer)
        filling = self._filling(data) if start is None else start.filling
        density = None if filling is None else DensityInput(builder.featurizer, normalizer, filling)
        trainer = Trainer(network, training, validation, self.config, density)
        if earlier is not None:
            trainer.restore(earlier)
        first = data.record(data.records("train")[0])
        model = ModelFile(
            name=self.config.name,
            network=network,
            normalizer=normalizer,
            basis=data.basis,
            inputs=self.config.inputs,
            baseline=baseline,
            functional=data.functional,
            code=" ".join(str(first.provenance.get(k, "")) for k in ("code", "version")).strip(),
            domain=domain,
            filling=filling,
            electrons=electrons,
            metrics=self.folder.metrics() if earlier is not None and trainer.progress >= 1.0 else {},
        )
        return Assembly(trainer, model, identity, hashes, start)

    def _prepare(
        self, data: TrainingData, start: ModelFile | None = None
    ) -> tuple[SampleBuilder, list[dict[str, Any]], dict[str, Any], dict[str, list[RawSample]]]:
        """Builder of samples, electrons and baseline as the model's file describes them, and the samples."""
        builder, electrons, baseline = self._builder(data, start)
        wanted = {
            "train": data.records("train"),
            "validation": data.records("validation")[: self.config.validation_structures],
        }
        parts: dict[str, list[RawSample]] = {part: [] for part in wanted}
        with self.progress("preparing", sum(len(w) for w in wanted.values())) as bar:
            for part, where in wanted.items():
                for place in where:
                    parts[part].append(builder.raw(data.record(place)))
                    bar.advance()
        return builder, electrons, baseline, parts

    def _builder(
        self, data: TrainingData, start: ModelFile | None = None
    ) -> tuple[SampleBuilder, list[dict[str, Any]], dict[str, Any]]:
        l_max, loss, spin = self.config.model.first.l_max, self.config.loss, self.config.model.spin
        sees_density = self.config.model.sees_density
        if is_numerical(data.basis):
            count = ElectronCount.of(data.record(w) for w in data.records("train"))
            source = TwoCentreMatrices(data.basis, self.config.baseline.kind, count)
            builder = SampleBuilder(
                self._featurizer(data.basis, source.kind), source.baseline, l_max, overlap=source.overlap,
                orbitals=False, spin=spin, keeps_integrals=sees_density,
            )
            return builder, count.to_list(), {"kind": source.kind}
        if start is None:
            baseline = make_baseline(data, self.config)
        else:
            baseline = baseline_from_dict(start.baseline, start.basis, start.functional)
        builder = SampleBuilder(
            self._featurizer(data.basis, baseline.kind),
            lambda structure: baseline_blocks(baseline, structure),
            l_max,
            orbitals=Need.ORBITALS in collect_needs(loss),
            spin=spin,
            keeps_integrals=sees_density,
        )
        return builder, [], baseline_to_dict(baseline)

    def _featurizer(self, basis: OrbitalBasis, baseline: str) -> Featurizer:
        return Featurizer(basis, self.config.inputs, self.config.model.first.cutoff, damped=baseline != "none")

    def _filling(self, data: TrainingData) -> Filling | None:
        """k-points and smearing for the density that stage 2 sees: without a chosen spacing, that of the training data.

        None where it sees none.
        """
        if not self.config.model.sees_density:
            return None
        chosen, spacings = self.config.filling, []
        if chosen.spacing is None and is_numerical(data.basis):
            for record in (data.record(where) for where in data.records("train")):
                found = [spacing_of(record.structure, record.overlap, e.kpoints) for e in record.eigenvalues]
                spacings += [s for s in found if s is not None]
        spacing = chosen.spacing or min(spacings, default=MESH_SPACING)
        return Filling(spacing, chosen.smearing, 0.0 if chosen.smearing is Smearing.NONE else chosen.width)

def spin_of(data: TrainingData) -> Spin:
    """Spin of the first training record; all others must have the same."""
    records = data.records("train")
    return SPIN_OF_NSPIN[data.record(records[0]).nspin] if records else "none"


def for_crystals(config: TrainConfig, basis: OrbitalBasis, spin: Spin = "none") -> TrainConfig:
    """The configuration with the defaults of numerical orbitals where it says nothing.

    Pairs up to the largest sum of two orbital cutoffs, the kinetic energy as physics baseline, S and that baseline as
    inputs, the spin of the data. The losses in the basis of molecular orbitals do not apply.

    Raises:
        ConfigError: An input needs molecules.
    """
    changes: dict[str, Any] = {}
    if "kind" not in config.baseline.model_fields_set:
        changes["baseline"] = config.baseline.model_copy(update={"kind": "kinetic"})
    kind = changes.get("baseline", config.baseline).kind
    if "inputs" not in config.model_fields_set:
        changes["inputs"] = ("overlap",) if kind == "none" else ("overlap", "baseline")
    elif "density" in config.inputs:
        raise ConfigError(
            "The input 'density' needs a molecule's orbitals; crystals take the inputs 'overlap' and 'baseline'."
        )
    if "cutoff" not in config.model.first.model_fields_set:
        first = config.model.first.model_copy(update={"cutoff": 2 * max(orbital_cutoffs(basis).values())})
        changes["model"] = config.model.model_copy(update={"first": first})
    if "spin" not in config.model.model_fields_set:
        changes["model"] = changes.get("model", config.model).model_copy(update={"spin": spin})
    return config.model_copy(update=changes)


def make_baseline(data: TrainingData, config: TrainConfig) -> Baseline:
    """The physics baseline of a configuration, fitted to training records where it has parameters."""
    where = data.records("train")
    if not where:
        raise DataError("The training set is empty.")
    if config.baseline.kind != "fitted":
        functional = str(data.record(where[0]).provenance.get("functional", ""))
        return named_baseline(config.baseline.kind, functional, data.basis)
    order = np.random.default_rng(config.data.seed).permutation(len(where))
    chosen: list[Record] = []
    spare: list[Record] = []
    for i in order:
        record = data.record(where[i])
        (chosen if record.overlap.size <= FIT_ORBITALS else spare).append(record)
        if len(chosen) == config.baseline.fit_structures:
            break
    chosen = (chosen + spare)[: config.baseline.fit_structures]
    missing = set(data.basis.elements) - {int(z) for r in chosen for z in r.structure.numbers}
    for record in (data.record(w) for w in where) if missing else ():
        if missing & set(record.structure.numbers.tolist()):
            chosen.append(record)
            missing -= set(record.structure.numbers.tolist())
    return fit_potentials(
        [r.structure for r in chosen], [r.hamiltonian[0].to_dense() for r in chosen], data.basis
    )

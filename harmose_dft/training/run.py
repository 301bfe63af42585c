"""From a configuration to a trained model: data, physics baseline, samples, training, model folder."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from .. import __version__
from ..core.basis import OrbitalBasis
from ..core.errors import ConfigError, DataError, OutputExistsError
from ..core.files import sha256, short_names
from ..core.record import Record
from ..core.spin import SPIN_OF_NSPIN, Spin
from ..model.checkpoint import DESCRIPTION, ModelFile, describe_model
from ..model.density import DensityInput
from ..model.domain import TrainingDomain
from ..model.featurize import Featurizer
from ..model.loading import baseline_blocks, baseline_from_dict, baseline_to_dict, model_folder
from ..model.normalizer import Normalizer
from ..model.two_stage import TwoStageModel
from ..physics.fitted import fit_potentials
from ..physics.h0 import Baseline
from ..physics.h0 import baseline as named_baseline
from ..physics.integrals import orbital_cutoffs
from ..physics.numerical import ElectronCount, TwoCentreMatrices, is_numerical
from ..solver import Filling, Smearing, spacing_of
from ..solver.filling import MESH_SPACING
from .config import TrainConfig
from .data import TrainingData, open_training_data
from .loop import LogEntry, Trainer
from .prepare import RawSample, SampleBuilder
from .samples import Sample
from .state import TrainState

STATE = "state.safetensors"
LOG = "log.jsonl"

FREE_TO_CHANGE: dict[str, Any] = {
    "name": True, "start_from": True, "output": True, "device": True, "threads": True, "validate_every": True,
    "checkpoint_minutes": True, "validation_structures": True, "data": {"files"},
    "optimizer": {"steps", "minutes", "clock"},
}
"""Settings that a run may be resumed with different values of; contents of files and of the start count, not names."""

PERMILLE = 1000
"""Steps of the training's progress bar."""

FIT_ORBITALS = 140
"""Potentials are fitted to molecules of at most this many orbitals, where there are enough of them."""


class Counter(Protocol):
    """Counts finished steps."""

    def advance(self, steps: int = 1) -> None:
        """Count steps."""


Progress = Callable[[str, int], AbstractContextManager[Counter]]
"""(description, total) -> a context that shows progress."""


class Fit:
    """One training run in a folder; running it again goes on where it stopped.

    Args:
        config: The configuration.
        progress: Shows progress; see :data:`Progress`.
        report: Receives every line of the training log.
        force: Whether a model in the folder that this run did not write may be replaced.
    """

    def __init__(
        self, config: TrainConfig, progress: Progress, report: Callable[[LogEntry], None], *, force: bool = False
    ) -> None:
        self.config, self.progress, self.report, self.force = config, progress, report, force
        self.folder = config.output
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
        self._require_own_folder()
        data = open_training_data(self.config)
        paths = [d.path for d in data.datasets]
        hashes = {name: sha256(path) for name, path in zip(short_names(paths), paths, strict=True)}
        start = self._start()
        if start is not None:
            self.config, data = continued(self.config, start), data.for_model(start)
        if is_numerical(data.basis):
            self.config = for_crystals(self.config, data.basis, spin_of(data))
        earlier, identity = self._earlier(hashes, start)
        builder, electrons, baseline, parts = self._prepare(data, start)
        normalizer = builder.normalizer(parts["train"])
        if start is not None:
            normalizer = start.normalizer.extend(normalizer)
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
        written = (self.folder / DESCRIPTION).is_file() and earlier is not None and trainer.progress >= 1.0
        metrics = describe_model(self.folder)["metrics"] if written else {}
        self._train(trainer, identity)
        first = data.record(data.records("train")[0])
        trainer.flat.keep_average()
        model = ModelFile(
            name=self.config.name,
            network=network.eval().requires_grad_(False),
            normalizer=normalizer,
            basis=data.basis,
            inputs=self.config.inputs,
            baseline=baseline,
            functional=data.functional,
            code=" ".join(str(first.provenance.get(k, "")) for k in ("code", "version")).strip(),
            domain=domain,
            filling=filling,
            electrons=electrons,
            training=self._provenance(hashes, training, validation, trainer, start),
            metrics=metrics,
        )
        return model if trainer.rank > 0 else replace(model, sha256=model.save(self.folder, force=True))

    def _require_own_folder(self) -> None:
        """Refuse to replace a model that another run wrote, or one whose state is gone, and a file."""
        if self.folder.is_file():
            raise OutputExistsError(f"{self.folder} is a file and was left as it is. Name a folder as output.")
        if (self.folder / DESCRIPTION).exists() and not (self.folder / STATE).exists() and not self.force:
            raise OutputExistsError(
                f"{self.folder} holds a model without the state of its training ({STATE}), so training would replace "
                "it. Choose another output, go on from it by start_from, or replace it with --force."
            )

    def _start(self) -> ModelFile | None:
        """The model that training starts from.

        Raises:
            ConfigError: Its folder is where the new one is to go.
        """
        if self.config.start_from is None:
            return None
        folder = model_folder(self.config.start_from)
        if folder.resolve() == self.folder.resolve():
            raise ConfigError(f"output = {self.folder} is the model that start_from names; choose another folder.")
        return ModelFile.load(folder)

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
            orbitals=loss.orbital_energies + loss.occupied + loss.mixing > 0,
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

    def _earlier(self, hashes: dict[str, str], start: ModelFile | None) -> tuple[TrainState | None, str]:
        """State of an earlier run in the folder, and the identity of this one."""
        free = FREE_TO_CHANGE
        if self.config.stages.mode != "joint":  # stages change at a fraction of the length, which is then fixed too
            free = {name: value for name, value in FREE_TO_CHANGE.items() if name != "optimizer"}
        settings = self.config.model_dump(mode="json", exclude=free)
        used = sorted(hashes.values()) + ([] if start is None else [start.sha256])
        content = json.dumps([settings, used], sort_keys=True)
        identity = hashlib.sha256(content.encode()).hexdigest()
        state = self.folder / STATE
        earlier = TrainState.load(state) if state.is_file() else None
        if earlier is not None and earlier.run not in ("", identity):
            raise ConfigError(
                f"{state} belongs to a run with other data or settings, or of an older version, and cannot be gone on "
                "with; only the length of a run with stages.mode joint, its device and its output may change. Restore "
                "them, choose another output, or begin anew with --force."
            )
        return earlier, identity

    def _train(self, trainer: Trainer, identity: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = self.folder / STATE

        def report(entry: LogEntry) -> None:
            if trainer.rank == 0:
                with (self.folder / LOG).open("a", encoding="utf-8") as file:
                    known = {k: v if math.isfinite(v) else None for k, v in entry.to_dict().items()}
                    file.write(json.dumps(known) + "\n")
                self.report(entry)

        def checkpoint() -> None:
            if trainer.rank == 0:
                replace(trainer.state(), run=identity).save(state)

        with self.progress("training", PERMILLE) as bar:
            shown = 0

            def tick() -> None:
                nonlocal shown
                reached = int(trainer.progress * PERMILLE)
                if reached > shown:
                    bar.advance(reached - shown)
                    shown = reached

            torch.set_flush_denormal(True)
            try:
                trainer.run(report, checkpoint, tick)
            finally:
                torch.set_flush_denormal(False)

    def _provenance(
        self,
        hashes: dict[str, str],
        training: Sequence[Sample],
        validation: Sequence[Sample],
        trainer: Trainer,
        start: ModelFile | None,
    ) -> dict[str, Any]:
        earlier = {} if start is None else {
            "started_from": {"name": start.name, "sha256": start.sha256, "training": dict(start.training)}
        }
        return earlier | {
            "harmose_dft": __version__,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "structures": len(training),
            "validation_structures": len(validation),
            "data_sha256": hashes,
            "steps": trainer.step,
            "seconds": round(trainer.seconds, 1),
            "split": {"kind": self.config.data.split, "sizes": self.config.data.sizes, "seed": self.config.data.seed},
            "configuration": self.config.model_dump(mode="json", exclude={"output", "data"}),
        }


def continued(config: TrainConfig, start: ModelFile) -> TrainConfig:
    """The configuration with the inputs, the kind of H0 and the sizes of the model that it starts from."""
    baseline = config.baseline.model_copy(update={"kind": start.baseline["kind"]})
    return config.model_copy(update={"inputs": start.inputs, "baseline": baseline, "model": start.network.config})


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


def build_network(basis: OrbitalBasis, normalizer: Normalizer, config: TrainConfig) -> TwoStageModel:
    """An untrained model of a configuration.

    Raises:
        ConfigError: Its sizes contradict each other or the basis.
    """
    torch.manual_seed(config.optimizer.seed)
    try:
        network = TwoStageModel(basis, len(config.inputs), config.model)
    except ValueError as error:
        raise ConfigError(f"The section model does not fit the basis {basis.name}: {error}") from error
    set_scales(network, normalizer)
    return network


def set_scales(network: TwoStageModel, normalizer: Normalizer) -> None:
    """Give a network the target scales of a training set."""
    network.set_scales(normalizer.scales(network.axis))


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

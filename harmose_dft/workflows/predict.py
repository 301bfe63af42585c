"""From structures to predictions: in memory (``predict``), or from files to files (``predict_files``)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ArgumentError, HarmoseError
from ..core.progress import Progress, silent
from ..core.structure import Structure
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import REFINED, Predictor
from ..physics.base import Physics
from ..solver import mulliken_charges
from .cluster import Cluster, open_cluster
from .compare import Comparison, compare, verify
from .density_of_states import compute_dos
from .drawing import BandDrawing, Drawing, LevelDrawing, require_drawable
from .inputs import open_inputs
from .prediction_files import RESULTS_ONLY, Job, Outputs, open_job, orbital_index, plan_jobs, require_writable
from .sources import Source, collect_structures, is_one_source
from .summary import PredictionSummary, summarize

BATCH = 32
"""Structures handed to the model at once."""

BATCHES_PER_WORKER = 4
"""Batches for each worker of a cluster, where there are enough structures."""


@overload
def predict(  # type: ignore[overload-overlap]  # a path as text is also an iterable of texts
    structures: Source,
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    refine: bool | None = None,
    device: str = "cpu",
) -> Prediction: ...


@overload
def predict(
    structures: Iterable[Source],
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    refine: bool | None = None,
    device: str = "cpu",
) -> list[Prediction]: ...


def predict(
    structures: Source | Iterable[Source],
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    refine: bool | None = None,
    device: str = "cpu",
) -> Prediction | list[Prediction]:
    """Predict Hamiltonians and all that follows from their diagonalisation.

    Args:
        structures: A Structure, ASE Atoms, or the path of a file that holds one structure; or several of these, among
            which a file may hold any number of structures.
        model: A bundled model's name, a model's folder, or a loaded model.
        trust: Whether to work out the trust report, which costs a second evaluation on a rotated copy.
        refine: Whether three cheap Fock builds refine H of each molecule and tell how far off it is; by default they do for up
            to eight molecules and a model with a calibration.
        device: Where a model that is loaded runs: "cpu", "cuda", ...

    Returns:
        A Prediction for one structure, a list for several.

    Raises:
        CheckpointError: The model cannot be loaded.
        StructureError: A file cannot be read.
        HarmoseError: A path given alone holds several structures.
        DomainError: A structure lies outside the model's domain; nothing is predicted.

    Warns:
        HarmoseWarning: A prediction should be used with care, or not at all.
    """
    alone = is_one_source(structures) or not isinstance(structures, Iterable)
    frames = collect_structures([structures] if alone else structures)  # type: ignore[arg-type, list-item]  # as "alone" tells
    if alone and len(frames) != 1:
        raise HarmoseError(f"{structures} holds {len(frames)} structures, expected one. Give a list, [path], for all.")
    predictions = as_predictor(model, device=device).predict(frames, trust=trust, refine=refine)
    return predictions[0] if alone else predictions


@dataclass(frozen=True)
class Extras:
    """What is worked out of each prediction besides its levels.

    Args:
        comparison: Whether to run the PySCF calculation too.
        verification: Whether to build one Fock matrix at the predicted density.
        charges: Whether to work out the charges of the atoms.
        orbitals: Whether orbitals are to be listed one by one, which crystals do not have.
        dos: Whether to work out the density of states; ``Outputs.dos`` writes it.
    """

    comparison: bool = False
    verification: bool = False
    charges: bool = False
    dos: bool = False
    orbitals: bool = False


LEVELS_ONLY = Extras()


@dataclass(frozen=True)
class Workers:
    """Dask's workers, to which batches of structures are handed; this process writes the files all the same.

    Args:
        scheduler: See :func:`~harmose_dft.workflows.cluster.open_cluster`; None: no workers.
        count: Processes or SLURM jobs that the scheduler starts.
    """

    scheduler: str | None = None
    count: int = 1


NO_WORKERS = Workers()


def predict_files(
    paths: Sequence[str | Path],
    model: str | Path | Predictor = "organic",
    *,
    smiles: Sequence[str] = (),
    out: str | Path | None = None,
    outputs: Outputs = RESULTS_ONLY,
    kpath: str | None = None,
    extras: Extras = LEVELS_ONLY,
    refine: bool | None = None,
    charge: int | None = None,
    device: str = "cpu",
    workers: Workers = NO_WORKERS,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> list[PredictionSummary]:
    """Predict the structures in files and write result files, as ``harmose-dft predict`` does.

    Structures are read and written one by one, and predicted in batches: memory grows with the returned figures only.

    Args:
        paths: Structure files; "-" is standard input.
        model: A bundled model's name, a model's folder, or a loaded model.
        smiles: Molecules to be predicted, too, at geometries relaxed by GFN2-xTB.
        out: One result file for all; by default ``STEM.harmose.h5`` in the working folder for each ``STEM.xyz``.
        outputs: What to write.
        kpath: Special points of the bands that ``outputs.plot`` shows of a crystal; ASE's path by default.
        extras: What to work out besides.
        refine: Whether cheap Fock builds refine and judge each molecule; by default for up to eight in all.
        charge: Total charge of every structure; by default as its file says.
        device: Where a model that is loaded runs.
        workers: Dask's workers.
        progress: Shows progress.
        tell: Receives what takes time before it is done.

    Returns:
        Figures of each structure.

    Raises:
        HarmoseError: Before anything is computed: a file exists, an output's name is taken, an option does not apply.
    """
    with open_inputs([Path(path) for path in paths], smiles, charge) as inputs:
        jobs = plan_jobs(inputs, None if out is None else Path(out), result=outputs.result)
        drawing = _choose_drawing(jobs, outputs, kpath, extras, refine)
        predictor = as_predictor(model, device=device)
        require_inside(predictor, jobs, outputs.orbitals, drawing)
        require_writable(jobs, outputs)
        finisher = _Finisher(predictor, extras, drawing, tell)
        summaries: list[PredictionSummary] = []
        with _open_workers(workers) as cluster:
            predictions = predict_jobs(predictor, jobs, progress, refine=refine, cluster=cluster)
            for job in jobs:
                with open_job(job, outputs) as write:
                    for number, (name, raw) in enumerate(islice(predictions, job.count), start=1):
                        summaries.append(finisher.finish(name, raw, partial(write, number)))
            next(predictions, None)  # ends the progress bar
    if drawing is None or outputs.plot is None:
        return summaries
    drawing.save(outputs.plot, force=outputs.force)
    return [replace(summary, files=(*summary.files, outputs.plot)) for summary in summaries]


def _open_workers(workers: Workers) -> AbstractContextManager[Cluster | None]:
    if workers.scheduler is None:
        return nullcontext(None)
    return open_cluster(workers.scheduler, workers.count)


@dataclass(frozen=True)
class _Finisher:
    """Turns predictions into figures and files, one by one."""

    predictor: Predictor
    extras: Extras
    drawing: Drawing | None
    tell: Callable[[str], None]

    def finish(
        self, name: str, raw: Prediction, write: Callable[[Prediction], tuple[Path, ...]]
    ) -> PredictionSummary:
        """Figures of a prediction, once it is written and drawn."""
        prediction = verify(raw) if self.extras.verification else raw
        comparison = _compare(name, prediction, self.tell) if self.extras.comparison else None
        if self.drawing is not None:
            self.drawing.add(name, prediction, comparison)
        return replace(
            summarize(prediction, name),
            comparison=comparison,
            files=write(prediction),
            charges=atomic_charges(prediction, self.predictor.physics) if self.extras.charges else None,
            dos=compute_dos(prediction) if self.extras.dos else None,
        )


def atomic_charges(prediction: Prediction, physics: Physics) -> NDArray[np.float64]:
    """Mulliken charges of the atoms, e, (atom,).

    Args:
        prediction: The prediction.
        physics: Of the model; tells the charges of nuclei or of ion cores with pseudopotentials.
    """
    numbers, origin = prediction.structure.numbers, np.zeros((1, 3))
    cores = {z: physics.n_electrons(Structure(np.array([z]), origin)) for z in set(numbers.tolist())}
    return mulliken_charges(prediction.spectrum, prediction.overlap, [cores[z] for z in numbers.tolist()])


def _compare(name: str, prediction: Prediction, tell: Callable[[str], None]) -> Comparison:
    """Run the PySCF calculation of a structure."""
    tell(f"{name}: running PySCF, {prediction.functional}/{prediction.basis.name}")
    return compare(prediction)


def predict_jobs(
    predictor: Predictor,
    jobs: Sequence[Job],
    progress: Progress = silent,
    *,
    refine: bool | None = None,
    cluster: Cluster | None = None,
) -> Iterator[tuple[str, Prediction]]:
    """Predict batch by batch across files; yields the name and the prediction of each structure, in order."""
    total = sum(job.count for job in jobs)
    choice = False if refine is None and total > REFINED else refine
    size = BATCH if cluster is None else max(1, min(BATCH, -(-total // (BATCHES_PER_WORKER * cluster.jobs))))
    structures = (pair for job in jobs for pair in job.iterate())
    names: deque[str] = deque()

    def read_batches() -> Iterator[list[Structure]]:
        while batch := list(islice(structures, size)):
            names.extend(name for name, _ in batch)
            yield [structure for _, structure in batch]

    with progress("predicting", total) as steps:
        for prediction in _predict_all(predictor, read_batches(), choice, cluster):
            steps.advance()
            yield names.popleft(), prediction


def _predict_all(
    predictor: Predictor, batches: Iterable[list[Structure]], refine: bool | None, cluster: Cluster | None
) -> Iterator[Prediction]:
    """Predictions in order, batch by batch, here or by the workers of a cluster."""
    if cluster is None:
        results: Iterator[list[Prediction]] = (_predict_batch(predictor, batch, refine) for batch in batches)
    else:
        shared = cluster.share(predictor)
        results = cluster.run_in_order(_predict_batch, ((shared, batch, refine) for batch in batches))
    for predictions in results:
        yield from predictions


def _predict_batch(predictor: Predictor, structures: Sequence[Structure], refine: bool | None) -> list[Prediction]:
    return predictor.predict(structures, refine=refine)


def require_inside(
    predictor: Predictor, jobs: Sequence[Job], orbitals: Sequence[str], drawing: Drawing | None = None
) -> None:
    """Before any computing: refuse all files if one structure is outside the domain, lacks an orbital or a picture.

    Raises:
        HarmoseError: With the name of the structure.
    """
    for name, structure in (pair for job in jobs for pair in job.iterate()):
        try:
            predictor.check(structure)
            for orbital in orbitals:
                orbital_index(orbital, *predictor.orbital_counts(structure))
        except HarmoseError as error:
            raise type(error)(f"{name}: {error}") from error
    if drawing is not None:
        drawing.check(predictor)


def _choose_drawing(
    jobs: Sequence[Job], outputs: Outputs, kpath: str | None, extras: Extras, refine: bool | None
) -> Drawing | None:
    """What will be drawn of molecules or crystals, if anything; refuses options that do not apply to them.

    Raises:
        HarmoseError: Crystals and molecules are mixed, or an option is for the other kind.
        ArgumentError: An option needs another one.
    """
    if outputs.plot is not None:
        require_drawable(outputs.plot)
    inputs = [source for job in jobs for source in job.inputs]
    count, crystals = (sum(getattr(source, name) for source in inputs) for name in ("count", "periodic"))
    columns = count * (2 if extras.comparison else 1)
    if outputs.plot is not None and columns > LevelDrawing.MAX_COLUMNS:
        raise HarmoseError(
            f"A level diagram shows up to {LevelDrawing.MAX_COLUMNS} columns; these structures need {columns}."
        )
    if not crystals:
        if kpath is not None:
            raise HarmoseError("--kpath is for crystals; these structures have no cell.")
        return None if outputs.plot is None else LevelDrawing()
    if crystals < count:
        raise HarmoseError("These files hold molecules and crystals; predict them separately, each with its model.")
    _require_for_crystals(outputs, extras, refine)
    if outputs.plot is None:
        if kpath is not None:
            raise ArgumentError(
                "--kpath is the path of the bands that --plot draws. Add --plot PICTURE, or use harmose-dft bands."
            )
        return None
    if count > 1:
        raise HarmoseError(f"--plot draws the bands of one crystal; these files hold {count}.")
    return BandDrawing(next(inputs[0].read()), kpath)


def _require_for_crystals(outputs: Outputs, extras: Extras, refine: bool | None) -> None:
    """Refuse options that crystals do not have.

    Raises:
        HarmoseError: With those that were given.
    """
    options = {
        "--compare": extras.comparison, "--verify": extras.verification, "--refine": refine,
        "--levels": extras.orbitals, "--cube": outputs.orbitals, "--molden": outputs.molden,
    }
    if given := [name for name, value in options.items() if value]:
        verb = "are" if len(given) > 1 else "is"
        raise HarmoseError(
            f"{', '.join(given)} {verb} for molecules; these structures are crystals. Leave {', '.join(given)} out, or "
            "compare a crystal's bands with a calculation by: harmose-dft bands STRUCTURE --model MODEL --compare "
            "CALCULATION"
        )

"""From structures to predictions: in memory (``predict``), or from files to files (``predict_files``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ..core.errors import HarmoseError
from ..core.progress import Progress, silent
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import Predictor
from ..physics.base import Physics
from ..solver import mulliken_charges
from .batches import predict_jobs
from .cluster import NO_WORKERS, Workers, open_workers
from .compare import Comparison, compare, verify
from .density_of_states import compute_dos
from .drawing import Drawing
from .inputs import open_inputs
from .prediction_files import RESULTS_ONLY, Job, Outputs, open_job, plan_jobs, require_writable
from .prediction_options import LEVELS_ONLY, Extras, choose_drawing, require_inside
from .sources import Source, collect_structures, is_one_source
from .summary import PredictionSummary, summarize


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
        structures: A Structure, ASE Atoms, or the path of a file that holds one structure or of a calculation's folder;
            or several of these, among which a file may hold any number of structures.
        model: A bundled model's name, a model's folder, or a loaded model.
        trust: Whether to work out the trust report, which costs a second evaluation on a rotated copy.
        refine: Whether three cheap Fock builds refine H of each molecule and tell how far off it is; by default they do
            for up to eight molecules of up to 300 orbitals and a model with a calibration.
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
    frames = collect_structures([structures] if alone else structures)  # type: ignore[list-item]  # as "alone" tells
    if alone and len(frames) != 1:
        raise HarmoseError(f"{structures} holds {len(frames)} structures, expected one. Give a list, [path], for all.")
    predictions = as_predictor(model, device=device).predict(frames, trust=trust, refine=refine)
    return predictions[0] if alone else predictions


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
        drawing = choose_drawing(jobs, outputs, kpath, extras, refine)
        predictor = as_predictor(model, device=device)
        require_inside(predictor, jobs, outputs.cube, drawing)
        require_writable(jobs, outputs)
        finisher = _Finisher(predictor, extras, drawing, tell)
        with open_workers(workers) as cluster:
            predictions = predict_jobs(predictor, jobs, progress, refine=refine, cluster=cluster)
            summaries = list(_finish_jobs(jobs, predictions, outputs, finisher))
    if drawing is None or outputs.plot is None:
        return summaries
    drawing.save(outputs.plot, force=outputs.force)
    return [replace(summary, files=(*summary.files, outputs.plot)) for summary in summaries]


def _finish_jobs(
    jobs: Sequence[Job], predictions: Iterator[tuple[str, Prediction]], outputs: Outputs, finisher: _Finisher
) -> Iterator[PredictionSummary]:
    """Figures of predictions; the result file of a job appears once all of its structures are written."""
    for job in jobs:
        with open_job(job, outputs) as write:
            for number, (name, raw) in enumerate(islice(predictions, job.count), start=1):
                yield finisher.finish(name, raw, partial(write, number))
    next(predictions, None)  # ends the progress bar


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
        prediction = verify(raw) if self.extras.verify else raw
        comparison = _compare(name, prediction, self.tell) if self.extras.compare else None
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
    return mulliken_charges(prediction.spectrum, prediction.overlap, physics.core_charges(prediction.structure))


def _compare(name: str, prediction: Prediction, tell: Callable[[str], None]) -> Comparison:
    """Run the PySCF calculation of a structure."""
    tell(f"{name}: running PySCF, {prediction.functional}/{prediction.basis.name}")
    return compare(prediction)

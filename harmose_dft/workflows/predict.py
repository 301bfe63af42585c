"""From structures to predictions: in memory (``predict``), or from files to files (``predict_files``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from ..core.errors import HarmoseError
from ..core.progress import Progress, silent
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import CERTIFIED, Predictor
from .compare import Comparison, compare, verify
from .drawing import BandDrawing, Drawing, LevelDrawing, require_drawable
from .prediction_files import RESULTS_ONLY, Job, Outputs, orbital_index, plan_jobs, require_writable, write_job
from .sources import Source, collect_structures, is_one_source
from .summary import PredictionSummary, summarize

BATCH = 32
"""Structures handed to the model at once."""

@overload
def predict(  # type: ignore[overload-overlap]  # a path as text is also an iterable of texts
    structures: Source,
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    certify: bool | None = None,
    device: str = "cpu",
) -> Prediction: ...


@overload
def predict(
    structures: Iterable[Source],
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    certify: bool | None = None,
    device: str = "cpu",
) -> list[Prediction]: ...


def predict(
    structures: Source | Iterable[Source],
    model: str | Path | Predictor = "organic",
    *,
    trust: bool = True,
    certify: bool | None = None,
    device: str = "cpu",
) -> Prediction | list[Prediction]:
    """Predict Hamiltonians and all that follows from their diagonalisation.

    Args:
        structures: A Structure, ASE Atoms, or the path of a file that holds one structure; or several of these, among
            which a file may hold any number of structures.
        model: A bundled model's name, a model's folder, or a loaded model.
        trust: Whether to work out the trust report, which costs a second evaluation on a rotated copy.
        certify: Whether the report rests on one cheap Fock build for each molecule; by default it does for up to eight
            molecules and a model with a calibration.
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
    predictions = as_predictor(model, device=device).predict(frames, trust=trust, certify=certify)
    return predictions[0] if alone else predictions


def predict_files(
    paths: Sequence[str | Path],
    model: str | Path | Predictor = "organic",
    *,
    out: str | Path | None = None,
    outputs: Outputs = RESULTS_ONLY,
    kpath: str | None = None,
    with_comparison: bool = False,
    with_verification: bool = False,
    certify: bool | None = None,
    charge: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> list[PredictionSummary]:
    """Predict the structures in files and write result files, as ``harmose-dft predict`` does.

    Structures are predicted in batches across files; result files are written one by one.

    Args:
        paths: Structure files.
        model: A bundled model's name, a model's folder, or a loaded model.
        out: One result file for all; by default ``STEM.harmose.h5`` beside each ``STEM.xyz``.
        outputs: What to write besides.
        kpath: Special points of the bands that ``outputs.plot`` shows of a crystal; ASE's path by default.
        with_comparison: Whether to run the PySCF calculations too.
        with_verification: Whether to build one Fock matrix at each predicted density.
        certify: Whether verdicts rest on a cheap Fock build for each molecule; by default for up to eight in all.
        charge: Total charge of every structure; by default as its file says.
        device: Where a model that is loaded runs.
        progress: Shows progress.
        tell: Receives what takes time before it is done.

    Returns:
        Figures of each structure.

    Raises:
        HarmoseError: Before anything is computed: a file exists, an output's name is taken, an option does not apply.
    """
    inputs, target = [Path(path) for path in paths], None if out is None else Path(out)
    jobs = plan_jobs(inputs, target)
    if charge is not None:
        jobs = [
            replace(job, structures=tuple((name, s.with_charge(charge)) for name, s in job.structures)) for job in jobs
        ]
    if outputs.plot is not None:
        require_drawable(outputs.plot)
    require_writable(inputs, jobs, outputs)
    drawing = _choose_drawing(jobs, outputs, kpath, with_comparison, with_verification)
    predictor = as_predictor(model, device=device)
    require_inside(predictor, jobs, outputs.orbitals)
    if drawing is not None:
        drawing.check(predictor)
    summaries: list[PredictionSummary] = []
    for job, raw in predict_jobs(predictor, jobs, progress, certify=certify):
        predictions = [verify(p) for p in raw] if with_verification else raw
        comparisons = _compare_all(job, predictions, tell) if with_comparison else [None] * len(predictions)
        names, files = [name for name, _ in job.structures], write_job(job, predictions, outputs)
        for name, prediction, comparison, done in zip(names, predictions, comparisons, files, strict=True):
            summaries.append(replace(summarize(prediction, name), comparison=comparison, files=done))
            if drawing is not None:
                drawing.add(name, prediction, comparison)
    if drawing is None or outputs.plot is None:
        return summaries
    drawing.save(outputs.plot, force=outputs.force)
    return [replace(summary, files=(*summary.files, outputs.plot)) for summary in summaries]


def _compare_all(
    job: Job, predictions: Sequence[Prediction], tell: Callable[[str], None]
) -> Sequence[Comparison | None]:
    """Run the PySCF calculation of each structure."""
    comparisons = []
    for (name, _), prediction in zip(job.structures, predictions, strict=True):
        tell(f"{name}: running PySCF, {prediction.functional}/{prediction.basis.name}")
        comparisons.append(compare(prediction))
    return comparisons


def predict_jobs(
    predictor: Predictor, jobs: Sequence[Job], progress: Progress = silent, *, certify: bool | None = None
) -> Iterator[tuple[Job, list[Prediction]]]:
    """Predict batch by batch across files; yields each job with its predictions when all its structures are done."""
    queue = [(job, structure) for job in jobs for _, structure in job.structures]
    choice = False if certify is None and len(queue) > CERTIFIED else certify
    with progress("predicting", len(queue)) as steps:
        finished: list[Prediction] = []
        for start in range(0, len(queue), BATCH):
            batch = queue[start : start + BATCH]
            predictions = predictor.predict([structure for _, structure in batch], certify=choice)
            for (job, _), prediction in zip(batch, predictions, strict=True):
                finished.append(prediction)
                steps.advance()
                if len(finished) == len(job.structures):
                    yield job, finished
                    finished = []


def require_inside(predictor: Predictor, jobs: Sequence[Job], orbitals: Sequence[str]) -> None:
    """Before any computing: refuse all files if one structure lies outside the model's domain or lacks an orbital.

    Raises:
        HarmoseError: With the name of the structure.
    """
    for job in jobs:
        for name, structure in job.structures:
            try:
                predictor.check(structure)
                for orbital in orbitals:
                    orbital_index(orbital, *predictor.orbital_counts(structure))
            except HarmoseError as error:
                raise type(error)(f"{name}: {error}") from error


def _choose_drawing(
    jobs: Sequence[Job], outputs: Outputs, kpath: str | None, with_comparison: bool, with_verification: bool
) -> Drawing | None:
    """What will be drawn of molecules or crystals, if anything; refuses options that do not apply to them.

    Raises:
        HarmoseError: Crystals and molecules are mixed, or an option is for the other kind.
    """
    structures = [structure for job in jobs for _, structure in job.structures]
    crystals = sum(structure.periodic for structure in structures)
    columns = len(structures) * (2 if with_comparison else 1)
    if outputs.plot is not None and columns > LevelDrawing.MAX_COLUMNS:
        raise HarmoseError(
            f"A level diagram shows up to {LevelDrawing.MAX_COLUMNS} columns; these structures need {columns}."
        )
    if not crystals:
        if kpath is not None:
            raise HarmoseError("--kpath is for crystals; these structures have no cell.")
        return None if outputs.plot is None else LevelDrawing()
    if crystals < len(structures):
        raise HarmoseError("These files hold molecules and crystals; predict them separately, each with its model.")
    if with_comparison or with_verification or outputs.orbitals or outputs.molden:
        raise HarmoseError(
            "--compare, --verify, --cube and --molden are for molecules. Compare a crystal's bands with a calculation "
            "by: harmose-dft bands STRUCTURE --model MODEL --compare CALCULATION"
        )
    if outputs.plot is not None and len(structures) > 1:
        raise HarmoseError(f"--plot draws the bands of one crystal; these files hold {len(structures)}.")
    return None if outputs.plot is None else BandDrawing(structures[0], kpath)

"""Calibrating a model's verdicts and error bars on structures with known errors that its training never saw."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..adapters.datasets import open_dataset
from ..core.errors import DataError, DomainError, HarmoseWarning
from ..core.progress import Progress, silent
from ..core.record import Record
from ..data import structure_id
from ..metrics.evaluation import BAND_WINDOW
from ..metrics.spectra import band_errors, reach_bands
from ..model.loading import load
from ..model.prediction import Prediction, dipole_moment
from ..model.predictor import Predictor
from ..model.trust.band_fitting import BandCase, evaluate_band_calibration, fit_band_calibration
from ..model.trust.calibration import LARGE_ERROR, LARGE_REFINED_ERROR, SIGNALS
from ..model.trust.fitting import Case, evaluate_calibration, fit_calibration
from ..model.trust.judging import collect_band_signals, collect_signals, measure_quantities
from ..model.trust.statistics import split_groups
from ..model.trust.store import TrustFile
from ..solver import solve, solve_structure
from .evaluate import require_comparable
from .parts import TrainedRecords

GroupedCase = TypeVar("GroupedCase", Case, BandCase)

FREE = (
    "correction_rotation", "correction_homo", "correction_lumo", "correction_levels", "h0_distance",
    "environment_distance", "gap",
)
"""Signals that a prediction has without a Fock build."""

BUILT = tuple(name for name in SIGNALS if name not in FREE)
"""Signals of the certificate."""

WITH_BUILDS = (*BUILT, "correction_rotation", "environment_distance", "gap")
"""Signals of a refined prediction; the three free ones make fewer good molecules look doubtful."""

FREE_ACCEPTED_BAD = 0.1
"""Share of the bad molecules that may count as good without a Fock build, which cannot tell all of them apart."""

FITS: dict[str, dict[str, Any]] = {
    "refined": {"signals": WITH_BUILDS, "large_error": LARGE_REFINED_ERROR},
    "free": {"signals": FREE, "large_error": LARGE_ERROR, "accepted_bad": FREE_ACCEPTED_BAD},
}
"""Way of prediction -> settings of its calibration."""

PARTS = 3
"""One of so many parts of the structures is kept for judging the calibration."""


def predict_record(predictor: Predictor, record: Record, *, refine: bool = True) -> Prediction:
    """A prediction for the structure of a record, without warnings.

    Args:
        predictor: The model.
        record: A molecule or crystal.
        refine: Whether cheap Fock builds refine a molecule.

    Raises:
        DomainError: The molecule lies outside the model's domain.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmoseWarning)
        return predictor.predict(record.structure, refine=refine)


@dataclass(frozen=True)
class Cases:
    """The same molecules, predicted in both ways.

    Args:
        refined: Refined by cheap Fock builds.
        free: As the network predicts them.
    """

    refined: Sequence[Case]
    free: Sequence[Case]


def measure_pair(predictor: Predictor, record: Record, kind: str = "") -> tuple[Case, Case]:
    """The case of a molecule refined by cheap Fock builds, and that of the network's own prediction.

    Args:
        predictor: The model.
        record: The calculation that it stands for, of a closed shell.
        kind: Kind of molecule, for reports.

    Raises:
        DataError: The model has one stage.
        DomainError: The molecule lies outside the model's domain.
    """
    refined, free = (
        measure_case(predict_record(predictor, record, refine=refine), record, kind) for refine in (True, False)
    )
    return refined, free


def measure_case(prediction: Prediction, record: Record, kind: str = "") -> Case:
    """Signals and errors of a prediction.

    Args:
        prediction: With trust report.
        record: The calculation that it stands for, of a closed shell.
        kind: Kind of molecule, for reports.

    Raises:
        DataError: The model has one stage, or the prediction no trust report.
    """
    trust = prediction.trust
    if trust is None or trust.correction is None or prediction.dipole is None:
        raise DataError(
            f"A calibration needs predictions of molecules by a model of two stages, with trust reports; got "
            f"{prediction!r}."
        )
    reference = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    moments = prediction.dipole, dipole_moment(record.structure, prediction.basis, reference)
    values = [
        measure_quantities(spectrum, float(np.linalg.norm(moment)))
        for spectrum, moment in zip((prediction.spectrum, reference), moments, strict=True)
    ]
    filled = prediction.spectrum.occupied
    apart = np.abs(prediction.spectrum.energies[filled] - reference.energies[reference.occupied])
    return Case(
        group=record.structure.formula,
        kind=kind,
        signals=collect_signals(trust, prediction.spectrum),
        errors={name: abs(values[0][name] - values[1][name]) for name in values[0]},
        largest_level_error=float(apart.max()),
        doubtful=trust.rules.doubtful,
        ruled_out=trust.rules.ruled_out,
    )


def calibrate(
    cases: Cases, model_sha256: str, *, seed: int = 0, made_from: Mapping[str, Any] | None = None
) -> TrustFile:
    """Calibrate a model on two thirds of the molecules and judge it on the last third.

    Args:
        cases: Molecules with known errors that training never saw, of all kinds that users may try.
        model_sha256: Hash of the model's weights.
        seed: Seed of the division.
        made_from: What the molecules are, kept in the file.

    Returns:
        Calibrations with and without certificate, with figures; ``save`` writes them beside the model.

    Raises:
        DataError: There are too few molecules, formulas, or good or bad ones.
    """
    formulas = sorted({case.group for case in cases.refined})
    if 0 < len(formulas) < PARTS:
        raise DataError(
            f"All {len(cases.refined)} molecules are of {' or '.join(formulas)}; molecules of one formula are never "
            f"divided between what calibrates and what judges, so that {PARTS} formulas are needed at least, and many "
            "more make error bars that hold for others. Label other molecules, too, of all kinds that you are going to "
            "predict."
        )
    calibrations, figures, bad = {}, {}, {}
    for name, members in (("refined", cases.refined), ("free", cases.free)):
        used, kept = divide(members, seed)
        calibration = fit_calibration(used, seed=seed, **FITS[name])
        calibrations[name], bad[name] = calibration, sum(case.is_bad(calibration.large_error) for case in used)
        figures[name] = {
            "test": evaluate_calibration(calibration, kept), "calibration": evaluate_calibration(calibration, used)
        }
        count = len(used)
    source = {"molecules": count, "bad": bad["refined"], "bad_free": bad["free"], "seed": seed, **(made_from or {})}
    return TrustFile(model_sha256, calibrations["refined"], calibrations["free"], source, figures)


def divide(cases: Sequence[GroupedCase], seed: int) -> tuple[list[GroupedCase], list[GroupedCase]]:
    """Two thirds of the cases to calibrate on, and one third to judge the calibration by; groups stay together."""
    kept, *used = (part.tolist() for part in split_groups(cases, PARTS, seed))
    return [cases[i] for i in sorted(chain(*used))], [cases[i] for i in kept]


def measure_band_case(prediction: Prediction, record: Record, group: str) -> BandCase:
    """Signals of a crystal's prediction, and the error of its bands on the mesh of k-points that it was filled on.

    Args:
        prediction: With trust report.
        record: The calculation that it stands for.
        group: Crystals of one group are never divided between calibrating and judging.

    Raises:
        DataError: The prediction has no trust report, or is of a molecule.
    """
    trust = prediction.trust
    if trust is None or not record.structure.periodic:
        raise DataError(f"A bound on the error of bands needs predictions of crystals with trust; got {prediction!r}.")
    reference = solve_structure(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    assert reference.fermi is not None
    window = reach_bands(reference.energies, reference.fermi, BAND_WINDOW)
    errors, _ = band_errors(reference.energies, prediction.spectrum.energies, fermi=reference.fermi, window=window)
    return BandCase(group, collect_band_signals(trust), float(errors.mean()), trust.rules)


def calibrate_bands(
    cases: Sequence[BandCase], model_sha256: str, *, seed: int = 0, made_from: Mapping[str, Any] | None = None
) -> TrustFile:
    """Calibrate a model of crystals on two thirds of them and judge it on the last third.

    Args:
        cases: Crystals with known errors that training never saw, of all kinds that are going to be predicted.
        model_sha256: Hash of the model's weights.
        seed: Seed of the division.
        made_from: What the crystals are, kept in the file.

    Raises:
        DataError: There are too few crystals.
    """
    used, kept = divide(cases, seed)
    bands = fit_band_calibration(used, seed=seed)
    figures = {
        "bands": {
            "test": evaluate_band_calibration(bands, kept), "calibration": evaluate_band_calibration(bands, used)
        }
    }
    source = {"crystals": len(used), "seed": seed, **(made_from or {})}
    return TrustFile(model_sha256, made_from=source, figures=figures, bands=bands)


def calibrate_model(
    model: str | Path,
    data: Sequence[Path],
    *,
    seed: int = 0,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> TrustFile:
    """Calibrate a model on data sets; ``save`` of the result writes them beside the model.

    Args:
        model: A bundled model's name, or a model's folder.
        data: Data sets in its basis. Of one that it was trained on only the test part counts.
        seed: Seed of the division into what calibrates and what judges.
        progress: Shows progress over the structures of a data set.
        tell: Receives which structures the model refuses, which are left out, and whether some may have been in
            training.

    Raises:
        DataError: There are too few structures.
        BasisMismatchError: A data set is in another basis.
        CheckpointError: The model cannot be loaded.
    """
    predictor = load(model)
    molecules, crystals = measure_cases(predictor, data, progress=progress, tell=tell)
    source = {"data": [path.name for path in data]}
    if crystals:
        return calibrate_bands(crystals, predictor.info.sha256, seed=seed, made_from=source)
    return calibrate(molecules, predictor.info.sha256, seed=seed, made_from=source)


def measure_cases(
    predictor: Predictor,
    data: Sequence[Path],
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Cases, list[BandCase]]:
    """Cases of all molecules and of all crystals in data sets; arguments as for :func:`calibrate_model`.

    A copy of an earlier structure is no further evidence, and must not judge what it has calibrated; it is left out.

    Raises:
        BasisMismatchError: A data set is in another basis.
        DataError: A data set was made with another functional.
    """
    molecules: list[tuple[Case, Case]] = []
    crystals: list[BandCase] = []
    seen: set[str] = set()
    for path in data:
        dataset = open_dataset(path)
        trained = TrainedRecords.find(predictor.model.training, dataset)
        chosen = trained.select("test" if trained.is_used.any() else None)
        if (note := trained.describe(chosen)) is not None:
            tell(note)
        with progress(f"predicting {path.name}", len(chosen)) as steps:
            for i in chosen:
                record = dataset[i]
                require_comparable(predictor, record)
                steps.advance()
                identity = structure_id(record.structure)
                if identity in seen:
                    tell(f"{path.name}, structure {i + 1}, is left out: it is a copy of an earlier one.")
                    continue
                seen.add(identity)
                try:
                    if record.structure.periodic:
                        prediction = predict_record(predictor, record)
                        crystals.append(measure_band_case(prediction, record, f"{path.name}:{i}"))
                    else:
                        molecules.append(measure_pair(predictor, record))
                except DomainError as error:
                    tell(f"{path.name}, structure {i + 1}, is left out. {error}")
    return Cases(*zip(*molecules, strict=True)) if molecules else Cases((), ()), crystals


def case_to_dict(case: Case) -> dict[str, Any]:
    """A JSON-serialisable description of a case."""
    return asdict(case)


def case_from_dict(data: Mapping[str, Any]) -> Case:
    """Inverse of :func:`case_to_dict`; further entries do not matter."""
    return Case(**{name: data[name] for name in Case.__dataclass_fields__})

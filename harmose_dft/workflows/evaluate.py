"""Measure a model against reference calculations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters.datasets import open_dataset
from ..core.arguments import require_count
from ..core.errors import BasisMismatchError, DataError
from ..core.matrix import BlockMatrix
from ..core.progress import Counter, Progress, silent
from ..core.record import Record
from ..core.spin import SPIN_OF_NSPIN
from ..data import Dataset
from ..metrics import EvaluationResult, MetricAccumulator
from ..metrics.covariance import cov_err
from ..model.loading import as_predictor
from ..physics.numerical import band_points
from ..solver import solve_structure
from .parts import Part, TrainedRecords

if TYPE_CHECKING:
    from ..model.predictor import Predictor

COVARIANCE_SAMPLES = 3
"""Samples on which the covariance error is measured."""

BAND_POINTS = 60
"""k-points along the path on which bands of crystals are compared."""

CHUNK = 16
"""Records that are predicted together."""


def evaluate(
    model: str | Path | Predictor,
    data: str | Path | Dataset | Iterable[Record],
    *,
    part: Part | None = None,
    limit: int | None = None,
    refine: bool = False,
    device: str = "cpu",
    covariance_samples: int = COVARIANCE_SAMPLES,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> EvaluationResult:
    """Compute all metrics of a model, stage 1 alone and the full model side by side; of crystals on a k-path.

    Args:
        model: A bundled model's name, a model's folder, or a loaded model.
        data: Reference calculations in the model's basis: a data set, its path, or records.
        part: Only this part of a data set, see :meth:`.TrainedRecords.select`.
        limit: At most this many records.
        refine: Whether H of molecules is also measured as refined by cheap Fock builds.
        device: Where a model that is loaded runs.
        covariance_samples: Number of records on which rotations are tried.
        progress: Shows progress over the records, if their number is known.
        tell: Receives on how many of these records of a data set the model was trained, or that this is not known.

    Raises:
        BasisMismatchError: A record is in another basis.
        DataError: A record was computed with another functional or has no H or another kind of spin, there is none, the
            split does not fit the data, or crystals are to be refined.
        ArgumentError: The limit is not positive.
    """
    if limit is not None:
        require_count("The number of records (limit)", limit)
    predictor = as_predictor(model, device=device)
    if isinstance(data, str | Path):
        data = open_dataset(data)
    if not isinstance(data, Dataset):
        if part is not None:
            raise DataError(f"Records have no part {part!r}; only a data set is split. Give its path.")
        count = length_hint(data)  # 0 for a generator
        with (progress if count else silent)("evaluating", count if limit is None else min(count, limit)) as steps:
            return _measure(predictor, islice(data, limit), covariance_samples, steps, refine)
    dataset, trained = data, TrainedRecords.find(predictor.model.training, data)
    chosen = trained.select(part)[:limit]
    if (note := trained.describe(chosen)) is not None:
        tell(note)
    with progress(f"evaluating {dataset.path.name}", len(chosen)) as steps:
        return _measure(predictor, (dataset[i] for i in chosen), covariance_samples, steps, refine)


def _measure(
    predictor: Predictor, records: Iterable[Record], covariance_samples: int, steps: Counter, refine: bool
) -> EvaluationResult:
    """Predict in chunks and accumulate the metrics."""
    basis = predictor.model.basis
    accumulator = MetricAccumulator(
        basis, kpoints=lambda structure: band_points(structure, basis, BAND_POINTS), device=predictor.device
    )
    count = 0
    for chunk in _chunks(predictor, records):
        if refine and any(r.structure.periodic for r in chunk):
            raise DataError("Fock builds refine molecules only; these records are of crystals. Leave --refine out.")
        predictions = predictor.predict([r.structure for r in chunk], trust=False, refine=refine)
        for record, prediction in zip(map(_add_fermi, chunk), predictions, strict=True):
            start = time.perf_counter()
            h0 = compute_h0(predictor, record)
            accumulator.add_seconds(prediction.seconds, time.perf_counter() - start)
            accumulator.add(
                record,
                prediction.network or prediction.hamiltonians,
                prediction.stage1 or None,
                h0=h0,
                refined=prediction.hamiltonians if refine else None,
            )
            if count < covariance_samples:
                accumulator.add_cov_err(cov_err(predictor.hamiltonians, record.structure, basis))
            count += 1
        steps.advance(len(chunk))
    return accumulator.result()


def compute_h0(predictor: Predictor, record: Record) -> tuple[BlockMatrix, ...] | None:
    """H0 in the shape of a record's Hamiltonian; None for a model without."""
    if predictor.physics.h0.is_zero:
        return None
    return predictor.physics.h0.as_hamiltonian(record.structure, SPIN_OF_NSPIN[record.nspin])


def _chunks(predictor: Predictor, records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    """Records in chunks of :data:`CHUNK`, each checked when it is read."""
    chunk: list[Record] = []
    for record in records:
        require_comparable(predictor, record)
        chunk.append(record)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _add_fermi(record: Record) -> Record:
    """The record with its Fermi level, which the window of ``band_mae`` is centred on; from a k mesh if not known."""
    if not record.structure.periodic or record.fermi is not None:
        return record
    spectrum = solve_structure(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    return replace(record, fermi=spectrum.fermi)


def require_comparable(predictor: Predictor, record: Record) -> None:
    """Refuse a calculation that a model does not stand for.

    Raises:
        BasisMismatchError: It is in another basis.
        DataError: It has no Hamiltonian or another kind of spin, or was made with another functional.
    """
    if not record.hamiltonian:
        raise DataError(
            f"{record!r} is an overlap-only calculation: it has no Hamiltonian to compare the model's with. Leave it "
            "out of the data, or calculate H too."
        )
    try:
        predictor.model.basis.require_same(record.basis, record.structure.numbers.tolist())
    except BasisMismatchError as error:
        raise BasisMismatchError(f"{record!r} does not fit the model {predictor.info.name!r}. {error}") from error
    kind, spin = SPIN_OF_NSPIN[record.nspin], predictor.network.config.spin
    if kind != spin:
        raise DataError(
            f"{record!r} has nspin {record.nspin} (spin: {kind}); the model {predictor.info.name!r} is of spin: "
            f"{spin}. Compare it with calculations of its own kind of spin."
        )
    functional = record.provenance.get("functional")
    if functional and functional.lower() != predictor.model.functional.lower():
        raise DataError(
            f"The model predicts {predictor.model.functional}; {record!r} was computed with {functional}. Evaluate it "
            "on data of its own functional."
        )

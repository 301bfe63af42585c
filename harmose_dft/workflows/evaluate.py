"""A model measured against reference calculations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..core.errors import DataError
from ..core.record import Record
from ..metrics import EvaluationResult, MetricAccumulator
from ..metrics.covariance import cov_err
from ..model.predictor import Predictor
from ..physics.numerical import band_points
from ..solver import solved

COVARIANCE_SAMPLES = 3
"""Samples on which the covariance error is measured."""

BAND_POINTS = 60
"""k-points along the path on which bands of crystals are compared."""

CHUNK = 16
"""Records that are predicted together."""


def evaluate(
    predictor: Predictor,
    records: Iterable[Record],
    *,
    done: Callable[[int], None] = lambda count: None,
    covariance_samples: int = COVARIANCE_SAMPLES,
) -> EvaluationResult:
    """All metrics of a model over records, stage 1 alone and the full model side by side; of crystals on a k-path.

    Args:
        predictor: The model.
        records: Reference calculations in the model's basis.
        done: Told how many records were added.
        covariance_samples: Number of records on which rotations are tried.

    Raises:
        BasisMismatchError: A record is in another basis.
        DataError: A record was computed with another functional, or there is none.
    """
    basis = predictor.model.basis
    accumulator = MetricAccumulator(
        basis, kpoints=lambda structure: band_points(structure, basis, BAND_POINTS), device=predictor.device
    )
    count = 0
    chunk: list[Record] = []

    def flush() -> None:
        nonlocal count
        predictions = predictor.predict([r.structure for r in chunk], trust=False)
        for record, prediction in zip(map(_with_fermi, chunk), predictions, strict=True):
            accumulator.add(record, prediction.hamiltonians, prediction.stage1 or None)
            if count < covariance_samples:
                error = cov_err(predictor.hamiltonians, record.structure, basis)
                accumulator.add_cov_err(error)
            count += 1
        done(len(chunk))
        chunk.clear()

    for record in records:
        _require_comparable(predictor, record)
        chunk.append(record)
        if len(chunk) == CHUNK:
            flush()
    if chunk:
        flush()
    return accumulator.result()


def _with_fermi(record: Record) -> Record:
    """The record with its Fermi level, which the window of ``band_mae`` is centred on; from a k mesh if not known."""
    if not record.structure.periodic or record.fermi is not None:
        return record
    spectrum = solved(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    return replace(record, fermi=spectrum.fermi)


def _require_comparable(predictor: Predictor, record: Record) -> None:
    predictor.model.basis.require_same(record.basis, record.structure.numbers.tolist())
    functional = record.provenance.get("functional")
    if functional and functional.lower() != predictor.model.functional.lower():
        raise DataError(
            f"The model predicts {predictor.model.functional}; {record!r} was computed with {functional}. Evaluate it "
            "on data of its own functional."
        )

"""Many structures predicted batch by batch, in this process or by a cluster's workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from ..core.progress import Progress, silent
from ..core.structure import Structure
from ..model.prediction import Prediction
from ..model.predictor import REFINED, Predictor
from .cluster import Cluster
from .prediction_files import Job

BATCH = 32
"""Structures handed to the model at once."""

BATCHES_PER_WORKER = 4
"""Batches for each worker of a cluster, where there are enough structures."""


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

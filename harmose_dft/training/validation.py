"""Errors of a model on the validation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ..model.two_stage import TwoStageOutput
from .losses.errors import Errors
from .objective import Objective
from .samples import Batch, Sample, collate

TOGETHER = 16
"""Structures of a batch."""


@torch.no_grad()
def validate(
    predict: Callable[[Batch], TwoStageOutput], objective: Objective, samples: Sequence[Sample], device: str
) -> tuple[float, float, float]:
    """mae_all of stage 1 and of the whole model and the first-order orbital error, Hartree; nan without samples.

    The orbital error is nan without reference orbitals, as samples of crystals are.

    Args:
        predict: The model.
        objective: Knows which elements count.
        samples: The validation set.
        device: Where the model is.
    """
    if not samples:
        return math.nan, math.nan, math.nan
    first = total = energies = 0.0
    count = 0
    for start in range(0, len(samples), TOGETHER):
        batch = collate(samples[start : start + TOGETHER]).to(device)
        output, mask = predict(batch), objective.mask(batch.graph)
        stage1, model = (Errors(blocks, batch, mask) for blocks in (output.stage1, output.total))
        first += float(stage1.elements) * batch.n_elements
        total += float(model.elements) * batch.n_elements
        error = math.nan if batch.orbitals is None else float(model.orbitals.energies)
        energies += error * batch.graph.n_structures / len(samples)
        count += batch.n_elements
    return first / count, total / count, energies

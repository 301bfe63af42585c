"""The weighted median of many numbers, of which only few are sorted."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SAMPLED = 4096
"""Values whose median tells where that of all is, about."""

REACH = 4.0
"""Standard deviations of the rank of the median in a sample, within which that of all is looked for first."""


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """The smallest value up to which weights add up to half of their sum.

    Only values around the median of a sample are sorted, and all of them where it is not among these.

    Args:
        values: (n,), at least one.
        weights: (n,), positive.
    """
    half = 0.5 * weights.sum(dtype=torch.float64)
    step = len(values) // SAMPLED + 1
    low, high = _around_median(values[::step], weights[::step])
    is_near = (values >= low) & (values <= high)
    beyond = half - (weights * (values < low)).sum(dtype=torch.float64)
    median = None if beyond <= 0 else _first_beyond(values[is_near], weights[is_near], beyond)
    if median is None:
        median = _first_beyond(values, weights, half)
    assert median is not None
    return median


def _around_median(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Two values of a sample with its weighted median, and hence most likely that of all, between them."""
    ordered, order = values.sort()
    summed = weights[order].double().cumsum(0)
    middle = int(torch.searchsorted(summed, 0.5 * summed[-1]))
    reach = int(REACH * 0.5 * math.sqrt(len(values))) + 1
    return ordered[max(middle - reach, 0)], ordered[min(middle + reach, len(values) - 1)]


def _first_beyond(values: Tensor, weights: Tensor, bound: Tensor) -> Tensor | None:
    """The smallest value up to which weights add up to a bound; None where all of them do not."""
    ordered, order = values.sort()
    summed = weights[order].double().cumsum(0)
    return ordered[torch.searchsorted(summed, bound)] if len(summed) and summed[-1] >= bound else None

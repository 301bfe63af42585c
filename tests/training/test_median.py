"""The weighted median."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harmose_dft.training.median import SAMPLED, weighted_median


def by_sorting(values: Tensor, weights: Tensor) -> float:
    """The definition, in double precision."""
    order = values.argsort()
    summed = weights[order].double().cumsum(0)
    return float(values[order][int((summed >= 0.5 * summed[-1]).nonzero()[0])])


@pytest.mark.parametrize("count", [1, 2, 3, 100, SAMPLED, SAMPLED + 1, 40 * SAMPLED])
@pytest.mark.parametrize("power", [0, 1, 6])
def test_only_a_part_is_sorted_and_the_median_is_that_of_all(count: int, power: int) -> None:
    generator = torch.Generator().manual_seed(count + power)
    values = torch.randn(count, generator=generator)
    weights = torch.rand(count, generator=generator) ** power + 1e-6
    assert float(weighted_median(values, weights)) == by_sorting(values, weights)


def test_a_median_that_the_sample_misses_is_found() -> None:
    values = torch.linspace(0.0, 1.0, 10 * SAMPLED)
    weights = torch.ones_like(values)
    weights[-2] = 1e9  # in no sample: every eleventh from the first
    assert float(weighted_median(values, weights)) == float(values[-2])
    weights[-2], weights[1] = 1.0, 1e9
    assert float(weighted_median(values, weights)) == float(values[1])


def test_equal_values() -> None:
    assert float(weighted_median(torch.full((9000,), 0.5), torch.ones(9000))) == 0.5

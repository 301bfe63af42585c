"""Networks are refused while they are built, not after they have filled the memory."""

from __future__ import annotations

import pytest
from torch import nn

from harmose_dft.core.errors import ConfigError
from harmose_dft.nn.size import limit_parameters


def test_a_network_within_the_bound_is_built_and_the_bound_ends_with_the_block() -> None:
    with limit_parameters(12):
        nn.Linear(3, 3)
    nn.Linear(30, 30)


def test_a_network_is_refused_at_the_first_weight_too_many() -> None:
    built: list[nn.Module] = []

    def build() -> None:
        for _ in range(10):
            built.append(nn.Linear(3, 3, bias=False))

    with pytest.raises(ConfigError, match="more than 12 parameters"), limit_parameters(12):
        build()
    assert len(built) == 1
    nn.Linear(30, 30)

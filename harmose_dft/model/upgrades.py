"""The upgrade ladder of models: what changed with each format version of their files, and how older ones are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..nn.potential import CHARGE_UNIT, LOCAL_UNIT
from .two_stage import CORRECTION_UNIT, TwoStageModel

WITH_POTENTIAL, WITHOUT_IDLE_ATTENTION, IN_FINE_UNITS, WITH_UNITS = 2, 3, 4, 5
"""Versions since which models may have a potential, have no weights that nothing reads, have today's units of
corrections (before: 1), of local potentials (0.02 Hartree), and of charges (0.1 e), and have their own units of
corrections. Names of the second stage's parameters change with its kind: ``SecondStage.upgraded_name``."""

SECOND = "second."
"""Prefix of the second stage's parameters."""

CHANGES_OF_UNIT = {
    r"second\.(spin\.)?head\..+": 1.0 / CORRECTION_UNIT,
    r"second\.potential\.(local\..+|transfer|dipole)": 1.0 / CORRECTION_UNIT,
    r"(first|second)\.potential\.local\..+": 0.02 / LOCAL_UNIT,
    r"(first|second)\.potential\.(transfer|dipole)": 0.1 / CHARGE_UNIT,
}
"""Factors of parameters whose names match, from before ``IN_FINE_UNITS`` to today."""


def upgrade_sizes(sizes: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    """The section ``model`` of a description of some format version, as today's would say it."""
    return {"potential": False, **sizes} if version < WITH_POTENTIAL else sizes


def upgrade_parameters(stored: Mapping[str, Tensor], version: int, network: TwoStageModel) -> dict[str, Tensor]:
    """The parameters of a model's file of some format version, as today's network takes them.

    Args:
        stored: Name -> tensor, without the normalizer's arrays.
        version: Format version of the file.
        network: The network that will have them.

    Raises:
        KeyError: A parameter is missing.
    """
    parameters = dict(stored)
    if version < IN_FINE_UNITS:
        parameters = {name: value * in_fine_units(name) for name, value in parameters.items()}
    if (second := network.second) is not None:
        inside = {k.removeprefix(SECOND): v for k, v in parameters.items() if k.startswith(SECOND)}
        parameters = {k: v for k, v in parameters.items() if not k.startswith(SECOND)}
        parameters |= {SECOND + second.upgraded_name(k, version): v for k, v in inside.items()}
    if version < WITH_UNITS:
        parameters |= {name: value for name, value in network.state_dict().items() if name in network.unit_names}
    if version < WITHOUT_IDLE_ATTENTION:
        parameters = {name: parameters[name] for name in network.state_dict()}
    return parameters


def in_fine_units(parameter: str) -> float:
    """Factor of a network's parameter from before ``IN_FINE_UNITS`` to today."""
    return math.prod(factor for pattern, factor in CHANGES_OF_UNIT.items() if re.fullmatch(pattern, parameter))

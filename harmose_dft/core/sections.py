"""Sections of configurations: their base class, and numbers that are no flags."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

MOST_COUNTED = 10**9
"""Largest count (steps, structures, ...) in a configuration."""

LARGEST_WEIGHT = 1e6
"""Largest factor in a configuration."""

LARGEST_SEED = 2**63 - 1
"""Largest seed that all random generators take."""


class Section(BaseModel):
    """A section of its keys only, whose numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def refuse_flag(value: object) -> object:
    """The value itself, unless it is a flag.

    Raises:
        ValueError: YAML reads yes, no, on and off as flags, which pydantic would take for the numbers 1 and 0.
    """
    if isinstance(value, bool):
        raise ValueError("a number is expected, not yes, no, on, off, true or false")
    return value


Number = Annotated[float, BeforeValidator(refuse_flag)]
"""A number in a section."""

Count = Annotated[int, BeforeValidator(refuse_flag)]
"""A whole number in a section."""

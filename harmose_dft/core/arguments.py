"""Checks of arguments that functions of Python and options of commands share."""

from __future__ import annotations

from operator import index

from .errors import ArgumentError


def require_count(quantity: str, value: int, least: int = 1) -> None:
    """Refuse what is no whole number, or too small a one.

    Args:
        quantity: What is counted, in an error message, such as "The number of processes (jobs)".
        value: The number.
        least: The smallest that makes sense.

    Raises:
        ArgumentError: With what was given and what is expected.
    """
    try:
        is_enough = index(value) >= least
    except TypeError:
        is_enough = False
    if not is_enough:
        raise ArgumentError(f"{quantity} is a whole number of at least {least}; got {value!r}.")

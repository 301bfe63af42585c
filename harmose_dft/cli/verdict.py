"""How a command ends whose prediction is not to be used: exit code 3, unless ``--force-domain`` was given."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..core.errors import DomainError

NAMED = 5
"""Structures that the message names."""

force_domain_option = click.option("--force-domain", is_flag=True, help="Exit with 0 whatever the verdict.")


def require_usable(refused: Sequence[str], verdict: str) -> None:
    """End with an error where predictions are not to be used; their results have been printed and written.

    Args:
        refused: The structures whose verdict is "do not use".
        verdict: The verdict and its reasons, as the message says them.

    Raises:
        DomainError: There is such a structure.
    """
    if not refused:
        return
    names = ", ".join(refused[:NAMED]) + (" and others" if len(refused) > NAMED else "")
    raise DomainError(
        f"The verdict on {names} is {verdict}. Run the DFT calculation instead, or give --force-domain to end without "
        "this error."
    )

"""The precision of networks: single, whatever torch's default is in the user's program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

NETWORK = torch.float32
"""Precision of weights and features; data, overlaps and eigenproblems are in double precision."""


@contextmanager
def single_precision() -> Iterator[None]:
    """Build modules in the networks' precision; other programs (MACE) leave another default behind."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(NETWORK)
    try:
        yield
    finally:
        torch.set_default_dtype(default)

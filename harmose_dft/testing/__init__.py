"""For tests of code that builds on this package: tolerances, contracts, tiny models, made-up calculations."""

from __future__ import annotations

from .assertions import assert_covariant, assert_hermitian, assert_reader, assert_solution
from .tolerance import Tolerance

__all__ = ["Tolerance", "assert_covariant", "assert_hermitian", "assert_reader", "assert_solution"]

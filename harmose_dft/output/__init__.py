"""Files for the world outside: results (HDF5), Molden, cube."""

from __future__ import annotations

from .cube import write_cube
from .molden import write_molden
from .result import Result, ResultWriter, iterate_results, read_result, read_results, write_results

__all__ = [
    "Result",
    "ResultWriter",
    "iterate_results",
    "read_result",
    "read_results",
    "write_cube",
    "write_molden",
    "write_results",
]

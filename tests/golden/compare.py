"""Compares golden results: ``compare.py A B`` lists every item that differs, and exits with 1 if one does.

``--close`` allows rounding (relative 1e-6 of an array's largest value; weights, which a training amplifies rounding
in, 1e-3); ``--all`` compares what EXCLUDED names, too.
"""

from __future__ import annotations

import argparse
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compute import Golden

EXCLUDED = (
    "*/model.json/format_version",  # a new version of the model's format
    "*/model.json/*sha256*",  # hashes of files: of the weights, of data; new ones of the description
    "*/model_sha256", "*@provenance/model_sha256",  # the same, where models are named
    "*/model/sha256", "*/info*/sha256", "info/*/sha256", "*/training/*sha256*", "*/started_from/*sha256*",
)  # fmt: skip
"""Patterns of names that are expected to change, though what the files hold does not. Short, and explicit."""

CLOSE, CLOSE_TRAINED = 1e-6, 1e-3
TRAINED = ("train/*", "crystal/*")
"""Items after ten steps of training."""


def excluded(name: str) -> bool:
    """Whether an item is expected to change."""
    return any(fnmatchcase(name, pattern) for pattern in EXCLUDED)


def difference(a: Any, b: Any, tolerance: float) -> str | None:
    """What differs in an item, in a few words; None if nothing does."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{a.dtype} {a.shape} -> {b.dtype} {b.shape}"
        if a.tobytes() == b.tobytes():
            return None
        largest = float(np.nanmax(np.abs(np.subtract(a, b, dtype=np.result_type(a, b, np.float64))), initial=0.0))
        scale = float(np.nanmax(np.abs(a), initial=0.0))
        same_nan = bool(np.array_equal(np.isnan(a), np.isnan(b)))
        allowed = largest <= tolerance * scale and same_nan
        return None if tolerance and allowed else f"max abs difference {largest:.3e} (largest value {scale:.3e})"
    if isinstance(a, float) and isinstance(b, float):
        if a == b or (tolerance and abs(a - b) <= tolerance * max(abs(a), abs(b))):
            return None
        return f"{a!r} -> {b!r}, difference {abs(a - b):.3e}"
    return None if type(a) is type(b) and a == b else f"{shown(a)} -> {shown(b)}"


def shown(value: Any) -> str:
    """A value in one line."""
    text = f"array {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 200 else text[:200] + "..."


def compare(a: Golden, b: Golden, *, close: bool = False, everything: bool = False) -> list[str]:
    """A line for every item that differs."""
    first, second = {**a.arrays, **a.values}, {**b.arrays, **b.values}
    lines = []
    for name in sorted({*first, *second}):
        if not everything and excluded(name):
            continue
        if name not in first or name not in second:
            place, value = ("A", first[name]) if name in first else ("B", second[name])
            lines.append(f"{name}: only in {place}: {shown(value)}")
            continue
        trained = any(fnmatchcase(name, pattern) for pattern in TRAINED)
        tolerance = (CLOSE_TRAINED if trained else CLOSE) if close else 0.0
        if (found := difference(first[name], second[name], tolerance)) is not None:
            lines.append(f"{name}: {found}")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path, help="OUT of compute.py")
    parser.add_argument("b", type=Path)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--exact", action="store_true", help="bit for bit (default)")
    kind.add_argument("--close", action="store_true", help="but for rounding")
    parser.add_argument("--all", action="store_true", help="what is expected to change, too")
    arguments = parser.parse_args()
    a, b = Golden.load(arguments.a), Golden.load(arguments.b)
    lines = compare(a, b, close=arguments.close, everything=arguments.all)
    print("\n".join([*lines, f"{len(lines)} of {len(a.arrays) + len(a.values)} items differ"]))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()

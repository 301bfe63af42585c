"""Calculates the references of the held-out molecules, smallest first, one after the other.

A molecule is in the cache as soon as it is finished; run it again after an interruption. The whole set takes about
an hour on one core:

    python benchmarks/references.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import CACHE, held_out

from harmose_dft.labelling import LabelSettings, label

SETTINGS = LabelSettings(xc="b3lyp", basis="def2-svp", grid_level=3, recipe="staged")
"""As the training data."""


def main() -> None:
    """Label what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="molecules; all by default")
    parser.add_argument("--cache", type=Path, default=CACHE, help="data set to extend")
    arguments = parser.parse_args()
    arguments.cache.parent.mkdir(parents=True, exist_ok=True)
    for molecule in held_out(arguments.names):
        start = time.perf_counter()
        done = label([molecule], arguments.cache, SETTINGS)
        what = f"{time.perf_counter() - start:.0f} s" if done.done else "cached"
        print(f"{molecule.name}: {len(molecule)} atoms, {what}", flush=True)
        for failure in done.failures:
            print(f"  {failure.name}: {failure.reason}", flush=True)


if __name__ == "__main__":
    main()

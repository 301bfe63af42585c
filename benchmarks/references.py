"""Calculates the references of the held-out molecules, smallest first, one after the other.

A molecule is in the cache as soon as it is finished; run it again after an interruption. The whole set takes about
half an hour on one core:

    python benchmarks/references.py [NAME...]
"""

from __future__ import annotations

import time
from pathlib import Path

import click
from common import CACHE, held_out

from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_settings import LabelSettings

SETTINGS = LabelSettings(xc="b3lyp", basis="def2-svp", grid_level=3, recipe="corrected")
"""Closer to full convergence than the recipe of the training data (docs/howto/label.md)."""


@click.command()
@click.argument("names", nargs=-1)
@click.option("--cache", default=CACHE, type=click.Path(path_type=Path), help="Data set to extend.")
def main(names: tuple[str, ...], cache: Path) -> None:
    """Label the molecules NAMES (all by default) that are not in the cache yet."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    for molecule in held_out(names):
        start = time.perf_counter()
        done = label([molecule], cache, SETTINGS)
        what = f"{time.perf_counter() - start:.0f} s" if done.done else "cached"
        click.echo(f"{molecule.name}: {len(molecule)} atoms, {what}")
        for failure in done.failures:
            click.echo(f"  {failure.name}: {failure.reason}")


if __name__ == "__main__":
    main()

"""``harmose-dft label``: structures in, a data set of PySCF calculations out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.errors import DataError
from . import console

if TYPE_CHECKING:
    from ..workflows.label import LabelSummary

SHOWN_FAILURES = 10
"""Failures listed on stderr; all of them are in the data set."""


def count_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--xc", default="b3lyp", show_default=True, help="Functional, by PySCF's name.")
@click.option("--basis", default="def2-svp", show_default=True, help="Basis, by PySCF's name.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Data set; extended if it exists.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes, of one thread each.  [default: all cores]")
@click.option("--scheduler", metavar="local|slurm|tcp://...",
              help="Dask hands the work to --jobs processes or SLURM jobs, or to the workers of a running scheduler.")
@click.option("--grid-level", type=click.IntRange(0, 9), default=3, show_default=True, help="Integration grid.")
@click.option(
    "--recipe", type=click.Choice(["full", "staged", "corrected", "accelerated"]), default="full",
    show_default=True,
    help="Converge on the final grid; faster from the prediction of the model organic, with three or four Fock builds "
    "on it (accelerated); or with one build on it (staged, corrected). See docs/howto/label.md.",
)
@click.option("--kpoint-spacing", type=click.FloatRange(min=0.01), metavar="1/BOHR",
              help="Crystals: largest spacing of k-points, 2 pi included.  [default: 0.2]")
@click.option("--ke-cutoff", type=click.FloatRange(min=1.0), metavar="HARTREE",
              help="Crystals with pseudopotentials: kinetic energy that the grid holds.  [default: PySCF's choice]")
@click.option("--retry-failed", is_flag=True, help="Calculate again what failed before.")
@click.option("--force", is_flag=True, help="Discard what the data set holds and begin anew.")
def label(
    files: tuple[Path, ...], xc: str, basis: str, out: Path, jobs: int | None, scheduler: str | None,
    grid_level: int, recipe: str, kpoint_spacing: float | None, ke_cutoff: float | None,
    retry_failed: bool, force: bool,
) -> None:
    """Label the structures in FILES with PySCF (restricted Kohn-Sham) and keep them in a data set.

    Molecules, or crystals: with a basis such as gth-szv-molopt-sr and its pseudopotentials, at a mesh of k-points.

    An interrupted or killed run is resumed by the same command; what is in the data set already is not calculated
    again. Structures that fail are listed and kept apart.
    """
    from ..workflows.label import label as run
    from ..workflows.label_settings import LabelSettings

    summary = run(
        files,
        out,
        LabelSettings(xc, basis, grid_level, recipe, kpoint_spacing, ke_cutoff),
        jobs=jobs or count_cores(),
        force=force,
        retry_failed=retry_failed,
        scheduler=scheduler,
        progress=console.progress,
    )
    print_summary(summary, out)


def print_summary(summary: LabelSummary, out: Path) -> None:
    """Print what was done.

    Raises:
        DataError: The data set holds no calculation.
    """
    for failure in summary.failures[:SHOWN_FAILURES]:
        console.note(f"failed: {failure.name}: {failure.reason}")
    if len(summary.failures) > SHOWN_FAILURES:
        console.note(f"... and {len(summary.failures) - SHOWN_FAILURES} more, listed in the group 'failed' of {out}")
    counts = [("in the data set", summary.records), ("calculated now", summary.done),
              ("already there", summary.skipped), ("failed", len(summary.failures))]
    console.print_table(str(out), ("structures", ""), counts)
    if not summary.records:
        failure = summary.failures[0]
        raise DataError(
            f"None of the structures could be calculated, and {out} holds no calculation. {failure.name}: "
            f"{failure.reason}"
        )

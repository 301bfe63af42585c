"""``harmose-dft calibrate``: verdicts and error bars of a model, from calculations that its training never saw."""

from __future__ import annotations

from pathlib import Path

import click

from . import console


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of the division: two thirds calibrate, one judges.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--force", is_flag=True, help="Replace an earlier calibration of MODEL.")
def calibrate(model: str, data: tuple[Path, ...], seed: int, as_json: bool, force: bool) -> None:
    """Give MODEL (a bundled name or a folder) error bars by the calculations in DATA, in trust.json beside it.

    Of data that MODEL was trained on only the test part counts. A model of molecules needs 60 of them, one in ten off
    by more than 5 mHartree in an occupied level when refined; a model of crystals needs 30.
    """
    from ..core.files import require_place
    from ..core.memory import keep_freed_memory
    from ..model.loading import model_folder
    from ..model.trust.store import FILE
    from ..workflows.calibrate import calibrate_model
    from .render import print_calibration

    keep_freed_memory()
    folder = model_folder(model)
    require_place(folder / FILE, force)
    calibrations = calibrate_model(model, data, seed=seed, progress=console.progress, tell=console.note)
    path = calibrations.save(folder, force=force)
    if as_json:
        figures = {"made_from": dict(calibrations.made_from), "figures": dict(calibrations.figures)}
        console.print_json({"model": model, "file": str(path), **figures})
    else:
        print_calibration(calibrations, str(path))

"""``harmose-dft seed``: a file from which a DFT code starts its self-consistent field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..adapters.registry import start_options, start_writers
from . import console
from .options import charge_option

PARAGRAPHS = "\n\n".join(writer.help for writer in start_writers().values() if writer.help)


def add_start_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each path that a code's writer may be told."""
    kind = click.Path(path_type=Path, exists=True)
    for option in reversed(start_options()):
        command = click.option(option.flag, option.name, type=kind, help=option.help)(command)
    return command


@click.command(
    help="Write an initial guess for the SCF of a DFT code from the prediction for STRUCTURE.\n\n" + PARAGRAPHS
)
@click.argument("structure", type=click.Path(path_type=Path))
@click.option("--code", required=True, type=click.Choice(list(start_writers())), help="Code that shall start.")
@click.option("--model", default="organic", show_default=True, help="Name of a bundled model, or a model's path.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="File to write.")
@charge_option
@add_start_options
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a line.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def seed(
    structure: Path, code: str, model: str, out: Path | None, charge: int | None, device: str, as_json: bool,
    force: bool,     **options: Path | None,
) -> None:
    """Write a start file and say how it is used."""
    from ..core.memory import keep_freed_memory
    from ..workflows.seed import write_start

    keep_freed_memory()
    written = write_start(
        structure, code, model, out, charge=charge, device=device, force=force, options=options, tell=console.detail
    )
    files = [str(file) for file in written.files]
    if as_json:
        entry = {"code": code, "file": str(written.file), "formula": written.formula, "use": written.use}
        several = {"files": files} if len(files) > 1 else {}
        console.print_json({**entry, **several, **written.figures})
    else:
        console.say(f"{', '.join(files)}: {written.use}")

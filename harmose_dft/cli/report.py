"""``harmose-dft report``: one HTML page on a molecule or crystal."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from . import console
from .options import charge_option
from .predict import parse_orbitals
from .verdict import force_domain_option, require_usable


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--model", help="Name of a bundled model, or a model's path.  [default: organic, for molecules]")
@click.option("--orbitals", default="HOMO,LUMO", show_default=True, callback=parse_orbitals, metavar="HOMO-1,HOMO,LUMO",
              help="Orbitals of a molecule that are drawn, up to 8.")
@click.option("--compare", is_flag=True, help="Molecules: run the PySCF calculation too and show the differences.")
@click.option("--kpath", metavar="GMKG", help="Crystals: path of the bands.  [default: ASE's path]")
@charge_option
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="PAGE",
              help="The page.  [default: NAME.report.html in the working folder]")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, cuda:1, ...")
@force_domain_option
@click.option("--force", is_flag=True, help="Overwrite an existing page.")
def report(
    source: Path, model: str | None, orbitals: tuple[str, ...], compare: bool, kpath: str | None,
    charge: int | None, out: Path | None, device: str, force_domain: bool, force: bool,
) -> None:
    """Write a report on SOURCE as one HTML page that needs no network.

    SOURCE is the structure file of a molecule, or of a crystal with --model, or a calculation of a crystal by a DFT
    code (OpenMX, ABACUS, DeepH), which the prediction is then compared with.
    """
    from ..core.errors import HarmoseWarning
    from ..core.files import require_no_input, require_place
    from ..core.memory import keep_freed_memory
    from ..plots.page import Level, write_page
    from ..plots.page.page import require_page_tools
    from ..workflows.report import report as run
    from ..workflows.sources import require_sources

    require_sources(source, model)
    place = source.resolve()
    target = Path(f"{place.name if place.is_dir() else place.stem}.report.html") if out is None else out
    require_no_input(target, [source])
    require_place(target, force)
    require_page_tools()
    keep_freed_memory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HarmoseWarning)  # the page says it, and so does the line below
        page = run(
            source, model, orbitals=orbitals, with_comparison=compare, kpath=kpath, charge=charge, device=device
        )
    write_page(target, page, force=force)
    if page.trust is not None:
        console.say(page.trust.words)
    console.say(f"written: {target}")
    if page.trust is not None and page.trust.level == Level.BAD and not force_domain:
        require_usable([source.name], "'do not use', as the page says")

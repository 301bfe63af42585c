"""``harmose-dft predict``: structures in, Hamiltonians, orbital energies and orbitals out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.units import HARTREE_IN_EV
from . import console
from .options import charge_option
from .verdict import force_domain_option, require_usable

if TYPE_CHECKING:
    from ..workflows.prediction_files import Outputs
    from ..workflows.summary import PredictionSummary

PROBABLE = 0.5
"""Risk from which the message says that a level is probably wrong; below it something else speaks against it."""


def parse_orbitals(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Split "HOMO,LUMO+1,7" into names.

    Raises:
        click.BadParameter: A name is neither HOMO/LUMO with an offset nor an orbital's number.
    """
    names = tuple(n.strip().upper() for n in (value or "").split(",") if n.strip())
    for name in names:
        if not re.fullmatch(r"(HOMO(-\d+)?|LUMO(\+\d+)?|[1-9]\d*)", name):
            raise click.BadParameter(f"{name!r} is no orbital; give HOMO, HOMO-1, LUMO, LUMO+1, or a number from 1.")
    if value is not None and not names:
        raise click.BadParameter("no orbital is named; give HOMO, HOMO-1, LUMO, LUMO+1, or a number from 1.")
    return names


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--smiles", multiple=True, metavar="CCO", help="Predict this molecule, relaxed by GFN2-xTB; repeatable.")
@click.option("--model", default="organic", show_default=True, help="Name of a bundled model, or a model's path.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables; a result file that exists stays.")
@click.option("--levels", type=click.IntRange(min=1), help="Molecules: show so many orbitals on both sides of the gap.")
@click.option("--charges", is_flag=True, help="Print the atoms' Mulliken charges.")
@click.option("--dos", is_flag=True, help="Write the density of states, or print it with --json.")
@click.option("--compare", is_flag=True, help="Molecules: run the PySCF calculation too and print the differences.")
@click.option("--verify", is_flag=True, help="Molecules: report the SCF residual of one Fock build.")
@click.option("--refine/--no-refine", default=None,
              help="Refine and judge each molecule by three cheap Fock builds.  [default: up to 8 molecules]")
@charge_option
@force_domain_option
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE",
              help="Draw the levels, or the bands of a crystal (png, pdf, svg).")
@click.option("--kpath", metavar="GMKG", help="Crystals: path of the bands that --plot draws.  [default: ASE's path]")
@click.option("--cube", callback=parse_orbitals, metavar="HOMO,LUMO", help="Write these orbitals as cube files.")
@click.option("--molden", is_flag=True, help="Write the orbitals in the Molden format.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE",
              help="One result file for all structures.")
@click.option("--no-file", is_flag=True, help="Write no result file.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, cuda:1, ...")
@click.option("--scheduler", metavar="local|slurm|tcp://...",
              help="Dask hands the structures to --jobs processes or SLURM jobs, or to a running scheduler's workers.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Workers of --scheduler.")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def predict(
    files: tuple[Path, ...], smiles: tuple[str, ...], model: str, as_json: bool, levels: int | None, charges: bool,
    dos: bool, compare: bool, verify: bool, refine: bool | None, charge: int | None, force_domain: bool,
    plot: Path | None, kpath: str | None, cube: tuple[str, ...], molden: bool, out: Path | None, no_file: bool,
    device: str, scheduler: str | None, jobs: int, force: bool,
) -> None:
    """Predict the Hamiltonian, orbital energies and orbitals of the structures in FILES; - is standard input.

    A folder stands for the structures of the DFT calculations in it. Prints the orbital energies and writes
    STEM.harmose.h5 in the working folder for each structure file STEM.xyz; a file with several structures gives one
    result file with a group for each.
    """
    contradictions = {
        "Missing argument 'FILES...': name structure files, - for standard input, or --smiles.": not (files or smiles),
        "--no-file and --out contradict each other; leave one out.": no_file and out is not None,
        "--dos writes a table, which --no-file forbids; add --json to print it.": no_file and dos and not as_json,
        "--levels is for tables; --json lists all orbitals. Leave one of both out.": levels is not None and as_json,
        "--jobs counts the workers of --scheduler; add --scheduler local, or leave it out.": jobs > 1 and not scheduler,
    }
    for sentence in (text for text, is_true in contradictions.items() if is_true):
        raise click.UsageError(sentence)
    from ..core.errors import ArgumentError, HarmoseWarning
    from ..core.memory import keep_freed_memory
    from ..workflows.cluster import Workers
    from ..workflows.predict import predict_files
    from ..workflows.prediction_files import Outputs
    from ..workflows.prediction_options import Extras
    from .overview import print_summaries

    keep_freed_memory()
    extras = Extras(
        compare=compare, verify=verify, charges=charges, dos=dos and as_json, list_levels=levels is not None
    )
    outputs = Outputs(
        cube=cube, molden=molden, dos=dos and not as_json, plot=plot,
        result=not no_file, keep=as_json and out is None, force=force,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HarmoseWarning)  # said below, structure by structure
            summaries = predict_files(
                files, model, smiles=smiles, out=out, outputs=outputs, kpath=kpath, extras=extras, refine=refine,
                charge=charge, device=device, workers=Workers(scheduler, jobs), progress=console.progress,
                tell=console.detail,
            )
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error
    _note_doubts(summaries)
    if as_json:
        _print_json(summaries, outputs)
    else:
        print_summaries(summaries, levels)
    if not force_domain:
        _require_usable(summaries)


def _note_doubts(summaries: Sequence[PredictionSummary]) -> None:
    for summary in summaries:
        for warning in () if summary.trust is None else summary.trust.warnings:
            console.note(f"warning: {summary.source} has {warning}")


def _print_json(summaries: Sequence[PredictionSummary], outputs: Outputs) -> None:
    if outputs.result and not all(any(f.name.endswith(".h5") for f in s.files) for s in summaries):
        console.note("note: result files that exist already were left as they are; --force replaces them.")
    entries = [summary.to_dict() for summary in summaries]
    console.print_json(entries[0] if len(entries) == 1 else entries)


def _require_usable(summaries: Sequence[PredictionSummary]) -> None:
    """End with an error where a verdict is "do not use", and say what that may mean.

    Raises:
        DomainError: With the names of the structures.
    """
    refused = [s for s in summaries if s.trust is not None and s.trust.refused]
    if not refused:
        return
    if all(s.trust is not None and (s.trust.risk or 0.0) >= PROBABLE for s in refused):
        limit = max(s.trust.large_error for s in refused if s.trust is not None)
        meaning = (
            f"an occupied level is probably wrong by more than {1e3 * limit:g} mHartree "
            f"({HARTREE_IN_EV * limit:.2g} eV)"
        )
    elif refused[0].periodic:
        meaning = "bands are probably wrong by more than 0.5 eV, or the structure is unlike those of training"
    else:
        meaning = "a structure unlike those of training, or no closed shell"
    require_usable([s.source for s in refused], f"'do not use': {meaning}")

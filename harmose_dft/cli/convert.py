"""``harmose-dft convert``: calculations of DFT codes in, a data set (or DeepH folders) out; or only a check."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..adapters.registry import layouts, read_options
from . import console

if TYPE_CHECKING:
    from ..workflows.convert import Converted

VERDICTS = {True: "passed", False: "FAILED", None: "nothing to compare with"}
"""A check's outcome -> its cell in the table."""

SHOWN = 50
"""Calculations that stderr tells about; --verbose tells about all."""


def add_read_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each folder that a code's reader may be told."""
    kind = click.Path(path_type=Path, exists=True, file_okay=False)
    for option in reversed(read_options()):
        command = click.option(option.flag, option.name, type=kind, help=option.help)(command)
    return command


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Data set, or folder of DeepH folders, to write.")
@click.option("--check", is_flag=True, help="Diagonalise at the code's own k-points and compare with what it printed.")
@click.option("--format", "layout", type=click.Choice(["hdf5", *layouts()]), default="hdf5", show_default=True,
              help="What to write.")
@add_read_options
@click.option("--allow-unconverged", is_flag=True, help="Read calculations whose SCF has not converged, too.")
@click.option("--keep-going", is_flag=True, help="Leave out what cannot be read, and list it at the end.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects instead of a table.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def convert(
    paths: tuple[Path, ...], out: Path | None, check: bool, layout: str, allow_unconverged: bool, keep_going: bool,
    as_json: bool, force: bool, **options: Path | None,
) -> None:
    """Convert the output of OpenMX or ABACUS, DeepH folders, or data sets in PATHS to a data set.

    Codes and versions are recognised from the files; folders are searched. With --check nothing is written if a
    calculation disagrees with its code's own eigenvalues or orbital files.
    """
    if out is None and not check:
        raise click.UsageError("Give --out FILE to write a data set, or --check to check only.")
    from ..workflows.convert import CheckFailedError, PartlyConvertedError
    from ..workflows.convert import convert as run

    shown = 0

    def tell(text: str) -> None:
        nonlocal shown
        say = console.note if shown < SHOWN else console.detail
        say(text)
        shown += 1

    try:
        converted = run(
            paths, out, check=check, layout=layout, options=options, force=force, allow_unconverged=allow_unconverged,
            keep_going=keep_going, progress=console.progress, tell=tell,
        )
    except (CheckFailedError, PartlyConvertedError) as error:
        report(error.calculations, check, as_json)
        raise
    report(converted, check, as_json)
    if out is not None:
        console.note(f"{len(converted)} calculation{'s' if len(converted) != 1 else ''} written to {out}")
        for name in ("nspin", "functional"):
            kinds = sorted({str(value) for c in converted if (value := getattr(c, name)) is not None})
            if len(kinds) > 1:
                console.note(
                    f"these calculations have {name} {' and '.join(kinds)}; a model is trained on one kind: give each "
                    "its own file to train on them"
                )


def report(calculations: Sequence[Converted], check: bool, as_json: bool) -> None:
    """The report on stdout."""
    if as_json:
        console.print_json([entry(c) for c in calculations])
        return
    columns = ["calculation", "code", "atoms", "nspin"]
    common = os.path.commonpath([c.path.absolute().parent for c in calculations])
    cells: list[list[object]] = [
        [os.path.relpath(c.path, common), f"{c.code} {c.version or ''}".strip(), c.n_atoms, c.nspin]
        for c in calculations
    ]
    if check:
        columns += ["k x bands", "dev/meV", "allowed", "dev of S", ""]
        for cell, result in zip(cells, (c.check for c in calculations), strict=True):
            assert result is not None
            cell += [f"{result.n_kpoints} x {result.n_bands}", number(result.max_deviation_mev),
                     number(result.tolerance_mev), number(result.overlap_deviation), VERDICTS[result.passed]]
    console.print_table(common, columns, cells, left=2)
    deviations = [c.check.max_deviation_mev for c in calculations if c.check is not None]
    measured = [d for d in deviations if d is not None]
    if measured:
        console.say(f"largest deviation: {max(measured):.3g} meV")


def entry(converted: Converted) -> dict[str, Any]:
    """The JSON object of one calculation."""
    result = converted.check
    checked = {"max_deviation_mev": None} if result is None else {
        "max_deviation_mev": result.max_deviation_mev,
        "tolerance_mev": result.tolerance_mev,
        "n_kpoints": result.n_kpoints,
        "n_bands": result.n_bands,
        "eigenvalues": result.source,
        "overlap_deviation": result.overlap_deviation,
        "passed": result.passed,
    }
    return {
        "path": str(converted.path),
        "code": converted.code,
        "version": converted.version,
        "formula": converted.formula,
        "n_atoms": converted.n_atoms,
        "nspin": converted.nspin,
        "functional": converted.functional,
        "source": converted.source,
        "pair_support": converted.pair_support,
        "found": converted.contents,
        **checked,
    }


def number(value: float | None) -> str:
    """A deviation for the table; a dash where there is none."""
    return "-" if value is None else f"{value:.2g}"

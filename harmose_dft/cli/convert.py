"""``harmose-dft convert``: calculations of DFT codes in, a data set (or DeepH folders) out; or only a check."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from ..core.errors import HarmoseError
from . import console

if TYPE_CHECKING:
    from ..core.record import Record
    from ..workflows.checks import CheckResult

FORMATS = {"hdf5": None, "deeph": "chunked", "deeph-legacy": "legacy"}
"""Value of --format -> layout of DeepH folders."""

VERDICTS = {True: "passed", False: "FAILED", None: "nothing to compare with"}
"""A check's outcome -> its cell in the table."""

SHOWN = 50
"""Calculations that stderr tells about; --verbose tells about all."""


class Writer(Protocol):
    """Where records go."""

    def add(self, record: Record) -> None:
        """Append a record."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Data set, or folder of DeepH folders, to write.")
@click.option("--check", is_flag=True, help="Diagonalise at the code's own k-points and compare with what it printed.")
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="hdf5", show_default=True,
              help="What to write.")
@click.option("--pao-dir", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="OpenMX: folder with the .pao files, if they are not where the input says.")
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects instead of a table.")
@click.option("--force", is_flag=True, help="Replace existing files.")
def convert(
    paths: tuple[Path, ...], out: Path | None, check: bool, kind: str, pao_dir: Path | None, as_json: bool, force: bool
) -> None:
    """Convert the output of OpenMX or ABACUS, DeepH folders, or data sets in PATHS to a data set.

    Codes and versions are recognised from the files; folders are searched. With --check nothing is written if a
    calculation disagrees with its code's own eigenvalues or orbital files.
    """
    if out is None and not check:
        raise click.UsageError("Give --out FILE to write a data set, or --check to check only.")
    from ..adapters.registry import find_calculations, iterate_calculation

    found = [calculation for path in paths for calculation in find_calculations(path)]
    with console.progress("converting", len(found)) as steps, _writer(out, kind, force) as writer:
        rows: list[dict[str, Any]] = []
        for path in found:
            for record in iterate_calculation(path, pao_dir=pao_dir):
                say = console.note if len(rows) < SHOWN else console.detail
                say(f"{path}: {record.provenance.get('found', repr(record))}")
                rows.append(_converted(path, record, writer, check))
            steps.advance()
        _report(rows, check, as_json)
        _require_passed(rows)
    if out is not None:
        console.note(f"{len(rows)} calculation{'s' if len(rows) != 1 else ''} written to {out}")


def _converted(path: Path, record: Record, writer: Writer | None, check: bool) -> dict[str, Any]:
    """Check and write a record; its row of the report."""
    about = record.provenance
    row: dict[str, Any] = {"path": str(path), "code": about.get("code"), "version": about.get("version")}
    row |= {"formula": record.structure.formula, "n_atoms": len(record.structure), "nspin": record.nspin}
    row |= {key: about.get(key) for key in ("functional", "source", "pair_support", "found")}
    row |= _verdict(record) if check else {"max_deviation_mev": None}
    if writer is not None:
        writer.add(record)
    return row


def _verdict(record: Record) -> dict[str, Any]:
    from ..workflows.checks import check_eigenvalues

    result: CheckResult = check_eigenvalues(record)
    return {
        "max_deviation_mev": result.max_deviation_mev,
        "tolerance_mev": result.tolerance_mev,
        "n_kpoints": result.n_kpoints,
        "n_bands": result.n_bands,
        "eigenvalues": result.source,
        "overlap_deviation": result.overlap_deviation,
        "passed": result.passed,
    }


def _report(rows: list[dict[str, Any]], check: bool, as_json: bool) -> None:
    """The report on stdout."""
    if as_json:
        console.print_json(rows)
        return
    columns = ["calculation", "code", "atoms", "nspin"]
    common = os.path.commonpath([Path(r["path"]).absolute().parent for r in rows])
    cells = [
        [os.path.relpath(r["path"], common), f"{r['code']} {r['version'] or ''}".strip(), r["n_atoms"], r["nspin"]]
        for r in rows
    ]
    if check:
        columns += ["k x bands", "dev/meV", "allowed", "dev of S", ""]
        for cell, r in zip(cells, rows, strict=True):
            cell += [f"{r['n_kpoints']} x {r['n_bands']}", _number(r["max_deviation_mev"]),
                     _number(r["tolerance_mev"]), _number(r["overlap_deviation"]), VERDICTS[r["passed"]]]  # fmt: skip
    console.print_table(common, columns, cells, left=2)
    deviations = [r["max_deviation_mev"] for r in rows if r["max_deviation_mev"] is not None]
    if deviations:
        console.stdout().print(f"largest deviation: {max(deviations):.3g} meV", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _require_passed(rows: list[dict[str, Any]]) -> None:
    """Fail if a check failed; that there was nothing to compare with is no failure.

    Raises:
        HarmoseError: With the number of failed checks, and the first of them.
    """
    failed = [r for r in rows if r.get("passed") is False]
    if failed:
        worst = failed[0]
        raise HarmoseError(
            f"{len(failed)} of {len(rows)} calculations do not agree with what their code printed, and nothing was "
            f"written. {worst['path']}: eigenvalues deviate by {_number(worst['max_deviation_mev'])} meV from "
            f"{worst['eigenvalues'] or 'nothing'} (tolerance {_number(worst['tolerance_mev'])} meV), S by "
            f"{_number(worst['overlap_deviation'])} from the integrals of the orbital files. Check that the files are "
            "of one calculation, and the orbital files those of the run."
        )


@contextmanager
def _writer(out: Path | None, kind: str, force: bool) -> Iterator[Writer | None]:
    """Where the records go: a data set, DeepH folders, or nowhere; nothing is kept if the block fails."""
    layout = FORMATS[kind]
    if out is None:
        yield None
    elif layout is None:
        from ..data import DatasetWriter

        with DatasetWriter(out, force=force, attributes={"made by": "harmose-dft convert"}) as writer:
            yield writer
    else:
        from ..adapters.deeph import FolderWriter

        with FolderWriter(out, layout, force=force) as folders:
            yield folders

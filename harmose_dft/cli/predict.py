"""``harmose-dft predict``: structures in, Hamiltonians, orbital energies and orbitals out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import HarmoseError, OutputExistsError
from ..workflows.prediction_files import RESULT_SUFFIX, Job, Options, companions, orbital_index, write_job
from . import console
from .drawing import MAX_COLUMNS, BandDrawing, Drawing

if TYPE_CHECKING:
    from ..core.spectrum import Spectrum
    from ..model.predictor import Predictor

BATCH = 32
"""Structures handed to the model at once."""


def parse_orbitals(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """ "HOMO,LUMO+1,7" as a tuple of names.

    Raises:
        click.BadParameter: A name is neither HOMO/LUMO with an offset nor an orbital's number.
    """
    names = tuple(n.strip().upper() for n in (value or "").split(",") if n.strip())
    for name in names:
        if not re.fullmatch(r"(HOMO(-\d+)?|LUMO(\+\d+)?|[1-9]\d*)", name):
            raise click.BadParameter(f"{name!r} is no orbital; give HOMO, HOMO-1, LUMO, LUMO+1, or a number from 1.")
    return names


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", default="organic", show_default=True, help="Name of a bundled model, or a model's path.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--compare", is_flag=True, help="Run the PySCF calculation too and print the differences.")
@click.option("--verify", is_flag=True, help="Report the SCF residual of one Fock build.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE",
              help="Draw the levels, or the bands of a crystal (png, pdf, svg).")
@click.option("--kpath", metavar="GMKG", help="Crystals: path of the bands that --plot draws.  [default: ASE's path]")
@click.option("--cube", callback=parse_orbitals, metavar="HOMO,LUMO", help="Write these orbitals as cube files.")
@click.option("--molden", is_flag=True, help="Write the orbitals in the Molden format.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE",
              help="One result file for all structures.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, cuda:1, ...")
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def predict(
    files: tuple[Path, ...], model: str, as_json: bool, compare: bool, verify: bool, plot: Path | None,
    kpath: str | None, cube: tuple[str, ...], molden: bool, out: Path | None, device: str, force: bool,
) -> None:
    """Predict the Hamiltonian, orbital energies and orbitals of the structures in FILES.

    Prints the orbital energies and writes STEM.harmose.h5 beside each structure file STEM.xyz; a file with several
    structures gives one result file with a group for each.
    """
    options = Options(compare, verify, cube, molden, plot, force)
    jobs = plan(files, out)
    refuse_outputs(files, jobs, options)
    crystal = refuse_mixed(jobs, options, kpath)
    from ..core.memory import keep_freed_memory
    from ..model.loading import load_model
    from .report import print_summaries

    keep_freed_memory()
    predictor = load_model(model, device=device)
    refuse_outside(predictor, jobs, cube)
    summaries: list[dict[str, Any]] = []
    drawing: Drawing | BandDrawing = BandDrawing(kpath) if crystal else Drawing()
    if plot is not None and isinstance(drawing, BandDrawing):
        [(_, structure)] = jobs[0].structures
        drawing.check(structure, predictor.model.basis)
    for job in run(predictor, jobs):
        entries, references = finish(job, options)
        summaries += entries
        if plot is not None:
            drawing.add(job, references)
        job.predictions.clear()
    if plot is not None:
        drawing.save(plot, summaries, force)
    for entry in summaries:
        for warning in entry["trust"]["warnings"]:
            console.note(f"warning: {entry['source']} has {warning}")
    if as_json:
        console.print_json(summaries[0] if len(summaries) == 1 else summaries)
    else:
        print_summaries(summaries)


def plan(files: Sequence[Path], out: Path | None) -> list[Job]:
    """Read the structures and decide which result file each goes to.

    Raises:
        StructureError: A file cannot be read.
        click.UsageError: Two inputs would write the same result file.
    """
    from ..adapters.structures import read_structures

    jobs: list[Job] = []
    for path in files:
        frames = read_structures(path)
        names = [f"{path.name}#{n}" if len(frames) > 1 else path.name for n in range(1, len(frames) + 1)]
        jobs.append(Job(list(zip(names, frames, strict=True)), path.with_name(path.stem + RESULT_SUFFIX)))
    if out is not None:
        return [Job([s for job in jobs for s in job.structures], out)]
    targets = [job.result.resolve() for job in jobs]
    if twice := sorted({str(t) for t in targets if targets.count(t) > 1}):
        raise click.UsageError(f"Several inputs would write {twice[0]}. Give --out FILE for one common result file.")
    return jobs


def refuse_outputs(files: Sequence[Path], jobs: Sequence[Job], options: Options) -> None:
    """Before any computing: refuse to overwrite, and refuse what cannot be drawn.

    Raises:
        OutputExistsError: A file exists and ``--force`` was not given, or it is one of the inputs.
        click.UsageError: Two outputs have the same name.
        HarmoseError: The picture's format is unknown, or it would have too many columns.
    """
    from ..core.files import require_absent
    from ..plots.figure import new_figure, require_format

    targets = [job.result for job in jobs]
    targets += [p for job in jobs for n in range(len(job.structures)) for p in companions(job, n, options).values()]
    if options.plot is not None:
        require_format(options.plot)
        targets.append(options.plot)
    inputs, taken = {path.resolve() for path in files}, set[Path]()
    for target in targets:
        place = target.resolve()
        if place in inputs:
            raise OutputExistsError(f"{target} is one of the input files and was left as it is. Choose another output.")
        if place in taken:
            raise click.UsageError(f"{target} is the name of two outputs. Choose another.")
        require_absent(target, options.force)
        taken.add(place)
    if options.plot is not None:
        new_figure(1.0, 1.0)
        columns = sum(len(job.structures) for job in jobs) * (2 if options.compare else 1)
        if columns > MAX_COLUMNS:
            raise HarmoseError(f"A level diagram shows up to {MAX_COLUMNS} columns; these structures need {columns}.")


def refuse_mixed(jobs: Sequence[Job], options: Options, kpath: str | None) -> bool:
    """Whether the structures are crystals; refuses options that do not apply to them.

    Raises:
        HarmoseError: Crystals and molecules are mixed, or an option is for the other kind.
    """
    structures = [structure for job in jobs for _, structure in job.structures]
    crystals = sum(structure.periodic for structure in structures)
    if not crystals:
        if kpath is not None:
            raise HarmoseError("--kpath is for crystals; these structures have no cell.")
        return False
    if crystals < len(structures):
        raise HarmoseError("These files hold molecules and crystals; predict them separately, each with its model.")
    if options.compare or options.verify or options.orbitals or options.molden:
        raise HarmoseError(
            "--compare, --verify, --cube and --molden are for molecules. Compare a crystal's bands with a calculation "
            "by: harmose-dft bands STRUCTURE --model MODEL --compare CALCULATION"
        )
    if options.plot is not None and len(structures) > 1:
        raise HarmoseError(f"--plot draws the bands of one crystal; these files hold {len(structures)}.")
    return True


def refuse_outside(predictor: Predictor, jobs: Sequence[Job], orbitals: Sequence[str]) -> None:
    """Before any computing: refuse all files if one structure lies outside the model's domain or lacks an orbital.

    Raises:
        HarmoseError: With the name of the structure.
    """
    for job in jobs:
        for name, structure in job.structures:
            try:
                predictor.check(structure)
                for orbital in orbitals:
                    orbital_index(orbital, *predictor.orbital_counts(structure))
            except HarmoseError as error:
                raise type(error)(f"{name}: {error}") from error


def run(predictor: Predictor, jobs: Sequence[Job]) -> Iterator[Job]:
    """Predict batch by batch across files; yields each job when all its structures are done."""
    flat = [(job, structure) for job in jobs for _, structure in job.structures]
    with console.progress("predicting", len(flat)) as bar:
        for start in range(0, len(flat), BATCH):
            batch = flat[start : start + BATCH]
            predictions = predictor.predict([structure for _, structure in batch])
            for (job, _), prediction in zip(batch, predictions, strict=True):
                job.predictions.append(prediction)
                bar.advance()
                if len(job.predictions) == len(job.structures):
                    yield job


def finish(job: Job, options: Options) -> tuple[list[dict[str, Any]], list[Spectrum | None]]:
    """Verify, compare and write one job; its JSON objects, and the reference spectra where there are any."""
    from ..workflows import compare as reference
    from .report import summary

    entries: list[dict[str, Any]] = []
    spectra: list[Spectrum | None] = []
    for frame, (name, _) in enumerate(job.structures):
        if options.verify:
            job.predictions[frame] = reference.verified(job.predictions[frame])
        prediction = job.predictions[frame]
        entries.append(summary(prediction, name, reference.dipole(prediction, prediction.spectrum)))
        spectra.append(None)
        if options.compare:
            console.detail(f"{name}: running PySCF, {prediction.functional}/{prediction.basis.name}")
            entries[-1]["compare"], spectra[-1] = reference.compared(prediction)
    for entry, written in zip(entries, write_job(job, options), strict=True):
        entry["files"] = [str(path) for path in written]
    return entries, spectra

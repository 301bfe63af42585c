"""Labelling structures with PySCF: several processes, resumable, nothing finished is lost or done twice.

While the work goes on, every finished molecule is a small data set of its own in the folder ``<output>.parts``, put
there by an atomic rename; a failed one is a text file. When all is done, or the work is interrupted, the parts are
joined with what the output holds already, and the output is replaced atomically. A killed run leaves the parts, and
the next run with the same output goes on from them. Structures are known by their content (:func:`structure_id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.arguments import require_count
from ..core.errors import DataError, HarmoseError
from ..core.files import require_absent, require_no_input
from ..core.progress import Progress, silent
from ..core.structure import Structure
from ..data import Failure, structure_id
from .label_processes import calculate_all
from .label_run import LabelRun
from .label_settings import ACCELERATED, LabelSettings
from .sources import Source, collect_structures


@dataclass(frozen=True)
class LabelSummary:
    """What a labelling run found and did.

    Args:
        records: Molecules in the output.
        done: Molecules calculated by this run.
        skipped: Given structures that were there already, or given twice.
        failures: Structures of the output that could not be calculated.
    """

    records: int
    done: int
    skipped: int
    failures: tuple[Failure, ...]


def label(
    structures: Source | Iterable[Source],
    out: str | Path,
    settings: LabelSettings | None = None,
    *,
    jobs: int = 1,
    force: bool = False,
    retry_failed: bool = False,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> LabelSummary:
    """Calculate structures with PySCF and add them to a data set, in the order in which they are given.

    Args:
        structures: A closed-shell molecule or crystal, or the path of a file with several; or a list of these.
        out: The data set; if it exists it is extended.
        settings: Functional, basis, grid and recipe.
        jobs: Number of processes, of one thread each.
        force: Begin anew: discard an unfinished run, and replace what the data set holds once all is calculated.
        retry_failed: Calculate again those of the structures that failed before.
        scheduler: Hands the work to Dask's workers instead, which must see the folder of ``out``; see
            :func:`~harmose_dft.workflows.cluster.open_cluster`.
        progress: Shows progress over the structures to be calculated.

    Returns:
        Counts and failures.

    Raises:
        DataError: The data set was made with other settings or is being written by another run, there are molecules
            and crystals, or a process died.
        FileFormatError: ``out`` exists and is not a data set.
        StructureError: A structure file cannot be read.
        HarmoseError: PySCF does not know the functional or the basis, or a setting does nothing for such structures.
        OutputExistsError: ``out`` is a folder, or one of the structure files.
        ArgumentError: The number of processes is not positive.
    """
    require_count("The number of processes (jobs)", jobs)
    molecules = _collect_for(out, structures)
    run = LabelRun(Path(out).absolute() if scheduler else Path(out), settings or LabelSettings())
    _require_known(run.settings, molecules)
    _require_one_kind(molecules, run.settings)
    queue = {structure_id(s): s for s in molecules}
    with run.open(force):
        finished_ids, failed_ids = run.list_ids()
        retried_ids = failed_ids & set(queue) if retry_failed else set()
        run.forget(retried_ids)
        pending_ids = set(queue) - finished_ids - (failed_ids - retried_ids)
        pending = {key: s for key, s in queue.items() if key in pending_ids}
        n_done = 0
        try:
            with progress("labelling", len(pending)) as steps:
                for _ in calculate_all(pending, run, jobs, scheduler):
                    n_done += 1
                    steps.advance()
        except BaseException as error:
            kept = run.end_early(list(queue), retried_ids)
            error.add_note(f"{n_done} of {len(pending)} structures are finished and {kept}")
            raise
        records, failures = run.join(list(queue), retried_ids)
    return LabelSummary(records, n_done, len(molecules) - len(pending), tuple(failures))


def _collect_for(out: str | Path, structures: Source | Iterable[Source]) -> list[Structure]:
    """The structures; refuses an output that is one of their files, or a folder. A data set is extended."""
    given = list(structures) if isinstance(structures, Iterator) else structures
    sources = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    require_no_input(out, [source for source in sources if isinstance(source, str | Path)])
    molecules = collect_structures(given)
    require_absent(out, force=True)
    return molecules


def _require_one_kind(structures: Sequence[Structure], settings: LabelSettings) -> None:
    """Refuse molecules and crystals together, which no model is trained on, and settings for the other kind."""
    first = {s.periodic: s for s in reversed(structures)}
    if len(first) == 2:
        molecule, crystal = (first[kind].name or first[kind].formula for kind in (False, True))
        raise DataError(
            f"There are molecules ({molecule}) and crystals ({crystal}) among the structures; a data set holds one "
            "kind. Label them into two data sets."
        )
    settings.require_applicable(structures[0])


def _require_known(settings: LabelSettings, structures: Sequence[Structure]) -> None:
    """Refuse an unknown functional, basis, grid or recipe before any work is done."""
    from ..adapters.pyscf import RECIPES, kohn_sham, orbital_basis, to_mole
    from ..adapters.pyscf.known_names import parsed_functional

    if not structures:
        raise DataError("There are no structures to label.")
    if settings.recipe not in (recipes := (*RECIPES, ACCELERATED)):
        raise HarmoseError(f"There is no recipe {settings.recipe!r}; choose one of {', '.join(recipes)}.")
    orbital_basis(settings.basis, {int(z) for s in structures for z in s.numbers})
    parsed_functional(settings.xc)
    molecule = next((s for s in structures if not s.periodic), None)
    if molecule is not None:
        kohn_sham(to_mole(molecule, settings.basis), settings.xc, settings.grid_level)

"""Calculations of DFT codes in, a data set or DeepH folders out, or a check of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters.code import Options, RecordWriter
from ..adapters.registry import find_calculations, iterate_calculation, layouts
from ..core.errors import ConfigError, FileFormatError, HarmoseError, OutputExistsError
from ..core.files import require_no_input
from ..core.progress import Progress, silent
from ..data import DatasetWriter, HDF5Dataset
from .checks import CheckResult, check_eigenvalues

if TYPE_CHECKING:
    from ..core.record import Record

DATA_SET = "hdf5"
"""Layout of the package's own data sets."""


@dataclass(frozen=True)
class Converted:
    """What was read of one calculation.

    Args:
        path: Where it is.
        code: Code that made it.
        version: Its version.
        formula: Of its atoms.
        n_atoms: Number of atoms.
        nspin: 1 closed shell, 2 collinear, 4 spinors.
        functional: As the code names it.
        source: File of the matrices.
        pair_support: How the pairs of H and S were united, where they differ.
        contents: What its folder holds, in one line.
        check: Comparison with what the code printed, where it was asked for.
    """

    path: Path
    code: str | None
    version: str | None
    formula: str
    n_atoms: int
    nspin: int
    functional: str | None
    source: str | None
    pair_support: str | None
    contents: str | None
    check: CheckResult | None

    @classmethod
    def of_record(cls, path: Path, record: Record, *, check: bool) -> Converted:
        """Of a calculation as it was read.

        Raises:
            DataError: The code's list of eigenvalues does not fit the matrices.
        """
        about = record.provenance
        return cls(
            path, about.get("code"), about.get("version"), record.structure.formula, len(record.structure),
            record.nspin, about.get("functional"), about.get("source"), about.get("pair_support"), about.get("found"),
            check_eigenvalues(record) if check else None,
        )


class CheckFailedError(HarmoseError):
    """Calculations disagree with what their code printed.

    Args:
        calculations: All that were checked.
    """

    def __init__(self, calculations: Sequence[Converted]) -> None:
        self.calculations = tuple(calculations)
        failed = [(c, c.check) for c in calculations if c.check is not None and c.check.passed is False]
        worst, check = failed[0]
        super().__init__(
            f"{len(failed)} of {len(calculations)} calculations do not agree with what their code printed, and nothing "
            f"was written. {worst.path}: {_deviations(check)}. Check that the files are of one calculation, and the "
            "orbital files those of the run."
        )


class PartlyConvertedError(HarmoseError):
    """Some calculations could not be read, and the others were converted.

    Args:
        calculations: Those that were converted.
        failed: Path -> what is wrong, of those that were left out.
    """

    def __init__(self, calculations: Sequence[Converted], failed: Mapping[Path, HarmoseError]) -> None:
        self.calculations, self.failed = tuple(calculations), dict(failed)
        reasons = "; ".join(dict.fromkeys(str(error) for error in failed.values()))
        total = len(failed) + len({c.path for c in calculations})
        super().__init__(f"{len(failed)} of {total} calculations were left out: {reasons}")


def formats() -> tuple[str, ...]:
    """Layouts that :func:`convert` writes: data sets first, then those of the codes."""
    return DATA_SET, *layouts()


def convert(
    paths: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    check: bool = False,
    layout: str = DATA_SET,
    options: Options | None = None,
    force: bool = False,
    allow_unconverged: bool = False,
    keep_going: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Converted, ...]:
    """Read calculations, check them, and write them as a data set or as folders of another code.

    Codes and versions are recognised from the files; folders are searched. Nothing is written if a check fails.

    Args:
        paths: Files and folders of calculations, or data sets; a path alone stands for a list of one.
        out: What to write; None to check only.
        check: Whether each calculation is diagonalised at its code's own k-points and compared with what it printed.
        layout: One of :func:`formats`.
        options: What readers are told: :func:`harmose_dft.adapters.registry.read_options`.
        force: Whether existing files may be replaced.
        allow_unconverged: Whether calculations whose SCF has not converged are read; the data set records it.
        keep_going: Whether a calculation that cannot be read is left out, and the others are written all the same.
        progress: Shows progress over the calculations.
        tell: Receives what was read, record by record.

    Raises:
        CheckFailedError: A calculation disagrees with what its code printed.
        PartlyConvertedError: ``keep_going``, and some calculations were left out.
        FileFormatError: Nothing there is known, or a file is damaged.
        OutputExistsError: ``out`` exists and ``force`` is false, or it is one of the inputs.
        ConfigError: The layout is unknown.
    """
    given = [paths] if isinstance(paths, str | Path) else paths
    places = _find_once(given, tell)
    if out is not None:
        _require_no_input(Path(out), places)
    converted: list[Converted] = []
    failed: dict[Path, HarmoseError] = {}
    with progress("converting", len(places)) as steps, open_writer(out, layout, force) as writer:
        for place in places:
            try:
                records = _read_place(place, options, check, allow_unconverged, keep_going)
                for summary, record in records:
                    converted.append(summary)
                    tell(f"{place}: {summary.contents or repr(record)}")
                    if writer is not None:
                        writer.add(record)
            except HarmoseError as error:
                if not keep_going:
                    raise
                failed[place] = error
            steps.advance()
        _require_passed(converted, failed)
    if failed:
        raise PartlyConvertedError(converted, failed)
    return tuple(converted)


def _find_once(paths: Sequence[str | Path], tell: Callable[[str], None]) -> list[Path]:
    """The calculations below some paths; those that several of them lead to are told and read once."""
    places: dict[Path, Path] = {}
    for place in (place for path in paths for place in find_calculations(Path(path))):
        if place.resolve() in places:
            tell(f"{place}: given more than once, read once")
        places.setdefault(place.resolve(), place)
    return list(places.values())


def _require_no_input(out: Path, places: Sequence[Path]) -> None:
    """Refuse to write over a calculation that is read; an earlier data set in its folder is none of its files.

    Raises:
        OutputExistsError: ``out`` is one of the calculations, holds one, or is a file of one.
    """
    require_no_input(out, places)
    target = out.resolve()
    folders = (place for place in places if place.is_dir() and place.resolve() in target.parents)
    folder = next(folders, None) if target.is_file() else None
    if folder is None:
        return
    try:
        HDF5Dataset(target).close()
    except FileFormatError as error:
        raise OutputExistsError(
            f"{out} lies in the folder of the calculation {folder}, is no data set, and was left as it is. Choose "
            "another output."
        ) from error


def _require_passed(converted: Sequence[Converted], failed: Mapping[Path, HarmoseError]) -> None:
    """Refuse to write what disagrees with its code, and nothing at all."""
    if any(c.check is not None and c.check.passed is False for c in converted):
        raise CheckFailedError(converted)
    if not converted and failed:
        raise next(iter(failed.values()))


def _read_place(
    place: Path, options: Options | None, check: bool, allow_unconverged: bool, all_or_none: bool
) -> Iterable[tuple[Converted, Record]]:
    """The records of a calculation with what is reported of them; ``all_or_none``: none if one fails."""

    def read() -> Iterator[tuple[Converted, Record]]:
        for record in iterate_calculation(place, options, allow_unconverged=allow_unconverged):
            converted = Converted.of_record(place, record, check=check)
            if all_or_none and converted.check is not None and converted.check.passed is False:
                raise CheckFailedError([converted])
            yield converted, record

    return list(read()) if all_or_none else read()


@contextmanager
def open_writer(out: str | Path | None, layout: str, force: bool) -> Iterator[RecordWriter | None]:
    """Where the records go: a data set, folders of another code, or nowhere; nothing is kept if the block fails."""
    if layout not in formats():
        raise ConfigError(f"There is no layout {layout!r}; choose one of {', '.join(formats())}.")
    if out is None:
        yield None
    elif layout == DATA_SET:
        with DatasetWriter(Path(out), force=force, attributes={"made by": "harmose-dft convert"}) as data_set:
            yield data_set
    else:
        with layouts()[layout].open_writer(layout, Path(out), force=force) as folders:
            yield folders


def _deviations(check: CheckResult) -> str:
    """What deviates, of the two things that are compared."""
    parts = []
    if check.max_deviation_mev is not None:
        parts.append(f"eigenvalues deviate by {check.max_deviation_mev:.2g} meV from {check.source} "
                     f"(tolerance {check.tolerance_mev:.2g} meV)")
    if check.overlap_deviation is not None:
        parts.append(f"S deviates by {check.overlap_deviation:.2g} from the integrals of the orbital files")
    return ", ".join(parts)

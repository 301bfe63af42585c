"""Calculations of DFT codes in, a data set or DeepH folders out, or a check of what was read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters.code import Options, RecordWriter
from ..adapters.registry import find_calculations, iterate_calculation, layouts
from ..core.errors import ConfigError, HarmoseError
from ..data import DatasetWriter
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
            f"was written. {worst.path}: eigenvalues deviate by {_number(check.max_deviation_mev)} meV from "
            f"{check.source or 'nothing'} (tolerance {_number(check.tolerance_mev)} meV), S by "
            f"{_number(check.overlap_deviation)} from the integrals of the orbital files. Check that the files are of "
            "one calculation, and the orbital files those of the run."
        )


def formats() -> tuple[str, ...]:
    """Layouts that :func:`convert` writes: data sets first, then those of the codes."""
    return DATA_SET, *layouts()


def convert(
    paths: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    check: bool = False,
    layout: str = DATA_SET,
    options: Options | None = None,
    force: bool = False,
    started: Callable[[int], None] = lambda calculations: None,
    read: Callable[[Converted, Record], None] = lambda converted, record: None,
    done: Callable[[], None] = lambda: None,
) -> tuple[Converted, ...]:
    """Read calculations, check them, and write them as a data set or as folders of another code.

    Codes and versions are recognised from the files; folders are searched. Nothing is written if a check fails.

    Args:
        paths: Files and folders of calculations, or data sets.
        out: What to write; None to check only.
        check: Whether each calculation is diagonalised at its code's own k-points and compared with what it printed.
        layout: One of :func:`formats`.
        options: What readers are told: :func:`harmose_dft.adapters.registry.read_options`.
        force: Whether existing files may be replaced.
        started: Told the number of calculations.
        read: Told each record that was read.
        done: Told when a calculation is finished.

    Raises:
        CheckFailedError: A calculation disagrees with what its code printed.
        FileFormatError: Nothing there is known, or a file is damaged.
        OutputExistsError: ``out`` exists and ``force`` is false.
        ConfigError: The layout is unknown.
    """
    places = [place for path in paths for place in find_calculations(Path(path))]
    started(len(places))
    converted: list[Converted] = []
    with open_writer(out, layout, force) as writer:
        for place in places:
            for record in iterate_calculation(place, options):
                converted.append(Converted.of_record(place, record, check=check))
                read(converted[-1], record)
                if writer is not None:
                    writer.add(record)
            done()
        if any(c.check is not None and c.check.passed is False for c in converted):
            raise CheckFailedError(converted)
    return tuple(converted)


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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"

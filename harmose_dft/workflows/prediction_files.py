"""Which files ``predict_files`` reads and writes for each structure, and their writing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ArgumentError, HarmoseError
from ..core.files import require_absent, require_no_inputs
from ..core.orbitals import fix_sign
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..output import Result, ResultWriter, write_cube, write_molden
from ..output.dos import write_dos
from .density_of_states import compute_dos
from .inputs import Input

if TYPE_CHECKING:
    from ..model.prediction import Prediction

RESULT_SUFFIX = ".harmose.h5"
"""End of a result file's name."""

CompanionWriter = Callable[[Path, "Prediction", bool], None]
"""Writes what it is for of a prediction into a file; the last argument is whether an existing one may be replaced."""


@dataclass(frozen=True)
class Job:
    """The structures that go into one result file, and its companions.

    Args:
        inputs: Where they come from.
        result: The result file; also where none is written, for the names of its companions.
    """

    inputs: tuple[Input, ...]
    result: Path

    @property
    def count(self) -> int:
        """Number of structures."""
        return sum(source.count for source in self.inputs)

    def iterate(self) -> Iterator[tuple[str, Structure]]:
        """Each structure with the source that tables show."""
        for source in self.inputs:
            yield from source.iterate()

    def companion(self, number: int, suffix: str) -> Path:
        """File of the structure of a number, from 1: ``stem.molden``, or ``stem-0001.molden`` among several."""
        name = self.result.name
        stem = name.removesuffix(RESULT_SUFFIX) if name.endswith(RESULT_SUFFIX) else self.result.stem
        return self.result.with_name(stem + (f"-{number:04d}" if self.count > 1 else "") + suffix)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Which files are written of each prediction.

    Args:
        cube: Orbitals written as cube files: "HOMO-1", "LUMO", "7".
        molden: Whether the orbitals are written in the Molden format.
        plot: Picture of the levels or bands of all structures.
        force: Whether existing files may be replaced.
        result: Whether result files are written.
        keep: Whether a result file that exists already is left as it is, rather than refused.
        dos: Whether densities of states are written as tables.
    """

    cube: tuple[str, ...] = ()
    molden: bool = False
    plot: Path | None = None
    force: bool = False
    result: bool = True
    keep: bool = False
    dos: bool = False


RESULTS_ONLY = Outputs()
"""No files but result files."""


def plan_jobs(inputs: Sequence[Input], out: Path | None = None, *, result: bool = True) -> list[Job]:
    """Decide which result file each structure goes to.

    Args:
        inputs: The structures.
        out: One result file for all of them; by default one for each input, in the working folder.
        result: Whether result files are written; their names are those of companions all the same.

    Raises:
        ArgumentError: Two inputs would write the same result file.
    """
    if out is not None:
        return [Job(tuple(inputs), out)]
    jobs = [Job((source,), Path(source.stem + RESULT_SUFFIX)) for source in inputs]
    if not result:
        return jobs
    if repeated := sorted(str(target) for target, n in Counter(job.result for job in jobs).items() if n > 1):
        raise ArgumentError(f"Several inputs would write {repeated[0]}. Give --out FILE for one common result file.")
    return jobs


def require_writable(jobs: Sequence[Job], outputs: Outputs) -> None:
    """Before any computing: refuse to overwrite.

    Raises:
        OutputExistsError: A file exists and may not be replaced, or it is one of the inputs.
        ArgumentError: Two outputs have the same name.
    """
    targets = [job.result for job in jobs if writes_result(job, outputs)]
    frames = ((job, number) for job in jobs for number in range(1, job.count + 1))
    targets += [path for job, number in frames for path, _ in name_companions(job, number, outputs)]
    targets += [] if outputs.plot is None else [outputs.plot]
    require_no_inputs(targets, {source.path for job in jobs for source in job.inputs if source.path is not None})
    taken = set[Path]()
    for target in targets:
        place = target.resolve()
        if place in taken:
            raise ArgumentError(f"{target} is the name of two outputs. Choose another.")
        require_absent(target, outputs.force)
        taken.add(place)


def writes_result(job: Job, outputs: Outputs) -> bool:
    """Whether the result file of a job is to be written."""
    return outputs.result and not (outputs.keep and not outputs.force and os.path.lexists(job.result))


def name_companions(job: Job, number: int, outputs: Outputs) -> list[tuple[Path, CompanionWriter]]:
    """Files besides the result that the options ask for, each with what writes it; an orbital given twice is one."""
    formats: list[tuple[str, CompanionWriter]] = []
    if outputs.molden:
        formats.append((".molden", _write_molden))
    if outputs.dos:
        formats.append((".dos.txt", _write_dos))
    formats += [(f".{name.lower()}.cube", partial(_write_orbital, name)) for name in dict.fromkeys(outputs.cube)]
    return [(job.companion(number, suffix), writer) for suffix, writer in formats]


@contextmanager
def open_job(job: Job, outputs: Outputs) -> Iterator[Callable[[int, Prediction], tuple[Path, ...]]]:
    """Where the predictions of a job go: a function that writes the one of a number and returns its files.

    The result file, if there is to be one, appears when the block ends without an error.
    """
    with ResultWriter(job.result, force=outputs.force) if writes_result(job, outputs) else nullcontext() as writer:

        def write(number: int, prediction: Prediction) -> tuple[Path, ...]:
            if writer is not None:
                writer.add(to_result(prediction))
            written = write_companions(prediction, name_companions(job, number, outputs), outputs.force)
            return (*((job.result,) if writer is not None else ()), *written)

        yield write


def write_companions(
    prediction: Prediction, companions: Sequence[tuple[Path, CompanionWriter]], force: bool
) -> list[Path]:
    """Write the files of one structure that :func:`name_companions` names."""
    for path, writer in companions:
        writer(path, prediction, force)
    return [path for path, _ in companions]


def _write_molden(path: Path, prediction: Prediction, force: bool) -> None:
    write_molden(path, prediction.structure, prediction.basis, prediction.spectrum, force=force)


def _write_dos(path: Path, prediction: Prediction, force: bool) -> None:
    write_dos(path, compute_dos(prediction), force=force)


def _write_orbital(name: str, path: Path, prediction: Prediction, force: bool) -> None:
    structure, basis = prediction.structure, prediction.basis
    title = f"{structure.formula} {name}, {prediction.functional}/{basis.name}"
    write_cube(path, structure, basis, select_orbital(name, prediction.spectrum), title=title, force=force)


def orbital_index(name: str, filled: int, count: int) -> int:
    """Index of "HOMO-1", "LUMO" or "7" among a molecule's orbitals.

    Args:
        name: The orbital.
        filled: Number of occupied orbitals.
        count: Number of all orbitals.

    Raises:
        HarmoseError: There is no such orbital.
    """
    if name.isdigit():
        index = int(name) - 1
    else:
        index = (filled - 1 if name.startswith("HOMO") else filled) + int(name[4:] or 0)
    if not 0 <= index < count:
        raise HarmoseError(f"There is no orbital {name}: the molecule has {count}, {filled} occupied.")
    return index


def select_orbital(name: str, spectrum: Spectrum) -> NDArray[np.float64]:
    """Coefficients (ao,) of an orbital of a molecule, real and with a fixed sign; :func:`orbital_index` has names."""
    index = orbital_index(name, int(spectrum.occupied.sum()), len(spectrum.energies))
    return fix_sign(spectrum.coefficients[:, index].real)


def to_result(prediction: Prediction) -> Result:
    """Convert a prediction to what a result file stores."""
    from .. import __version__

    provenance = {
        "code": "harmose_dft",
        "version": __version__,
        "model": prediction.model.name,
        "model_sha256": prediction.model.sha256,
        "functional": prediction.functional,
        "basis": prediction.basis.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if prediction.trust is not None and prediction.trust.verdict is not None:
        provenance["verdict"] = str(prediction.trust.verdict)
    record = Record(
        prediction.structure, prediction.basis, prediction.hamiltonians, prediction.overlap,
        prediction.spectrum.n_electrons, fermi=prediction.spectrum.fermi, provenance=provenance,
    )
    return Result(record, prediction.spectrum, prediction.stage1, prediction.network)

"""Which files ``predict_files`` reads and writes for each structure, and their writing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..adapters.structures import read_structures
from ..core.errors import ArgumentError, HarmoseError, OutputExistsError
from ..core.files import require_absent
from ..core.orbitals import fix_sign
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..output import Result, write_cube, write_molden, write_results

if TYPE_CHECKING:
    from ..model.prediction import Prediction

RESULT_SUFFIX = ".harmose.h5"
"""End of a result file's name."""


@dataclass(frozen=True)
class Job:
    """One result file: the structures that go into it, and its companions.

    Args:
        structures: With a name each, for tables.
        result: The result file.
    """

    structures: tuple[tuple[str, Structure], ...]
    result: Path

    def companion(self, frame: int, suffix: str) -> Path:
        """File beside the result for one structure: ``stem.molden``, or ``stem-0001.molden`` among several."""
        name = self.result.name
        stem = name.removesuffix(RESULT_SUFFIX) if name.endswith(RESULT_SUFFIX) else self.result.stem
        return self.result.with_name(stem + (f"-{frame + 1:04d}" if len(self.structures) > 1 else "") + suffix)


@dataclass(frozen=True)
class Outputs:
    """Which files are written of each prediction besides the result file.

    Args:
        orbitals: Orbitals written as cube files: "HOMO-1", "LUMO", "7".
        molden: Whether the orbitals are written in the Molden format.
        plot: Picture of the levels or bands of all structures.
        force: Whether existing files may be replaced.
    """

    orbitals: tuple[str, ...] = ()
    molden: bool = False
    plot: Path | None = None
    force: bool = False


RESULTS_ONLY = Outputs()
"""No files but result files."""


def plan_jobs(paths: Sequence[Path], out: Path | None = None) -> list[Job]:
    """Read the structures and decide which result file each goes to.

    Args:
        paths: Structure files.
        out: One result file for all of them; by default one beside each structure file.

    Raises:
        StructureError: A file cannot be read.
        ArgumentError: Two inputs would write the same result file.
    """
    jobs: list[Job] = []
    for path in paths:
        frames = read_structures(path)
        names = [f"{path.name}#{n}" if len(frames) > 1 else path.name for n in range(1, len(frames) + 1)]
        jobs.append(Job(tuple(zip(names, frames, strict=True)), path.with_name(path.stem + RESULT_SUFFIX)))
    if out is not None:
        return [Job(tuple(named for job in jobs for named in job.structures), out)]
    targets = [job.result.resolve() for job in jobs]
    if repeated := sorted({str(t) for t in targets if targets.count(t) > 1}):
        raise ArgumentError(f"Several inputs would write {repeated[0]}. Give --out FILE for one common result file.")
    return jobs


def require_writable(inputs: Sequence[Path], jobs: Sequence[Job], outputs: Outputs) -> None:
    """Before any computing: refuse to overwrite.

    Raises:
        OutputExistsError: A file exists and may not be replaced, or it is one of the inputs.
        ArgumentError: Two outputs have the same name.
    """
    targets = [job.result for job in jobs]
    frames = [(job, frame) for job in jobs for frame in range(len(job.structures))]
    targets += [path for job, frame in frames for path in name_companions(job, frame, outputs).values()]
    targets += [] if outputs.plot is None else [outputs.plot]
    sources, taken = {path.resolve() for path in inputs}, set[Path]()
    for target in targets:
        place = target.resolve()
        if place in sources:
            raise OutputExistsError(f"{target} is one of the input files and was left as it is. Choose another output.")
        if place in taken:
            raise ArgumentError(f"{target} is the name of two outputs. Choose another.")
        require_absent(target, outputs.force)
        taken.add(place)


def name_companions(job: Job, frame: int, outputs: Outputs) -> dict[str, Path]:
    """Files besides the result that the options ask for: "molden" or an orbital's name -> path."""
    paths = {"molden": job.companion(frame, ".molden")} if outputs.molden else {}
    return paths | {name: job.companion(frame, f".{name.lower()}.cube") for name in outputs.orbitals}


def write_job(job: Job, predictions: Sequence[Prediction], outputs: Outputs) -> list[tuple[Path, ...]]:
    """Write the result file and its companions.

    Returns:
        The files of each structure.
    """
    write_results(job.result, [to_result(p) for p in predictions], force=outputs.force)
    return [
        (job.result, *write_companions(prediction, name_companions(job, frame, outputs), outputs.force))
        for frame, prediction in enumerate(predictions)
    ]


def write_companions(prediction: Prediction, paths: dict[str, Path], force: bool) -> list[Path]:
    """Write Molden and cube files of one structure, see :func:`name_companions`."""
    structure, basis, spectrum = prediction.structure, prediction.basis, prediction.spectrum
    for name, path in paths.items():
        if name == "molden":
            write_molden(path, structure, basis, spectrum, force=force)
        else:
            orbital = select_orbital(name, spectrum)
            title = f"{structure.formula} {name}, {prediction.functional}/{basis.name}"
            write_cube(path, structure, basis, orbital, title=title, force=force)
    return list(paths.values())


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
    return Result(record, prediction.spectrum, prediction.stage1)

"""Which files ``predict`` writes for each structure, and their writing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import HarmoseError

if TYPE_CHECKING:
    from ..core.spectrum import Spectrum
    from ..core.structure import Structure
    from ..model.prediction import Prediction
    from ..output import Result

RESULT_SUFFIX = ".harmose.h5"


@dataclass
class Job:
    """One result file: the structures that go into it, and its companions.

    Args:
        structures: With a name each, for tables.
        result: The result file.
    """

    structures: list[tuple[str, Structure]]
    result: Path
    predictions: list[Prediction] = field(default_factory=list)

    def companion(self, frame: int, suffix: str) -> Path:
        """File beside the result for one structure: ``stem.molden``, or ``stem-0001.molden`` among several."""
        name = self.result.name
        stem = name.removesuffix(RESULT_SUFFIX) if name.endswith(RESULT_SUFFIX) else self.result.stem
        return self.result.with_name(stem + (f"-{frame + 1:04d}" if len(self.structures) > 1 else "") + suffix)


@dataclass(frozen=True)
class Options:
    """What to do with each prediction."""

    compare: bool
    verify: bool
    orbitals: tuple[str, ...]
    molden: bool
    plot: Path | None
    force: bool


def companions(job: Job, frame: int, options: Options) -> dict[str, Path]:
    """Files besides the result that the options ask for: "molden" or an orbital's name -> path."""
    paths = {"molden": job.companion(frame, ".molden")} if options.molden else {}
    return paths | {name: job.companion(frame, f".{name.lower()}.cube") for name in options.orbitals}


def write_job(job: Job, options: Options) -> list[list[Path]]:
    """Write the result file and its companions; the files of each structure."""
    from ..output import write_results

    write_results(job.result, [as_result(p) for p in job.predictions], force=options.force)
    return [[job.result, *write_companions(job, frame, options)] for frame in range(len(job.predictions))]


def write_companions(job: Job, frame: int, options: Options) -> list[Path]:
    """Molden and cube files of one structure."""
    from ..output import write_cube, write_molden

    prediction = job.predictions[frame]
    structure, basis, spectrum = prediction.structure, prediction.basis, prediction.spectrum
    paths = companions(job, frame, options)
    for name, path in paths.items():
        if name == "molden":
            write_molden(path, structure, basis, spectrum, force=options.force)
        else:
            orbital = orbital_coefficients(name, spectrum)
            title = f"{structure.formula} {name}, {prediction.functional}/{basis.name}"
            write_cube(path, structure, basis, orbital, title=title, force=options.force)
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


def orbital_coefficients(name: str, spectrum: Spectrum) -> NDArray[np.float64]:
    """Coefficients (ao,) of an orbital of a molecule, which are real."""
    index = orbital_index(name, int(spectrum.occupied.sum()), len(spectrum.energies))
    return np.asarray(spectrum.coefficients[:, index].real)


def as_result(prediction: Prediction) -> Result:
    """What the result file stores of a prediction."""
    from .. import __version__
    from ..core.record import Record
    from ..output import Result

    provenance = {
        "code": "harmose_dft",
        "version": __version__,
        "model": prediction.model.name,
        "model_sha256": prediction.model.sha256,
        "functional": prediction.functional,
        "basis": prediction.basis.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    record = Record(
        prediction.structure, prediction.basis, prediction.hamiltonians, prediction.overlap,
        prediction.spectrum.n_electrons, fermi=prediction.spectrum.fermi, provenance=provenance,
    )
    return Result(record, prediction.spectrum, prediction.stage1)

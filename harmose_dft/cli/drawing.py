"""The level diagram or band plot of ``predict --plot``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..workflows.prediction_files import Job, orbital_coefficients
from .report import heading

if TYPE_CHECKING:
    from ..core.basis import OrbitalBasis
    from ..core.spectrum import Spectrum
    from ..core.structure import Structure
    from ..model.predictor import Prediction

MAX_COLUMNS = 12
"""Columns that a level diagram can show."""

BAND_POINTS = 100
"""k-points along the path of a band plot."""


class Drawing:
    """Collects the columns of a level diagram; a single structure gets pictures of its LUMO and HOMO beside it."""

    def __init__(self) -> None:
        self._columns: list[tuple[str, Spectrum]] = []
        self._predictions: list[Prediction] = []

    def add(self, job: Job, references: Sequence[Spectrum | None]) -> None:
        """One column for each prediction, and one for its reference where there is one."""
        for (name, _), prediction, reference in zip(job.structures, job.predictions, references, strict=True):
            self._columns += [(name, prediction.spectrum)] + ([] if reference is None else [("PySCF", reference)])
            self._predictions.append(prediction)

    def save(self, path: Path, summaries: list[dict[str, Any]], force: bool) -> None:
        """Write the picture; its path joins the files of every structure in it."""
        from ..plots import LevelColumn, plot_levels

        single = len(self._predictions) == 1
        title, columns = heading(summaries[0]), self._columns
        if single:
            title, columns = f"{summaries[0]['formula']}, {title}", [("HarmoSE", columns[0][1]), *columns[1:]]
        pictures = _frontier_pictures(self._predictions[0]) if single else []
        drawn = [LevelColumn(name, spectrum) for name, spectrum in columns]
        plot_levels(drawn, path, title=title, pictures=pictures, connect=single, force=force)
        for entry in summaries:
            entry["files"].append(str(path))


class BandDrawing:
    """The band plot of ``predict --plot`` for a crystal.

    Args:
        kpath: Special points; None for ASE's path.
    """

    def __init__(self, kpath: str | None) -> None:
        self.kpath = kpath
        self._predictions: list[Prediction] = []

    def check(self, structure: Structure, basis: OrbitalBasis) -> None:
        """Before any computing: refuse a crystal whose bands have no such path."""
        from ..physics.integrals import overlapping_pairs
        from ..solver.kpaths import path_across

        path_across(structure, overlapping_pairs(structure, basis)[1], self.kpath, points=BAND_POINTS)

    def add(self, job: Job, references: Sequence[Spectrum | None]) -> None:
        """The crystal."""
        self._predictions += job.predictions

    def save(self, path: Path, summaries: list[dict[str, Any]], force: bool) -> None:
        """Write the picture; its path joins the files of the structure."""
        from ..workflows.bands import WINDOW, Crystal, draw

        crystal = Crystal.of_prediction(self._predictions[0])
        along = crystal.path(self.kpath, BAND_POINTS)
        draw(along, [(crystal, crystal.bands(along))], path, WINDOW, force)
        summaries[0]["files"].append(str(path))


def _frontier_pictures(prediction: Prediction) -> list[tuple[str, Any]]:
    """LUMO above HOMO; nothing where the basis has no radial functions."""
    from ..plots import orbital_picture

    structure, basis, spectrum = prediction.structure, prediction.basis, prediction.spectrum
    if any(shell.radial is None for z in structure.numbers.tolist() for shell in basis.shells[z]):
        return []
    names = [name for name, energy in (("LUMO", spectrum.lumo), ("HOMO", spectrum.homo)) if np.isfinite(energy)]
    orbitals = {name: orbital_coefficients(name, spectrum) for name in names}
    return [(name, orbital_picture(structure, basis, orbital)) for name, orbital in orbitals.items()]

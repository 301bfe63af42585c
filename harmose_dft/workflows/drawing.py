"""The level diagram or band plot that ``predict_files`` draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..core.record import name_code
from ..core.structure import Structure
from ..physics.integrals import overlapping_pairs
from ..plots import LevelColumn, draw_orbital, plot_bands, plot_levels
from ..plots.figure import new_figure, require_format
from ..solver.kpaths import path_across
from .bands import WINDOW, bands
from .prediction_files import select_orbital

if TYPE_CHECKING:
    from ..model.prediction import Prediction
    from ..model.predictor import Predictor
    from .compare import Comparison


def require_drawable(path: Path) -> None:
    """Refuse a picture of an unknown format, or any where matplotlib is missing.

    Raises:
        HarmoseError: The picture cannot be drawn.
    """
    require_format(path)
    new_figure(1.0, 1.0)


class Drawing(ABC):
    """A picture of predictions, which are added one by one."""

    @abstractmethod
    def check(self, predictor: Predictor) -> None:
        """Before any computing: refuse what cannot be drawn.

        Args:
            predictor: The model that will predict.
        """

    @abstractmethod
    def add(self, name: str, prediction: Prediction, comparison: Comparison | None) -> None:
        """Add a prediction under a name, and its reference where there is one."""

    @abstractmethod
    def save(self, path: Path, *, force: bool) -> None:
        """Write the picture.

        Raises:
            OutputExistsError: The file exists and ``force`` is false.
        """


class LevelDrawing(Drawing):
    """Collects the columns of a level diagram; a single structure gets pictures of its LUMO and HOMO beside it."""

    MAX_COLUMNS: ClassVar[int] = 12

    def __init__(self) -> None:
        self._columns: list[LevelColumn] = []
        self._predictions: list[Prediction] = []

    def check(self, predictor: Predictor) -> None:
        """Molecules can always be drawn."""

    def add(self, name: str, prediction: Prediction, comparison: Comparison | None) -> None:
        """Add one column for a prediction, and one for its reference where there is one."""
        self._columns.append(LevelColumn(name, prediction.spectrum))
        if comparison is not None:
            self._columns.append(LevelColumn(name_code(comparison.provenance), comparison.reference.spectrum))
        self._predictions.append(prediction)

    def save(self, path: Path, *, force: bool) -> None:
        """Write the picture."""
        first = self._predictions[0]
        if len(self._predictions) > 1:
            plot_levels(self._columns, path, title=first.level_of_theory, force=force)
            return
        columns = [LevelColumn(first.model.name, first.spectrum), *self._columns[1:]]
        title = f"{first.structure.formula}, {first.level_of_theory}"
        plot_levels(columns, path, title=title, pictures=draw_frontier_orbitals(first), connect=True, force=force)


class BandDrawing(Drawing):
    """The band plot of a crystal.

    Args:
        structure: The crystal.
        kpath: Special points; None for ASE's path.
    """

    def __init__(self, structure: Structure, kpath: str | None) -> None:
        self.structure, self.kpath = structure, kpath
        self._predictions: list[Prediction] = []

    def check(self, predictor: Predictor) -> None:
        """Before any computing: refuse a crystal whose bands have no such path.

        Raises:
            StructureError: The lattice lacks a named point.
        """
        path_across(self.structure, *overlapping_pairs(self.structure, predictor.model.basis), self.kpath)

    def add(self, name: str, prediction: Prediction, comparison: Comparison | None) -> None:
        """Add the crystal."""
        self._predictions.append(prediction)

    def save(self, path: Path, *, force: bool) -> None:
        """Write the picture."""
        curves = bands(self._predictions[0], kpath=self.kpath)
        plot_bands(curves, path, window=(-WINDOW, WINDOW), title=self.structure.formula, force=force)


def draw_frontier_orbitals(prediction: Prediction) -> list[tuple[str, NDArray[np.float64]]]:
    """Pictures of LUMO and HOMO, the LUMO first; none where the basis has no radial functions."""
    structure, basis, spectrum = prediction.structure, prediction.basis, prediction.spectrum
    if not basis.has_radial(structure.numbers.tolist()):
        return []
    names = [name for name, energy in (("LUMO", spectrum.lumo), ("HOMO", spectrum.homo)) if np.isfinite(energy)]
    return [(name, draw_orbital(structure, basis, select_orbital(name, spectrum))) for name in names]

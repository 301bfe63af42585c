"""Reference calculations that start from a prediction and are accelerated: the recipe "accelerated"."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf import Converged, converge, reference_by
from ...core.basis import OrbitalBasis
from ...core.record import Record
from ...core.structure import Structure
from ...model.loading import as_predictor, load
from .guess import SeedWarning
from .kinds import MeanField
from .mean_field import seed

if TYPE_CHECKING:
    from ...model.predictor import Predictor

TOLERANCES = {"energy": 1e-9, "gradient": 3e-6}
"""Convergence on the final grid, Hartree. The last step of an accelerated SCF leaves a gradient of about 1e-6 with it,
and Fock elements that are off by 0.005 uHa on average; one full Fock build more for 1e-11 would be a fifth of the time
(journal/results.md, "Recipe `accelerated`")."""


def reference_from_prediction(
    structure: Structure,
    xc: str,
    basis: str | OrbitalBasis,
    *,
    grid_level: int = 3,
    model: str | Path | Predictor = "organic",
) -> Record:
    """A converged restricted Kohn-Sham calculation by the accelerated SCF of :func:`~harmose_dft.plugins.pyscf.seed`.

    It starts from the model's prediction, of whatever functional and basis the calculation is; from PySCF's own start
    where there is none (the provenance says which). What is converged is PySCF's own Fock matrix on the final grid.

    Args:
        structure: A closed-shell molecule.
        xc: PySCF's name of the functional.
        basis: Basis set.
        grid_level: Integration grid, 0 to 9.
        model: A bundled model's name, a model's folder, or a loaded model.

    Returns:
        Fock matrix, overlap, energy and orbital energies, with provenance.

    Raises:
        StructureError: Periodic, odd electron count or open shell.
        SolverError: The SCF did not converge.
        HarmoseError: Unknown functional or basis.
        CheckpointError: The model cannot be loaded.
    """
    predictor = load_once(model) if isinstance(model, str) else as_predictor(model)
    return reference_by(SeededRecipe(predictor), structure, xc, basis, grid_level=grid_level, name="accelerated")


@lru_cache(maxsize=1)
def load_once(model: str) -> Predictor:
    """A model that is loaded for the first molecule and serves all."""
    return load(model)


@dataclass(frozen=True, eq=False)
class SeededRecipe:
    """Converges a Kohn-Sham object from a prediction; a recipe of :func:`~harmose_dft.adapters.pyscf.reference_by`."""

    predictor: Predictor

    def __call__(self, mf: MeanField, density: NDArray[np.float64] | None) -> Converged:
        """Fock matrix of the last full Fock build, energy and cycles; the start is noted."""
        seeded, last = seed(mf, self.predictor), _LastFock()
        seeded.callback = last
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeedWarning)  # the provenance says it, molecule by molecule
            cycles = converge(seeded, density, TOLERANCES["energy"], TOLERANCES["gradient"])
        start = self.predictor.info.name if seeded.guess.predicted else "PySCF"
        return Converged(last.fock, float(seeded.e_tot), cycles, {"start": start})


@dataclass
class _LastFock:
    """Keeps the Fock matrix of PySCF's last SCF cycle, so that it is not built again; PySCF's ``mf.callback``."""

    fock: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    def __call__(self, cycle: dict[str, Any]) -> None:
        """Receive the variables of a cycle."""
        self.fock = np.array(cycle["fock"])

"""Cells too large to diagonalise: H(R) in chunks, states around the Fermi level, density of states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, HarmoseError
from ..core.matrix import BlockMatrix
from ..core.progress import Progress, silent
from ..core.record import Record, name_code
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from ..model.chunks import predict_matrices
from ..model.domain import DomainReport
from ..model.loading import as_predictor
from ..model.predictor import AtomsLike, Predictor
from ..solver import (
    Filling,
    FrontierStates,
    StochasticDensity,
    choose_factor,
    density_of_states,
    frontier_states,
    mesh,
    monkhorst_pack,
    solve_structure,
    stochastic_density,
)
from ..solver.filling import DEFAULT_FILLING
from ..solver.sparse import DENSE_LIMIT
from .bands import WINDOW
from .crystals import find_structure, read_crystal, warn_of_unusual

BROADENING = 0.3
"""eV, unless told: the number of Lanczos steps is inverse to it."""

POINTS = 401
"""Energies of a density of states."""


@dataclass(frozen=True, eq=False)
class CellMatrices:
    """H and S of a crystal without its spectrum.

    Args:
        label: A model or a code.
        structure: The atoms.
        hamiltonian: One matrix, or one per spin direction, Hartree.
        overlap: S.
        n_electrons: Electrons per cell.
        domain: How far a predicted one is from the model's training set.
    """

    label: str
    structure: Structure
    hamiltonian: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    n_electrons: float
    domain: DomainReport | None = None


@dataclass(frozen=True, eq=False)
class FermiWindow:
    """What is around the Fermi level of a large cell.

    Args:
        label: A model or a code.
        structure: The atoms.
        n_orbitals: Orbitals per cell, spin included for spinors.
        n_electrons: Electrons per cell.
        kpoints: Fractional, (k, 3); Gamma alone for a cell that is large in all periodic directions.
        states: States around the Fermi level, where asked for.
        density: Density of states, where asked for.
        solver: Name of the direct solver.
        seconds: What was done -> time.
        domain: How far a predicted cell is from the model's training set.
    """

    label: str
    structure: Structure
    n_orbitals: int
    n_electrons: float
    kpoints: NDArray[np.float64]
    states: FrontierStates | None
    density: StochasticDensity | None
    solver: str
    seconds: dict[str, float]
    domain: DomainReport | None = None

    @property
    def fermi(self) -> float:
        """Fermi level in Hartree, from counted states where there are any."""
        if self.states is not None:
            return self.states.fermi
        assert self.density is not None
        return self.density.fermi

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description; the unit is the last part of a key."""
        out: dict[str, object] = {
            "label": self.label,
            "formula": self.structure.formula,
            "n_atoms": len(self.structure),
            "n_orbitals": self.n_orbitals,
            "n_electrons": self.n_electrons,
            "kpoints": self.kpoints,
            "fermi_ev": self.fermi * HARTREE_IN_EV,
            "solver": self.solver,
            "seconds": self.seconds,
        }
        if self.domain is not None:
            out["trust"] = {
                "environment_distance": self.domain.environment_distance,
                "unusual_atoms": list(self.domain.unusual_atoms),
                "far_atoms": list(self.domain.far_atoms),
            }
        if (states := self.states) is not None:
            out["states"] = {
                "energies_ev": states.energies * HARTREE_IN_EV,
                "occupations": states.occupations,
                "n_below": states.n_below,
                "gap_ev": states.gaps[0] * HARTREE_IN_EV,
                "direct_gap_ev": states.gaps[1] * HARTREE_IN_EV,
            }
        if (density := self.density) is not None:
            out["dos"] = {
                "energies_ev": density.energies * HARTREE_IN_EV,
                "states_per_ev": density.density / HARTREE_IN_EV,
                "error_per_ev": density.error / HARTREE_IN_EV,
                "broadening_ev": density.broadening * HARTREE_IN_EV,
                "fermi_ev": density.fermi * HARTREE_IN_EV,
                "fermi_interval_ev": [level * HARTREE_IN_EV for level in density.fermi_interval],
                "n_vectors": density.n_vectors,
                "n_steps": density.n_steps,
            }
        return out


def near_fermi(
    source: CellMatrices | Record | Structure | AtomsLike | str | Path,
    model: str | Path | Predictor | None = None,
    *,
    states: int | None = 40,
    with_dos: bool = False,
    window: float = WINDOW,
    broadening: float = BROADENING,
    solver: str | None = None,
    filling: Filling = DEFAULT_FILLING,
    device: str = "cpu",
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> FermiWindow:
    """States around the Fermi level and density of states of a cell of any size, on its own mesh of k-points.

    Args:
        source: A calculation or the path of one; with a model, a structure, ASE's atoms, or the path of a
            file with one.
        model: The model that predicts the structure's Hamiltonian: a name, a folder, or a loaded model.
        states: Number of states at each k-point; None: none.
        with_dos: Whether to estimate the density of states.
        window: eV around the Fermi level of the density of states.
        broadening: Standard deviation in eV of the Gaussian that stands for a state in it.
        solver: Direct solver, "pardiso" or "superlu"; by default the preferred one of those installed.
        filling: Spacing of k-points and smearing.
        device: Where a model that is loaded runs.
        progress: Shows progress of the prediction.
        tell: Receives what takes time before it is done.

    Raises:
        HarmoseError: The source is not of one crystal, or neither states nor density are asked for.
        DomainError: The structure lies outside the model's domain.
        SolverError: The solver is not installed, or a state was missed.
    """
    if states is None and not with_dos:
        raise HarmoseError("Neither states nor a density of states were asked for; give states=40 or with_dos=True.")
    chosen, seconds = choose_factor(solver).name, dict[str, float]()
    with _clock(seconds, "matrices"):
        cell = open_cell(source, model, device=device, progress=progress)
    hamiltonian, overlap = cell.hamiltonian, cell.overlap
    points = monkhorst_pack(
        mesh(cell.structure, overlap, filling.spacing), time_reversal=not hamiltonian[0].spinor
    )
    density = found_states = None
    if with_dos:
        tell(f"{cell.structure.formula}: density of states of {hamiltonian[0].size} orbitals")
        with _clock(seconds, "dos"):
            density = _density(cell, points, window / HARTREE_IN_EV, broadening / HARTREE_IN_EV, filling, solver)
    if states is not None:
        tell(f"{cell.structure.formula}: {states} states around the Fermi level by {chosen}")
        with _clock(seconds, "states"):
            found_states = frontier_states(
                hamiltonian, overlap, *points, cell.n_electrons, states, filling=filling, solver=solver,
                guess=0.0 if density is None else density.fermi,
            )
    return FermiWindow(
        cell.label, cell.structure, hamiltonian[0].size, cell.n_electrons, points[0], found_states, density, chosen,
        seconds, cell.domain,
    )


def open_cell(
    source: CellMatrices | Record | Structure | AtomsLike | str | Path,
    model: str | Path | Predictor | None = None,
    *,
    device: str = "cpu",
    progress: Progress = silent,
) -> CellMatrices:
    """A crystal's H and S, predicted in chunks where a model is given; arguments as for :func:`near_fermi`.

    Raises:
        HarmoseError: The source is not of one crystal, has no Hamiltonian and there is no model, or its number of
            electrons is unknown.
    """
    if isinstance(source, CellMatrices):
        return source
    if model is not None:
        predictor = as_predictor(model, device=device)
        structure = find_structure(source)
        matrices = predict_matrices(predictor, structure, progress=progress)
        domain = warn_of_unusual(predictor, structure)
        return CellMatrices(
            predictor.info.name, structure, matrices.hamiltonians, matrices.overlap,
            predictor.physics.n_electrons(structure), domain,
        )
    if not isinstance(source, Record | str | Path):
        formula = find_structure(source).formula
        raise HarmoseError(f"{formula} is a structure without a Hamiltonian. Name a model to predict it.")
    record = source if isinstance(source, Record) else read_crystal(Path(source))
    if not np.isfinite(record.n_electrons):
        raise DataError(
            f"The number of electrons of {record.structure.formula} is unknown, and so is where its Fermi level lies. "
            "Put n_electrons into the info.json of its folder."
        )
    label = record.provenance.get("model") or name_code(record.provenance)
    return CellMatrices(label, record.structure, tuple(record.hamiltonian), record.overlap, record.n_electrons)


def _density(
    cell: CellMatrices, points: tuple[NDArray[np.float64], NDArray[np.float64]], window: float, broadening: float,
    filling: Filling, solver: str | None,
) -> StochasticDensity:
    """The density of states around the Fermi level: exact in small cells, stochastic in others; all in Hartree."""
    relative = np.linspace(-window, window, POINTS)
    if cell.hamiltonian[0].size > DENSE_LIMIT:
        return stochastic_density(
            cell.hamiltonian, cell.overlap, *points, cell.n_electrons, relative, broadening, relative=True,
            filling=filling, solver=solver,
        )
    spectrum = solve_structure(cell.structure, cell.hamiltonian, cell.overlap, cell.n_electrons, filling)
    assert spectrum.fermi is not None
    grid = relative + spectrum.fermi
    total = density_of_states(spectrum, cell.overlap, grid, broadening).total.sum(axis=0)
    level = (spectrum.fermi, spectrum.fermi)
    return StochasticDensity(grid, total, np.zeros(POINTS), spectrum.fermi, level, broadening, 0, 0)


@contextmanager
def _clock(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start

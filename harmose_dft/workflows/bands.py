"""Bands of a crystal along a path, and their comparison with those of a reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.arguments import require_count
from ..core.errors import HarmoseError
from ..core.units import HARTREE_IN_EV
from ..metrics import band_errors
from ..metrics.evaluation import BAND_WINDOW
from ..model.predictor import Predictor
from ..solver import bands as solve_bands
from ..solver import bands_near, choose_factor
from ..solver.band_structure import BandStructure
from ..solver.kpaths import KPath, path_across
from .crystals import CrystalSource, open_crystal, require_same_crystal

MANY_ORBITALS = 1000
"""In larger cells only the states around the Fermi level are computed."""

STATES = 60
"""How many, unless told."""

WINDOW = BAND_WINDOW * HARTREE_IN_EV
"""eV around the Fermi level that plots show and comparisons count, unless told."""

SMOOTH = ((120, 400), (500, 200))
"""Number of orbitals up to which a path has so many k-points."""

FEWEST = 100
"""k-points of the paths of larger cells."""

@dataclass(frozen=True)
class BandComparison:
    """Errors of bands around the reference's Fermi level after the best shift.

    Args:
        reference: What the bands are compared with.
        window: Half width of the energies that count, eV.
        mean_error: Mean absolute error, Hartree.
        largest_error: Largest error, Hartree.
        shift: What was subtracted from the bands, Hartree.
        in_training: Whether the model was trained on the reference, whose bands are then no test of it; None where
            that is not known.
    """

    reference: str
    window: float
    mean_error: float
    largest_error: float
    shift: float
    in_training: bool | None = None

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description; the unit is the last part of a key."""
        milli = 1e3 * HARTREE_IN_EV
        return {
            "reference": self.reference,
            "window_ev": self.window,
            "band_mae_mev": self.mean_error * milli,
            "band_max_mev": self.largest_error * milli,
            "shift_ev": self.shift * HARTREE_IN_EV,
            "in_training": self.in_training,
        }


def bands(
    source: CrystalSource,
    model: str | Path | Predictor | None = None,
    *,
    kpath: str | KPath | None = None,
    points: int | None = None,
    states: int | None = None,
    every: bool = False,
    solver: str | None = None,
    device: str = "cpu",
) -> BandStructure:
    """Compute the bands of a crystal along a path.

    Args:
        source: A prediction, a calculation, or the path of a result file or of a DFT code's calculation; with a model,
            a structure, ASE's atoms, or the path of a file with one.
        model: The model that predicts the structure's Hamiltonian: a name, a folder, or a loaded model.
        kpath: Special points such as "GMKG", "seekpath" for its path, or the k-points; by default ASE's path. A layer
            has the points of its two-dimensional lattice.
        points: k-points along the path; by default as many as smooth curves need, see :func:`choose_points`.
        states: How many states around the Fermi level; by default all up to :data:`MANY_ORBITALS` orbitals,
            :data:`STATES` beyond.
        every: Whether all states are computed, however many.
        solver: Direct solver of large cells, "pardiso" or "superlu"; by default the preferred one of those installed.
        device: Where a model that is loaded runs.

    Raises:
        HarmoseError: The source is not of one crystal, or has no Hamiltonian and there is no model.
        StructureError: The lattice lacks a named point.
        ArgumentError: There are fewer than two points, or no states.
        SolverError: The solver is unknown or not installed, also where the cell is too small to need it.
    """
    if states is not None:
        require_count("The number of states around the Fermi level (states)", states)
    if solver is not None:
        choose_factor(solver)
    crystal = open_crystal(source, model, device=device)
    path = kpath
    size = crystal.hamiltonian[0].size
    if not isinstance(path, KPath):
        count = choose_points(size) if points is None else points
        path = path_across(crystal.structure, crystal.overlap.pairs, crystal.overlap.shifts, path, points=count)
    if every or (states is None and size <= MANY_ORBITALS):
        energies = solve_bands(crystal.hamiltonian, crystal.overlap, path.kpoints)
    else:
        count = min(STATES if states is None else states, size)
        energies = bands_near(crystal.hamiltonian, crystal.overlap, path.kpoints, crystal.fermi, count, solver=solver)
    return BandStructure(
        crystal.structure, path, energies, crystal.fermi, crystal.gaps, crystal.n_electrons, size, crystal.label
    )


def choose_points(size: int) -> int:
    """k-points along a path: the smaller the cell, the more its bands bend and the less a k-point costs.

    Args:
        size: Number of orbitals in the cell.
    """
    return next((points for largest, points in SMOOTH if size <= largest), FEWEST)


def compare_bands(
    bands: BandStructure, reference: BandStructure, window: float = WINDOW, *, in_training: bool | None = None
) -> BandComparison:
    """Mean and largest error of bands around the reference's Fermi level after the best shift.

    Args:
        bands: All bands on a path.
        reference: All bands of the reference on the same path.
        window: Half width in eV.
        in_training: Whether the model was trained on the reference; None where that is not known.

    Raises:
        HarmoseError: The two are of different crystals, or have different orbitals or spins.
    """
    require_same_crystal(bands.structure, reference.structure)
    shape, shape_ref = ((len(b.energies), b.n_orbitals) for b in (bands, reference))
    if shape != shape_ref:
        raise HarmoseError(
            f"{reference.label} has {shape_ref[1]} orbitals and {shape_ref[0]} spin directions, "
            f"{bands.label} {shape[1]} and {shape[0]}: bands can be compared one by one only in "
            "the same basis. Leave --compare out, or give the calculation of this structure in the model's basis."
        )
    errors, shift = band_errors(
        reference.energies, bands.energies, fermi=reference.fermi, window=window / HARTREE_IN_EV
    )
    return BandComparison(reference.label, window, float(errors.mean()), float(errors.max()), shift, in_training)

"""Bands of a crystal along a path: from a prediction, a structure and a model, a result file, or a calculation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..adapters.registry import read_calculations, recognise
from ..adapters.structures import is_structure_file, read_structures
from ..core.errors import DataError, HarmoseError, HarmoseWarning
from ..core.matrix import BlockMatrix
from ..core.record import Record, name_code
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from ..metrics import band_errors
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import Predictor
from ..model.trust.report import TrustReport, describe_unusual
from ..output.result import is_result, read_results
from ..solver import band_gap, bands_near, solve_structure
from ..solver import bands as solve_bands
from ..solver.band_structure import BandStructure
from ..solver.filling import mesh
from ..solver.kpaths import KPath, path_across
from ..solver.kpoints import monkhorst_pack
from ..solver.periodic import electrons_per_orbital

MANY_ORBITALS = 1000
"""In larger cells only the states around the Fermi level are computed."""

STATES = 60
"""How many, unless told."""

WINDOW = 5.0
"""eV around the Fermi level that plots show and comparisons count, unless told."""

SMOOTH = ((120, 400), (500, 200))
"""Number of orbitals up to which a path has so many k-points."""

FEWEST = 100
"""k-points of the paths of larger cells."""

SAME_CELL = 0.02
"""Lattice vectors of prediction and reference may differ by this much, Bohr."""


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal's matrices with what its bands need.

    Args:
        label: Name in legends.
        structure: The atoms.
        hamiltonian: One matrix, or one per spin direction, Hartree.
        overlap: S.
        fermi: Fermi level in Hartree.
        n_electrons: Electrons per cell.
        gaps: Indirect and direct gap on the mesh of k-points, Hartree; zero for a metal.
        trust: How far a prediction can be trusted; None for calculations and results.
    """

    label: str
    structure: Structure
    hamiltonian: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    fermi: float
    n_electrons: float
    gaps: tuple[float, float]
    trust: TrustReport | None = None

    @classmethod
    def from_prediction(cls, prediction: Prediction) -> Crystal:
        """A predicted crystal.

        Raises:
            DataError: The prediction is of a molecule.
        """
        spectrum = prediction.spectrum
        if spectrum.fermi is None:
            raise DataError(f"{prediction.structure.formula} is a molecule and has no bands; its levels are discrete.")
        return cls(
            prediction.model.name, prediction.structure, prediction.hamiltonians, prediction.overlap, spectrum.fermi,
            spectrum.n_electrons, band_gap(spectrum), prediction.trust,
        )

    @classmethod
    def from_record(cls, record: Record, label: str = "") -> Crystal:
        """A calculation of a crystal with its Hamiltonian; its Fermi level is the code's own where that is known.

        Args:
            record: The calculation.
            label: Name in legends where the provenance names neither a model nor a code.

        Raises:
            DataError: The calculation is of a molecule, or has no Hamiltonian.
        """
        about = record.provenance
        if not record.structure.periodic or not record.hamiltonian:
            source = about.get("source") or record.structure.formula
            raise DataError(f"{source} has no bands: it is of a molecule, or an overlap-only calculation.")
        n_electrons = record.n_electrons if np.isfinite(record.n_electrons) else electrons_below_fermi(record)
        spectrum = solve_structure(record.structure, record.hamiltonian, record.overlap, n_electrons)
        assert spectrum.fermi is not None
        return cls(
            about.get("model") or name_code(about) or label,
            record.structure, record.hamiltonian, record.overlap,
            spectrum.fermi if record.fermi is None else record.fermi, n_electrons, band_gap(spectrum),
        )


def electrons_below_fermi(record: Record) -> float:
    """Electrons per cell that fill the states below a record's Fermi level, where the code gives that level only.

    Raises:
        DataError: There is no Fermi level either, or it lies outside the bands.
    """
    if record.fermi is None:
        source = record.provenance.get("source") or record.structure.formula
        raise DataError(
            f"{source} gives neither the number of electrons nor the Fermi level. Put n_electrons, occupation or "
            "fermi_energy_eV into its info.json."
        )
    kpoints, weights = monkhorst_pack(mesh(record.structure, record.overlap))
    below = solve_bands(record.hamiltonian, record.overlap, kpoints) < record.fermi
    n_electrons = electrons_per_orbital(record.hamiltonian) * float((below.sum(axis=(0, 2)) * weights).sum())
    if n_electrons == 0:
        raise DataError(f"The Fermi level of {record.structure.formula} lies below all bands. Correct it in info.json.")
    return n_electrons


CrystalSource = Crystal | Prediction | Record | Structure | str | Path
"""A crystal with its Hamiltonian or, with a model, without; or the path of a file with one."""


@dataclass(frozen=True)
class BandComparison:
    """Errors of bands around the reference's Fermi level after the best shift.

    Args:
        reference: What the bands are compared with.
        window: Half width of the energies that count, eV.
        mean_error: Mean absolute error, Hartree.
        largest_error: Largest error, Hartree.
        shift: What was subtracted from the bands, Hartree.
    """

    reference: str
    window: float
    mean_error: float
    largest_error: float
    shift: float

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description; the unit is the last part of a key."""
        milli = 1e3 * HARTREE_IN_EV
        return {
            "reference": self.reference,
            "window_ev": self.window,
            "band_mae_mev": self.mean_error * milli,
            "band_max_mev": self.largest_error * milli,
            "shift_ev": self.shift * HARTREE_IN_EV,
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
            a structure or the path of a file with one.
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
    """
    crystal = open_crystal(source, model, device=device)
    path = kpath
    size = crystal.hamiltonian[0].size
    if not isinstance(path, KPath):
        count = choose_points(size) if points is None else points
        path = path_across(crystal.structure, crystal.overlap.shifts, path, points=count)
    if every or (states is None and size <= MANY_ORBITALS):
        energies = solve_bands(crystal.hamiltonian, crystal.overlap, path.kpoints)
    else:
        count = min(states or STATES, size)
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


def open_crystal(
    source: CrystalSource, model: str | Path | Predictor | None = None, *, device: str = "cpu"
) -> Crystal:
    """A crystal with its matrices, predicted where a model is given; arguments as for :func:`bands`.

    Raises:
        HarmoseError: The source is not of one crystal, or has no Hamiltonian and there is no model.

    Warns:
        HarmoseWarning: The prediction should be used with care, or not at all.
    """
    if model is not None:
        structure = source if isinstance(source, Structure) else find_structure(source)
        return Crystal.from_prediction(as_predictor(model, device=device).predict(structure))
    match source:
        case Crystal():
            return source
        case Prediction():
            return Crystal.from_prediction(source)
        case Record():
            return Crystal.from_record(source)
        case Structure():
            raise HarmoseError(f"{source.formula} is a structure without a Hamiltonian. Name a model to predict it.")
    path = Path(source)
    return Crystal.from_record(read_crystal(path), path.name)


def warn_of_unusual(predictor: Predictor, structure: Structure) -> None:
    """Warn where a structure whose prediction has no trust report does not resemble the training set.

    Warns:
        HarmoseWarning: With the atoms.
    """
    if text := describe_unusual(predictor.model.domain.report(structure)):
        advice = "harmose-dft predict judges the prediction"
        warnings.warn(f"{structure.formula} has {text}; {advice}", HarmoseWarning, stacklevel=3)


def read_crystal(path: Path) -> Record:
    """The record of the crystal in a result file or in a DFT code's calculation.

    Raises:
        HarmoseError: The path holds several calculations, or none, or a structure only.
        DataError: The calculation is of a molecule, or has no Hamiltonian.
    """
    if recognise(path) is None and is_structure_file(path):
        raise HarmoseError(f"{path} is a structure without a Hamiltonian. Name the model that predicts it: --model.")
    records = [result.record for result in read_results(path)] if is_result(path) else read_calculations(path)
    if len(records) != 1:
        raise HarmoseError(f"{path} holds {len(records)} calculations; bands are drawn of one. Give the path of one.")
    if not records[0].structure.periodic or not records[0].hamiltonian:
        raise DataError(f"{path} has no bands: it is of a molecule, or an overlap-only calculation.")
    return records[0]


def find_structure(source: Crystal | Prediction | Record | str | Path) -> Structure:
    """The crystal structure in a structure file or a DFT code's calculation.

    Raises:
        HarmoseError: There are several, or it has no cell.
    """
    if not isinstance(source, str | Path):
        return source.structure
    path = Path(source)
    calculation = path.exists() and recognise(path) is not None
    structures = [r.structure for r in read_calculations(path)] if calculation else read_structures(path)
    if len(structures) != 1:
        raise HarmoseError(f"{path} holds {len(structures)} structures; bands are drawn of one. Give a file with one.")
    if not structures[0].periodic:
        raise HarmoseError(f"{path} has no cell; bands are of crystals. Use harmose-dft predict for molecules.")
    return structures[0]


def compare_bands(bands: BandStructure, reference: BandStructure, window: float = WINDOW) -> BandComparison:
    """Mean and largest error of bands around the reference's Fermi level after the best shift.

    Args:
        bands: All bands on a path.
        reference: All bands of the reference on the same path.
        window: Half width in eV.

    Raises:
        HarmoseError: The two have different orbitals or spins.
    """
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
    return BandComparison(reference.label, window, float(errors.mean()), float(errors.max()), shift)


def require_same_cell(structure: Structure, reference: Structure) -> None:
    """Refuse to compare crystals with different lattices or numbers of atoms.

    Raises:
        HarmoseError: They differ.
    """
    assert structure.cell is not None
    assert reference.cell is not None
    if len(structure) != len(reference) or np.abs(structure.cell - reference.cell).max() > SAME_CELL:
        raise HarmoseError(
            f"The reference {reference.formula} ({len(reference)} atoms) has another cell than {structure.formula} "
            f"({len(structure)} atoms); their bands lie on different paths. Compare with a calculation of this cell."
        )

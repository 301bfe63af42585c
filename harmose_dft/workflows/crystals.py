"""Crystals with their Hamiltonians: from a prediction, a structure and a model, a result file, or a calculation."""

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
from ..core.spin import electrons_per_orbital
from ..core.structure import Structure
from ..core.units import BOHR_IN_ANGSTROM
from ..model.domain import DomainReport
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import AtomsLike, Predictor
from ..model.trust.judging import describe_unusual
from ..model.trust.report import TrustReport
from ..output.result import is_result, read_results
from ..solver import band_gap, solve_structure
from ..solver import bands as solve_bands
from ..solver.filling import mesh
from ..solver.kpoints import monkhorst_pack
from .sources import as_structure

SAME_CELL = 0.02
"""Lattice vectors of prediction and reference may differ by this much, Bohr."""

SAME_PLACE = 0.01
"""Atoms of prediction and reference may be this far apart, Angstrom: files have three decimals, or more."""


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


CrystalSource = Crystal | Prediction | Record | Structure | AtomsLike | str | Path
"""A crystal with its Hamiltonian or, with a model, without; or the path of a file with one."""


def open_crystal(
    source: CrystalSource, model: str | Path | Predictor | None = None, *, device: str = "cpu"
) -> Crystal:
    """A crystal with its matrices, predicted where a model is given.

    Args:
        source: A prediction, a calculation, or the path of a result file or of a DFT code's calculation; with a model,
            a structure, ASE's atoms, or the path of a file with one.
        model: A model's name, a model's folder, or a loaded model.
        device: Where a model that is loaded runs.

    Raises:
        HarmoseError: The source is not of one crystal, or has no Hamiltonian and there is no model.

    Warns:
        HarmoseWarning: The prediction should be used with care, or not at all.
    """
    if model is not None:
        return Crystal.from_prediction(as_predictor(model, device=device).predict(find_structure(source)))
    match source:
        case Crystal():
            return source
        case Prediction():
            return Crystal.from_prediction(source)
        case Record():
            return Crystal.from_record(source)
        case str() | Path():
            return Crystal.from_record(read_crystal(Path(source)), Path(source).name)
    formula = find_structure(source).formula
    raise HarmoseError(f"{formula} is a structure without a Hamiltonian. Name a model to predict it.")


def warn_of_unusual(predictor: Predictor, structure: Structure) -> DomainReport:
    """How far a structure whose prediction has no trust report is from the training set.

    Warns:
        HarmoseWarning: It does not resemble the training set; with the atoms.
    """
    report = predictor.model.domain.report(structure)
    if text := describe_unusual(report):
        advice = "compare a smaller cell with such atoms with a calculation of it"
        warnings.warn(f"{structure.formula} has {text}; {advice}", HarmoseWarning, stacklevel=3)
    return report


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


def find_structure(source: CrystalSource) -> Structure:
    """The crystal structure of an object, or in a structure file, a result file or a DFT code's calculation.

    Raises:
        HarmoseError: A file holds several, or one without a cell.
        TypeError: The source is none of these.
    """
    if (given := as_structure(source)) is not None:
        return given
    if isinstance(source, Crystal | Prediction | Record):
        return source.structure
    if not isinstance(source, str | Path):
        raise TypeError(f"Expected a crystal, ASE Atoms or the path of a file, got {type(source).__name__}.")
    path = Path(source)
    if path.exists() and is_result(path):
        structures = [result.record.structure for result in read_results(path)]
    elif path.exists() and recognise(path) is not None:
        structures = [r.structure for r in read_calculations(path)]
    else:
        structures = read_structures(path)
    if len(structures) != 1:
        raise HarmoseError(f"{path} holds {len(structures)} structures; bands are drawn of one. Give a file with one.")
    if not structures[0].periodic:
        raise HarmoseError(
            f"{path} {structures[0].lack_of_cell}; bands are of crystals. Use harmose-dft predict for molecules."
        )
    return structures[0]


def require_same_crystal(structure: Structure, reference: Structure) -> None:
    """Refuse to compare crystals with different lattices, or different atoms or places of atoms in them.

    Places are compared modulo lattice vectors and up to a translation of the whole crystal, atom by atom.

    Args:
        structure: A crystal.
        reference: The crystal of the calculation, atoms in the same order.

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
    advice = "Compare with a calculation of this structure, atoms in the same order."
    for number, (symbol, expected) in enumerate(zip(structure.symbols, reference.symbols, strict=True), start=1):
        if symbol != expected:
            raise HarmoseError(f"Atom {number} is {symbol} here and {expected} in the reference. {advice}")
    moves = (structure.positions @ np.linalg.inv(structure.cell)
             - reference.positions @ np.linalg.inv(reference.cell))  # fmt: skip
    distances = np.linalg.norm((moves - np.round(moves)) @ structure.cell, axis=1) * BOHR_IN_ANGSTROM
    relative = moves - moves[0]
    apart = np.linalg.norm((relative - np.round(relative)) @ structure.cell, axis=1) * BOHR_IN_ANGSTROM
    if apart.max() > SAME_PLACE:
        farthest = int(distances.argmax())
        raise HarmoseError(
            f"Atom {farthest + 1} ({structure.symbols[farthest]}) lies {distances[farthest]:.3f} Angstrom from its "
            f"place in the reference, expected {SAME_PLACE} or less: the difference would be that of two geometries, "
            f"no error of the model. {advice}"
        )

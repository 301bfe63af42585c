"""A report to look at: everything predicted for a molecule or a crystal, as the data of one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..adapters.pyscf import core_charges
from ..adapters.registry import read_calculations, recognise
from ..adapters.structures import read_structures
from ..core.errors import DomainError, HarmoseError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from ..metrics import MetricAccumulator
from ..model.loading import as_predictor
from ..model.prediction import Prediction
from ..model.predictor import Predictor
from ..plots import LevelColumn
from ..plots.page import BandsView, OrbitalView, Report, TrustView, View
from ..solver import Filling, density_of_states, loewdin_charges, mulliken_charges, solve_structure
from ..solver.dos import DensityOfStates
from .bands import bands, compare_bands
from .compare import Comparison, compare
from .crystals import Crystal, require_same_crystal
from .inputs import give_charge
from .prediction_files import orbital_index, select_orbital
from .report_tables import (
    CITATION,
    DOI,
    compare_figures,
    compare_row,
    crystal_facts,
    describe_code,
    describe_reference,
    molecule_facts,
    trace,
)
from .sources import Source, collect_structures
from .trust_words import describe_trust

Floats = NDArray[np.float64]

FRONTIER = ("HOMO", "LUMO")
"""Orbitals that are drawn unless others are named."""

MOST_ORBITALS = 8
"""Orbitals on one page: browsers show so many scenes at once."""

MESH_FOR_DOS = 700
"""Larger cells have no density of states on the page: it needs all states on a mesh."""

FINER = ((40, 0.05), (150, 0.08))
"""Number of orbitals up to which the density of states is worked out on a mesh of this spacing, 1/Bohr."""

BROADENING = 0.15
"""Standard deviation in eV of the density of states."""


def report(
    source: Source,
    model: str | Path | Predictor | None = None,
    *,
    orbitals: Sequence[str] = FRONTIER,
    with_comparison: bool = False,
    kpath: str | None = None,
    charge: int | None = None,
    device: str = "cpu",
) -> Report:
    """Predict a molecule or crystal and gather what its page shows.

    Args:
        source: A structure, ASE's atoms, a structure file with one structure, or a DFT code's calculation of a crystal,
            which then is the reference.
        model: A bundled model's name, a model's folder, or a loaded model; "organic" for structures without a
            cell.
        orbitals: Orbitals of a molecule to be drawn: "HOMO-1", "LUMO", "7".
        with_comparison: Whether to run the PySCF calculation of a molecule too.
        kpath: Special points of a crystal's bands; ASE's path by default.
        charge: Total charge of the structure; by default as its source says.
        device: Where a model that is loaded runs.

    Raises:
        HarmoseError: The source does not hold one structure, no model is named for a crystal, or an option is for the
            other kind.
        StructureError: The source cannot be read, or gives another charge.
        DomainError: The structure lies outside the model's domain.
    """
    structure, reference = open_source(source)
    title = Path(source).name if isinstance(source, str | Path) else structure.name or structure.formula
    if model is None and (structure.periodic or reference is not None):
        raise HarmoseError(f"{title} is a calculation or a crystal. Name the model that predicts it: --model MODEL.")
    if charge is not None and reference is not None:
        raise HarmoseError(f"{title} is a calculation, which has its own charge. Leave --charge out.")
    structure = give_charge(structure, charge, title)
    predictor = as_predictor("organic" if model is None else model, device=device)
    require_applicable(structure, orbitals, with_comparison, kpath)
    predictor.check(structure)
    if not structure.periodic:
        for name in orbitals:
            orbital_index(name, *predictor.orbital_counts(structure))
    prediction = predictor.predict(structure)
    if structure.periodic:
        return report_crystal(prediction, title, reference, kpath, crystal_core_charges(predictor, structure))
    return report_molecule(prediction, title, orbitals, compare(prediction) if with_comparison else None)


def view(
    source: Source | Prediction,
    model: str | Path | Predictor | None = None,
    *,
    orbitals: Sequence[str] = FRONTIER,
    kpath: str | None = None,
) -> View:
    """The report as a notebook shows it, with orbitals that can be turned; ``.save("page.html")`` keeps it.

    Args:
        source: A prediction, or what :func:`report` takes.
        model: As for :func:`report`; not for a prediction.
        orbitals: Orbitals of a molecule to be drawn: "HOMO-1", "LUMO", "7".
        kpath: Special points of a crystal's bands; ASE's path by default.

    Raises:
        HarmoseError: As for :func:`report`.
    """
    if not isinstance(source, Prediction):
        return View(report(source, model, orbitals=orbitals, kpath=kpath))
    require_applicable(source.structure, orbitals, False, kpath)
    title = source.structure.name or source.structure.formula
    if source.structure.periodic:
        return View(report_crystal(source, title, kpath=kpath))
    return View(report_molecule(source, title, orbitals))


def open_source(source: Source) -> tuple[Structure, Record | None]:
    """The structure of a source, and the calculation where it is the path of one with a Hamiltonian.

    Raises:
        HarmoseError: There is not exactly one.
        TypeError: The source is neither a structure nor a path.
    """
    if not isinstance(source, str | Path):
        return collect_structures([source])[0], None
    path = Path(source)
    if path.exists() and recognise(path) is not None:
        records = read_calculations(path)
        if len(records) != 1:
            raise HarmoseError(f"{path} holds {len(records)} calculations; a report is on one. Give the path of one.")
        return records[0].structure, records[0] if records[0].hamiltonian else None
    structures = read_structures(path)
    if len(structures) != 1:
        raise HarmoseError(f"{path} holds {len(structures)} structures; a report is on one. Give a file with one.")
    return structures[0], None


def require_applicable(structure: Structure, orbitals: Sequence[str], with_comparison: bool, kpath: str | None) -> None:
    """Refuse options that do not apply to the structure.

    Raises:
        HarmoseError: With what does.
    """
    if structure.periodic and with_comparison:
        raise HarmoseError("--compare runs PySCF for a molecule. For a crystal give its calculation: report FOLDER.")
    if structure.periodic and tuple(orbitals) != FRONTIER:
        raise HarmoseError("--orbitals are drawn of molecules; this structure is a crystal. Leave --orbitals out.")
    if not structure.periodic and kpath is not None:
        raise HarmoseError("--kpath is for crystals; this structure has no cell.")
    if len(orbitals) > MOST_ORBITALS:
        raise HarmoseError(f"A page shows up to {MOST_ORBITALS} orbitals; got {len(orbitals)}.")


def report_molecule(
    prediction: Prediction, title: str, orbitals: Sequence[str] = FRONTIER, comparison: Comparison | None = None
) -> Report:
    """The report on a molecule's prediction.

    Args:
        prediction: Of a molecule.
        title: Heading of the page.
        orbitals: Orbitals to be drawn; LUMO is left out where there is none.
        comparison: With PySCF's calculation, where there is one.
    """
    structure, spectrum = prediction.structure, prediction.spectrum
    intervals = None if prediction.trust is None else prediction.trust.intervals
    columns = [LevelColumn(prediction.model.name, spectrum)]
    if comparison is not None:
        columns.append(LevelColumn(describe_code(comparison.provenance), comparison.reference.spectrum))
    errors = {} if intervals is None else {
        "HOMO": intervals.homo.half_width, "LUMO": intervals.lumo.half_width
    }
    return Report(
        title=title,
        level_of_theory=prediction.level_of_theory,
        structure=structure,
        basis=prediction.basis,
        facts=molecule_facts(prediction, intervals),
        trust=view_trust(prediction),
        orbitals=view_orbitals(prediction, orbitals),
        columns=tuple(columns),
        level_errors=errors,
        charges=list_charges(spectrum, prediction, core_charges(structure, prediction.basis)),
        dipole=prediction.dipole,
        comparison=() if comparison is None else compare_figures(comparison),
        reference="" if comparison is None else describe_reference(comparison.provenance),
        provenance=trace(prediction, {} if comparison is None else comparison.provenance),
        citation=CITATION,
        doi=DOI,
    )


def view_trust(prediction: Prediction) -> TrustView | None:
    """What is known of a prediction's errors; None where it was made without a trust report."""
    if prediction.trust is None:
        return None
    return describe_trust(
        prediction.trust, prediction.spectrum.n_electrons, crystal=prediction.structure.periodic
    )


def report_crystal(
    prediction: Prediction,
    title: str,
    reference: Record | None = None,
    kpath: str | None = None,
    cores: Floats | None = None,
) -> Report:
    """The report on a crystal's prediction.

    Args:
        prediction: Of a crystal.
        title: Heading of the page.
        reference: A calculation of the same crystal.
        kpath: Special points of the bands; ASE's path by default.
        cores: Charges of the ion cores, (atom,); None where they are not known.

    Raises:
        HarmoseError: The reference is of another crystal.
    """
    structure, spectrum = prediction.structure, prediction.spectrum
    curves = bands(prediction, kpath=kpath)
    view = BandsView(curves, dos_of(spectrum, prediction, curves.fermi))
    rows: tuple[tuple[str, str, str, str], ...] = ()
    if reference is not None:
        view, rows = compare_with(prediction, view, reference)
    about = {} if reference is None else reference.provenance
    return Report(
        title=title,
        level_of_theory=prediction.level_of_theory,
        structure=structure,
        basis=prediction.basis,
        facts=crystal_facts(prediction),
        trust=view_trust(prediction),
        bands=view,
        charges={} if cores is None else list_charges(spectrum, prediction, cores),
        comparison=rows,
        reference=describe_reference(about),
        provenance=trace(prediction, about),
        citation=CITATION,
        doi=DOI,
    )


def compare_with(
    prediction: Prediction, view: BandsView, reference: Record
) -> tuple[BandsView, tuple[tuple[str, str, str, str], ...]]:
    """Bands with those of a calculation, and rows of a table: gaps, errors of bands and of H."""
    require_same_crystal(prediction.structure, reference.structure)
    crystal = Crystal.from_record(reference, "reference")
    expected = bands(crystal, kpath=view.bands.path, every=True)
    comparison = compare_bands(view.bands, expected)
    spectrum = solve_structure(
        reference.structure, reference.hamiltonian, reference.overlap, crystal.n_electrons
    )
    milli = 1e3 * HARTREE_IN_EV
    metrics = MetricAccumulator(prediction.basis)
    metrics.add(reference, prediction.hamiltonians, prediction.stage1 or None)
    rows = [
        compare_row("gap (eV)", view.bands.gaps[0], expected.gaps[0]),
        compare_row("direct gap (eV)", view.bands.gaps[1], expected.gaps[1]),
        (f"bands within {comparison.window:g} eV, mean error (meV)", "", "", f"{comparison.mean_error * milli:.1f}"),
        ("their largest error (meV)", "", "", f"{comparison.largest_error * milli:.1f}"),
        ("elements of H, mean error (meV)", "", "", f"{metrics.result().model.mae_all * milli:.2f}"),
    ]
    dos = dos_of(spectrum, prediction, expected.fermi, reference.hamiltonian)
    return BandsView(view.bands, view.dos, expected, None if view.dos is None else dos), tuple(rows)


def view_orbitals(prediction: Prediction, names: Sequence[str]) -> tuple[OrbitalView, ...]:
    """The named orbitals; none where the basis has no radial functions."""
    structure, basis, spectrum = prediction.structure, prediction.basis, prediction.spectrum
    if not basis.has_radial(structure.numbers.tolist()):
        return ()
    filled, count = int(spectrum.occupied.sum()), len(spectrum.energies)
    drawn = [name for name in names if np.isfinite(spectrum.gap) or not name.startswith("LUMO")]
    indices = [orbital_index(name, filled, count) for name in drawn]
    return tuple(
        OrbitalView(name, float(spectrum.energies[n]), float(spectrum.occupations[n]), select_orbital(name, spectrum))
        for name, n in zip(drawn, indices, strict=True)
    )


def list_charges(spectrum: Spectrum, prediction: Prediction, cores: Floats) -> dict[str, Floats]:
    """Loewdin and Mulliken charges in e, (atom,).

    Args:
        spectrum: Occupied orbitals.
        prediction: With the overlap.
        cores: Charges of nuclei or ion cores, (atom,).
    """
    return {
        "Löwdin": loewdin_charges(spectrum, prediction.overlap, cores),
        "Mulliken": mulliken_charges(spectrum, prediction.overlap, cores),
    }


def crystal_core_charges(predictor: Predictor, structure: Structure) -> Floats | None:
    """Charges of the ion cores of a crystal, (atom,); None where the model knows the electrons of compositions only."""
    try:
        return predictor.physics.core_charges(structure)
    except DomainError:
        return None


def dos_of(
    spectrum: Spectrum,
    prediction: Prediction,
    fermi: float,
    hamiltonians: tuple[BlockMatrix, ...] | None = None,
) -> DensityOfStates | None:
    """Density of states within the page's window, of small cells on a finer mesh; None for cells of many orbitals.

    Args:
        spectrum: States on the usual mesh.
        prediction: The crystal.
        fermi: Fermi level in Hartree, the middle of the window.
        hamiltonians: Those of the spectrum where it is not the prediction's.
    """
    size = prediction.overlap.size
    if size > MESH_FOR_DOS:
        return None
    if (spacing := next((spacing for largest, spacing in FINER if size <= largest), None)) is not None:
        matrices = prediction.hamiltonians if hamiltonians is None else hamiltonians
        filling = Filling(spacing=spacing)
        spectrum = solve_structure(
            prediction.structure, matrices, prediction.overlap, spectrum.n_electrons, filling
        )
    energies = np.linspace(fermi - 14 / HARTREE_IN_EV, fermi + 14 / HARTREE_IN_EV, 561)
    return density_of_states(spectrum, prediction.overlap, energies, BROADENING / HARTREE_IN_EV)

"""Bands along a path for the commands: where a Hamiltonian comes from, its bands, and their comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError, HarmoseError

if TYPE_CHECKING:
    from ..core.matrix import BlockMatrix
    from ..core.record import Record
    from ..core.structure import Structure
    from ..model.prediction import Prediction
    from ..solver.kpaths import KPath

Floats = NDArray[np.float64]

MANY_ORBITALS = 1000
"""In larger cells only the states around the Fermi level are computed."""

STATES = 60
"""How many, unless told."""

WINDOW = 5.0
"""eV around the Fermi level that plots show and comparisons count, unless told."""

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
    """

    label: str
    structure: Structure
    hamiltonian: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    fermi: float
    n_electrons: float
    gaps: tuple[float, float]

    @classmethod
    def of_prediction(cls, prediction: Prediction) -> Crystal:
        """A predicted crystal."""
        from ..solver import band_gap

        spectrum = prediction.spectrum
        assert spectrum.fermi is not None
        return cls(
            prediction.model.name, prediction.structure, prediction.hamiltonians, prediction.overlap, spectrum.fermi,
            spectrum.n_electrons, band_gap(spectrum),
        )

    @classmethod
    def of_record(cls, record: Record, label: str) -> Crystal:
        """A calculation of a crystal with its Hamiltonian; its Fermi level is the code's own where that is known."""
        from ..solver import band_gap, solved

        spectrum = solved(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
        assert spectrum.fermi is not None
        return cls(
            label, record.structure, record.hamiltonian, record.overlap,
            spectrum.fermi if record.fermi is None else record.fermi, record.n_electrons, band_gap(spectrum),
        )

    def path(self, names: str | None, points: int) -> KPath:
        """k-points through named special points; of the layer's lattice where no bond crosses a lattice vector."""
        from ..solver.kpaths import path_across

        return path_across(self.structure, self.overlap.shifts, names, points=points)

    def bands(self, path: KPath, states: int | None = None, *, every: bool = False) -> Floats:
        """Energies on a path, (spin, k, band), Hartree.

        Args:
            path: The k-points.
            states: How many around the Fermi level; by default all up to :data:`MANY_ORBITALS`.
            every: All of them, however many.
        """
        from ..solver import bands, bands_near

        size = self.hamiltonian[0].size
        if every or (states is None and size <= MANY_ORBITALS):
            return bands(self.hamiltonian, self.overlap, path.kpoints)
        count = min(states or STATES, size)
        return bands_near(self.hamiltonian, self.overlap, path.kpoints, self.fermi, count)


def read_crystal(path: Path) -> Crystal:
    """The crystal of a result file or of a DFT code's calculation.

    Raises:
        HarmoseError: The path holds several calculations, or none, or a structure only.
        DataError: The calculation is of a molecule, or has no Hamiltonian.
    """
    from ..adapters.registry import read_calculations, recognise
    from ..adapters.structures import is_structure_file
    from ..output.result import is_result, read_results

    if recognise(path) is None and is_structure_file(path):
        raise HarmoseError(f"{path} is a structure without a Hamiltonian. Name the model that predicts it: --model.")
    records = [result.record for result in read_results(path)] if is_result(path) else read_calculations(path)
    if len(records) != 1:
        raise HarmoseError(f"{path} holds {len(records)} calculations; bands are drawn of one. Give the path of one.")
    if not records[0].structure.periodic or not records[0].hamiltonian:
        raise DataError(f"{path} has no bands: it is of a molecule, or an overlap-only calculation.")
    about = records[0].provenance
    label = about.get("model") or " ".join(about[key] for key in ("code", "version") if key in about) or path.name
    return Crystal.of_record(records[0], label)


def read_one_structure(path: Path) -> Structure:
    """The crystal structure in a structure file or a DFT code's calculation.

    Raises:
        HarmoseError: There are several, or it has no cell.
    """
    from ..adapters.registry import read_calculations, recognise
    from ..adapters.structures import read_structures

    calculation = path.exists() and recognise(path) is not None
    found = [r.structure for r in read_calculations(path)] if calculation else read_structures(path)
    if len(found) != 1:
        raise HarmoseError(f"{path} holds {len(found)} structures; bands are drawn of one. Give a file with one.")
    if not found[0].periodic:
        raise HarmoseError(f"{path} has no cell; bands are of crystals. Use harmose-dft predict for molecules.")
    return found[0]


def compared(bands: Floats, crystal: Crystal, bands_ref: Floats, reference: Crystal, window: float) -> dict[str, Any]:
    """Mean and largest error of the bands around the reference's Fermi level after the best shift, in meV.

    Args:
        bands: (spin, k, band), Hartree.
        crystal: Where they come from.
        bands_ref: The reference's on the same k-points.
        reference: The reference.
        window: Half width in eV.

    Raises:
        HarmoseError: The two have different orbitals or spins.
    """
    from ..core.units import HARTREE_IN_EV
    from ..metrics import band_errors

    if crystal.hamiltonian[0].size != reference.hamiltonian[0].size or len(bands) != len(bands_ref):
        raise HarmoseError(
            f"{reference.label} has {reference.hamiltonian[0].size} orbitals and {len(bands_ref)} spin directions, "
            f"{crystal.label} {crystal.hamiltonian[0].size} and {len(bands)}: bands can be compared one by one only in "
            "the same basis. Leave --compare out, or give the calculation of this structure in the model's basis."
        )
    errors, shift = band_errors(bands_ref, bands, fermi=reference.fermi, window=window / HARTREE_IN_EV)
    milli = 1e3 * HARTREE_IN_EV
    return {
        "reference": reference.label,
        "window_ev": window,
        "band_mae_mev": float(errors.mean()) * milli,
        "band_max_mev": float(errors.max()) * milli,
        "shift_ev": shift * HARTREE_IN_EV,
    }


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


def draw(
    path: KPath, curves: Sequence[tuple[Crystal, Floats]], picture: Path, window: float, force: bool
) -> None:
    """Plot bands; a second entry is drawn below the first one as its reference."""
    from ..plots import BandCurves, plot_bands

    drawn = [BandCurves(crystal.label, energies, crystal.fermi) for crystal, energies in curves]
    plot_bands(
        path.distances, path.ticks, drawn[0], picture, reference=drawn[1] if len(drawn) > 1 else None,
        window=(-window, window), title=curves[0][0].structure.formula, force=force,
    )

"""What is kept and shown of a prediction when its matrices have been written: a few figures, trust, files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from ..model.prediction import ModelInfo, Prediction
from ..model.trust import TrustReport
from ..output.dos import DosTable
from ..solver import band_gap
from .compare import Comparison

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PredictionSummary:
    """A prediction without its matrices.

    Args:
        source: Where the structure came from: name of a file, with "#2" for the second of several structures.
        name: Name of the structure: its title in the file, or one made of the file's.
        formula: Hill formula.
        symbols: Element of each atom.
        n_atoms: Number of atoms.
        n_electrons: Electrons that the basis describes, per cell.
        model: Name and hash of the model.
        functional: Functional that the model stands for.
        basis: Name of the basis.
        level_of_theory: Functional, basis and model in one line.
        energies: Orbital energies in Hartree, (mo,), or (..., k, band) of a crystal.
        occupations: Electrons per orbital, of the same shape.
        homo: Highest occupied orbital of a molecule, Hartree; None for a crystal.
        lumo: Lowest unoccupied orbital of a molecule, Hartree; None for a crystal.
        gap: LUMO minus HOMO, or a crystal's indirect gap on its mesh (zero for a metal), Hartree.
        fermi: Fermi level of a crystal, Hartree; None for a molecule.
        direct_gap: Smallest gap at one k-point of a crystal, Hartree; None for a molecule.
        dipole: Dipole moment of a molecule in e*Bohr, of an ion about the origin of the coordinates, (xyz,); None for a
            crystal.
        seconds: Time for this structure.
        trust: How far the prediction can be trusted, where asked for.
        charges: Mulliken charges of the atoms, e, (atom,), where asked for.
        dos: Density of states, where asked for.
        comparison: The same beside PySCF's calculation, where asked for.
        files: Files written.
        charge: Net charge in units of e.
    """

    source: str
    name: str
    formula: str
    symbols: tuple[str, ...]
    n_atoms: int
    n_electrons: int
    model: ModelInfo
    functional: str
    basis: str
    level_of_theory: str
    energies: Floats
    occupations: Floats
    homo: float | None
    lumo: float | None
    gap: float
    fermi: float | None
    direct_gap: float | None
    dipole: Floats | None
    seconds: float
    trust: TrustReport | None
    charges: Floats | None = None
    dos: DosTable | None = None
    comparison: Comparison | None = None
    files: tuple[Path, ...] = ()
    charge: int = 0

    @property
    def periodic(self) -> bool:
        """Whether the structure is a crystal."""
        return self.fermi is not None

    @property
    def title(self) -> str:
        """The source, with the structure's name where that says more."""
        stem = Path(self.source.partition("#")[0]).stem
        if not self.name or self.name == self.source or re.fullmatch(rf"{re.escape(stem)}(-\d+)?", self.name):
            return self.source
        return f"{self.source} {self.name}"

    @property
    def dipole_debye(self) -> Floats | None:
        """Dipole moment of a molecule in Debye, (xyz,)."""
        return None if self.dipole is None else self.dipole * DIPOLE_AU_IN_DEBYE

    def to_dict(self) -> dict[str, object]:
        """The JSON object of ``harmose-dft predict --json``; the unit is the last part of a key."""
        moment = self.dipole_debye
        levels = {"homo_ev": _in_ev(self.homo), "lumo_ev": _in_ev(self.lumo), "gap_ev": _in_ev(self.gap)}
        if self.periodic:
            gaps = {"gap_ev": levels["gap_ev"], "direct_gap_ev": _in_ev(self.direct_gap)}
            levels = {"fermi_ev": _in_ev(self.fermi), **gaps, "homo_ev": None, "lumo_ev": None}
        return {
            "source": self.source,
            "name": self.name,
            "formula": self.formula,
            "n_atoms": self.n_atoms,
            "n_electrons": self.n_electrons,
            "charge": self.charge,
            "model": {"name": self.model.name, "sha256": self.model.sha256},
            "functional": self.functional,
            "basis": self.basis,
            "orbital_energies_ev": self.energies * HARTREE_IN_EV,
            "occupations": self.occupations,
            **levels,
            "dipole_debye": None if moment is None else float(np.linalg.norm(moment)),
            "dipole_vector_debye": moment,
            "seconds": self.seconds,
            "trust": None if self.trust is None else self.trust.to_dict(),
            "files": [str(path) for path in self.files],
            **({} if self.charges is None else {"mulliken_charges": self.charges}),
            **({} if self.dos is None else {"dos": self.dos.to_dict()}),
            **({} if self.comparison is None else {"compare": self.comparison.to_dict()}),
        }


def summarize(prediction: Prediction, source: str) -> PredictionSummary:
    """Take from a prediction what tables and JSON show.

    Args:
        prediction: The prediction.
        source: Where the structure came from.
    """
    structure, spectrum = prediction.structure, prediction.spectrum
    indirect, direct = band_gap(spectrum) if structure.periodic else (spectrum.gap, None)
    return PredictionSummary(
        source=source,
        name=structure.name,
        formula=structure.formula,
        symbols=tuple(structure.symbols),
        n_atoms=len(structure),
        n_electrons=round(spectrum.n_electrons),
        charge=structure.charge,
        model=prediction.model,
        functional=prediction.functional,
        basis=prediction.basis.name,
        level_of_theory=prediction.level_of_theory,
        energies=spectrum.energies,
        occupations=spectrum.occupations,
        homo=None if structure.periodic else spectrum.homo,
        lumo=None if structure.periodic else spectrum.lumo,
        gap=indirect,
        fermi=spectrum.fermi if structure.periodic else None,
        direct_gap=direct,
        dipole=prediction.dipole,
        seconds=prediction.seconds,
        trust=prediction.trust,
    )


def _in_ev(energy: float | None) -> float | None:
    return None if energy is None else energy * HARTREE_IN_EV

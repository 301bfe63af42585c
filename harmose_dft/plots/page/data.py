"""What a report's page shows, in Hartree atomic units; the page knows nothing of models and calculations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.structure import Structure
from ...solver import DensityOfStates
from ...solver.band_structure import BandStructure
from ..levels import LevelColumn

Floats = NDArray[np.float64]


class Level(StrEnum):
    """How good something is; the values are class names of the page."""

    GOOD = "good"
    CAREFUL = "careful"
    BAD = "bad"


@dataclass(frozen=True)
class Fact:
    """A number or text with its name.

    Args:
        name: What it is.
        value: The value with its unit, in words.
        error: Half-width of its interval with the unit; empty where there is none.
    """

    name: str
    value: str
    error: str = ""


@dataclass(frozen=True)
class Check:
    """One thing that speaks for or against a prediction.

    Args:
        level: How good it is.
        name: What was checked.
        words: What came out, in a sentence.
    """

    level: Level
    name: str
    words: str


@dataclass(frozen=True)
class TrustView:
    """A trust report in words.

    Args:
        level: The verdict; None where the model has no calibration.
        words: The verdict and why.
        checks: What speaks for and against the prediction.
        coverage: Share of the intervals that hold the right value; None without intervals.
    """

    level: Level | None
    words: str
    checks: tuple[Check, ...]
    coverage: float | None = None


@dataclass(frozen=True, eq=False)
class OrbitalView:
    """An orbital to be drawn.

    Args:
        name: "HOMO", "LUMO+1" or a number.
        energy: Hartree.
        occupation: Electrons in it.
        coefficients: (ao,).
    """

    name: str
    energy: float
    occupation: float
    coefficients: Floats


@dataclass(frozen=True, eq=False)
class BandsView:
    """Bands with the density of states, and the reference's.

    Args:
        bands: The bands.
        dos: Density of states of the same crystal.
        reference: Bands of the calculation on the same path.
        reference_dos: Its density of states.
    """

    bands: BandStructure
    dos: DensityOfStates | None = None
    reference: BandStructure | None = None
    reference_dos: DensityOfStates | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that a page shows; what is empty or None has no section.

    Args:
        title: Name of the structure, such as that of its file.
        level_of_theory: Functional, basis and model.
        structure: The atoms.
        basis: The orbitals.
        facts: The main figures.
        trust: How far they can be trusted.
        orbitals: Orbitals to be drawn, of a molecule.
        columns: Levels of a molecule, the model's first.
        level_errors: Half-widths of the intervals of HOMO and LUMO, Hartree.
        bands: Bands of a crystal.
        charges: Name of a kind of charges -> e, (atom,).
        dipole: Dipole moment of a molecule in e*Bohr, (xyz,).
        comparison: Rows of model and reference: name, model, reference, difference.
        reference: What the reference is.
        provenance: Where everything comes from.
        citation: What to cite.
        doi: Its address.
    """

    title: str
    level_of_theory: str
    structure: Structure
    basis: OrbitalBasis
    facts: tuple[Fact, ...]
    trust: TrustView | None = None
    orbitals: tuple[OrbitalView, ...] = ()
    columns: tuple[LevelColumn, ...] = ()
    level_errors: Mapping[str, float] = field(default_factory=dict)
    bands: BandsView | None = None
    charges: Mapping[str, Floats] = field(default_factory=dict)
    dipole: Floats | None = None
    comparison: tuple[tuple[str, str, str, str], ...] = ()
    reference: str = ""
    provenance: tuple[Fact, ...] = ()
    citation: str = ""
    doi: str = ""

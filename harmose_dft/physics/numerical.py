"""S and a physics baseline of crystals (and molecules) from the radial functions of numerical orbitals: no DFT code."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.basis import NumericalRadial, OrbitalBasis
from ..core.errors import BasisMismatchError, DataError, DomainError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.structure import SYMBOLS, Structure
from ..solver.kpaths import path_across
from .integrals import kinetic, neighbour_pairs, orbital_cutoffs, overlap

BASELINES = ("none", "kinetic")
"""Physics baselines of numerical orbitals: zero, or the kinetic energy."""

COUNT_TOLERANCE = 1e-6
"""Electron counts closer than this agree."""


def is_numerical(basis: OrbitalBasis) -> bool:
    """Whether a basis consists of numerical orbitals."""
    return all(isinstance(s.radial, NumericalRadial) for shells in basis.shells.values() for s in shells)


@dataclass(frozen=True, eq=False)
class ElectronCount:
    """Electrons that a basis describes, worked out from the compositions of calculations.

    With pseudopotentials the number of valence electrons of an element is the potential's; the calculations tell it
    where their compositions do. A training set of one stoichiometry tells it for this stoichiometry only.

    Args:
        rows: (composition as element -> atoms, electrons), each divided by its greatest common divisor, no two equal.
    """

    rows: tuple[tuple[Mapping[int, int], float], ...]

    @classmethod
    def of(cls, records: Iterable[Record]) -> ElectronCount:
        """The count that calculations agree on.

        Raises:
            DataError: Two calculations of one composition have different numbers of electrons.
        """
        found: dict[tuple[tuple[int, int], ...], float] = {}
        for record in records:
            counts = _composition(record.structure)
            divisor = math.gcd(*counts.values())
            key = tuple((z, n // divisor) for z, n in counts.items())
            electrons = (record.n_electrons + record.structure.charge) / divisor
            if abs(found.setdefault(key, electrons) - electrons) > COUNT_TOLERANCE:
                raise DataError(
                    f"Two calculations of {record.structure.formula} have {found[key]:g} and {electrons:g} valence "
                    "electrons per formula unit. Train on calculations with the same pseudopotentials."
                )
        return cls(tuple((dict(key), electrons) for key, electrons in sorted(found.items())))

    def __call__(self, structure: Structure) -> float:
        """Electrons of a structure.

        Raises:
            DomainError: The training compositions do not determine it.
        """
        wanted = _composition(structure)
        elements = sorted({z for row, _ in self.rows for z in row} | set(wanted))
        matrix = np.array([[row.get(z, 0) for row, _ in self.rows] for z in elements], dtype=np.float64)
        target = np.array([wanted.get(z, 0) for z in elements], dtype=np.float64)
        weights = np.linalg.lstsq(matrix, target, rcond=None)[0]
        if np.abs(matrix @ weights - target).max() > COUNT_TOLERANCE:
            known = ", ".join("".join(f"{SYMBOLS[z]}{n}" for z, n in row.items()) for row, _ in self.rows)
            raise DomainError(
                f"The number of valence electrons of {structure.formula} cannot be worked out from the training "
                f"compositions ({known}). Use a composition that is a sum of them, or train on more compositions."
            )
        return float(weights @ np.array([electrons for _, electrons in self.rows])) - structure.charge

    def to_list(self) -> list[dict[str, Any]]:
        """A JSON-serialisable description."""
        return [{"atoms": {str(z): n for z, n in row.items()}, "electrons": e} for row, e in self.rows]

    @classmethod
    def from_list(cls, data: Sequence[Mapping[str, Any]]) -> ElectronCount:
        """Inverse of :meth:`to_list`."""
        return cls(tuple(({int(z): int(n) for z, n in d["atoms"].items()}, float(d["electrons"])) for d in data))


class TwoCentreMatrices:
    """Overlap and baseline from two-centre integrals, on all pairs within the sum of the orbital cutoffs.

    Args:
        basis: Numerical orbitals.
        baseline: "none" or "kinetic".
        electrons: Valence electrons.
    """

    def __init__(self, basis: OrbitalBasis, baseline: str, electrons: ElectronCount) -> None:
        if baseline not in BASELINES:
            raise DataError(
                f"The physics baseline {baseline!r} is not available for numerical orbitals; set baseline.kind to "
                f"{' or '.join(BASELINES)}."
            )
        if not is_numerical(basis):
            raise BasisMismatchError(
                f"The basis {basis.name} has no tabulated radial functions, so its overlap cannot be computed. Convert "
                "the calculations again with their orbital files (.orb, .pao) at hand."
            )
        self.basis, self.kind, self.electrons = basis, baseline, electrons

    def check(self, structure: Structure) -> None:
        """Refuse molecules and ions.

        Raises:
            DomainError: With what the model does describe.
        """
        if not structure.periodic:
            raise DomainError(
                f"{structure.formula} has no cell; this model describes crystals. Give a structure file with lattice "
                "vectors (cif, POSCAR, extended xyz); a molecule goes into a cell with enough vacuum."
            )
        if structure.charge:
            raise DomainError(
                f"{structure.formula} has charge {structure.charge:+d}; this model was trained on neutral crystals."
            )
        self.electrons(structure)

    def overlap(self, structure: Structure) -> BlockMatrix:
        """S."""
        return overlap(structure, self.basis)

    def baseline(self, structure: Structure) -> BlockMatrix:
        """H0 on the pairs of S, Hartree."""
        if self.kind == "kinetic":
            return kinetic(structure, self.basis)
        return empty_matrix(structure, self.basis)

    def n_electrons(self, structure: Structure) -> float:
        """Valence electrons."""
        return self.electrons(structure)


def bonded_pairs(structure: Structure, basis: OrbitalBasis) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Atoms (edge, 2) and lattice shifts (edge, 3) of all pairs within the sum of the orbital cutoffs."""
    cutoffs = orbital_cutoffs(basis.restricted(structure.numbers.tolist()))
    return neighbour_pairs(structure, [cutoffs[z] for z in structure.numbers.tolist()])


def band_points(structure: Structure, basis: OrbitalBasis, points: int) -> NDArray[np.float64]:
    """Fractional k-points (k, 3) along ASE's path of the lattice; that of the layer for a layer in vacuum."""
    return path_across(structure, bonded_pairs(structure, basis)[1], points=points).kpoints


def empty_matrix(structure: Structure, basis: OrbitalBasis) -> BlockMatrix:
    """Zero blocks on all pairs within the sum of the orbital cutoffs."""
    pairs, shifts = bonded_pairs(structure, basis)
    orbitals = basis.orbitals_per_atom(structure.numbers)
    return BlockMatrix(orbitals, pairs, shifts, np.zeros(int(np.prod(orbitals[pairs], axis=1).sum())))


def _composition(structure: Structure) -> dict[int, int]:
    elements, counts = np.unique(structure.numbers, return_counts=True)
    return dict(zip(elements.tolist(), counts.tolist(), strict=True))

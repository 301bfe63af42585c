"""The number of valence electrons that a basis describes, worked out from the compositions of calculations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DataError, DomainError
from ..core.record import Record
from ..core.structure import SYMBOLS, Structure

TOLERANCE = 1e-6
"""Electron counts closer than this agree."""


@dataclass(frozen=True, eq=False)
class ElectronCount:
    """Valence electrons as a function of the composition.

    With pseudopotentials the number of valence electrons of an element is the potential's; the calculations tell it
    where their compositions do. A training set of one stoichiometry tells it for this stoichiometry only.

    Args:
        rows: (composition as element -> atoms, electrons), each divided by its greatest common divisor, no two equal.
    """

    rows: tuple[tuple[Mapping[int, int], float], ...]

    @classmethod
    def fit(cls, records: Iterable[Record]) -> ElectronCount:
        """The count that calculations agree on.

        Raises:
            DataError: Two calculations of one composition have different numbers of electrons.
        """
        counts: dict[tuple[tuple[int, int], ...], float] = {}
        for record in records:
            atoms = _composition(record.structure)
            divisor = math.gcd(*atoms.values())
            key = tuple((z, n // divisor) for z, n in atoms.items())
            electrons = (record.n_electrons + record.structure.charge) / divisor
            if abs(counts.setdefault(key, electrons) - electrons) > TOLERANCE:
                raise DataError(
                    f"Two calculations of {record.structure.formula} have {counts[key]:g} and {electrons:g} valence "
                    "electrons per formula unit. Train on calculations with the same pseudopotentials."
                )
        return cls(tuple((dict(key), electrons) for key, electrons in sorted(counts.items())))

    def __call__(self, structure: Structure) -> float:
        """Electrons of a structure.

        Raises:
            DomainError: There are other elements than in training, or its compositions do not determine it.
        """
        composition = _composition(structure)
        elements = sorted({z for row, _ in self.rows for z in row})
        if others := sorted(set(composition) - set(elements)):
            raise DomainError(
                f"{structure.formula} contains {', '.join(SYMBOLS[z] for z in others)}; the model was trained on "
                f"{', '.join(SYMBOLS[z] for z in elements)} only. Train a model that covers the element."
            )
        matrix = np.array([[row.get(z, 0) for row, _ in self.rows] for z in elements], dtype=np.float64)
        target = np.array([composition.get(z, 0) for z in elements], dtype=np.float64)
        # The composition as a combination of training compositions, whose electrons combine in the same way.
        weights = np.linalg.lstsq(matrix, target, rcond=None)[0]
        if np.abs(matrix @ weights - target).max() > TOLERANCE:
            trained = ", ".join("".join(f"{SYMBOLS[z]}{n}" for z, n in row.items()) for row, _ in self.rows)
            raise DomainError(
                f"The number of valence electrons of {structure.formula} cannot be worked out from the training "
                f"compositions ({trained}). Use a composition that is a sum of them, or train on more compositions."
            )
        return float(weights @ np.array([electrons for _, electrons in self.rows])) - structure.charge

    def to_list(self) -> list[dict[str, Any]]:
        """A JSON-serialisable description."""
        return [{"atoms": {str(z): n for z, n in row.items()}, "electrons": e} for row, e in self.rows]

    @classmethod
    def from_list(cls, data: Sequence[Mapping[str, Any]]) -> ElectronCount:
        """Inverse of :meth:`to_list`."""
        return cls(tuple(({int(z): int(n) for z, n in d["atoms"].items()}, float(d["electrons"])) for d in data))


def _composition(structure: Structure) -> dict[int, int]:
    """Element -> number of atoms, lightest first."""
    elements, counts = np.unique(structure.numbers, return_counts=True)
    return dict(zip(elements.tolist(), counts.tolist(), strict=True))

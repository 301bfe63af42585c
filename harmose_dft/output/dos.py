"""Densities of states as a table of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.files import atomic_path

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DosTable:
    """A density of states, spins added.

    Args:
        energies: eV, (energy,).
        total: States per eV, (energy,).
        elements: Symbol -> share of the element, (energy,).
        broadening: Standard deviation of each state's Gaussian, eV.
    """

    energies: Floats
    total: Floats
    elements: Mapping[str, Floats]
    broadening: float

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description; the unit is the last part of a key."""
        return {
            "energies_ev": self.energies, "states_per_ev": self.total, "elements_states_per_ev": dict(self.elements),
            "broadening_ev": self.broadening,
        }  # fmt: skip


def write_dos(path: str | Path, table: DosTable, *, force: bool = False) -> None:
    """Write a density of states: energy in eV, states per eV in all and of each element, a line for each energy.

    Args:
        path: The file.
        table: The density of states.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """
    columns = np.column_stack([table.energies, table.total, *table.elements.values()])
    header = f"energy (eV), states per eV in all and of {', '.join(table.elements)}; broadening {table.broadening} eV"
    with atomic_path(path, force) as temporary:
        np.savetxt(temporary, columns, fmt="%12.5f", header=header)

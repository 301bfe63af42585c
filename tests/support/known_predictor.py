"""A predictor whose Hamiltonians are known: PySCF's converged ones, or those spoilt by a given amount."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from harmose_dft.adapters.pyscf import orbital_basis, reference
from harmose_dft.adapters.structures import from_ase
from harmose_dft.core.errors import DomainError
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import ModelInfo, Prediction
from harmose_dft.solver import solve


class KnownPredictor:
    """Stands in for a model of PBE/STO-3G.

    Args:
        spoilt: Hartree; amplitude of symmetric noise added to the Hamiltonian.
        grid_level: Grid of the reference.
        charges: Charges in its domain.
    """

    def __init__(self, spoilt: float = 0.0, grid_level: int = 0, charges: tuple[int, ...] = (0,)) -> None:
        self.spoilt, self.grid_level = spoilt, grid_level
        self.model = SimpleNamespace(
            functional="pbe", basis=orbital_basis("sto-3g", [1, 6, 8]), code="PySCF",
            domain=SimpleNamespace(charges=charges),
        )
        self.info = ModelInfo("known", "0" * 64)
        self.calls = 0

    def check(self, structure: Structure) -> None:
        """Refuse crystals, and charges that are not in the domain."""
        if structure.periodic or structure.charge not in self.model.domain.charges:
            raise DomainError(f"{structure!r} lies outside the model's domain.")

    def predict(self, atoms: Any, *, trust: bool = True, refine: bool | None = None) -> Prediction:
        """A prediction for one molecule."""
        structure = atoms if isinstance(atoms, Structure) else from_ase(atoms)
        self.check(structure)
        self.calls += 1
        record = reference(structure, "pbe", "sto-3g", grid_level=self.grid_level)
        matrix = record.hamiltonian[0]
        noise = np.random.default_rng(0).normal(scale=self.spoilt, size=len(matrix.values))
        matrix = matrix.with_values(matrix.values + noise).symmetrize()
        spectrum = solve(matrix, record.overlap, record.n_electrons)
        return Prediction(structure, record.basis, (matrix,), record.overlap, spectrum, "pbe", self.info, 0.0)

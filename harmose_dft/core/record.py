"""One calculation: structure, basis, matrices, reference energies, and where they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .basis import OrbitalBasis
from .errors import DataError
from .matrix import BlockMatrix
from .structure import Structure

CONVERGED = "scf_converged"
"""Key of the provenance: "yes" or "no", where the code says so."""


def read_provenance(text: str) -> dict[str, str]:
    """Provenance stored as JSON, with today's keys: ``version`` was called ``code_version`` by earlier releases."""
    provenance = json.loads(text)
    return {"version" if k == "code_version" and "version" not in provenance else k: v for k, v in provenance.items()}


def name_code(provenance: Mapping[str, str]) -> str:
    """Code and version that made a calculation, "PySCF 2.14.0"; empty where its provenance names neither."""
    return " ".join(text for key in ("code", "version") if (text := provenance.get(key)))


@dataclass(frozen=True, eq=False)
class Eigenvalues:
    """Eigenvalues that a code printed itself, to check matrices against.

    Args:
        kpoints: Fractional coordinates, (k, 3); one row of zeros for a molecule.
        energies: Hartree, (spin, k, band).
        source: Name of the file they came from.
        precision: Half a unit of the last printed digit, in Hartree.
    """

    kpoints: NDArray[np.float64]
    energies: NDArray[np.float64]
    source: str
    precision: float = 0.0


@dataclass(frozen=True, eq=False)
class Record:
    """A calculation in our conventions and units.

    Args:
        structure: The atoms, as the matrices see them (a code that folds atoms into the cell: folded).
        basis: Shells per element.
        hamiltonian: One matrix per spin direction: one (closed shell, or spinor) or two (collinear up, down); empty
            for an overlap-only calculation.
        overlap: The overlap matrix (spatial, also for spinors).
        n_electrons: Electrons that the basis describes (valence electrons with pseudopotentials).
        fermi: Fermi level in Hartree, where known.
        energy: Total energy in Hartree, where known.
        eigenvalues: The code's own eigenvalues, for checking.
        provenance: Code, version, functional, input, source path, ...
    """

    structure: Structure
    basis: OrbitalBasis
    hamiltonian: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    n_electrons: float
    fermi: float | None = None
    energy: float | None = None
    eigenvalues: tuple[Eigenvalues, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        orbital_counts = self.basis.orbitals_per_atom(self.structure.numbers)
        for matrix in (*self.hamiltonian, self.overlap):
            if not np.array_equal(matrix.orbitals, orbital_counts):
                raise DataError(
                    f"The matrix of {self.structure.formula} has {matrix.orbitals.tolist()} orbitals per atom; the "
                    f"basis {self.basis.name} has {orbital_counts.tolist()}. Are matrix and basis of one calculation?"
                )
        if len(self.hamiltonian) > 2 or self.overlap.spinor:
            raise DataError("A record holds at most two Hamiltonians (spin up, spin down) and a spatial overlap.")

    def __repr__(self) -> str:
        code = self.provenance.get("code", "?")
        return f"Record({self.structure.formula}, {code}, {self.basis.name}, {self.overlap.size} orbitals)"

    @property
    def spinor(self) -> bool:
        """Whether the Hamiltonian is a spinor matrix (spin-orbit coupling or non-collinear spin)."""
        return bool(self.hamiltonian) and self.hamiltonian[0].spinor

    @property
    def nspin(self) -> int:
        """1 closed shell, 2 collinear, 4 spinor (ABACUS's vocabulary)."""
        return 4 if self.spinor else max(len(self.hamiltonian), 1)

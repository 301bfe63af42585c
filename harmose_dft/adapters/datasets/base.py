"""What foreign data sets of one Gaussian basis have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.conventions import PYSCF, OrbitalConvention
from ...core.errors import FileFormatError
from ...core.guard import name_damage, names_damage
from ...core.matrix import BlockMatrix
from ...core.record import Eigenvalues, Record
from ...core.soundness import require_sound
from ...core.structure import Structure
from ...data import Dataset
from ..pyscf import count_electrons, orbital_basis, overlap

OVERLAP_TOLERANCE = 1e-4
"""Largest difference between a stored (single-precision) overlap and the analytic one."""


GUARDED = ("__len__", "elements", "entry", "metadata", "structure")
"""Methods of data sets that read their files."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One molecule as its file has it.

    Args:
        structure: The molecule, in Bohr.
        fock: Kohn-Sham matrix in the file's orbital order, Hartree, (ao, ao).
        overlap: The stored overlap, same order; None where the file has none.
        energy: Total energy in Hartree.
        levels: Orbital energies in Hartree, (mo,).
        metadata: Provenance.
    """

    structure: Structure
    fock: NDArray[Any]
    overlap: NDArray[Any] | None = None
    energy: float | None = None
    levels: NDArray[np.float64] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class GaussianDataset(Dataset):
    """Closed-shell molecules in a basis of PySCF's library; overlaps are analytic.

    Args:
        path: The file.
        basis_name: PySCF's name of the basis.
        convention: Orbital order of the file's matrices.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Make the errors of a subclass's methods on damaged files name the file."""
        super().__init_subclass__(**kwargs)
        for name in GUARDED:
            if name in vars(cls):
                setattr(cls, name, names_damage(vars(cls)[name]))

    def __init__(self, path: Path, basis_name: str, convention: OrbitalConvention = PYSCF) -> None:
        self.path, self.basis_name, self.convention = path, basis_name, convention

    @abstractmethod
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur in the file."""

    @abstractmethod
    def entry(self, index: int) -> Entry:
        """One molecule, with its matrix."""

    @cached_property
    def _basis(self) -> OrbitalBasis:
        return orbital_basis(self.basis_name, self.elements())

    @property
    def basis(self) -> OrbitalBasis:
        """The basis, over all elements that occur."""
        return self._basis

    def __getitem__(self, index: int) -> Record:
        i = self._check_index(index)
        with name_damage(self.path, f"Record {i}"):
            return require_sound(self._record(i), f"{self.path}, record {i}")

    def _record(self, index: int) -> Record:
        entry = self.entry(index)
        structure = entry.structure
        basis = self.basis.restrict(structure.numbers.tolist())
        self._require_size(entry, structure, basis, index)
        analytic = overlap(structure, basis)
        if entry.overlap is not None:
            stored = self._blocks(entry.overlap, structure, basis, index)
            difference = float(np.abs(stored.values - analytic.values).max())
            if not difference < OVERLAP_TOLERANCE:
                raise FileFormatError(
                    f"The overlap stored with record {index} differs from that of {self.basis_name} in the orbital "
                    f"order of {self.convention.name} by up to {difference:.1e}. The file is in another basis, order "
                    "or unit of length than this format has.",
                    path=self.path,
                )
        spectra = () if entry.levels is None else (
            Eigenvalues(np.zeros((1, 3)), np.asarray(entry.levels, dtype=np.float64)[None, None], self.path.name),
        )
        return Record(
            structure,
            basis,
            (self._blocks(entry.fock, structure, basis, index),),
            analytic,
            n_electrons=float(count_electrons(structure, basis)),
            energy=entry.energy,
            eigenvalues=spectra,
            provenance=self.metadata(index),
        )

    def _require_size(self, entry: Entry, structure: Structure, basis: OrbitalBasis, index: int) -> None:
        """Refuse matrices and levels that do not fit the molecule, before integrals are computed."""
        n = int(basis.orbitals_per_atom(structure.numbers).sum())
        for matrix in (entry.fock, entry.overlap):
            if matrix is not None and np.shape(matrix) != (n, n):
                raise FileFormatError(
                    f"The matrix of record {index} has shape {np.shape(matrix)}; {structure.formula} in {basis.name} "
                    f"needs {(n, n)}.", path=self.path,
                )  # fmt: skip
        if entry.levels is not None and not 0 < np.size(entry.levels) <= n:
            raise FileFormatError(
                f"Record {index} lists {np.size(entry.levels)} levels of {n} orbitals.", path=self.path
            )

    def _blocks(
        self, matrix: NDArray[Any], structure: Structure, basis: OrbitalBasis, index: int
    ) -> BlockMatrix:
        order, sign = self.convention.to_ours(basis.shell_sequence(structure.numbers))
        dense = np.asarray(matrix, dtype=np.float64)[np.ix_(order, order)] * np.outer(sign, sign)
        return BlockMatrix.from_dense(dense, basis.orbitals_per_atom(structure.numbers))


def from_triangle(triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric matrix (n, n) from its lower triangle, row by row, n (n + 1) / 2 numbers."""
    n = round(((8 * len(triangle) + 1) ** 0.5 - 1) / 2)
    out = np.zeros((n, n))
    out[np.tril_indices(n)] = triangle
    return np.asarray(out + np.tril(out, -1).T)

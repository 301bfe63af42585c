"""H(k) and S(k) as sparse matrices, and H - E S in factors: solutions, counts of states below E, random vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.discovery import discover
from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from .factors.base import SparseFactor
from .periodic import match_overlap

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[Any]

ACCURACY = 1e-6
"""Relative residual beyond which the factors of a matrix are refused."""


def factor_classes() -> dict[str, type[SparseFactor]]:
    """Every direct solver by name, installed or not, the preferred one first."""
    classes = discover("harmose_dft.solver.factors", SparseFactor)  # type: ignore[type-abstract]
    return {c.name: c for c in sorted(classes, key=lambda c: c.rank)}


def choose_factor(name: str | None = None) -> type[SparseFactor]:
    """The direct solver of a name, or the preferred one of those that are installed.

    Raises:
        SolverError: There is none of that name, or it is not installed.
    """
    classes = factor_classes()
    if name is None:
        return next(c for c in classes.values() if c.is_installed())
    if name not in classes:
        raise SolverError(f"There is no direct solver {name!r}; choose one of {', '.join(classes)}.")
    if not classes[name].is_installed():
        raise SolverError(
            f"The direct solver {name!r} needs {classes[name].package}, which is not installed. Install it with: "
            "pip install 'harmose-dft[large]'"
        )
    return classes[name]


@dataclass(frozen=True, eq=False)
class Pencil:
    """The pair H - E S at a k-point.

    Args:
        hamiltonian: H(k), Hermitian, Hartree, CSR.
        overlap: S(k), Hermitian, CSR, of the same type.
        solver: Name of the direct solver; the preferred one by default.
    """

    hamiltonian: csr_array
    overlap: csr_array
    solver: str | None = None

    @classmethod
    def at(
        cls, hamiltonian: BlockMatrix, overlap: BlockMatrix, kpoint: ArrayLike, solver: str | None = None
    ) -> Pencil:
        """The pair at a k-point.

        Args:
            hamiltonian: H(R) in Hartree.
            overlap: S(R), spatial.
            kpoint: Fractional, (3,).
            solver: Name of the direct solver.

        Raises:
            SolverError: Sizes disagree, values are not finite, or the direct solver is not installed.
        """
        choose_factor(solver)
        h, s = hamiltonian.to_scipy_sparse(kpoint), match_overlap(hamiltonian, overlap).to_scipy_sparse(kpoint)
        kind = np.result_type(h.dtype, s.dtype)
        h, s = ((0.5 * (m + m.conj().T)).tocsr().astype(kind) for m in (h, s))
        return cls(h, s, solver)

    @property
    def size(self) -> int:
        """Number of orbitals."""
        return int(self.hamiltonian.shape[0])

    @property
    def is_complex(self) -> bool:
        """Whether the matrices are complex."""
        return bool(self.hamiltonian.dtype.kind == "c")

    def factor(self, energy: float) -> SparseFactor:
        """H - E S in factors.

        Raises:
            SolverError: It is singular, as where the energy is an eigenvalue, or memory is short.
        """
        return _factorize((self.hamiltonian - energy * self.overlap).tocsr(), self.solver, f"around {energy:g} Ha")

    def factor_overlap(self) -> SparseFactor:
        """S in factors.

        Raises:
            SolverError: It is not positive definite.
        """
        factor = _factorize(self.overlap, self.solver, "of the overlap", positive=True)
        if factor.n_negative:
            raise SolverError(
                f"The overlap matrix is not positive definite: {factor.n_negative} of its eigenvalues are negative. "
                f"{_advice(positive=True)}"
            )
        return factor

    def count_below(self, energy: float, factor: SparseFactor | None = None) -> int:
        """Number of eigenvalues below an energy, by Sylvester's law of inertia for H - E S = L D L^+.

        Args:
            energy: E in Hartree.
            factor: H - E S in factors, where it is at hand.

        Raises:
            SolverError: The energy is an eigenvalue, or no solver here counts.
        """
        count = (factor or self.factor(energy)).n_negative if factor is not None or not self.is_complex else None
        if count is not None:
            return count
        shifted = self.hamiltonian - energy * self.overlap
        count = _factorize(_embed(shifted.tocsr()), self.solver, f"around {energy:g} Ha").n_negative
        if count is None:
            raise SolverError(f"The states below {energy:g} Ha could not be counted; move the energy a little.")
        return count // 2 if self.is_complex else count


def _factorize(matrix: csr_array, solver: str | None, purpose: str, *, positive: bool = False) -> SparseFactor:
    """A matrix in factors that have been tried on one right-hand side.

    Raises:
        SolverError: The matrix is singular or nearly so, or memory is short.
    """
    try:
        factor = choose_factor(solver)(matrix, positive=positive)
        right = np.random.default_rng(0).normal(size=matrix.shape[0]).astype(matrix.dtype)
        residual = np.linalg.norm(matrix @ factor.solve(right) - right) / np.linalg.norm(right)
    except (RuntimeError, MemoryError) as error:
        raise SolverError(f"The factorisation {purpose} failed ({error}). {_advice(positive)}") from error
    if not residual < ACCURACY:
        raise SolverError(
            f"The factorisation {purpose} is inaccurate: the relative residual is {residual:.1e}, expected less than "
            f"{ACCURACY:.0e}. {_advice(positive)}"
        )
    return factor


def _advice(positive: bool) -> str:
    if positive:
        return "Are atoms too close, or do H and S belong to different structures?"
    return "Move the energy off an eigenvalue, or use the dense method."


def _embed(matrix: csr_array) -> csr_array:
    """The real symmetric matrix [[Re, -Im], [Im, Re]], which has every eigenvalue of a Hermitian matrix twice."""
    from scipy.sparse import block_array

    if matrix.dtype.kind != "c":
        return matrix
    return block_array([[matrix.real, -matrix.imag], [matrix.imag, matrix.real]], format="csr")

"""A sparse Hermitian matrix in factors: what every direct solver offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[Any]


class SparseFactor(ABC):
    """The factorisation of a sparse Hermitian matrix, real or complex. A new solver is one subclass in a file here.

    Args:
        matrix: The full matrix, both triangles, float64 or complex128.
        positive: Whether it is positive definite, such as S.

    Attributes:
        name: What options call the solver.
        rank: Of the solvers that are installed the one of the lowest rank is taken unless another one is named.
        package: What to install for it; empty where it is always there.
    """

    name: ClassVar[str]
    rank: ClassVar[int]
    package: ClassVar[str] = ""

    @abstractmethod
    def __init__(self, matrix: csr_array, *, positive: bool = False) -> None:
        """Factorise; raises RuntimeError (or a subclass) where the matrix is singular or memory is short."""

    @classmethod
    @abstractmethod
    def is_installed(cls) -> bool:
        """Whether the libraries that it needs can be imported."""

    @abstractmethod
    def solve(self, right: Array) -> Array:
        """A^-1 b.

        Args:
            right: b, (n,) or (n, column), of the matrix's type.
        """

    @abstractmethod
    def correlate(self, noise: Array) -> Array:
        """X b with X X^+ = A^-1 for a positive definite A: uncorrelated numbers become numbers of covariance A^-1.

        Args:
            noise: b, (n, column), of the matrix's type.
        """

    @property
    @abstractmethod
    def n_negative(self) -> int | None:
        """Number of negative eigenvalues by Sylvester's law of inertia; None where the factors do not tell."""

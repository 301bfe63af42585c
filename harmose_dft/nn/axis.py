"""The matrix axis of blocks: which real matrices it holds, and how each of them behaves.

A Hamiltonian without spin is one scalar operator; a collinear one is two (mean and half the difference of the spins);
with spin-orbit coupling it is a scalar operator and an axial vector of antisymmetric matrices
(:mod:`harmose_dft.core.spin`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..core.spin import Spin


@dataclass(frozen=True)
class MatrixKind:
    """One operator: a matrix, or several that mix under rotations.

    Args:
        name: For people.
        size: Number of real matrices.
        sign: The block of the reverse pair (j, i) is ``sign`` times the transpose of the block (i, j).
        vector: Whether the matrices mix as the components y, z, x of a vector under proper rotations.
    """

    name: str
    size: int
    sign: float
    vector: bool


SCALAR = MatrixKind("scalar", 1, 1.0, vector=False)
"""The real symmetric matrix of a scalar operator: S, H0, H, a density matrix, half the difference of two spins."""

AXIAL = MatrixKind("axial vector", 3, -1.0, vector=True)
"""The real antisymmetric matrices A_y, A_z, A_x of spin-orbit coupling."""


@dataclass(frozen=True)
class MatrixAxis:
    """The operators that lie one behind the other along the matrix axis of blocks.

    Args:
        kinds: One for each operator, in order.
    """

    kinds: tuple[MatrixKind, ...]

    @classmethod
    def scalars(cls, count: int) -> MatrixAxis:
        """An axis of scalar operators."""
        return cls((SCALAR,) * count)

    @classmethod
    def hamiltonian(cls, spin: Spin) -> MatrixAxis:
        """The matrices of a Hamiltonian: the spin-independent one first, then those that depend on spin."""
        return cls({"none": (SCALAR,), "collinear": (SCALAR, SCALAR), "spin-orbit": (SCALAR, AXIAL)}[spin])

    @cached_property
    def size(self) -> int:
        """Number K of real matrices."""
        return sum(kind.size for kind in self.kinds)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of real matrices of each operator."""
        return tuple(kind.size for kind in self.kinds)

    @cached_property
    def signs(self) -> tuple[float, ...]:
        """Sign of each real matrix under transposition of the reverse pair, (K,)."""
        return tuple(kind.sign for kind in self.kinds for _ in range(kind.size))

    @cached_property
    def has_vectors(self) -> bool:
        """Whether some matrices mix under rotations."""
        return any(kind.vector for kind in self.kinds)

    def __add__(self, other: MatrixAxis) -> MatrixAxis:
        return MatrixAxis(self.kinds + other.kinds)

    def __getitem__(self, operators: slice) -> MatrixAxis:
        return MatrixAxis(self.kinds[operators])

"""Symmetric orthogonalisation: powers of the overlap matrix, and the commutator of Fock and density matrices in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ..core.errors import SolverError

Array = NDArray[Any]


def root(overlap: Array) -> Array:
    """S^(1/2) of a Hermitian matrix, (ao, ao); eigenvalues that rounding makes negative count as zero."""
    values, vectors = eigh(0.5 * (overlap + overlap.conj().T))
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.conj().T)


def inverse_root(overlap: Array) -> Array:
    """S^(-1/2) of a Hermitian matrix, (ao, ao): Loewdin's symmetric orthogonalisation, J. Chem. Phys. 18, 365 (1950).

    Raises:
        SolverError: S is not positive definite.
    """
    values, vectors = eigh(overlap)
    if values[0] <= 0:
        raise SolverError(
            f"The overlap matrix is not positive definite (smallest eigenvalue {values[0]:.1e}): are atoms too close?"
        )
    return np.asarray((vectors / np.sqrt(values)) @ vectors.conj().T)


def commutator_norm(fock: NDArray[np.float64], density: NDArray[np.float64], overlap: NDArray[np.float64]) -> float:
    """Frobenius norm of S^(-1/2) (FPS - SPF) S^(-1/2) in Hartree; zero for a self-consistent density.

    Args:
        fock: F, (ao, ao), Hartree.
        density: P, (ao, ao).
        overlap: S, (ao, ao).

    Raises:
        SolverError: S is not positive definite.
    """
    half = inverse_root(overlap)
    product = fock @ np.asarray(density) @ overlap
    return float(np.linalg.norm(half @ (product - product.T) @ half))

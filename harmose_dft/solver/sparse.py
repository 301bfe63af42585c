"""A few states around an energy: sparse shift-invert for large cells, dense diagonalisation for small ones."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from .factors.base import SparseFactor
from .molecule import OVERLAP_THRESHOLD
from .pencil import Pencil
from .periodic import Hamiltonians, hamiltonian_tuple, wavefunction

Array = NDArray[Any]
Floats = NDArray[np.float64]

DENSE_LIMIT = 1000
"""Matrices up to this size are diagonalised densely: measured on one core, shift-invert for 40 states wins above it."""

SPARSE_FRACTION = 0.1
"""Shift-invert is used for at most this fraction of all states; beyond it dense diagonalisation is faster."""


class Method(StrEnum):
    """How a few states are found."""

    DENSE = "dense"
    SHIFT_INVERT = "shift-invert"


def choose_method(size: int, count: int) -> Method:
    """Shift-invert for a small part of the spectrum of a large matrix, dense otherwise."""
    return Method.SHIFT_INVERT if size > DENSE_LIMIT and count <= SPARSE_FRACTION * size else Method.DENSE


def states_near(
    hamiltonian: BlockMatrix,
    overlap: BlockMatrix,
    kpoint: ArrayLike,
    energy: float,
    count: int,
    *,
    method: Method | str | None = None,
    solver: str | None = None,
    threshold: float = OVERLAP_THRESHOLD,
) -> tuple[Floats, Array]:
    """The states at a k-point that are nearest to an energy.

    Shift-invert Lanczos, (H - sigma S)^-1 S x = x / (eps - sigma), with a sparse factorisation
    (:mod:`~harmose_dft.solver.factors`) and ARPACK (Lehoucq, Sorensen, Yang 1998).

    Args:
        hamiltonian: H(R) in Hartree.
        overlap: S(R), spatial.
        kpoint: Fractional, (3,).
        energy: sigma in Hartree, such as the Fermi level.
        count: Number of states.
        method: Dense or shift-invert; chosen by size by default.
        solver: Direct solver of shift-invert, "pardiso" or "superlu"; by default the preferred one of those installed.
        threshold: Smallest eigenvalue of S(k) that dense diagonalisation keeps.

    Returns:
        Energies, ascending, (count,), and coefficients with C^+ S C = 1, (ao, count).

    Raises:
        SolverError: The count does not fit, or the iteration fails.
    """
    size = hamiltonian.size
    if not 0 < count <= size:
        raise SolverError(f"Between 1 and {size} states can be found; got {count}.")
    solver_method = choose_method(size, count) if method is None else Method(method)
    if solver_method is Method.DENSE:
        energies, coefficients = wavefunction(hamiltonian, overlap, kpoint, threshold=threshold)
        if count > len(energies):
            raise SolverError(
                f"{count} states were asked for; linear dependence leaves {len(energies)} of {size}. Ask for fewer."
            )
        nearest = np.sort(np.argsort(np.abs(energies - energy), kind="stable")[:count])
        return energies[nearest], coefficients[:, nearest]
    if count >= size - 1:
        raise SolverError(f"Shift-invert finds at most {size - 2} of {size} states; got {count}. Use the dense method.")
    pencil = Pencil.at(hamiltonian, overlap, kpoint, solver)
    return shift_invert(pencil, pencil.factor(energy), energy, count)


def bands_near(
    hamiltonian: Hamiltonians,
    overlap: BlockMatrix,
    kpoints: ArrayLike,
    energy: float,
    count: int,
    *,
    method: Method | str | None = None,
    solver: str | None = None,
    workers: int = 1,
) -> Floats:
    """Energies nearest to an energy at each k-point, (spin, k, count), in Hartree; see :func:`states_near`.

    A row holds the nearest states, not bands of fixed index: at the edges of the range a band may enter or leave.

    Args:
        hamiltonian: H(R): one matrix, or two (spin up, spin down), in Hartree.
        overlap: S(R), spatial.
        kpoints: Fractional, (k, 3).
        energy: Such as the Fermi level, in Hartree.
        count: Number of states per k-point.
        method: Dense or shift-invert; chosen by size by default.
        solver: Direct solver of shift-invert.
        workers: k-points that are solved at once, in threads; each needs memory for its own factorisation.
    """
    points = np.asarray(kpoints, dtype=np.float64)

    def at(h: BlockMatrix, k: Floats) -> Floats:
        return states_near(h, overlap, k, energy, count, method=method, solver=solver)[0]

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return np.array([list(pool.map(partial(at, h), points)) for h in hamiltonian_tuple(hamiltonian)])


def shift_invert(pencil: Pencil, factor: SparseFactor, energy: float, count: int) -> tuple[Floats, Array]:
    """The states of a pencil that are nearest to an energy, by shift-invert Lanczos.

    Args:
        pencil: H and S.
        factor: H - energy S in factors.
        energy: Hartree.
        count: Number of states, at least two less than there are.

    Returns:
        Energies, ascending, (count,), and coefficients with C^+ S C = 1, (ao, count).

    Raises:
        SolverError: The iteration fails.
    """
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    h, s = pencil.hamiltonian, pencil.overlap
    inverse = LinearOperator(h.shape, matvec=lambda x: factor.solve(np.ravel(x)), dtype=h.dtype)
    start = np.random.default_rng(0).normal(size=h.shape[0]).astype(h.dtype)
    try:
        energies, vectors = eigsh(h, count, M=s, sigma=energy, OPinv=inverse, v0=start)
    except (ArpackError, RuntimeError) as error:
        raise SolverError(
            f"Shift-invert around {energy:g} Ha failed ({error}); move the energy off an eigenvalue, or use the "
            f"dense method."
        ) from error
    order = np.argsort(energies)
    energies, vectors = energies[order], vectors[:, order]
    gram = vectors.conj().T @ (s @ vectors)
    lower = np.linalg.cholesky(0.5 * (gram + gram.conj().T))
    return energies, np.linalg.solve(lower, vectors.conj().T).conj().T

"""Density matrices in the symmetrically orthogonalised basis, as networks see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ..core.matrix import BlockMatrix
from ..core.spin import decompose, time_reversal_parts
from ..solver import Filling, density_blocks, solve_structure
from ..solver.orthogonal import inverse_root, root
from .integrals import Integrals


def lowdin_density(
    h0: NDArray[np.float64], overlap: NDArray[np.float64], n_electrons: int
) -> NDArray[np.float64]:
    """Density matrix of the orbitals of H0 in the symmetrically orthogonalised basis, 2 sum_occ c c^T.

    Block-diagonal rotations commute with symmetric orthogonalisation, so it is as covariant as H0.

    Args:
        h0: H0, (ao, ao), Hartree.
        overlap: S, (ao, ao).
        n_electrons: Electrons to fill in, two per orbital.

    Raises:
        SolverError: S is not positive definite.
    """
    half = inverse_root(overlap)
    occupied = eigh(half @ h0 @ half)[1][:, : n_electrons // 2]
    return np.asarray(2.0 * occupied @ occupied.T)


def orthogonal_density(
    integrals: Integrals, hamiltonians: Sequence[BlockMatrix], filling: Filling | None
) -> tuple[BlockMatrix, ...]:
    """S^(1/2) P S^(1/2) on the pairs of S, as the real matrices of :func:`~harmose_dft.core.spin.decompose`.

    Molecules hold two electrons in each of the lowest orbitals; crystals are filled on a mesh of k-points:
    P_ij(R) = sum_k w_k sum_n f_nk c_i,nk c_j,nk^* exp(-2 pi i k.R), c = S(k)^(1/2) C.

    Args:
        integrals: The structure and S.
        hamiltonians: H, Hartree: one matrix, of spinors (with time-reversal symmetry) or not, or two (up, down).
        filling: k-points and smearing of a crystal; molecules need none.
    """
    overlap, electrons = integrals.overlap, integrals.n_electrons
    if not integrals.structure.periodic:
        dense = lowdin_density(hamiltonians[0].to_dense(), overlap.to_dense(), round(electrons))
        return (BlockMatrix.from_dense(dense, overlap.orbitals),)
    assert filling is not None
    spectrum = solve_structure(
        integrals.structure, hamiltonians, overlap, electrons, filling, multiple=1, time_reversal=True
    )
    assert spectrum.kpoints is not None
    roots = np.stack([root(overlap.at(k)) for k in spectrum.kpoints])  # (k, ao, ao), before any spin axis
    if hamiltonians[0].spinor:
        orthogonal = replace(spectrum, coefficients=_for_each_spin(roots, spectrum.coefficients))
        (density,) = density_blocks(orthogonal, overlap.with_spin())
        return time_reversal_parts(density)[0]
    return decompose(density_blocks(replace(spectrum, coefficients=roots @ spectrum.coefficients), overlap))


def _for_each_spin(roots: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[Any]:
    """(1_2 kron S^(1/2)) C of spinors, (k, 2 ao, mo)."""
    n_k, n, _ = roots.shape
    return np.asarray((roots[:, None] @ coefficients.reshape(n_k, 2, n, -1)).reshape(n_k, 2 * n, -1))

"""Crystals: H(k) C = S(k) C eps at k-points, bands, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spectrum import OCCUPIED, Spectrum
from ..core.spin import electrons_per_orbital
from .molecule import OVERLAP_THRESHOLD, eigensystem, eigenvalues
from .occupations import Smearing, fermi_level

Array = NDArray[Any]
Floats = NDArray[np.float64]
Hamiltonians = BlockMatrix | Sequence[BlockMatrix]

WHOLE_BAND = 1e-3
"""Electrons per spin direction that fill bands to within this fraction fill them completely."""


def solve_kpoints(
    hamiltonian: Hamiltonians,
    overlap: BlockMatrix,
    kpoints: ArrayLike,
    n_electrons: float,
    *,
    weights: ArrayLike | None = None,
    smearing: Smearing | str = Smearing.NONE,
    width: float = 0.0,
    threshold: float = OVERLAP_THRESHOLD,
) -> Spectrum:
    """Energies, coefficients, Fermi level and occupations of a crystal.

    Args:
        hamiltonian: H(R): one matrix (closed shell, or spinors), or two (spin up, spin down), in Hartree.
        overlap: S(R), spatial.
        kpoints: Fractional, (k, 3).
        n_electrons: Electrons per cell.
        weights: Weights that sum to one, (k,); equal ones by default.
        smearing: Smearing function.
        width: Smearing width in Hartree.
        threshold: Smallest eigenvalue of S(k) that is kept; the number of orbitals is the least over all k-points.

    Returns:
        Axes (k, mo), or (spin, k, mo) for two Hamiltonians.

    Raises:
        SolverError: S(k) is not positive definite, values are not finite, or the electrons do not fit.
    """
    matrices, k = hamiltonian_tuple(hamiltonian), _kpoints(kpoints)
    w = np.full(len(k), 1 / len(k)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(k),) or abs(w.sum() - 1) > 1e-8:
        raise SolverError(f"{len(k)} k-points need as many weights that sum to one; got {w.shape}, sum {w.sum():g}.")
    solutions = [
        [_at(q, eigensystem, hk, sk, threshold) for q, hk, sk in _matrices(h, overlap, k)] for h in matrices
    ]
    n = min(len(e) for spin in solutions for e, _ in spin)
    energies = np.stack([[e[:n] for e, _ in spin] for spin in solutions])
    coefficients = np.stack([[c[:, :n] for _, c in spin] for spin in solutions])
    per_orbital = electrons_per_orbital(matrices)
    fermi, occupations = fermi_level(energies, w, n_electrons, per_orbital=per_orbital, smearing=smearing, width=width)
    if len(matrices) == 1:
        energies, coefficients, occupations = energies[0], coefficients[0], occupations[0]
    return Spectrum(energies, coefficients, occupations, w, fermi, k, per_orbital)


def bands(
    hamiltonian: Hamiltonians, overlap: BlockMatrix, kpoints: ArrayLike, *, threshold: float = OVERLAP_THRESHOLD
) -> Floats:
    """Energies along a path, (spin, k, band), in Hartree; one spin axis entry for closed shells and spinors.

    Args:
        hamiltonian: As for :func:`solve_kpoints`.
        overlap: S(R), spatial.
        kpoints: Fractional, (k, 3), such as those of :func:`harmose_dft.solver.kpaths.k_path`.
        threshold: Smallest eigenvalue of S(k) that is kept.
    """
    rows = [
        [_at(k, eigenvalues, hk, sk, threshold) for k, hk, sk in _matrices(h, overlap, _kpoints(kpoints))]
        for h in hamiltonian_tuple(hamiltonian)
    ]
    n = min(len(e) for spin in rows for e in spin)
    return np.stack([[e[:n] for e in spin] for spin in rows])


def wavefunction(
    hamiltonian: BlockMatrix, overlap: BlockMatrix, kpoint: ArrayLike, *, threshold: float = OVERLAP_THRESHOLD
) -> tuple[Floats, Array]:
    """Energies (mo,) in Hartree and coefficients (ao, mo) at one k-point.

    psi_nk(r) = sum_R exp(2 pi i k.R) sum_mu C_mu,n phi_mu(r - R - r_mu), the phase belonging to the cell.
    """
    ((k, h, s),) = _matrices(hamiltonian, overlap, _kpoints(np.asarray(kpoint)[None]))
    solution: tuple[Floats, Array] = _at(k, eigensystem, h, s, threshold)
    return solution


def density_blocks(spectrum: Spectrum, pattern: BlockMatrix) -> tuple[BlockMatrix, ...]:
    """Density matrix P(R) on the pairs of a matrix, one per spin direction.

    P_ij(R) = sum_k w_k sum_n f_nk C_i,nk C_j,nk^* exp(-2 pi i k.R), so that an operator's expectation value is the
    sum of P_ij(R) A_ij(R)^* over all stored elements. The imaginary part, which k and -k together cancel, is dropped
    unless the matrix is one of spinors.

    Args:
        spectrum: Orbitals at the k-points of a mesh; of spinors, a mesh that is not reduced by time reversal.
        pattern: Whose pairs are wanted, such as H or S; its values play no part.

    Raises:
        SolverError: The spectrum has no k-points.
    """
    if spectrum.kpoints is None or spectrum.weights is None:
        raise SolverError("This spectrum has no k-points; use Spectrum.density_matrix() for a molecule.")
    return tuple(
        _density(spectrum.kpoints, spectrum.weights, c, f, pattern)
        for c, f in zip(*_spin_axis(spectrum.coefficients, spectrum.occupations), strict=True)
    )


def band_gap(spectrum: Spectrum) -> tuple[float, float]:
    """Indirect (fundamental) and direct gap in Hartree between the full and the empty bands.

    They are zero for a metal, and infinite where all bands are full, as the gap of a molecule without empty orbitals.

    The bands of a spin direction are counted by its electrons, so that smearing does not close a gap; where these do
    not fill whole bands the crystal is a metal.

    Raises:
        SolverError: The spectrum has no k-points.
    """
    if spectrum.weights is None:
        raise SolverError("This spectrum has no k-points; use Spectrum.gap for a molecule.")
    energies = spectrum.energies.reshape(-1, *spectrum.energies.shape[-2:])
    occupations = spectrum.occupations.reshape(energies.shape)
    filled_bands = np.einsum("skn,k->s", occupations, spectrum.weights) / spectrum.per_orbital
    bands_filled = np.round(filled_bands).astype(np.int64)
    if (np.abs(filled_bands - bands_filled) > WHOLE_BAND).any():
        return 0.0, 0.0
    if (bands_filled >= energies.shape[-1]).any():
        return np.inf, np.inf
    padded = np.concatenate([np.full((*energies.shape[:2], 1), -np.inf), energies], axis=-1)
    top = np.stack([e[:, n] for e, n in zip(padded, bands_filled, strict=True)])
    bottom = np.stack([e[:, n + 1] for e, n in zip(padded, bands_filled, strict=True)])
    indirect = float(bottom.min() - top.max())
    return (indirect, float((bottom - top).min())) if indirect > 0 else (0.0, 0.0)


def hamiltonian_tuple(hamiltonian: Hamiltonians) -> tuple[BlockMatrix, ...]:
    """One matrix per spin direction.

    Raises:
        SolverError: There are neither one nor two.
    """
    matrices = (hamiltonian,) if isinstance(hamiltonian, BlockMatrix) else tuple(hamiltonian)
    if len(matrices) not in (1, 2):
        raise SolverError(f"A crystal has one Hamiltonian, or one per spin direction; got {len(matrices)}.")
    return matrices


def _kpoints(kpoints: ArrayLike) -> Floats:
    k = np.asarray(kpoints, dtype=np.float64)
    if k.ndim != 2 or k.shape[1] != 3 or len(k) == 0:
        raise SolverError(f"k-points are fractional coordinates of shape (k, 3); got {k.shape}.")
    return k


def match_overlap(hamiltonian: BlockMatrix, overlap: BlockMatrix) -> BlockMatrix:
    """The overlap in the Hamiltonian's spin layout.

    Raises:
        SolverError: The sizes disagree, or a value is not finite.
    """
    s = overlap.with_spin() if hamiltonian.spinor else overlap
    for name, matrix in (("Hamiltonian", hamiltonian), ("overlap", s)):
        if not np.isfinite(matrix.values).all():
            n_invalid = np.count_nonzero(~np.isfinite(matrix.values))
            raise SolverError(f"The {name} has {n_invalid} values that are not finite.")
    if s.size != hamiltonian.size:
        raise SolverError(f"Hamiltonian and overlap have {hamiltonian.size} and {s.size} orbitals; expected the same.")
    return s


def _matrices(hamiltonian: BlockMatrix, overlap: BlockMatrix, kpoints: Floats) -> Iterator[tuple[Floats, Array, Array]]:
    """Each k-point with H(k) and S(k), Hermitian."""
    s = match_overlap(hamiltonian, overlap)
    for k in kpoints:
        hk, sk = hamiltonian.at(k), s.at(k)
        yield k, 0.5 * (hk + hk.conj().T), 0.5 * (sk + sk.conj().T)


def _at(k: Floats, solver: Callable[..., Any], h: Array, s: Array, threshold: float) -> Any:
    """What a solver returns for H(k) and S(k); its errors name the k-point."""
    try:
        return solver(h, s, threshold)
    except SolverError as error:
        raise SolverError(f"At k = ({k[0]:.4f}, {k[1]:.4f}, {k[2]:.4f}): {error}") from error


def _spin_axis(coefficients: Array, occupations: Floats) -> tuple[Array, Floats]:
    return (coefficients, occupations) if coefficients.ndim == 4 else (coefficients[None], occupations[None])


def _density(
    kpoints: Floats, weights: Floats, coefficients: Array, occupations: Floats, pattern: BlockMatrix
) -> BlockMatrix:
    values = np.zeros(pattern.values.shape, dtype=np.complex128)
    for k, w, c, f in zip(kpoints, weights, coefficients, occupations, strict=True):
        is_occupied = np.abs(f) > OCCUPIED
        values += w * pattern.gather((c[:, is_occupied] * f[is_occupied]) @ c[:, is_occupied].conj().T, -k)
    return pattern.with_values(values if pattern.spinor else np.ascontiguousarray(values.real))

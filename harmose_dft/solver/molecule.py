"""Generalised eigenproblem H C = S C eps of molecules, one or many, in float64."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Matrix = BlockMatrix | Array

OVERLAP_THRESHOLD = 1e-8
"""Combinations of orbitals whose eigenvalue of S lies below this are removed (canonical orthogonalisation)."""

OVERLAP_NOISE = 1e-6
"""A negative eigenvalue of S up to this size is rounding (codes print S with 8 decimals); beyond it S is no overlap."""


def solve(
    hamiltonian: Matrix, overlap: Matrix, n_electrons: float, *, threshold: float = OVERLAP_THRESHOLD
) -> Spectrum:
    """Orbital energies and coefficients of a closed-shell molecule, or of a spinor Hamiltonian.

    ``H C = S C eps`` with ``C^+ S C = 1``. Where S has eigenvalues below the threshold, the corresponding combinations
    of orbitals are left out and there are fewer molecular orbitals than atomic ones (Loewdin's canonical
    orthogonalisation, Adv. Quantum Chem. 5, 185 (1970)).

    Args:
        hamiltonian: Block matrix, or dense (ao, ao), in Hartree.
        overlap: Block matrix or dense (ao, ao); spatial, also for a spinor Hamiltonian.
        n_electrons: Number of electrons; orbitals hold two, spinors one.
        threshold: Smallest eigenvalue of S that is kept.

    Returns:
        All orbitals, ascending in energy, the lowest occupied.

    Raises:
        SolverError: Shapes disagree, a value is not finite, S is not positive definite beyond noise, or the
            electron count does not fit.
    """
    h, s, per_orbital = dense_pair(hamiltonian, overlap)
    energies, coefficients = eigensystem(h, s, threshold)
    occupations = aufbau(len(energies), n_electrons, per_orbital)
    return Spectrum(energies, coefficients, occupations, per_orbital=per_orbital)


def solve_batch(
    problems: Sequence[tuple[Matrix, Matrix, float]],
    *,
    device: str | torch.device = "cpu",
    threshold: float = OVERLAP_THRESHOLD,
) -> list[Spectrum]:
    """Spectra of many molecules; those of one size are diagonalised together by torch in float64.

    Args:
        problems: (hamiltonian, overlap, n_electrons) as for :func:`solve`.
        device: Where torch computes.
        threshold: Smallest eigenvalue of S that is kept.

    Returns:
        One spectrum per problem, in order, equal to those of :func:`solve` up to signs and rounding.

    Raises:
        SolverError: As :func:`solve`, naming the problem.
    """
    groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
    dense: list[tuple[Array, Array, int]] = []
    for n, (h, s, _) in enumerate(problems):
        try:
            dense.append(dense_pair(h, s))
        except SolverError as error:
            raise SolverError(f"Problem {n + 1} of {len(problems)}: {error}") from error
        groups[len(dense[n][0]), np.iscomplexobj(dense[n][0])].append(n)
    out: dict[int, Spectrum] = {}
    for indices in groups.values():
        pairs = _eigensystems([dense[n][:2] for n in indices], device, threshold)
        for n, solution in zip(indices, pairs, strict=True):
            try:
                energies, coefficients = solution or eigensystem(*dense[n][:2], threshold)
                occupations = aufbau(len(energies), problems[n][2], dense[n][2])
            except SolverError as error:
                raise SolverError(f"Problem {n + 1} of {len(problems)}: {error}") from error
            out[n] = Spectrum(energies, coefficients, occupations, per_orbital=dense[n][2])
    return [out[n] for n in range(len(problems))]


def eigensystem(h: Array, s: Array, threshold: float = OVERLAP_THRESHOLD) -> tuple[Array, Array]:
    """Energies (mo,) and coefficients (ao, mo) of a dense Hermitian pair.

    Raises:
        SolverError: S is not positive definite beyond noise.
    """
    x = orthogonalizer(s, threshold)
    energies, rotated = scipy.linalg.eigh(_hermitian(x.conj().T @ h @ x), check_finite=False)
    return energies, x @ rotated


def eigenvalues(h: Array, s: Array, threshold: float = OVERLAP_THRESHOLD) -> Array:
    """Energies (mo,) of a dense Hermitian pair; a third of the time of :func:`eigensystem` for large matrices.

    Raises:
        SolverError: S is not positive definite beyond noise.
    """
    x = orthogonalizer(s, threshold)
    return np.asarray(scipy.linalg.eigvalsh(_hermitian(x.conj().T @ h @ x), check_finite=False))


def orthogonalizer(s: Array, threshold: float = OVERLAP_THRESHOLD) -> Array:
    """X (ao, mo) with X^+ S X = 1.

    X = L^-+ of the Cholesky factorisation S = L L^+ where every eigenvalue of S is certain to exceed the threshold
    (the smallest one is at least 1 / Tr S^-1 = 1 / |L^-1|^2), and V s^-1/2 of the kept eigenvectors otherwise.

    Raises:
        SolverError: S has an eigenvalue more negative than rounding explains, or the threshold is not positive.
    """
    if not threshold > 0:
        raise SolverError(f"The overlap threshold must be positive; got {threshold:g}.")
    try:
        lower = np.linalg.cholesky(s)
        (invert,) = scipy.linalg.get_lapack_funcs(("trtri",), (lower,))
        inverse, _ = invert(lower, lower=1)
        if np.linalg.norm(inverse) ** 2 * threshold < 1.0:
            return np.asarray(inverse.conj().T)
    except np.linalg.LinAlgError:
        pass
    spectrum, vectors = scipy.linalg.eigh(s, check_finite=False)
    if spectrum[0] < -OVERLAP_NOISE:
        raise SolverError(
            f"The overlap matrix is not positive definite: its smallest eigenvalue is {spectrum[0]:.3e}, expected "
            f"more than {-OVERLAP_NOISE:.0e}. Check that overlap and Hamiltonian belong to this structure and basis."
        )
    keep = spectrum > threshold
    if not keep.any():
        raise SolverError(f"No eigenvalue of the overlap matrix exceeds {threshold:.1e}; the matrix is empty or zero.")
    return np.asarray(vectors[:, keep] / np.sqrt(spectrum[keep]))


def smallest_overlap_eigenvalue(overlap: Matrix) -> float:
    """Smallest eigenvalue of S, a measure of how near the basis is to linear dependence."""
    s = overlap.to_dense() if isinstance(overlap, BlockMatrix) else np.asarray(overlap)
    return float(scipy.linalg.eigh(s, eigvals_only=True, subset_by_index=[0, 0])[0])


def dense_pair(hamiltonian: Matrix, overlap: Matrix) -> tuple[Array, Array, int]:
    """Dense Hermitian H and S in double precision, and how many electrons an orbital holds (2, or 1 for spinors).

    Raises:
        SolverError: Shapes disagree, or a value is not finite.
    """
    spinor = isinstance(hamiltonian, BlockMatrix) and hamiltonian.spinor
    h, s = (m.to_dense() if isinstance(m, BlockMatrix) else np.asarray(m) for m in (hamiltonian, overlap))
    if spinor and 2 * s.shape[0] == h.shape[0]:
        s = np.kron(np.eye(2), s)
    if h.ndim != 2 or h.shape[0] != h.shape[1] or s.shape != h.shape or len(h) == 0:
        raise SolverError(f"Hamiltonian and overlap must be square and of one size; got {h.shape} and {s.shape}.")
    for name, matrix in (("Hamiltonian", h), ("overlap", s)):
        if not np.isfinite(matrix).all():
            raise SolverError(f"The {name} has {np.count_nonzero(~np.isfinite(matrix))} values that are not finite.")
    kind = np.complex128 if np.iscomplexobj(h) or np.iscomplexobj(s) else np.float64
    return _hermitian(h.astype(kind)), _hermitian(s.astype(kind)), 1 if spinor else 2


def aufbau(n_orbitals: int, n_electrons: float, per_orbital: int) -> NDArray[np.float64]:
    """Occupations (mo,) with the lowest orbitals full.

    Raises:
        SolverError: The electrons do not fill whole orbitals, or exceed them.
    """
    n_filled = round(n_electrons / per_orbital)
    if abs(n_filled * per_orbital - n_electrons) > 1e-6 or n_electrons < 0:
        raise SolverError(
            f"{n_electrons:g} electrons do not fill orbitals of {per_orbital} electrons each. Open shells are not "
            f"supported for molecules; check the charge."
        )
    if n_filled > n_orbitals:
        raise SolverError(f"{n_electrons:g} electrons need {n_filled} orbitals; the basis offers {n_orbitals}.")
    occupations = np.zeros(n_orbitals)
    occupations[:n_filled] = per_orbital
    return occupations


def _hermitian(a: Array) -> Array:
    return np.asarray(0.5 * (a + a.conj().T))


def _eigensystems(
    pairs: Sequence[tuple[Array, Array]], device: str | torch.device, threshold: float
) -> list[tuple[Array, Array] | None]:
    """Batched counterpart of :func:`eigensystem`; None where S needs canonical orthogonalisation."""
    import torch

    h, s = (torch.as_tensor(np.stack(m), device=device) for m in zip(*pairs, strict=True))
    lower, cholesky_info = torch.linalg.cholesky_ex(s)
    eye = torch.eye(s.shape[-1], dtype=s.dtype, device=device)
    is_definite = cholesky_info == 0
    inverse = torch.linalg.solve_triangular(torch.where(is_definite[:, None, None], lower, eye), eye, upper=False)
    is_definite &= torch.linalg.matrix_norm(inverse) ** 2 * threshold < 1.0
    inverse = torch.where(is_definite[:, None, None], inverse, eye)
    reduced = inverse @ h @ inverse.mH
    energies, rotated = torch.linalg.eigh(0.5 * (reduced + reduced.mH))
    coefficients = inverse.mH @ rotated
    e, c, is_definite_cpu = (t.cpu().numpy() for t in (energies, coefficients, is_definite))
    return [(e[n], c[n]) if is_definite_cpu[n] else None for n in range(len(pairs))]

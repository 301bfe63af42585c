"""Checks of a record against what its code printed: eigenvalues, and the overlap from the orbitals' own tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.basis import NumericalRadial
from ..core.errors import DataError
from ..core.record import Eigenvalues, Record
from ..core.units import HARTREE_IN_EV

MILLI_EV = 1e-3 / HARTREE_IN_EV
"""1 meV in Hartree."""

TOLERANCE_MEV = 0.01
"""Largest deviation of an eigenvalue that passes, unless the code prints less precisely."""

OVERLAP_TOLERANCE = 1e-4
"""Largest deviation of an element of S that passes; codes integrate to 1e-6 or better, other orbitals differ more."""

ROUNDING = "matrix_precision"
"""Key of the provenance: half a unit of the last digit of H (Hartree) and S, where the code prints few digits."""

ROUNDING_KPOINTS = 8
"""k-points at which the effect of that rounding is estimated."""


@dataclass(frozen=True)
class CheckResult:
    """Outcome of :func:`check_eigenvalues`.

    Args:
        path: Where the record came from.
        code: Code that made it.
        version: Its version.
        source: File of the eigenvalues compared; empty where the code lists none.
        n_kpoints: Number of k-points compared.
        n_bands: Number of bands at each of them.
        max_deviation_mev: Largest deviation of an eigenvalue; None where there is none to compare.
        tolerance_mev: Largest deviation allowed: 0.01 meV, or the precision with which the code printed its
            eigenvalues, or the effect of the rounding of its printed matrices, whichever is larger.
        overlap_deviation: Largest deviation of an element of S from the one computed with the radial functions; None
            where these are not known or no two-centre integral is possible.
        passed: Whether no deviation exceeds its tolerance; None where there was nothing to compare with.
    """

    path: str
    code: str
    version: str
    source: str
    n_kpoints: int
    n_bands: int
    max_deviation_mev: float | None
    tolerance_mev: float
    overlap_deviation: float | None
    passed: bool | None


def check_eigenvalues(record: Record) -> CheckResult:
    """Compare the eigenvalues of H(k) C = S(k) C eps with those that the code printed.

    The most precise of the code's lists is compared, k-point by k-point and band by band, both ascending.

    Raises:
        DataError: The list does not fit the matrices.
    """
    deviation, precise = None, _most_precise(record)
    tolerance, shape, source = TOLERANCE_MEV, (0, 0, 0), ""
    if precise is not None:
        deviation = eigenvalue_deviation(record, precise) / MILLI_EV
        tolerance = max(TOLERANCE_MEV, precise.precision / MILLI_EV, rounding_effect(record, precise) / MILLI_EV)
        shape, source = precise.energies.shape, precise.source
    overlap = overlap_deviation(record)
    passes = [d <= t for d, t in ((deviation, tolerance), (overlap, OVERLAP_TOLERANCE)) if d is not None]
    provenance = record.provenance
    return CheckResult(
        path=provenance.get("source", ""),
        code=provenance.get("code", "unknown"),
        version=provenance.get("version", "unknown"),
        source=source,
        n_kpoints=shape[1],
        n_bands=shape[2],
        max_deviation_mev=deviation,
        tolerance_mev=tolerance,
        overlap_deviation=overlap,
        passed=all(passes) if passes else None,
    )


def eigenvalue_deviation(record: Record, printed: Eigenvalues) -> float:
    """Largest |eps - eps_listed| in Hartree over spins, k-points and the bands listed.

    Raises:
        DataError: The list has other spin directions than H, or more bands than there are orbitals.
    """
    from ..solver import bands

    from_h = bands(record.hamiltonian, record.overlap, printed.kpoints)
    levels = np.sort(printed.energies, axis=-1)
    if from_h.shape[:2] != levels.shape[:2] or from_h.shape[2] < levels.shape[2]:
        raise DataError(
            f"{printed.source} lists {levels.shape} eigenvalues (spin, k, band), the matrices {from_h.shape}. Do they "
            "belong to one calculation?"
        )
    return float(np.abs(from_h[..., : levels.shape[2]] - levels).max())


def rounding_effect(record: Record, printed: Eigenvalues) -> float:
    """Three standard deviations in Hartree of the eigenvalue that rounding of printed matrices disturbs most.

    To first order an eigenvalue changes by c^+ (dH(k) - eps dS(k)) c. With errors uniform in +-p, equal for the two
    elements of a Hermitian pair and independent otherwise, its variance is at most
    (2 p^2 / 3) (1 + |eps|)^2 sum_ij N_ij |c_i|^2 |c_j|^2, N_ij being the number of cells in which H_ij is not zero.

    Args:
        record: Its provenance holds p under :data:`ROUNDING`; without it the effect is zero.
        printed: k-points and number of bands.
    """
    precision = float(record.provenance.get(ROUNDING, 0.0))
    if precision == 0.0:
        return 0.0
    from ..solver import wavefunction

    variance, n_bands = 0.0, printed.energies.shape[-1]
    for h in record.hamiltonian:
        cells = h.with_values((np.abs(h.values) > precision).astype(np.float64)).to_dense()
        for k in printed.kpoints[:: max(len(printed.kpoints) // ROUNDING_KPOINTS, 1)]:
            energies, c = wavefunction(h, record.overlap, k)
            weight = np.abs(c) ** 2
            terms = (1 + np.abs(energies)) ** 2 * (weight * (cells @ weight)).sum(axis=0)
            variance = max(variance, 2 / 3 * precision**2 * float(terms[:n_bands].max()))
    return 3 * float(np.sqrt(variance))


def overlap_deviation(record: Record) -> float | None:
    """Largest deviation of S from the two-centre integrals of numerical orbitals; None where those are not known.

    A crystal with one block per pair of atoms (a calculation at Gamma only) is compared at Gamma.
    """
    shells = [s for z in record.basis.elements for s in record.basis.shells[z]]
    if not all(isinstance(s.radial, NumericalRadial) for s in shells):
        return None
    from ..physics.integrals import overlap

    s = record.overlap
    if record.structure.periodic and len(s) == len(record.structure) ** 2:
        difference = overlap(record.structure, record.basis).to_dense() - s.to_dense()
        return float(np.abs(difference).max())
    return float(np.abs(overlap(record.structure, record.basis, (s.pairs, s.shifts)).values - s.values).max())


def _most_precise(record: Record) -> Eigenvalues | None:
    if not record.hamiltonian:
        return None
    return min(record.eigenvalues, key=lambda e: e.precision, default=None)

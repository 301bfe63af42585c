"""Contracts of matrices, predictors, solutions and readers, as assertions with both sides in the message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .tolerance import Tolerance

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..adapters.code import Code
    from ..core.basis import OrbitalBasis
    from ..core.matrix import BlockMatrix
    from ..core.record import Record
    from ..core.spectrum import Spectrum
    from ..core.structure import Structure


def assert_hermitian(matrix: BlockMatrix, tolerance: float = Tolerance.EXACT) -> None:
    """H_ij(R) = H_ji(-R)^+ for every stored pair, exactly by default.

    Raises:
        AssertionError: With the largest deviation.
    """
    error = matrix.hermiticity_error()
    allowed = float(tolerance)
    assert error <= allowed, f"{matrix!r} deviates from Hermiticity by {error:.3g}, allowed are {allowed:.3g}"


def assert_covariant(
    predict: Callable[[Structure], BlockMatrix | Sequence[BlockMatrix]],
    structure: Structure,
    basis: OrbitalBasis,
    tolerance: float = Tolerance.NETWORK,
    *,
    rotations: ArrayLike | None = None,
) -> None:
    """H(Qx) = D(Q) H(x) D(Q)^+ for rotations and inversions Q.

    Args:
        predict: Structure -> matrix, or one per spin direction.
        structure: Where it is probed.
        basis: Shells per element.
        tolerance: Largest allowed element of the difference, in the units of H.
        rotations: Orthogonal matrices, (rotation, 3, 3); four random ones, two of them improper, by default.

    Raises:
        AssertionError: With the largest deviation.
    """
    from ..metrics.covariance import cov_err

    error = cov_err(predict, structure, basis, rotations=rotations)
    assert error <= tolerance, (
        f"the matrix of {structure!r} deviates from covariance by {error:.3g}, allowed are {float(tolerance):.3g}"
    )


def assert_solution(
    spectrum: Spectrum, hamiltonian: BlockMatrix, overlap: BlockMatrix, tolerance: float = Tolerance.EIGENSOLVER
) -> None:
    """H C = S C eps and C^+ S C = 1 of a molecule.

    Raises:
        AssertionError: With the larger deviation.
    """
    h, s, c = hamiltonian.to_dense(), overlap.to_dense(), spectrum.coefficients
    residual = float(np.abs(h @ c - s @ c * spectrum.energies).max())
    overlap_error = float(np.abs(c.conj().T @ s @ c - np.eye(c.shape[1])).max())
    assert residual <= tolerance, f"|H C - S C eps| reaches {residual:.3g}, allowed are {float(tolerance):.3g}"
    assert overlap_error <= tolerance, f"|C^+ S C - 1| reaches {overlap_error:.3g}, allowed are {float(tolerance):.3g}"


def assert_reader(code: Code, path: Path, *, tolerance: float = Tolerance.PRINTED) -> list[Record]:
    """What every reader has to give: recognised by its own code alone, Hermitian, in our convention, self-consistent.

    Matrices are compared with the eigenvalues that the code lists, and S with the radial functions, where they are
    there.

    Args:
        code: The row of the code.
        path: A calculation of it.
        tolerance: Largest deviation of an eigenvalue in Hartree; the precision of the code's print is allowed as well.

    Returns:
        The records.

    Raises:
        AssertionError: With what does not hold.
    """
    from ..adapters.registry import recognise
    from ..workflows.checks import MILLI_EV, check_eigenvalues

    recognised = recognise(path)
    assert recognised is not None, f"no code recognises {path}"
    assert recognised.name == code.name, f"{path} is recognised as {recognised.name}, expected {code.name}"
    records = list(code.read(path, {}))
    assert records, f"{code.name} reads no calculation from {path}"
    for record in records:
        for matrix in (*record.hamiltonian, record.overlap):
            assert np.isfinite(matrix.values).all(), f"{record!r} holds numbers that are not finite"
            assert_hermitian(matrix, Tolerance.PRINTED)
        result = check_eigenvalues(record)
        assert result.passed is not False, f"{record!r} disagrees with what its code printed: {result}"
        if result.max_deviation_mev is not None:
            allowed = max(tolerance / MILLI_EV, result.tolerance_mev)
            assert result.max_deviation_mev <= allowed, f"{record!r}: {result.max_deviation_mev:.3g} meV"
    return records

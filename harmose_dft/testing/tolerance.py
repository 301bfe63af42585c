"""How closely numbers have to agree, by the reason why they differ at all."""

from __future__ import annotations

from enum import Enum


class Tolerance(float, Enum):
    """Largest absolute differences, in Hartree where the numbers are energies.

    Use the member whose reason applies, ``np.testing.assert_allclose(a, b, rtol=0, atol=Tolerance.ROUNDING)``.
    """

    EXACT = 0.0
    """The same operations in the same order."""
    ROUNDING = 1e-12
    """Double precision, sums of some hundred terms of order one in another order."""
    EIGENSOLVER = 1e-10
    """Solutions of an eigenproblem with a condition number of S up to about 1e4."""
    SCF = 1e-8
    """Quantities of self-consistent fields that converged to 1e-11 Hartree in the energy."""
    QUADRATURE = 1e-6
    """Integrals on grids or from tables, such as overlaps of numerical orbitals."""
    NETWORK = 3e-5
    """Single-precision networks whose output is of order one."""
    PRINTED = 4e-7
    """Matrices that a code printed with eight significant digits: 0.01 meV."""

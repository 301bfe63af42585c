"""Orbitals in space against PySCF's own evaluation, and against numerical normalisation."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.conventions import PYSCF
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.orbitals import fix_sign, orbital_values, radial_values
from harmose_dft.testing.molecules import basis_of, mole, structure_of


def test_orbital_values_equal_pyscf_up_to_g() -> None:
    """Reference: PySCF's eval_gto; cc-pVQZ has s to g on oxygen. Coefficients and points are random."""
    water = structure_of()
    mol = mole(water, "cc-pvqz")
    # Generally contracted shells become one shell per contraction, in PySCF's order.
    shells: dict[int, list[Shell]] = {}
    for b in range(mol.nbas):
        if mol.bas_atom(b) < 2:
            found = shells.setdefault(int(mol.atom_charge(mol.bas_atom(b))), [])
            columns = mol.bas_ctr_coeff(b).T
            found += [Shell(int(mol.bas_angular(b)), GaussianRadial(mol.bas_exp(b), c)) for c in columns]
    basis = OrbitalBasis("cc-pvqz", {z: tuple(s) for z, s in shells.items()})
    index, sign = PYSCF.from_ours(basis.shell_sequence(water.numbers))
    rng = np.random.default_rng(0)
    points, coefficients = rng.normal(size=(50, 3)), rng.normal(size=(mol.nao, 2))
    expected = mol.eval_gto("GTOval_sph", points) @ (coefficients[index] * sign[:, None])
    got = orbital_values(water, basis, coefficients, points)
    assert np.abs(got - expected).max() < 1e-10
    assert orbital_values(water, basis, coefficients[:, 0], points).shape == (50,)


def test_numerical_radial_function_follows_its_table_and_vanishes_beyond() -> None:
    grid = np.linspace(0.0, 5.0, 200)
    radial = NumericalRadial(grid, (5.0 - grid) ** 2 * np.exp(-grid))
    r = np.array([0.0, 1.234, 4.999, 5.001, 9.0])
    expected = np.where(r < 5.0, (5.0 - r) ** 2 * np.exp(-r), 0.0)
    assert np.abs(radial_values(0, radial, r) - expected).max() < 1e-5


def test_basis_without_radial_functions_cannot_be_drawn() -> None:
    water = structure_of()
    bare = OrbitalBasis("bare", {1: (Shell(0),), 8: (Shell(0), Shell(1))})
    with pytest.raises(HarmoseError, match="no radial functions"):
        orbital_values(water, bare, np.ones(6), np.zeros((1, 3)))


def test_basis_helper_is_normalised() -> None:
    """The analytic overlap of every orbital with itself is one in PySCF; the values must integrate to the same."""
    water = structure_of()
    basis = basis_of(mole(water))
    r = np.linspace(0.0, 30.0, 30001)
    for z in basis.elements:
        for shell in basis.shells[z]:
            assert shell.radial is not None
            norm = np.trapezoid(radial_values(shell.l, shell.radial, r) ** 2 * r**2, r)
            assert abs(norm - 1.0) < 1e-5


def test_sign_of_an_orbital_does_not_depend_on_rounding() -> None:
    """Two atoms carry coefficients of equal size and opposite sign: whichever is larger, the first leads."""
    orbital = np.array([0.01, 0.7, -0.7])
    for noise in (1e-15, -1e-15):
        for sign in (1.0, -1.0):
            fixed = fix_sign(sign * (orbital + np.array([0.0, 0.0, noise])))
            np.testing.assert_allclose(fixed, orbital, atol=1e-14)

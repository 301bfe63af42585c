"""Rotations: harmonics, Wigner matrices, and matrices of rotated structures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyscf import gto

from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.conventions import PYSCF
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import random_rotations, real_harmonics, rotate_matrix, spin_rotation, wigner_d

L = range(7)
WATER = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.89], [0.3, -1.43, -0.89]])


def directions(count: int = 40) -> np.ndarray:
    r = np.random.default_rng(1).normal(size=(count, 3))
    return r / np.linalg.norm(r, axis=-1, keepdims=True)


def test_low_harmonics_are_the_textbook_formulas() -> None:
    """Cartesian forms of p = (y, z, x) and d = (xy, yz, z2, xz, x2-y2), from any table of real harmonics."""
    x, y, z = directions().T
    p = np.sqrt(3 / (4 * np.pi)) * np.stack([y, z, x], -1)
    d = np.sqrt(15 / (4 * np.pi)) * np.stack(
        [x * y, y * z, (3 * z**2 - 1) / (2 * np.sqrt(3)), x * z, (x**2 - y**2) / 2], -1
    )
    np.testing.assert_allclose(real_harmonics(1, directions()), p, atol=1e-14)
    np.testing.assert_allclose(real_harmonics(2, directions()), d, atol=1e-14)


@pytest.mark.parametrize("l", L)
def test_harmonics_obey_the_addition_theorem(l: int) -> None:
    """sum_m Y_lm(a) Y_lm(b) = (2l+1)/(4 pi) P_l(a.b), with scipy's Legendre polynomial."""
    from scipy.special import eval_legendre

    a, b = directions()[:20], directions()[20:]
    left = (real_harmonics(l, a) * real_harmonics(l, b)).sum(-1)
    np.testing.assert_allclose(left, (2 * l + 1) / (4 * np.pi) * eval_legendre(l, (a * b).sum(-1)), atol=1e-13)


@pytest.mark.parametrize("l", L)
def test_wigner_matrix_rotates_the_harmonics(l: int) -> None:
    for q in random_rotations(4, random_seed=l):
        np.testing.assert_allclose(
            real_harmonics(l, directions() @ q.T), real_harmonics(l, directions()) @ wigner_d(l, q).T, atol=1e-13
        )


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(0, 2**31 - 2))
def test_wigner_matrices_are_an_orthogonal_representation(l: int, seed: int) -> None:
    a, b = random_rotations(2, random_seed=seed)
    np.testing.assert_allclose(wigner_d(l, a @ b), wigner_d(l, a) @ wigner_d(l, b), atol=1e-12)
    np.testing.assert_allclose(wigner_d(l, a) @ wigner_d(l, a).T, np.eye(2 * l + 1), atol=1e-13)


@pytest.mark.parametrize("l", L)
def test_inversion_is_the_parity_of_the_shell(l: int) -> None:
    np.testing.assert_allclose(wigner_d(l, -np.eye(3)), (-1) ** l * np.eye(2 * l + 1), atol=1e-13)


def test_spin_rotation_turns_the_pauli_vector() -> None:
    """U (a . sigma) U^+ = (Q a) . sigma for a proper rotation; spin ignores the inversion of an improper one."""
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    a = np.array([0.3, -1.1, 0.7])
    for q in random_rotations(6, random_seed=3):
        u = spin_rotation(q)
        left = u @ np.einsum("x,xst->st", a, sigma) @ u.conj().T
        np.testing.assert_allclose(left, np.einsum("x,xst->st", np.linalg.det(q) * q @ a, sigma), atol=1e-13)


def water_core_hamiltonian(positions: np.ndarray) -> tuple[BlockMatrix, OrbitalBasis, list[int]]:
    """Core Hamiltonian of water in def2-TZVPP (s to f on oxygen) from PySCF's integrals, in our orbital order."""
    numbers = [8, 1, 1]
    mol = gto.M(atom=list(zip(numbers, positions.tolist(), strict=True)), basis="def2-tzvpp", unit="Bohr", verbose=0)
    shells = {z: tuple(mol.bas_angular(b) for b in range(mol.nbas) for _ in range(mol.bas_nctr(b))
                       if mol.bas_atom(b) == a) for z, a in ((8, 0), (1, 1))}
    basis = OrbitalBasis("def2-tzvpp", {z: tuple(Shell(l) for l in ls) for z, ls in shells.items()})
    index, sign = PYSCF.to_ours(basis.shell_sequence(numbers))
    core = mol.intor("int1e_kin") + mol.intor("int1e_nuc")
    core = core[np.ix_(index, index)] * sign[:, None] * sign
    return BlockMatrix.from_dense(core, basis.orbitals_per_atom(numbers)), basis, numbers


@pytest.mark.parametrize("improper", [False, True])
def test_rotated_water_gives_the_rotated_core_hamiltonian(improper: bool) -> None:
    """PySCF's integrals at rotated positions are the reference; s, p, d and f shells take part."""
    matrix, basis, numbers = water_core_hamiltonian(WATER)
    q = random_rotations(1, random_seed=5)[0] * (-1 if improper else 1)
    expected, _, _ = water_core_hamiltonian(WATER @ q.T)
    np.testing.assert_allclose(rotate_matrix(matrix, numbers, basis, q).values, expected.values, atol=1e-11)


def test_spinor_matrix_rotates_as_a_product_of_spin_and_space() -> None:
    """The spin-orbit operator L.S of a p shell is a scalar: it commutes with every rotation and the inversion."""
    generator = np.zeros((3, 3, 3))
    generator[0, 1, 2] = generator[1, 2, 0] = generator[2, 0, 1] = 1
    generator -= generator.transpose(0, 2, 1)
    order = [1, 2, 0]
    angular = (-1j * generator)[:, order][:, :, order]
    sigma = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    ls = 0.5 * sum(np.kron(s, m) for s, m in zip(sigma, angular, strict=True))
    matrix = BlockMatrix.from_dense(ls, [3], spinor=True)
    basis = OrbitalBasis("p", {6: (Shell(1),)})
    for q in random_rotations(4, random_seed=9):
        np.testing.assert_allclose(rotate_matrix(matrix, [6], basis, q).values, matrix.values, atol=1e-12)


def test_matrix_that_is_not_orthogonal_is_refused() -> None:
    with pytest.raises(HarmoseError, match="orthogonal"):
        wigner_d(2, 1.01 * np.eye(3))
    with pytest.raises(HarmoseError, match=r"shape \(2, 2\)"):
        wigner_d(2, np.eye(2))

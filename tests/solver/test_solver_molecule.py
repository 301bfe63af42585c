"""Molecular eigenproblem and properties, against PySCF and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmose_dft.core.conventions import PYSCF
from harmose_dft.core.errors import SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.units import DIPOLE_AU_IN_DEBYE
from harmose_dft.solver import (
    dipole,
    energy_weighted_density_matrix,
    loewdin_charges,
    mulliken_charges,
    smallest_overlap_eigenvalue,
    solve,
    solve_batch,
    state_populations,
)
from harmose_dft.testing.molecules import hartree_fock, mole, structure_of

AMMONIA = ("N 0 0 0.1", "H 0 0.94 -0.27", "H 0.81 -0.47 -0.27", "H -0.81 -0.47 -0.27")


def random_pair(size: int, seed: int, *, hermitian: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A Hermitian H, and S with unit diagonal and eigenvalues above 0.1."""
    rng = np.random.default_rng(seed)
    h, b = (rng.normal(size=(2, size, size)) + (1j * rng.normal(size=(2, size, size)) if hermitian else 0))
    s = b @ b.conj().T + size * 0.1 * np.eye(size)
    norm = np.sqrt(np.diag(s).real)
    return h + h.conj().T, s / norm[:, None] / norm


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 30), st.integers(0, 10_000), st.booleans())
def test_solution_satisfies_the_generalised_eigenproblem(size: int, seed: int, hermitian: bool) -> None:
    h, s = random_pair(size, seed, hermitian=hermitian)
    spectrum = solve(h, s, 2 * (size // 2))
    c, e = spectrum.coefficients, spectrum.energies
    scale = max(1.0, float(np.abs(e).max()))
    np.testing.assert_allclose(h @ c, s @ c * e, atol=1e-11 * size * scale)
    np.testing.assert_allclose(c.conj().T @ s @ c, np.eye(size), atol=1e-11)
    assert (np.diff(e) >= 0).all()
    assert np.trace(spectrum.density_matrix() @ s).real == pytest.approx(2 * (size // 2))


def test_water_has_the_orbitals_pyscf_finds() -> None:
    """RHF/def2-SVP: energies, density matrix and frontier orbitals of PySCF's converged Fock matrix."""
    _, fock, overlap, reference, _ = hartree_fock(structure_of())
    spectrum = solve(fock, overlap, 10)
    np.testing.assert_allclose(spectrum.energies, reference.energies, atol=1e-6)
    np.testing.assert_allclose(spectrum.density_matrix(), reference.density_matrix(), atol=1e-5)
    assert spectrum.homo == spectrum.energies[4]
    assert spectrum.lumo == spectrum.energies[5]
    assert smallest_overlap_eigenvalue(overlap) == pytest.approx(np.linalg.eigvalsh(overlap.to_dense())[0])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batch_equals_singles_whatever_the_sizes(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    problems = [(*random_pair(n, n), 2 * (n // 2)) for n in (7, 12, 7, 3, 12)]
    problems += [(*random_pair(7, 50, hermitian=True), 4)]
    for single, batched in zip((solve(*p) for p in problems), solve_batch(problems, device=device), strict=True):
        np.testing.assert_allclose(batched.energies, single.energies, atol=1e-11)
        np.testing.assert_array_equal(batched.occupations, single.occupations)
        np.testing.assert_allclose(batched.density_matrix(), single.density_matrix(), atol=1e-10)


@pytest.mark.parametrize("noise", [0.0, 1e-10])
def test_duplicate_function_is_removed_and_the_energies_stay(noise: float) -> None:
    """The first function occurs twice; S is exact, or rounded as in a text file of ten decimals."""
    h, s = random_pair(9, 3)
    t = np.vstack([np.eye(9), np.eye(9)[0]])
    rounding = np.random.default_rng(0).normal(size=(10, 10)) * noise
    hh, ss = t @ h @ t.T, t @ s @ t.T + rounding + rounding.T
    reference, spectrum = solve(h, s, 6), solve(hh, ss, 6)
    assert spectrum.coefficients.shape == (10, 9)
    np.testing.assert_allclose(spectrum.energies, reference.energies, atol=1e-7 if noise else 1e-10)
    np.testing.assert_allclose(spectrum.coefficients.T @ ss @ spectrum.coefficients, np.eye(9), atol=1e-8)
    (batched,) = solve_batch([(hh, ss, 6)])
    np.testing.assert_allclose(batched.energies, spectrum.energies, atol=1e-9)


def test_threshold_decides_what_is_kept() -> None:
    h, s = random_pair(9, 3)
    smallest, second = np.linalg.eigvalsh(s)[:2]
    assert len(solve(h, s, 6, threshold=0.99 * smallest).energies) == 9
    assert len(solve(h, s, 6, threshold=0.5 * (smallest + second)).energies) == 8
    with pytest.raises(SolverError, match="threshold must be positive"):
        solve(h, s, 6, threshold=0.0)


def test_overlap_that_is_not_positive_definite_is_refused() -> None:
    h, s = random_pair(5, 0)
    bad = s - 0.5 * np.eye(5)
    with pytest.raises(SolverError, match="not positive definite: its smallest eigenvalue is -"):
        solve(h, bad, 2)
    with pytest.raises(SolverError, match="Problem 2 of 2: The overlap matrix is not positive"):
        solve_batch([(h, s, 2), (h, bad, 2)])


def test_values_that_are_not_finite_are_refused() -> None:
    h, s = random_pair(5, 0)
    bad = h.copy()
    bad[1, 2] = bad[2, 1] = np.nan
    with pytest.raises(SolverError, match="Hamiltonian has 2 values that are not finite"):
        solve(bad, s, 2)
    with pytest.raises(SolverError, match="Problem 1 of 1: The overlap has 1 values"):
        solve_batch([(h, np.where(np.eye(5) * [1, 0, 0, 0, 0], np.inf, s), 2)])


def test_matrices_and_electrons_that_do_not_fit_are_refused() -> None:
    h, s = random_pair(5, 0)
    with pytest.raises(SolverError, match=r"got \(5, 5\) and \(4, 4\)"):
        solve(h, s[:4, :4], 2)
    with pytest.raises(SolverError, match="Open shells are not supported"):
        solve(h, s, 3)
    with pytest.raises(SolverError, match="need 6 orbitals; the basis offers 5"):
        solve(h, s, 12)
    with pytest.raises(SolverError, match="Problem 1 of 1: -2 electrons"):
        solve_batch([(h, s, -2)])
    with pytest.raises(SolverError, match="empty or zero"):
        solve(h, 0 * s, 2)


def test_spinor_hamiltonian_takes_the_spatial_overlap_and_single_occupation() -> None:
    h, s = random_pair(4, 1)
    spatial = solve(h, s, 4)
    spinor = solve(BlockMatrix.from_dense(h, [3, 1]).with_spin(), BlockMatrix.from_dense(s, [3, 1]), 4)
    np.testing.assert_allclose(spinor.energies, np.repeat(spatial.energies, 2), atol=1e-12)
    assert spinor.occupations.tolist() == [1.0] * 4 + [0.0] * 4


def pyscf_water() -> tuple[Spectrum, BlockMatrix, object, object]:
    from pyscf import scf

    mol = mole(structure_of())
    mean_field = scf.RHF(mol).run(conv_tol=1e-10)
    _, fock, overlap, _, _ = hartree_fock(structure_of())
    return solve(fock, overlap, 10), overlap, mol, mean_field


def test_charges_and_dipole_of_water_are_those_of_pyscf() -> None:
    """PySCF: mulliken_pop, Loewdin populations as mulliken_pop with S = 1 after orthogonalisation, dip_moment."""
    from pyscf import lo

    spectrum, overlap, mol, mean_field = pyscf_water()
    density = mean_field.make_rdm1()
    _, mulliken = mean_field.mulliken_pop(mol, density, verbose=0)
    np.testing.assert_allclose(mulliken_charges(spectrum, overlap, [8, 1, 1]), mulliken, atol=1e-6)
    root = np.linalg.inv(lo.orth.lowdin(mol.intor("int1e_ovlp")))
    _, loewdin = mean_field.mulliken_pop(mol, root @ density @ root.T, np.eye(mol.nao), verbose=0)
    np.testing.assert_allclose(loewdin_charges(spectrum, overlap, [8, 1, 1]), loewdin, atol=1e-6)

    index, sign = PYSCF.to_ours([mol.bas_angular(b) for b in range(mol.nbas)])
    position = mol.intor("int1e_r")[:, index][:, :, index] * sign[:, None] * sign
    structure = structure_of()
    moment = dipole(spectrum.density_matrix(), position, structure.positions, structure.numbers)
    reference = mean_field.dip_moment(unit="Debye", verbose=0)
    np.testing.assert_allclose(moment * DIPOLE_AU_IN_DEBYE, reference, atol=1e-4)
    with pytest.raises(SolverError, match="Position integrals"):
        dipole(spectrum.density_matrix(), position[:2], structure.positions, structure.numbers)


def test_charges_of_a_neutral_molecule_sum_to_zero() -> None:
    _, fock, overlap, _, _ = hartree_fock(structure_of(AMMONIA))
    spectrum = solve(fock, overlap, 10)
    for charges in (mulliken_charges, loewdin_charges):
        values = charges(spectrum, overlap, [7, 1, 1, 1])
        assert values.sum() == pytest.approx(0.0, abs=1e-9)
        assert values[0] < 0 < values[1]


def test_state_populations_sum_to_one_per_state() -> None:
    h, s = random_pair(6, 2)
    populations = state_populations(solve(h, s, 4), BlockMatrix.from_dense(s, [4, 2]))
    assert populations.shape == (6, 6)
    np.testing.assert_allclose(populations.sum(axis=0), 1.0, atol=1e-12)
    with pytest.raises(SolverError, match="do not fit an overlap of 5"):
        state_populations(solve(h, s, 4), BlockMatrix.from_dense(s[:5, :5], [4, 1]))


def test_energy_weighted_density_holds_the_orbital_energies_and_is_the_pulay_matrix() -> None:
    """Tr W S = sum of occupied energies, and W = P F P / 2 for a closed shell at self-consistency."""
    _, fock, overlap, _, _ = hartree_fock(structure_of())
    spectrum = solve(fock, overlap, 10)
    w, p = energy_weighted_density_matrix(spectrum), spectrum.density_matrix()
    assert np.trace(w @ overlap.to_dense()) == pytest.approx(2 * spectrum.energies[:5].sum())
    np.testing.assert_allclose(w, 0.5 * p @ fock.to_dense() @ p, atol=1e-10)

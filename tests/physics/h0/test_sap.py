"""Physics baselines: agreement with PySCF, covariance, distance to converged Fock matrices."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyscf.gto.basis import load
from pyscf.scf import hf

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import ConfigError, DomainError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import random_rotations, rotated_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.physics.h0 import BASELINES, Baseline, SapBaseline, atomic_charges, baseline

BASIS = adapter.orbital_basis("def2-svp", [1, 6, 7, 8, 9, 16, 17])
WATER = Structure(np.array([8, 1, 1]), np.array([[0.1, 0.0, 0.2], [0.0, 1.4, 1.3], [0.3, -1.5, 1.2]]))


@pytest.mark.parametrize("potential", ["sapgraspsmall", "sapgrasplarge"])
def test_sap_baseline_is_kinetic_plus_nuclear_plus_sap_potential_of_pyscf(potential: str) -> None:
    mol = adapter.to_mole(WATER, "def2-svp")
    fits = {s: load(potential, s) for s in ("H", "O")}
    charges = {s: np.array((f[s] if isinstance(f, dict) else f)[0][1:]) for s, f in fits.items()}
    expected = mol.intor("int1e_kin") + mol.intor("int1e_nuc") + hf.make_sap(mol, charges)
    got = SapBaseline(BASIS, potential).matrix(WATER)
    # Bound: primitive pairs skipped below exp(-30) = 1e-13, times nuclear charges and contractions.
    np.testing.assert_allclose(got, adapter.to_ours(expected, BASIS, WATER.numbers), atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), inverted=st.booleans())
def test_rotated_molecule_has_the_rotated_sap_baseline(seed: int, inverted: bool) -> None:
    q = random_rotations(2, seed=seed)[int(inverted)]
    sap = SapBaseline(BASIS)
    here = BlockMatrix.from_dense(sap.matrix(WATER), BASIS.orbitals_per_atom(WATER.numbers))
    expected = rotated_matrix(here, WATER.numbers, BASIS, q).to_dense()
    np.testing.assert_allclose(sap.matrix(WATER.rotated(q)), expected, atol=1e-11)


def test_translated_molecule_has_the_same_sap_baseline() -> None:
    moved = Structure(WATER.numbers, WATER.positions + np.array([3.0, -7.0, 11.0]))
    np.testing.assert_allclose(SapBaseline(BASIS).matrix(moved), SapBaseline(BASIS).matrix(WATER), atol=1e-11)


def test_separated_molecules_do_not_see_each_other_in_the_sap_baseline() -> None:
    """Neutral atoms: the widest charge of the fit (a = 0.0357 / Bohr^2) has decayed to exp(-80) at 50 Bohr."""
    both = Structure(
        np.tile(WATER.numbers, 2), np.concatenate([WATER.positions, WATER.positions + np.array([50.0, 0.0, 0.0])])
    )
    one, two = SapBaseline(BASIS).matrix(WATER), SapBaseline(BASIS).matrix(both)
    n = len(one)
    np.testing.assert_allclose(two[:n, :n], one, atol=1e-10)
    np.testing.assert_allclose(two[n:, n:], one, atol=1e-10)
    assert np.abs(two[:n, n:]).max() < 1e-12


@pytest.mark.parametrize("z", [1, 6, 17, 35])
def test_sap_charges_of_an_atom_add_up_to_zero(z: int) -> None:
    assert sum(charge for _, charge in atomic_charges("sapgraspsmall", z)) == pytest.approx(0.0, abs=1e-10)


def test_minao_baseline_is_the_fock_matrix_of_the_first_scf_cycle() -> None:
    mf = adapter.kohn_sham(adapter.to_mole(WATER, "def2-svp"), "b3lyp", 3)
    expected = mf.get_fock(dm=mf.get_init_guess(key="minao"))
    got = baseline("minao", "b3lyp", BASIS).matrix(WATER)
    np.testing.assert_allclose(got, adapter.to_ours(expected, BASIS, WATER.numbers), atol=1e-10)


def test_no_baseline_is_zero_and_has_the_shape_of_the_matrix() -> None:
    zero = baseline("none", "b3lyp", BASIS).matrix(WATER)
    assert zero.shape == (24, 24)
    assert not zero.any()


@pytest.mark.parametrize("kind", BASELINES)
def test_registry_returns_the_baseline_of_the_name(kind: str) -> None:
    assert baseline(kind, "pbe", BASIS).kind == kind


def test_unknown_baseline_is_refused() -> None:
    with pytest.raises(ConfigError, match="none, sap, minao"):
        baseline("huckel", "pbe", BASIS)


def test_sap_refuses_pseudopotentials() -> None:
    iodide = Structure(np.array([53, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))
    with pytest.raises(DomainError, match="all electrons"):
        SapBaseline(adapter.orbital_basis("def2-svp", [1, 53])).matrix(iodide)


def _errors(file: h5py.File, molecule: int, kinds: list[Baseline], basis: OrbitalBasis) -> list[float]:
    atoms, orbitals, fock = (file[k][molecule : molecule + 2] for k in ("atom_ptr", "ao_ptr", "fock_ptr"))
    numbers, n = file["numbers"][slice(*atoms)], int(np.diff(orbitals)[0])
    structure = Structure(numbers, file["positions"][slice(*atoms)] / BOHR_IN_ANGSTROM)
    matrix = np.zeros((n, n))
    matrix[np.tril_indices(n)] = file["fock_tril"][slice(*fock)]
    matrix = adapter.to_ours(matrix + np.tril(matrix, -1).T, basis, numbers)
    return [float(np.abs(k.matrix(structure) - matrix).mean()) for k in kinds]


def test_baselines_approach_converged_fock_matrices(shared_dir: Path) -> None:
    """B3LYP/def2-SVP organic molecules: measured |F| 80, |F - SAP| 33 mHa on these molecules."""
    kinds = [baseline(k, "b3lyp", BASIS) for k in ("none", "sap")]
    with h5py.File(shared_dir / "data" / "organic_b3lyp.h5") as file:
        none, sap = np.mean([_errors(file, i, kinds, BASIS) for i in range(0, 500, 100)], axis=0)
    assert 0.06 < none < 0.10
    assert 0.025 < sap < 0.038

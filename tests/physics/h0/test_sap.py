"""Superposed atomic potentials: agreement with PySCF, covariance, memory, distance to converged Fock matrices."""

from __future__ import annotations

import tracemalloc
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
from harmose_dft.core.errors import DomainError
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.physics.h0 import GaussianH0
from harmose_dft.physics.h0.none import NoGaussianH0
from harmose_dft.physics.h0.sap import SapH0, atomic_charges, sap_matrix
from harmose_dft.physics.integrals import charges

BASIS = adapter.orbital_basis("def2-svp", [1, 6, 7, 8, 9, 16, 17])
WATER = Structure(np.array([8, 1, 1]), np.array([[0.1, 0.0, 0.2], [0.0, 1.4, 1.3], [0.3, -1.5, 1.2]]))


@pytest.mark.parametrize("potential", ["sapgraspsmall", "sapgrasplarge"])
def test_sap_is_kinetic_plus_nuclear_plus_sap_potential_of_pyscf(potential: str) -> None:
    mol = adapter.to_mole(WATER, "def2-svp")
    fits = {s: load(potential, s) for s in ("H", "O")}
    charges = {s: np.array((f[s] if isinstance(f, dict) else f)[0][1:]) for s, f in fits.items()}
    expected = mol.intor("int1e_kin") + mol.intor("int1e_nuc") + hf.make_sap(mol, charges)
    got = sap_matrix(WATER, BASIS, potential=potential)
    # Bound: primitive pairs skipped below exp(-30) = 1e-13, times nuclear charges and contractions.
    np.testing.assert_allclose(got, adapter.to_ours(expected, BASIS, WATER.numbers), atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), inverted=st.booleans())
def test_rotated_molecule_has_the_rotated_sap(seed: int, inverted: bool) -> None:
    q = random_rotations(2, random_seed=seed)[int(inverted)]
    sap = SapH0(BASIS)
    expected = rotate_matrix(sap(WATER), WATER.numbers, BASIS, q).to_dense()
    np.testing.assert_allclose(sap.dense(WATER.rotate(q)), expected, atol=1e-11)


def test_translated_molecule_has_the_same_sap() -> None:
    moved = Structure(WATER.numbers, WATER.positions + np.array([3.0, -7.0, 11.0]))
    np.testing.assert_allclose(SapH0(BASIS).dense(moved), SapH0(BASIS).dense(WATER), atol=1e-11)


def test_separated_molecules_do_not_see_each_other_in_sap() -> None:
    """Neutral atoms: the widest charge of the fit (a = 0.0357 / Bohr^2) has decayed to exp(-80) at 50 Bohr."""
    both = Structure(
        np.tile(WATER.numbers, 2), np.concatenate([WATER.positions, WATER.positions + np.array([50.0, 0.0, 0.0])])
    )
    one, two = SapH0(BASIS).dense(WATER), SapH0(BASIS).dense(both)
    n = len(one)
    np.testing.assert_allclose(two[:n, :n], one, atol=1e-10)
    np.testing.assert_allclose(two[n:, n:], one, atol=1e-10)
    assert np.abs(two[:n, n:]).max() < 1e-12


@pytest.mark.parametrize("z", [1, 6, 17, 35])
def test_sap_charges_of_an_atom_add_up_to_zero(z: int) -> None:
    assert sum(charge for _, charge in atomic_charges("sapgraspsmall", z)) == pytest.approx(0.0, abs=1e-10)


def test_blocks_of_h0_are_those_of_its_dense_matrix() -> None:
    np.testing.assert_array_equal(SapH0(BASIS)(WATER).to_dense(), SapH0(BASIS).dense(WATER))


@pytest.mark.parametrize("atoms", [1, 2, 3])
def test_attraction_is_the_same_whatever_number_of_atoms_is_summed_at_once(
    atoms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SapH0(BASIS).dense(WATER)
    n = len(whole)
    monkeypatch.setattr(charges, "BUFFER", atoms * 8 * n * (n + 1) // 2)
    # Atoms are added one after the other in any case.
    np.testing.assert_array_equal(SapH0(BASIS).dense(WATER), whole)


def test_attraction_takes_memory_of_a_few_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of 30 helium atoms; all integrals in one array are 30 lower triangles, 15 matrices (17.8 at the peak)."""
    monkeypatch.setattr(charges, "BUFFER", 1)
    chain = Structure(np.full(30, 2), np.arange(30)[:, None] * np.array([3.0, 0.0, 0.0]))
    sap = SapH0(adapter.orbital_basis("def2-svp", [2]))
    matrix = sap.dense(chain)
    tracemalloc.start()
    sap.dense(chain)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Measured: 4.5 matrices, for unpacking and reordering.
    assert peak < 7 * matrix.nbytes


def test_sap_refuses_pseudopotentials() -> None:
    iodide = Structure(np.array([53, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))
    with pytest.raises(DomainError, match="all electrons"):
        SapH0(adapter.orbital_basis("def2-svp", [1, 53])).dense(iodide)


def _errors(file: h5py.File, molecule: int, kinds: list[GaussianH0], basis: OrbitalBasis) -> list[float]:
    atoms, orbitals, fock = (file[k][molecule : molecule + 2] for k in ("atom_ptr", "ao_ptr", "fock_ptr"))
    numbers, n = file["numbers"][slice(*atoms)], int(np.diff(orbitals)[0])
    structure = Structure(numbers, file["positions"][slice(*atoms)] / BOHR_IN_ANGSTROM)
    matrix = np.zeros((n, n))
    matrix[np.tril_indices(n)] = file["fock_tril"][slice(*fock)]
    matrix = adapter.to_ours(matrix + np.tril(matrix, -1).T, basis, numbers)
    return [float(np.abs(k.dense(structure) - matrix).mean()) for k in kinds]


def test_sap_approaches_converged_fock_matrices(shared_dir: Path) -> None:
    """B3LYP/def2-SVP organic molecules: measured |F| 80, |F - SAP| 33 mHa on these molecules."""
    kinds = [NoGaussianH0(BASIS), SapH0(BASIS)]
    with h5py.File(shared_dir / "data" / "organic_b3lyp.h5") as file:
        none, sap = np.mean([_errors(file, i, kinds, BASIS) for i in range(0, 500, 100)], axis=0)
    assert 0.06 < none < 0.10
    assert 0.025 < sap < 0.038

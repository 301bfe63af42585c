"""PySCF's periodic calculations: H(R) and S(R) reproduce its own bands, and S is that of the package's integrals."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import reference_crystal
from harmose_dft.adapters.pyscf.crystal import (
    choose_mesh,
    crystal_basis,
    images_are_nearest,
    kohn_sham_crystal,
    pair_frame,
    to_cell,
)
from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import HarmoseError, StructureError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import open_dataset
from harmose_dft.physics.choice import physics_class
from harmose_dft.physics.integrals import overlap, overlapping_pairs
from harmose_dft.physics.numerical import NumericalPhysics
from harmose_dft.solver import bands
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_settings import LabelSettings

BASIS = "gth-szv-molopt-sr"
CUTOFF = 15.0
"""Hartree; a coarse grid, which is the same on both sides of every comparison."""

CHAIN = Structure(np.array([1, 1]), np.array([[0.0, 5.0, 5.0], [1.5, 5.0, 5.3]]), np.diag([4.0, 10.0, 10.0]))
"""Hydrogen molecules side by side."""


@cache
def chain_record() -> Record:
    return reference_crystal(CHAIN, "lda,vwn", BASIS, ke_cutoff=CUTOFF, spacing=0.4)


def test_bands_between_the_mesh_points_are_those_of_pyscf() -> None:
    """Fourier interpolation from the mesh, cut off at the orbitals' range, to 1e-6 Hartree."""
    record = chain_record()
    cell = to_cell(CHAIN, "lda,vwn", BASIS, CUTOFF)
    divisions = [int(n) for n in record.provenance["kpoints"].split("x")]
    mf = kohn_sham_crystal(cell, "lda,vwn", divisions)
    mf.kernel()
    kpoints = np.array([[0.037, 0.0, 0.0], [0.21, 0.0, 0.0], [0.45, 0.0, 0.0]])
    expected = np.array(mf.get_bands(cell.get_abs_kpts(kpoints))[0])
    found = bands(record.hamiltonian, record.overlap, kpoints)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_eigenvalues_on_the_mesh_are_kept_and_reproduced() -> None:
    record = chain_record()
    (listed,) = record.eigenvalues
    np.testing.assert_allclose(
        bands(record.hamiltonian, record.overlap, listed.kpoints), listed.energies, atol=listed.precision
    )
    assert record.n_electrons == 2.0
    assert record.provenance["pseudopotential"] == "gth-pade"


def test_overlap_is_that_of_the_two_centre_integrals() -> None:
    record = chain_record()
    expected = overlap(CHAIN, record.basis)
    np.testing.assert_array_equal(record.overlap.pairs, expected.pairs)
    np.testing.assert_array_equal(record.overlap.shifts, expected.shifts)
    np.testing.assert_allclose(record.overlap.values, expected.values, atol=1e-7)


def test_gaussian_orbitals_with_cutoffs_are_those_of_crystals() -> None:
    """The cutoff is kept in files, and makes two bases different."""
    basis = chain_record().basis
    assert basis.has_cutoffs
    assert physics_class(basis) is NumericalPhysics
    again = OrbitalBasis.from_dict(basis.to_dict())
    assert again == basis
    assert again.shells[1][0].radial.cutoff == basis.shells[1][0].radial.cutoff
    with pytest.raises(HarmoseError, match="cutoff 0 Bohr"):
        OrbitalBasis.from_dict({"name": "x", "shells": {"1": [
            {"l": 0, "exponents": [1.0], "coefficients": [1.0], "cutoff": 0.0}]}})


def test_pairs_are_those_of_the_neighbour_search() -> None:
    basis = chain_record().basis
    skewed = Structure(np.array([1, 1]), np.array([[0.1, 0.2, 0.3], [9.0, 1.0, 2.0]]),
                       np.array([[5.0, 0.0, 0.0], [2.0, 5.0, 0.0], [1.0, -1.0, 6.0]]))
    frame = pair_frame(skewed, basis)
    pairs, shifts = overlapping_pairs(skewed, basis)
    np.testing.assert_array_equal(frame.pairs, pairs)
    np.testing.assert_array_equal(frame.shifts, shifts)


def test_mesh_is_dense_enough_for_the_range_of_the_orbitals() -> None:
    """A coarse spacing alone would let pairs and their images coincide."""
    frame = pair_frame(CHAIN, chain_record().basis)
    divisions = choose_mesh(CHAIN, frame, spacing=10.0)
    assert images_are_nearest(CHAIN, frame, np.array(divisions))
    reach = np.abs(frame.shifts).max(axis=0)
    assert all(n == 1 or n > r for n, r in zip(divisions, reach, strict=True))
    finer = choose_mesh(CHAIN, frame, spacing=0.05)
    assert finer[0] >= 2 * np.pi / 4.0 / 0.05


def test_mesh_of_a_chain_does_not_depend_on_how_its_vacuum_is_tilted() -> None:
    """2 pi / 4 Bohr / 0.05 per Bohr = 31.4; the other vectors lie in the vacuum."""
    straight = replace(CHAIN, cell=np.diag([4.0, 40.0, 40.0]))
    tilted = replace(CHAIN, cell=np.array([[4.0, 0, 0], [9.0, 40, 0], [-7.0, 3, 40]]))
    frame = pair_frame(straight, chain_record().basis)
    assert not frame.shifts[:, 1:].any()
    assert choose_mesh(tilted, frame, 0.05) == choose_mesh(straight, frame, 0.05) == (32, 1, 1)


def test_crystals_are_labelled_like_molecules(tmp_path: Path) -> None:
    settings = LabelSettings("lda,vwn", BASIS, kpoint_spacing=0.4, ke_cutoff=CUTOFF)
    summary = label([CHAIN], tmp_path / "chain.h5", settings)
    assert (summary.records, summary.failures) == (1, ())
    (record,) = open_dataset(tmp_path / "chain.h5")
    np.testing.assert_allclose(record.hamiltonian[0].values, chain_record().hamiltonian[0].values, atol=1e-8)
    assert record.basis == chain_record().basis


def test_molecules_odd_electrons_and_unknown_bases_are_refused() -> None:
    with pytest.raises(StructureError, match="has no cell"):
        to_cell(structure_of(), "pbe", BASIS)
    with pytest.raises(StructureError, match="odd number of electrons"):
        to_cell(Structure(np.array([1]), np.zeros((1, 3)), 6.0 * np.eye(3)), "pbe", BASIS)
    with pytest.raises(HarmoseError, match="no basis 'gth-nonsense'"):
        to_cell(CHAIN, "pbe", "gth-nonsense")


def test_cutoff_is_where_the_orbital_fades() -> None:
    from harmose_dft.adapters.pyscf import orbital_basis
    from harmose_dft.core.orbitals import radial_values

    basis = crystal_basis(orbital_basis("sto-3g", [6]))
    for shell in basis.shells[6]:
        assert shell.radial is not None
        assert shell.radial.cutoff is not None
        r = np.array([shell.radial.cutoff, shell.radial.cutoff - 0.2])
        beyond, inside = np.abs(radial_values(shell.l, shell.radial, r))
        assert beyond <= 3e-5 < inside

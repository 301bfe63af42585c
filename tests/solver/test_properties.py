"""Electrons counted in a density matrix."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harmose_dft.adapters.pyscf import orbital_basis, overlap
from harmose_dft.core.errors import SolverError
from harmose_dft.core.record import Record
from harmose_dft.core.spin import spinor_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.physics.h0.sap import SapH0
from harmose_dft.solver import count_electrons, solve, solve_structure
from harmose_dft.testing.crystals import calculation, layer, with_collinear_spin, with_spin_orbit
from harmose_dft.testing.molecules import structure_of


def test_density_of_a_molecule_holds_its_electrons() -> None:
    water, basis = structure_of(), orbital_basis("sto-3g", [1, 8])
    s = overlap(water, basis)
    assert count_electrons(solve(SapH0(basis)(water), s, 10), s) == pytest.approx(10.0, abs=1e-10)


@pytest.mark.parametrize("made", [calculation, with_collinear_spin, with_spin_orbit])
def test_density_of_a_crystal_holds_its_electrons_with_and_without_spin(made: Callable[[Structure], Record]) -> None:
    record = made(layer())
    spectrum = solve_structure(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    assert count_electrons(spectrum, record.overlap) == pytest.approx(8.0, abs=1e-8)
    doubled = record.overlap.with_values(2 * record.overlap.values)
    assert count_electrons(spectrum, doubled) == pytest.approx(16.0, abs=1e-8)


def test_density_of_spinors_of_a_molecule_holds_its_electrons() -> None:
    """Two spins beside each other, coupled by an imaginary element: complex orbitals that hold one electron each."""
    water, basis = structure_of(), orbital_basis("sto-3g", [1, 8])
    s, h = overlap(water, basis), SapH0(basis)(water)
    coupling = h.with_values(0.05j * s.values)
    spinors = spinor_matrix(h.with_values(h.values + 0j), coupling, coupling.adjoint().on_pairs_of(h), h)
    assert count_electrons(solve(spinors, s, 10), s) == pytest.approx(10.0, abs=1e-10)


def test_structure_without_a_hamiltonian_and_open_shell_molecule_are_refused() -> None:
    """Of an open shell the first matrix would be solved as if it were that of a closed one."""
    water, basis, record = structure_of(), orbital_basis("sto-3g", [1, 8]), calculation(layer())
    s, h = overlap(water, basis), SapH0(basis)(water)
    with pytest.raises(SolverError, match="H2O is a molecule with 2 Hamiltonians"):
        solve_structure(water, (h, h), s, 10)
    with pytest.raises(SolverError, match="There is no Hamiltonian of BN"):
        solve_structure(record.structure, (), record.overlap, 8)

"""Directions along which chains of overlapping atoms lead on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, graphene, mx2, nanotube
from ase.neighborlist import neighbor_list

from harmose_dft.core.connectivity import dispersive_axes
from harmose_dft.solver import mesh, solve_structure
from harmose_dft.solver.kpaths import path_across
from harmose_dft.testing.crystals import calculation, layer


def axes_of(atoms, cutoff: float) -> list[bool]:  # type: ignore[no-untyped-def]  # ASE has no annotations
    first, second, shifts = neighbor_list("ijS", atoms, cutoff)
    return dispersive_axes(np.stack([first, second], axis=1), shifts).tolist()


@pytest.mark.parametrize("height", [0.0, 0.3, 0.5, 0.97])
def test_a_layer_disperses_in_its_plane_wherever_it_lies(height: float) -> None:
    for atoms in (graphene(vacuum=8.0), mx2("MoS2", vacuum=8.0)):
        atoms.pbc = True
        atoms.set_scaled_positions(atoms.get_scaled_positions() + np.array([0.2, 0.1, height]))
        atoms.wrap()
        assert axes_of(atoms, 5.0) == [True, True, False]


def test_wires_crystals_and_molecules() -> None:
    tube = nanotube(5, 0, vacuum=6.0)
    tube.pbc = True
    tube.translate(0.5 * tube.cell[0])
    tube.wrap()
    assert axes_of(tube, 3.0) == [False, False, True]
    assert axes_of(bulk("Si"), 3.0) == [True, True, True]
    assert axes_of(bulk("Si").repeat((3, 2, 1)), 3.0) == [True, True, True]
    assert axes_of(tube, 0.5) == [False, False, False]


def test_pairs_that_close_only_around_a_diagonal_disperse_along_both_vectors() -> None:
    """A chain along a + b."""
    pairs, shifts = np.array([[0, 1], [1, 0], [1, 0], [0, 1]]), np.array([[0, 0, 0], [0, 0, 0], [1, 1, 0], [-1, -1, 0]])
    assert dispersive_axes(pairs, shifts).tolist() == [True, True, False]
    only_tree = pairs[2:], shifts[2:]  # the atoms of one molecule on both sides of two borders
    assert not dispersive_axes(*only_tree).any()


def test_a_layer_across_the_border_has_the_mesh_the_path_and_the_levels_of_one_inside() -> None:
    inside = layer(3)
    assert inside.cell is not None
    moved = inside.positions.copy()
    moved[0] += inside.cell[2]  # the same crystal: one of its atoms is named in the next cell
    across = replace(inside, positions=moved)
    there, here = calculation(across), calculation(inside)
    assert there.overlap.shifts[:, 2].any()
    assert mesh(across, there.overlap) == mesh(inside, here.overlap)
    paths = [path_across(r.structure, r.overlap.pairs, r.overlap.shifts) for r in (there, here)]
    np.testing.assert_array_equal(paths[0].kpoints, paths[1].kpoints)
    spectra = [solve_structure(r.structure, r.hamiltonian, r.overlap, r.n_electrons) for r in (there, here)]
    np.testing.assert_allclose(spectra[0].energies, spectra[1].energies, atol=1e-12)

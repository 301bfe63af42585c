"""The density of a crystal on a grid: against the sum over images, the electrons, and a supercell."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from harmose_dft.core.basis import GaussianRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.orbitals import orbital_values
from harmose_dft.core.structure import Structure
from harmose_dft.physics.integrals import overlap
from harmose_dft.solver import count_on_grid, density_blocks, density_on_grid, monkhorst_pack, solve_kpoints
from harmose_dft.testing.crystals import calculation, layer, orbital, repeat_cell, with_collinear_spin

MIXED = OrbitalBasis("mixed", {
    5: (Shell(0, orbital(0, 1.6)),),
    7: (Shell(0, orbital(0, 1.3)), Shell(1, orbital(1, 1.5)), Shell(2, orbital(2, 1.4))),
})  # fmt: skip
"""One orbital on boron, nine on nitrogen."""


def skew_crystal() -> Structure:
    """Three atoms in a small skew cell, two of them outside it, so that orbitals overlap across several cells."""
    cell = np.array([[4.1, 0.0, 0.0], [1.3, 4.6, 0.0], [-0.9, 0.7, 5.2]])
    fractional = np.array([[0.1, 0.2, 0.3], [1.6, -0.4, 0.8], [0.45, 0.7, -2.2]])
    return Structure(np.array([7, 5, 7]), fractional @ cell, cell)


def random_density(structure: Structure, basis: OrbitalBasis, seed: int = 1) -> BlockMatrix:
    """A random symmetric matrix on all pairs whose orbitals overlap."""
    pattern = overlap(structure, basis)
    rng = np.random.default_rng(seed)
    return pattern.with_values(rng.normal(size=len(pattern.values))).symmetrize()


def sum_over_images(density: BlockMatrix, structure: Structure, basis: OrbitalBasis, points: np.ndarray) -> np.ndarray:
    """sum_ij,R,L P_ij(R) phi_i(r - L) phi_j(r - L - R), by loops over all cells that matter."""
    assert structure.cell is not None
    starts = np.concatenate([[0], np.cumsum(density.orbitals)])
    values = {}
    for shift in product(range(-6, 7), repeat=3):
        image = Structure(structure.numbers, structure.positions + np.array(shift) @ structure.cell)
        phi = orbital_values(image, basis, np.eye(starts[-1]), points)
        if np.abs(phi).max() > 0:
            values[shift] = phi
    out = np.zeros(len(points))
    for i, j, shift, block in density.blocks():
        for home, phi in values.items():
            other = values.get(tuple(a + b for a, b in zip(home, shift, strict=True)))
            if other is not None:
                left, right = phi[:, starts[i] : starts[i + 1]], other[:, starts[j] : starts[j + 1]]
                out += np.einsum("pa,ab,pb->p", left, block, right)
    return out


def test_density_at_grid_points_is_the_sum_over_all_images() -> None:
    structure, shape = skew_crystal(), (5, 4, 3)
    density = random_density(structure, MIXED)
    values = density_on_grid(density, structure, MIXED, shape)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    points = index / np.array(shape) @ structure.cell
    expected = sum_over_images(density, structure, MIXED, points)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(values.ravel(), expected, atol=1e-12)


def test_density_integrates_to_the_trace_of_overlap_and_density_matrix() -> None:
    """The orbitals are smooth: the deviation is 1e-9 on this grid and 7e-9 on one of 12 x 12 x 40 points."""
    record = calculation(layer(3))
    kpoints, weights = monkhorst_pack((4, 4, 1))
    spectrum = solve_kpoints(record.hamiltonian, record.overlap, kpoints, record.n_electrons, weights=weights)
    (density,) = density_blocks(spectrum, record.overlap)
    trace = float(density.values @ record.overlap.values)
    assert trace == pytest.approx(8.0, abs=1e-9)
    values = density_on_grid(density, record.structure, record.basis, (16, 16, 64))
    assert count_on_grid(values, record.structure.cell) == pytest.approx(trace, abs=1e-7)
    assert values.min() >= 0.0


def test_vacuum_beyond_all_cutoffs_holds_nothing() -> None:
    record = calculation(layer(0))
    values = density_on_grid(record.overlap, record.structure, record.basis, (4, 4, 40))
    assert np.abs(values[:, :, 0]).max() == 0.0
    assert np.abs(values[:, :, 20]).max() > 0.0


def test_spin_densities_add_up_to_that_of_the_summed_matrix() -> None:
    record = with_collinear_spin(layer(1))
    kpoints, weights = monkhorst_pack((3, 3, 1))
    spectrum = solve_kpoints(record.hamiltonian, record.overlap, kpoints, record.n_electrons, weights=weights)
    up, down = density_blocks(spectrum, record.overlap)
    shape = (8, 8, 30)
    parts = [density_on_grid(p, record.structure, record.basis, shape) for p in (up, down)]
    assert np.abs(parts[0] - parts[1]).max() > 1e-4
    total = density_on_grid(up + down, record.structure, record.basis, shape)
    np.testing.assert_allclose(parts[0] + parts[1], total, atol=1e-13)


def test_supercell_has_the_density_of_the_cell_repeated() -> None:
    structure = layer(2)
    record, double = calculation(structure), calculation(repeat_cell(structure, (2, 1, 1)))
    (single,), (doubled,) = (
        density_blocks(solve_kpoints(r.hamiltonian, r.overlap, *monkhorst_pack(mesh)[:1], r.n_electrons), r.overlap)
        for r, mesh in ((record, (2, 1, 1)), (double, (1, 1, 1)))
    )
    values = density_on_grid(single, record.structure, record.basis, (9, 10, 24))
    repeated = density_on_grid(doubled, double.structure, double.basis, (18, 10, 24))
    np.testing.assert_allclose(repeated, np.concatenate([values, values]), atol=1e-10)


def test_density_refuses_what_it_cannot_compute() -> None:
    record = calculation(layer())
    structure, basis, density, shape = record.structure, record.basis, record.overlap, (4, 4, 4)
    molecule = Structure(structure.numbers, structure.positions)
    with pytest.raises(SolverError, match="has no cell"):
        density_on_grid(density, molecule, basis, shape)
    with pytest.raises(SolverError, match="positive number of points"):
        density_on_grid(density, structure, basis, (4, 0, 4))
    with pytest.raises(SolverError, match="real and spatial"):
        density_on_grid(density.with_spin(), structure, basis, shape)
    with pytest.raises(SolverError, match="not one of BN"):
        density_on_grid(density, structure, MIXED, shape)
    endless = OrbitalBasis("endless", {
        z: (Shell(0, GaussianRadial(np.array([1.0]), np.array([1.0]))), Shell(1, orbital(1, 1.0))) for z in (5, 7)
    })  # fmt: skip
    with pytest.raises(SolverError, match="end at a cutoff"):
        density_on_grid(density, structure, endless, shape)

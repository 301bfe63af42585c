"""Two-centre integrals against PySCF, their symmetries, finite differences, and ABACUS's and OpenMX's own matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harmose_dft.adapters import abacus, openmx
from harmose_dft.adapters.pyscf import molecule as pyscf_molecule
from harmose_dft.core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import BasisMismatchError, HarmoseError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.orbitals import radial_values
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.physics.integrals import gradient, kinetic, neighbour_pairs, orbital_cutoffs, overlap, position
from harmose_dft.physics.integrals.angular import gaunt

Floats = NDArray[np.float64]

WATER = Structure(np.array([8, 1, 1]), np.array([[0.1, -0.2, 0.3], [1.4, 0.9, -0.4], [-1.2, 1.1, 0.7]]))
"""Arbitrary positions in Bohr, near a water molecule, without symmetry."""

SKEWED = Structure(
    np.array([8, 1, 1]),
    np.array([[0.3, -7.2, 0.1], [5.9, 0.4, 0.2], [-3.1, 2.5, 11.0]]),
    np.array([[5.1, 0.2, 0.0], [4.2, 5.6, 0.3], [-1.3, 2.2, 6.4]]),
)
"""A made-up skewed cell (Bohr) with atoms inside and outside of it."""

MADE_UP: dict[int, tuple[tuple[int, tuple[float, ...], tuple[float, ...]], ...]] = {
    1: ((0, (2.1, 0.4), (0.4, 0.7)), (1, (0.9,), (1.0,))),
    8: ((0, (7.0, 1.1, 0.3), (0.2, 0.5, 0.4)), (1, (1.6, 0.45), (0.5, 0.6)), (2, (0.8,), (1.0,)), (3, (0.95,), (1.0,))),
}
"""Made-up contracted Gaussians (l, exponents, coefficients), s to f; all are below 1e-18 at 12 Bohr."""


@cache
def gaussian_basis() -> OrbitalBasis:
    shells = {
        z: tuple(Shell(l, GaussianRadial(np.array(a), np.array(c))) for l, a, c in rows) for z, rows in MADE_UP.items()
    }
    return pyscf_molecule.basis_from_mole(pyscf_molecule.to_mole(WATER, OrbitalBasis("made up", shells)))


@cache
def numerical_basis() -> OrbitalBasis:
    """The same orbitals tabulated on r = 0, 0.01, ..., 12 Bohr, the mesh of an .orb file."""
    r = np.linspace(0, 12, 1201)

    def table(shell: Shell) -> Shell:
        assert shell.radial is not None
        return Shell(shell.l, NumericalRadial(r, radial_values(shell.l, shell.radial, r)))

    return OrbitalBasis("tabulated", {z: tuple(map(table, s)) for z, s in gaussian_basis().shells.items()})


@cache
def short_basis() -> OrbitalBasis:
    """Numerical orbitals s to d that end at 4 Bohr with zero slope: R = r^l (4 - r)^3 exp(-r^2 / w)."""
    r = np.linspace(0, 4, 401)
    shells = {8: (0, 0, 1, 2), 1: (0, 1)}
    return OrbitalBasis(
        "short",
        {
            z: tuple(
                Shell(l, NumericalRadial(r, (1 + n) * r**l * (4 - r) ** 3 * np.exp(-(r**2) / (4 + n)) / 50))
                for n, l in enumerate(ls)
            )
            for z, ls in shells.items()
        },
    )


def stacked(matrices: BlockMatrix | tuple[BlockMatrix, ...]) -> Floats:
    return np.stack([m.to_dense() for m in matrices]) if isinstance(matrices, tuple) else matrices.to_dense()


def pyscf_integral(name: str, basis: OrbitalBasis) -> Floats:
    matrix = pyscf_molecule.to_mole(WATER, basis).intor(name)
    parts = [pyscf_molecule.to_ours(m, basis, WATER.numbers) for m in matrix.reshape(-1, *matrix.shape[-2:])]
    return np.stack(parts).reshape(matrix.shape)


OPERATORS = [
    (overlap, "int1e_ovlp", 1),
    (kinetic, "int1e_kin", 1),
    (position, "int1e_r", 1),
    (gradient, "int1e_ipovlp", -1),  # PySCF's gradient acts on the first orbital: minus ours
]


@pytest.mark.parametrize(("function", "name", "sign"), OPERATORS)
def test_tabulated_gaussians_equal_pyscf_to_1e8(function: Callable, name: str, sign: int) -> None:
    own = stacked(function(WATER, numerical_basis()))
    np.testing.assert_allclose(own, sign * pyscf_integral(name, gaussian_basis()), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("function", "name", "sign"), OPERATORS)
@pytest.mark.parametrize("basis_name", ["made up", "cc-pvqz"])  # cc-pVQZ: core functions with exponent 6e4, g on O
def test_closed_form_gaussians_equal_pyscf(function: Callable, name: str, sign: int, basis_name: str) -> None:
    basis = gaussian_basis() if basis_name == "made up" else pyscf_molecule.orbital_basis(basis_name, (1, 8))
    reference = sign * pyscf_integral(name, basis)
    np.testing.assert_allclose(stacked(function(WATER, basis)), reference, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("function", [overlap, kinetic])
def test_crystal_matrices_are_exactly_hermitian(function: Callable) -> None:
    assert function(SKEWED, short_basis()).hermiticity_error() == 0.0


@pytest.mark.parametrize("function", [overlap, kinetic])
def test_crystal_matrices_are_positive_definite_at_any_k(function: Callable) -> None:
    matrix = function(SKEWED, short_basis())
    for k in np.random.default_rng(0).uniform(-0.5, 0.5, (5, 3)):
        assert np.linalg.eigvalsh(matrix.at(k)).min() > 1e-6


@pytest.mark.parametrize("function", [overlap, kinetic])
@pytest.mark.parametrize("structure", [WATER, SKEWED], ids=["molecule", "crystal"])
def test_rotated_structures_have_rotated_matrices(function: Callable, structure: Structure) -> None:
    matrix = function(structure, short_basis())
    for q in random_rotations(4, random_seed=1):
        expected = rotate_matrix(matrix, structure.numbers, short_basis(), q)
        difference = function(structure.rotate(q), short_basis()) - expected
        assert np.abs(difference.values).max() < 1e-11


def test_translation_leaves_overlaps_and_moves_positions() -> None:
    shift = np.array([0.7, -2.3, 1.9])
    moved = Structure(SKEWED.numbers, SKEWED.positions + shift, SKEWED.cell)
    s, r, r_moved = overlap(SKEWED, short_basis()), position(SKEWED, short_basis()), position(moved, short_basis())
    s_moved = overlap(moved, short_basis(), (s.pairs, s.shifts))
    np.testing.assert_allclose(s_moved.values, s.values, atol=1e-12)
    for q in range(3):
        difference = r_moved[q].on_pairs_of(s).values - r[q].on_pairs_of(s).values
        np.testing.assert_allclose(difference, shift[q] * s.values, atol=1e-11)


def test_an_atom_moved_by_a_lattice_vector_changes_no_matrix_at_gamma() -> None:
    positions = SKEWED.positions.copy()
    positions[1] += np.array([1, -2, 1]) @ SKEWED.cell
    moved = Structure(SKEWED.numbers, positions, SKEWED.cell)
    np.testing.assert_allclose(
        overlap(moved, short_basis()).to_dense(), overlap(SKEWED, short_basis()).to_dense(), atol=1e-11
    )


@pytest.mark.parametrize("function", [overlap, kinetic, lambda *a: position(*a)[1], lambda *a: gradient(*a)[2]])
def test_blocks_of_periodic_images_are_those_of_the_two_atoms_alone(function: Callable) -> None:
    matrix = function(SKEWED, short_basis())
    rng = np.random.default_rng(2)
    for e in rng.choice(len(matrix), 12, replace=False):
        (i, j), shift = matrix.pairs[e], matrix.shifts[e]
        second = SKEWED.positions[j] + shift @ SKEWED.cell
        pair = Structure(SKEWED.numbers[[i, j]], np.stack([SKEWED.positions[i], second]))
        alone = function(pair, short_basis(), (np.array([[0, 1]]), np.zeros((1, 3), dtype=int)))
        np.testing.assert_allclose(matrix.block(int(e)), alone.block(0), atol=1e-11)


def test_reverse_position_blocks_differ_by_the_lattice_vector() -> None:
    s, matrices = overlap(SKEWED, short_basis()), position(SKEWED, short_basis())
    translation = np.repeat(s.shifts @ SKEWED.cell, np.diff(s.pointers), axis=0)
    for q in range(3):
        reverse = matrices[q].adjoint().on_pairs_of(s)  # <j,R| q |i,0> moved to <j,0| q |i,-R>, transposed
        expected = reverse.values + translation[:, q] * s.values
        np.testing.assert_allclose(matrices[q].on_pairs_of(s).values, expected, atol=1e-10)


def test_gradient_is_minus_the_derivative_of_the_overlap_with_the_second_atom() -> None:
    step = 1e-3
    pairs = (np.array([[0, 1]]), np.zeros((1, 3), dtype=int))
    for q in range(3):
        moved = np.stack([WATER.positions] * 2)
        moved[0, 1, q] -= step
        moved[1, 1, q] += step
        low, high = (overlap(Structure(WATER.numbers, p), short_basis(), pairs).values for p in moved)
        np.testing.assert_allclose(
            gradient(WATER, short_basis(), pairs)[q].values, -(high - low) / (2 * step), atol=2e-6
        )  # error of the central difference: step^2 / 6 times a third derivative of order one


def test_overlaps_are_smooth_where_two_atoms_meet() -> None:
    distances = np.array([0.0, 1e-12, 1e-6, 1e-3])
    pairs = (np.array([[0, 1]]), np.zeros((1, 3), dtype=int))
    direction = np.array([0.6, -0.48, 0.64])
    blocks = [
        overlap(Structure(np.array([8, 8]), np.stack([np.zeros(3), d * direction])), short_basis(), pairs).values
        for d in distances
    ]
    for d, block in zip(distances, blocks, strict=True):
        np.testing.assert_allclose(block, blocks[0], atol=10 * d + 1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_neighbour_pairs_equal_a_brute_force_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3)) * rng.uniform(2, 6, (3, 1)) + np.eye(3) * 2
    if abs(np.linalg.det(cell)) < 20:
        cell = cell + 5 * np.eye(3)
    positions, radii = rng.uniform(-9, 9, (4, 3)), rng.uniform(0.5, 3.5, 4)
    structure = Structure(np.array([1, 6, 7, 8]), positions, cell)
    pairs, shifts = neighbour_pairs(structure, radii)
    reach = np.ceil((7 + 32) * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)  # 32 > widest separation
    images = np.array(list(product(*(range(-n, n + 1) for n in reach))))
    distance = np.linalg.norm(
        positions[None, :, None] + (images @ cell)[None, None] - positions[:, None, None], axis=-1
    )
    i, j, n = np.nonzero(distance < (radii[:, None] + radii)[:, :, None])
    expected = {(a, b, *s) for a, b, s in zip(i.tolist(), j.tolist(), images[n].tolist(), strict=True)}
    found = [(a, b, *s) for (a, b), s in zip(pairs.tolist(), shifts.tolist(), strict=True)]
    assert set(found) == expected
    assert len(found) == len(expected)
    assert found == sorted(found)


def test_gaunt_coefficients_follow_the_selection_rules() -> None:
    assert gaunt(1, 1, 2)[1, 1, 2] == pytest.approx(np.sqrt(1 / (5 * np.pi)), abs=1e-15)  # int Y10 Y10 Y20, tabulated
    assert not gaunt(1, 2, 2).any()
    assert not gaunt(1, 1, 4).any()


def test_cutoffs_leave_out_trailing_zeros_of_a_table() -> None:
    r = np.linspace(0, 5, 51)
    values = np.where(r < 3, (3 - r) ** 2, 0.0)
    basis = OrbitalBasis("padded", {1: (Shell(0, NumericalRadial(r, values)),)})
    assert orbital_cutoffs(basis) == {1: pytest.approx(3.0)}


def test_a_basis_without_radial_functions_is_refused() -> None:
    with pytest.raises(HarmoseError, match=r"H \(l = 1\) has no radial function"):
        overlap(Structure(np.array([1]), np.zeros((1, 3))), OrbitalBasis("bare", {1: (Shell(1),)}))


def test_an_element_outside_the_basis_is_refused() -> None:
    with pytest.raises(BasisMismatchError, match="no orbitals for C"):
        overlap(Structure(np.array([6]), np.zeros((1, 3))), short_basis())


def test_numerical_and_gaussian_functions_are_not_mixed() -> None:
    mixed = OrbitalBasis("mixed", {8: short_basis().shells[8], 1: gaussian_basis().shells[1]})
    with pytest.raises(HarmoseError, match="mixes numerical and Gaussian"):
        overlap(WATER, mixed)


def test_a_table_that_ends_before_its_function_is_refused() -> None:
    r = np.linspace(0, 2, 201)
    cut = OrbitalBasis("cut", {1: (Shell(0, NumericalRadial(r, np.exp(-r))),)})
    with pytest.raises(HarmoseError, match="it jumps"):
        overlap(Structure(np.array([1]), np.zeros((1, 3))), cut)


@pytest.mark.parametrize("radii", [[1.0, 1.0], [1.0, 1.0, -1.0], [1.0, 1.0, np.nan]])
def test_cutoffs_must_be_one_radius_per_atom(radii: list[float]) -> None:
    with pytest.raises(HarmoseError, match="3 non-negative radii"):
        neighbour_pairs(WATER, radii)


def assert_same_overlap(record: Record, tolerance: float) -> None:
    """Own overlap equals the code's on all pairs of either."""
    ours, theirs = overlap(record.structure, record.basis).unite_with(record.overlap)
    assert np.abs(ours.values - theirs.values).max() < tolerance


ABACUS_SAMPLES = ["H2O_gamma", "H2O_multik", "graphene_prim", "Si2", "MoS2_getS"]
OPENMX_SAMPLES = ["openmx/H2O_cluster", "openmx/Si2", "openmx_overlap_only/MoS2_f"]


@pytest.mark.parametrize("name", ABACUS_SAMPLES)
def test_overlap_equals_abacus(shared_dir: Path, name: str) -> None:
    for record in abacus.read(shared_dir / "samples" / "abacus" / name):
        assert_same_overlap(record, 1e-7)  # measured: up to 3.3e-8 on all samples; the text has 8 decimals


@pytest.mark.parametrize("name", OPENMX_SAMPLES)
def test_overlap_equals_openmx(shared_dir: Path, name: str) -> None:
    folder = shared_dir / "samples"
    for record in openmx.read(folder / name, pao_dir=folder / "openmx" / "DFT_DATA19"):
        assert_same_overlap(record, 3e-7)  # measured: up to 1.3e-7 on all samples, largest on-site

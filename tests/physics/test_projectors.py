"""Separable potentials of atoms, against sums over dense matrices and images, and their symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.basis import GaussianRadial, OrbitalBasis, Shell
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.physics.h0.separable_equations import momentum
from harmose_dft.physics.integrals import overlap, zero_matrix
from harmose_dft.physics.integrals.projectors import Projectors, separable, sum_equal, surroundings, tabulate
from harmose_dft.testing.crystals import BASIS, layer, repeat_cell

PROJECTORS = Projectors({5: 2.5, 7: 3.0}, (2.0, 9.0), 2)


def couplings(sign: float = 1.0) -> dict[int, np.ndarray]:
    """Invariant matrices between the functions beta: of unit matrices of m, or of one component of the momentum."""
    rng = np.random.default_rng(3)
    out = {}
    for z in PROJECTORS.radii:
        out[z] = np.zeros((PROJECTORS.count, PROJECTORS.count))
        for l, members in PROJECTORS.slices():
            free = rng.normal(size=(2, 2))
            out[z][members, members] = np.kron(free + free.T, np.eye(2 * l + 1) if sign > 0 else momentum(l)[1])
    return out


def matrix(structure: Structure, sign: float = 1.0) -> BlockMatrix:
    frame = zero_matrix(structure, BASIS)
    operators = {z: d[None] for z, d in couplings(sign).items()}
    return separable(frame, surroundings(structure, BASIS, PROJECTORS), structure, operators, sign=sign)[0]


def test_functions_are_normalised() -> None:
    for z in PROJECTORS.radii:
        for _, radial in PROJECTORS.radials(z):
            assert np.trapezoid((radial.r * radial.values) ** 2, radial.r) == pytest.approx(1.0, abs=1e-6)
            assert radial.values[-1] == 0.0


def test_molecule_has_the_product_of_its_overlaps_with_the_functions() -> None:
    """The functions beta as further shells of a larger basis, whose overlap holds <phi | beta>."""
    structure = Structure(np.array([5, 7, 5]), np.array([[0.0, 0.0, 0.0], [1.3, 0.4, 2.0], [-1.0, 2.2, 0.3]]))
    larger = OrbitalBasis(
        "with functions",
        {z: (*BASIS.shells[z], *(Shell(l, radial) for l, radial in PROJECTORS.radials(z))) for z in BASIS.elements},
    )
    s = overlap(structure, larger).to_dense()
    width = 4 + PROJECTORS.count
    is_orbital = np.arange(len(s)) % width < 4
    between = s[np.ix_(is_orbital, ~is_orbital)]
    d = couplings()
    blocks = [d[z] for z in structure.numbers.tolist()]
    dense = np.zeros((len(structure) * PROJECTORS.count,) * 2)
    for k, block in enumerate(blocks):
        inside = slice(k * PROJECTORS.count, (k + 1) * PROJECTORS.count)
        dense[inside, inside] = block
    np.testing.assert_allclose(matrix(structure).to_dense(), between @ dense @ between.T, atol=1e-8)


def test_gaussian_orbitals_as_tables_have_their_analytic_overlaps() -> None:
    """Exponents for which nothing is left at the cutoff; tables that exist stay as they are."""
    exponents, coefficients = np.array([1.8, 0.45]), np.array([0.4, 0.7])
    gaussians = {l: Shell(l, GaussianRadial(exponents, coefficients, 8.0)) for l in (0, 1, 2)}
    basis = OrbitalBasis("gaussian", {6: tuple(gaussians.values())})
    tables = OrbitalBasis("tables", {6: tuple(Shell(l, tabulate(6, shell)) for l, shell in gaussians.items())})
    pair = Structure(np.array([6, 6]), np.array([[0.0, 0.0, 0.0], [1.1, -0.7, 1.9]]))
    np.testing.assert_allclose(overlap(pair, tables).to_dense(), overlap(pair, basis).to_dense(), atol=1e-6)
    assert tabulate(6, tables.shells[6][0]) is tables.shells[6][0].radial


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_supercell_has_the_matrix_of_its_cell(sign: float) -> None:
    """In a small cell an atom has several images that join the same pair; in a large one it has not."""
    cell, large = layer(4), repeat_cell(layer(4), (3, 3, 1))
    small, big = matrix(cell, sign), matrix(large, sign)
    for k in ((0.0, 0.0, 0.0), (1 / 3, 2 / 3, 0.0)):
        levels = np.linalg.eigvalsh(small.at(k) * (1.0 if sign > 0 else 1j))
        folded = np.linalg.eigvalsh(big.at((0.0, 0.0, 0.0)) * (1.0 if sign > 0 else 1j))
        assert np.abs(folded[:, None] - levels).min(axis=0).max() < 1e-9


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_matrix_is_exactly_symmetric_or_antisymmetric(sign: float) -> None:
    found = matrix(layer(1), sign)
    assert np.abs(found.values).max() > 1e-2
    np.testing.assert_array_equal(found.values, sign * found.adjoint().on_pairs_of(found).values)


def test_matrix_rotates_with_the_crystal() -> None:
    structure = layer(2)
    straight = matrix(structure)
    for q in random_rotations(2, random_seed=5):
        expected = rotate_matrix(straight, structure.numbers, BASIS, q)
        np.testing.assert_allclose(matrix(structure.rotate(q)).values, expected.values, atol=1e-9)


def test_blocks_of_equal_pairs_are_added() -> None:
    each, sums = sum_equal(np.array([4, 1, 4, 0]), np.array([[1.0], [2.0], [10.0], [3.0]]))
    np.testing.assert_array_equal(each, [0, 1, 4])
    np.testing.assert_array_equal(sums[:, 0], [3.0, 2.0, 11.0])

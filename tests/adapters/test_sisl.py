"""Export to sisl: its eigenvalues are ours, for every kind of spin."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.adapters.sisl import to_sisl
from harmose_dft.core.errors import HarmoseError, StructureError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from harmose_dft.solver import bands

pytest.importorskip("sisl")

K = [0.13, -0.31, 0.27]
SHIFTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, -1, 0), (0, 0, 2))


def crystal() -> Structure:
    cell = np.array([[5.0, 0, 0], [1.0, 4.5, 0], [0.3, 0.2, 6.0]])
    return Structure(np.array([6, 1]), np.array([[0.0, 0, 0], [1.1, 1.3, 0.7]]), cell)


def random_matrix(seed: int, *, spinor: bool = False, scale: float = 1.0, unit: bool = False) -> BlockMatrix:
    rng, width = np.random.default_rng(seed), np.array([4, 1]) * (2 if spinor else 1)
    blocks = {}
    for i, j, shift in ((i, j, s) for i in range(2) for j in range(2) for s in SHIFTS):
        block = scale * rng.normal(size=(width[i], width[j])) + 0j
        block = block + 1j * scale * rng.normal(size=block.shape) if spinor else block.real
        blocks[i, j, *shift] = block + (2 * np.eye(width[i]) if unit and i == j and not any(shift) else 0)
    return BlockMatrix.from_blocks([4, 1], blocks, spinor=spinor).symmetrize()


OVERLAP = random_matrix(9, scale=0.02, unit=True)


@pytest.mark.parametrize("overlap", [None, OVERLAP])
def test_sisl_finds_our_energies(overlap: BlockMatrix | None) -> None:
    h = random_matrix(1)
    unit = BlockMatrix.from_dense(np.eye(5), [4, 1])
    ours = bands(h, overlap or unit, [K])[0, 0] * HARTREE_IN_EV
    np.testing.assert_allclose(to_sisl(h, crystal(), overlap).eigh(K), ours, atol=1e-10)


def test_sisl_finds_our_energies_of_both_spins() -> None:
    pair = (random_matrix(1), random_matrix(2))
    exported = to_sisl(pair, crystal(), OVERLAP)
    ours = bands(pair, OVERLAP, [K])[:, 0] * HARTREE_IN_EV
    for spin in range(2):
        np.testing.assert_allclose(exported.eigh(K, spin=spin), ours[spin], atol=1e-10)


def test_sisl_finds_our_energies_of_spinors() -> None:
    h = random_matrix(1, spinor=True)
    ours = bands(h, OVERLAP, [K])[0, 0] * HARTREE_IN_EV
    np.testing.assert_allclose(to_sisl(h, crystal(), OVERLAP).eigh(K), ours, atol=1e-10)


def test_geometry_travels_in_angstrom() -> None:
    geometry = to_sisl(random_matrix(1), crystal()).geometry
    np.testing.assert_allclose(geometry.xyz, crystal().positions * BOHR_IN_ANGSTROM)
    np.testing.assert_allclose(geometry.cell, crystal().cell * BOHR_IN_ANGSTROM)
    assert [a.Z for a in geometry.atoms] == [6, 1]


def test_molecule_and_foreign_matrix_are_refused() -> None:
    with pytest.raises(StructureError, match="needs a cell"):
        to_sisl(random_matrix(1), Structure(np.array([6, 1]), np.array([[0.0, 0, 0], [0, 0, 2]])))
    with pytest.raises(HarmoseError, match="do not all belong"):
        to_sisl(random_matrix(1), crystal(), BlockMatrix.from_dense(np.eye(3), [2, 1]))

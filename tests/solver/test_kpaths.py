"""Paths through the Brillouin zone of lattices whose special points are known."""

from __future__ import annotations

import numpy as np
import pytest

from harmose_dft.core.errors import StructureError
from harmose_dft.core.structure import Structure
from harmose_dft.solver.kpaths import k_path

A = 4.65
GRAPHENE = Structure(
    np.array([6, 6]),
    np.array([[0.0, 0, 0], [0.0, A / np.sqrt(3), 0]]),
    np.array([[A, 0, 0], [-A / 2, A * np.sqrt(3) / 2, 0], [0, 0, 30.0]]),
)
CUBIC = Structure(np.array([84]), np.zeros((1, 3)), 6.0 * np.eye(3))


@pytest.mark.parametrize("text", ["GMKG", "Γ-M-K-Γ", "G M K G"])
def test_graphene_path_visits_the_corners_of_the_hexagon(text: str) -> None:
    """|Gamma M| = 2 pi / (a sqrt 3), |M K| = 2 pi / 3a, |K Gamma| = 4 pi / 3a; K is where |k| is 4 pi / 3a."""
    path = k_path(GRAPHENE, text, points=60)
    assert [name for _, name in path.ticks] == ["G", "M", "K", "G"]
    steps = np.diff([x for x, _ in path.ticks])
    np.testing.assert_allclose(steps, 2 * np.pi / A * np.array([1 / np.sqrt(3), 1 / 3, 2 / 3]), rtol=1e-10)
    reciprocal = 2 * np.pi * np.linalg.inv(GRAPHENE.cell).T
    corner = path.kpoints[np.argmin(np.abs(path.distances - path.ticks[2][0]))]
    assert np.linalg.norm(corner @ reciprocal) == pytest.approx(4 * np.pi / (3 * A))
    np.testing.assert_allclose(path.kpoints[[0, -1]], 0.0, atol=1e-12)


def test_distances_are_the_lengths_walked_and_points_are_even() -> None:
    path = k_path(CUBIC, "GXMG", points=80)
    reciprocal = 2 * np.pi / 6.0 * np.eye(3)
    walked = np.linalg.norm(np.diff(path.kpoints @ reciprocal, axis=0), axis=1)
    np.testing.assert_allclose(np.diff(path.distances), walked, atol=1e-12)
    assert walked.max() / walked.min() < 1.2
    assert abs(len(path.kpoints) - 80) < 5


def test_jump_has_no_length_and_both_names() -> None:
    path = k_path(CUBIC, "GX,MR")
    assert [name for _, name in path.ticks] == ["G", "X|M", "R"]
    jump = int(np.flatnonzero(np.diff(path.distances) == 0)[0])
    np.testing.assert_allclose(path.kpoints[jump : jump + 2], [[0, 0.5, 0], [0.5, 0.5, 0]], atol=1e-12)


def test_recommended_paths_of_both_sources_start_at_gamma() -> None:
    """Setyawan-Curtarolo's path of the cube is G-X-M-G-R-X|M-R; Hinuma's is G-X-M-G-R-X|R-M."""
    assert [n for _, n in k_path(CUBIC).ticks] == ["G", "X", "M", "G", "R", "X|M", "R"]
    pytest.importorskip("seekpath")
    assert [n for _, n in k_path(CUBIC, "seekpath").ticks][:6] == ["G", "X", "M", "G", "R", "X|R"]


def test_displaced_supercell_gets_seekpaths_path_without_its_warnings(recwarn: pytest.WarningsRecorder) -> None:
    """A cell with angles of 90 and 120 degrees and atoms off their places is triclinic to seekpath, an edge case."""
    pytest.importorskip("seekpath")
    assert GRAPHENE.cell is not None
    moved = GRAPHENE.positions + np.random.default_rng(0).normal(scale=0.1, size=GRAPHENE.positions.shape)
    k_path(Structure(np.append(GRAPHENE.numbers, 5), np.vstack([moved, [1.0, 0.3, 0.2]]), GRAPHENE.cell), "seekpath")
    assert not [w for w in recwarn.list if "lattice" in str(w.message)]


def test_structure_without_symmetry_for_seekpath_is_refused() -> None:
    pytest.importorskip("seekpath")
    doubled = Structure(np.array([6, 6]), np.zeros((2, 3)), GRAPHENE.cell)
    with pytest.raises(StructureError, match="seekpath finds no symmetry of C2, as where two atoms are in one place"):
        k_path(doubled, "seekpath")


@pytest.mark.parametrize(("path", "message"), [("GMQ", r"names \['Q'\].*points .*K"), ("", "cannot be read")])
def test_unknown_point_is_named_with_those_that_exist(path: str, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        k_path(GRAPHENE, path)


@pytest.mark.parametrize(("along_b", "along_c"), [(5, 0), (0, 3), (5, 3), (-2, 7)])
@pytest.mark.parametrize("path", [None, "GMKG"])
def test_path_of_a_layer_is_the_same_however_its_cell_is_skewed(path: str | None, along_b: int, along_c: int) -> None:
    """b + n a spans the same lattice; c lies in the vacuum, along which the layer has no bands."""
    assert GRAPHENE.cell is not None
    cell = GRAPHENE.cell.copy()
    cell[1] += along_b * cell[0]
    cell[2] += along_c * cell[0] + 0.3 * GRAPHENE.cell[1]
    layer = (True, True, False)
    usual = k_path(GRAPHENE, path, points=40, periodic=layer)
    skewed = k_path(Structure(GRAPHENE.numbers, GRAPHENE.positions, cell), path, points=40, periodic=layer)
    np.testing.assert_allclose(skewed.distances, usual.distances, atol=1e-10, rtol=0)
    assert [name for _, name in skewed.ticks] == [name for _, name in usual.ticks]
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    k = skewed.kpoints @ reciprocal
    np.testing.assert_allclose(k[:, 2], 0.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(k, axis=0), axis=1), np.diff(skewed.distances), atol=1e-10)


def test_path_of_a_chain_runs_along_the_chain() -> None:
    """|Gamma X| = pi / a, however the vectors in the vacuum are tilted."""
    cell = np.array([[A, 0, 0], [0.7 * A, 25.0, 0], [-2 * A, 3.0, 30.0]])
    path = k_path(Structure(np.array([6]), np.zeros((1, 3)), cell), "GX", periodic=(True, False, False))
    k = path.kpoints @ (2 * np.pi * np.linalg.inv(cell).T)
    np.testing.assert_allclose(k[-1], [np.pi / A, 0, 0], atol=1e-12)
    assert path.distances[-1] == pytest.approx(np.pi / A)


def test_molecule_and_path_without_length_are_refused() -> None:
    with pytest.raises(StructureError, match="no Brillouin zone"):
        k_path(Structure(np.array([1]), np.zeros((1, 3))), "GM")
    with pytest.raises(StructureError, match="molecule in a box"):
        k_path(CUBIC, periodic=(False, False, False))
    for pointless in ("GG", "G,M,R"):
        with pytest.raises(StructureError, match=r"no length; .* a comma or \| begins a new piece"):
            k_path(CUBIC, pointless)

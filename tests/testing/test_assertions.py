"""The public testing kit: each contract holds where it should, and fails where it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.registry import codes
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.structure import Structure
from harmose_dft.physics.integrals import kinetic, overlap
from harmose_dft.solver import solve
from harmose_dft.testing import Tolerance, assert_covariant, assert_hermitian, assert_reader, assert_solution
from harmose_dft.testing.abacus import write_record
from harmose_dft.testing.crystals import BASIS, calculation, layer
from harmose_dft.testing.molecules import hartree_fock, structure_of
from harmose_dft.testing.openmx import make_demo

ABACUS, OPENMX = (next(code for code in codes() if code.name == name) for name in ("ABACUS", "OpenMX"))


def spoil(matrix: BlockMatrix, size: float) -> BlockMatrix:
    """The matrix with one element changed."""
    values = matrix.values.copy()
    values[1] += size
    return matrix.with_values(values)


def test_hermitian_matrices_pass_and_others_fail() -> None:
    matrix = kinetic(layer(0), BASIS).symmetrize()
    assert_hermitian(matrix)
    with pytest.raises(AssertionError, match="deviates from Hermiticity by"):
        assert_hermitian(spoil(matrix, 1e-9))


def test_covariant_matrices_pass_and_those_of_the_lab_frame_fail() -> None:
    def in_lab_frame(structure: Structure) -> BlockMatrix:
        matrix = overlap(structure, BASIS)
        return matrix.with_values(matrix.values * (1 + structure.positions[0, 0]))

    assert_covariant(lambda structure: overlap(structure, BASIS), layer(0), BASIS, Tolerance.QUADRATURE)
    with pytest.raises(AssertionError, match="deviates from covariance by"):
        assert_covariant(in_lab_frame, layer(0), BASIS)


def test_solutions_pass_and_those_of_another_matrix_fail() -> None:
    _, fock, s, _, _ = hartree_fock(structure_of(), "sto-3g")
    assert_solution(solve(fock, s, 10), fock, s)
    with pytest.raises(AssertionError, match="H C - S C eps"):
        assert_solution(solve(spoil(fock, 0.1).symmetrize(), s, 10), fock, s)


def test_readers_pass_with_made_up_runs_of_their_codes(tmp_path: Path) -> None:
    folder = write_record(tmp_path / "abacus", calculation(layer(0)))
    (record,) = assert_reader(ABACUS, folder)
    np.testing.assert_array_equal(record.structure.numbers, layer(0).numbers)
    demo = make_demo(tmp_path / "openmx")
    assert len(assert_reader(OPENMX, demo.folder)) == 1
    with pytest.raises(AssertionError, match="is recognised as OpenMX, expected ABACUS"):
        assert_reader(ABACUS, demo.folder)


def test_tolerances_grow_with_their_reasons() -> None:
    assert Tolerance.EXACT < Tolerance.ROUNDING < Tolerance.EIGENSOLVER < Tolerance.SCF < Tolerance.QUADRATURE

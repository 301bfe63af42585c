"""Direct solvers, whichever are installed: solutions, inertia, random vectors of covariance A^-1, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from extensions import run_extended
from scipy.sparse import csr_array, diags_array, random_array

from harmose_dft.core.errors import SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.solver import Pencil, choose_factor, factor_classes
from harmose_dft.solver.factors.base import SparseFactor
from harmose_dft.solver.pencil import _embed
from harmose_dft.testing.crystals import calculation, layer, repeat_cell

INSTALLED = [kind for kind in factor_classes().values() if kind.is_installed()]
NAMES = [kind.name for kind in INSTALLED]
SIZE = 400
"""Rows; large enough for supernodes, in which PARDISO without Bunch-Kaufman pivots loses complex matrices."""


def hermitian(kind: type, positive: bool, size: int = SIZE) -> csr_array:
    """A random sparse matrix."""
    rng = np.random.default_rng(size)
    matrix = random_array((size, size), density=10 / size, rng=rng)
    if kind is complex:
        matrix = matrix + 1j * random_array((size, size), density=10 / size, rng=rng)
    if positive:
        return (matrix @ matrix.conj().T + diags_array(np.ones(size))).tocsr()
    return (matrix + matrix.conj().T + diags_array(rng.normal(size=size))).tocsr()


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("factor", INSTALLED, ids=NAMES)
def test_solutions_fulfil_their_equations(factor: type[SparseFactor], kind: type) -> None:
    matrix = hermitian(kind, positive=False)
    right = np.random.default_rng(1).normal(size=(SIZE, 3)).astype(matrix.dtype)
    solution = factor(matrix).solve(right)
    np.testing.assert_allclose(matrix @ solution, right, atol=1e-8)
    np.testing.assert_allclose(factor(matrix).solve(right[:, 0]), solution[:, 0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("factor", INSTALLED, ids=NAMES)
def test_random_vectors_have_the_inverse_as_covariance(factor: type[SparseFactor], kind: type) -> None:
    matrix = hermitian(kind, positive=True)
    x = factor(matrix, positive=True).correlate(np.eye(SIZE, dtype=matrix.dtype))
    np.testing.assert_allclose(x @ x.conj().T @ matrix.toarray(), np.eye(SIZE), atol=1e-10)


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("solver", NAMES)
def test_counts_are_those_of_dense_eigenvalues(solver: str, kind: type) -> None:
    pencil = Pencil(hermitian(kind, positive=False), hermitian(kind, positive=True), solver)
    inverse = np.linalg.inv(np.linalg.cholesky(pencil.overlap.toarray()))
    levels = np.linalg.eigvalsh(inverse @ pencil.hamiltonian.toarray() @ inverse.conj().T)
    for energy in (-5.0, -0.1, 0.0, 0.2, 50.0):
        assert pencil.count_below(energy) == np.count_nonzero(levels < energy)


def test_embedding_has_every_eigenvalue_twice() -> None:
    matrix = hermitian(complex, positive=False, size=12)
    doubled = np.linalg.eigvalsh(_embed(matrix).toarray())
    np.testing.assert_allclose(doubled, np.repeat(np.linalg.eigvalsh(matrix.toarray()), 2), atol=1e-12)


@pytest.mark.parametrize("solver", NAMES)
@pytest.mark.parametrize("k", [(0.0, 0.0, 0.0), (0.2, 0.1, 0.0)])
def test_pencil_of_a_crystal_is_its_dense_pair(solver: str, k: tuple[float, float, float]) -> None:
    record = calculation(repeat_cell(layer(3), (3, 3, 1)))
    pencil = Pencil.at(record.hamiltonian[0], record.overlap, k, solver)
    np.testing.assert_allclose(pencil.overlap.toarray(), record.overlap.at(k), atol=1e-14)
    right = np.ones(pencil.size, dtype=pencil.overlap.dtype)
    np.testing.assert_allclose(record.overlap.at(k) @ pencil.factor_overlap().solve(right), right, atol=1e-12)


@pytest.mark.parametrize("solver", NAMES)
def test_overlap_that_is_not_positive_definite_is_refused(solver: str) -> None:
    broken = BlockMatrix.from_dense(np.array([[1.0, 1.5], [1.5, 1.0]]), [1, 1])
    pencil = Pencil.at(broken, broken, (0, 0, 0), solver)
    with pytest.raises(SolverError, match="not positive definite|failed"):
        pencil.factor_overlap()


def test_preferred_solver_is_that_of_the_lowest_rank_and_others_can_be_named() -> None:
    assert choose_factor() is min(INSTALLED, key=lambda c: c.rank)
    assert choose_factor("superlu").name == "superlu"
    assert list(factor_classes()) == ["pardiso", "superlu"]
    with pytest.raises(SolverError, match="no direct solver 'umfpack'; choose one of pardiso, superlu"):
        choose_factor("umfpack")


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_classes()["pardiso"], "is_installed", classmethod(lambda cls: False))
    assert choose_factor().name == "superlu"
    with pytest.raises(SolverError, match=r"needs py-mkl-pardiso, .* pip install 'harmose-dft\[large\]'"):
        choose_factor("pardiso")


def test_new_solver_is_a_class_in_a_file_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    source = """
        from harmose_dft.solver.factors.superlu import SuperLU as _Base

        class Dummy(_Base):
            name = "dummy"
            rank = 1
    """
    script = """
        import numpy as np
        from harmose_dft.solver import choose_factor, states_near
        from harmose_dft.testing.crystals import calculation, layer, repeat_cell
        record = calculation(repeat_cell(layer(3), (3, 3, 1)))
        arguments = (record.hamiltonian[0], record.overlap, (0, 0, 0), -0.3, 6)
        found, dense = (states_near(*arguments, method=m)[0] for m in ("shift-invert", "dense"))
        print(json.dumps([choose_factor().name, bool(np.allclose(found, dense, atol=1e-9))]))
    """
    folder = tmp_path_factory.mktemp("dummy")
    assert run_extended(folder, "harmose_dft.solver.factors", source, script) == ["dummy", True]

"""Input matrices: the Loewdin density, and adding one."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.core.errors import CheckpointError, SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.progress import silent
from harmose_dft.core.rotations import orbital_rotation, random_rotations
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.inputs import InputMatrix
from harmose_dft.model.integrals import Integrals
from harmose_dft.model.loading import load_model
from harmose_dft.model.lowdin import lowdin_density
from harmose_dft.model.padding import unpad
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, tiny_config, water_record, write_waters
from harmose_dft.testing.molecules import hartree_fock, structure_of
from harmose_dft.training.run import Fit

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def test_lowdin_density_counts_electrons_and_turns_with_the_molecule() -> None:
    """Water at Hartree-Fock/def2-SVP by PySCF: 10 electrons, eigenvalues 0 and 2."""
    structure = structure_of()
    basis, fock, overlap, _, _ = hartree_fock(structure)
    density = lowdin_density(fock.to_dense(), overlap.to_dense(), 10)
    assert np.trace(density) == pytest.approx(10, abs=1e-10)
    np.testing.assert_allclose(density @ density, 2 * density, atol=1e-10)
    for q in random_rotations(2):
        d = np.zeros_like(density)
        start = 0
        for z in structure.numbers:
            own = orbital_rotation(basis.angular_momenta(int(z)), q)
            d[start : start + len(own), start : start + len(own)] = own
            start += len(own)
        turned = [d @ m.to_dense() @ d.T for m in (fock, overlap)]
        np.testing.assert_allclose(lowdin_density(*turned, 10), d @ density @ d.T, atol=1e-9)


def test_singular_overlap_is_an_error_with_advice() -> None:
    with pytest.raises(SolverError, match="too close"):
        lowdin_density(np.eye(2), np.ones((2, 2)) - 1e-3 * np.eye(2), 2)


@pytest.fixture
def extra() -> Iterator[None]:
    """One more input matrix, the square of S, by one class."""

    class SquareInput(InputMatrix):
        name = "square of S"

        def compute(self, integrals: Integrals) -> BlockMatrix:
            dense = integrals.overlap.to_dense()
            return BlockMatrix.from_dense(dense @ dense, integrals.overlap.orbitals)

    yield
    del SquareInput
    gc.collect()


@pytest.mark.usefixtures("extra")
def test_one_class_adds_an_input_matrix_that_models_are_trained_with(tmp_path: Path) -> None:
    data = {"files": (write_waters(tmp_path / "w.h5", range(5)),), "split": "ordered", "sizes": (4, 1)}
    config = tiny_config(data=data, inputs=("overlap", "square of S"), output=tmp_path / "model")
    Fit(config, silent, lambda entry: None).run()
    predictor = load_model(tmp_path / "model")
    assert predictor.model.inputs == ("overlap", "square of S")
    structure, basis = water_record(4).structure, predictor.model.basis
    s, h0 = predictor.physics.overlap(structure), predictor.physics.h0(structure)
    raw = predictor.featurizer.featurize(structure, s, h0, 10)
    square = unpad(raw.inputs, raw.integrals.pairs, structure.numbers, basis, predictor.network.layout)[1]
    np.testing.assert_allclose(square.to_dense(), s.to_dense() @ s.to_dense(), atol=1e-13)
    assert predictor.hamiltonian(structure).hermiticity_error() == 0


def test_unknown_input_matrix_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no input matrix 'hessian'; expected 'overlap', 'baseline' or 'density'"):
        tiny_config(inputs=("overlap", "hessian"))


def test_model_that_needs_an_unknown_input_matrix_is_refused(tmp_path: Path, fixtures_dir: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(fixtures_dir / "model_v1", folder)
    description = json.loads((folder / "model.json").read_text())
    description["inputs"][-1] = "hessian"
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match="no input matrix 'hessian'"):
        ModelFile.load(folder)

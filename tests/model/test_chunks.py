"""H(R) of large cells in chunks is that of the whole cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.core.errors import DomainError
from harmose_dft.core.progress import silent
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import DatasetWriter
from harmose_dft.model.chunks import bytes_per_pair, plan_chunks, predict_matrices, reach
from harmose_dft.model.lattice_sources import LatticeSources
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.testing.crystals import calculation, configuration, layer, repeat_cell, with_spin_orbit
from harmose_dft.testing.models import perturb
from harmose_dft.training.run import Fit

SINGLE = 2e-6
"""Hartree; rounding of single precision in blocks of order one."""


def train(folder: Path, make: Callable[[Structure], Record]) -> Predictor:
    """A model after a few updates on top of a simple H0, with noise on its weights that makes far atoms matter."""
    with DatasetWriter(folder / "layers.h5") as writer:
        for seed in range(6):
            writer.add(make(layer(seed)))
    optimizer = {"steps": 6, "batch_size": 2, "learning_rate": 1e-2}
    kinetic = {"kind": "kinetic"}
    config = configuration(folder / "layers.h5", folder / "model", optimizer=optimizer, baseline=kinetic)
    Fit(config, silent, lambda entry: None).run()
    predictor = load_model(folder / "model")
    perturb(predictor.network, 0.5)
    return predictor


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return train(tmp_path_factory.mktemp("plain"), calculation)


@pytest.fixture(scope="module")
def large() -> Structure:
    """A layer of 14 x 10 cells whose atoms are all displaced differently."""
    ideal = repeat_cell(layer(), (14, 10, 1))
    moved = ideal.positions + np.random.default_rng(4).normal(scale=0.05, size=ideal.positions.shape)
    return Structure(ideal.numbers, moved, ideal.cell)


def test_chunks_give_the_hamiltonian_of_the_whole_cell(predictor: Predictor, large: Structure) -> None:
    expected = predictor.hamiltonian(large)
    overlap = predictor.physics.overlap(large)
    memory = 0.4 * len(overlap) * bytes_per_pair(predictor.network)
    chunks = plan_chunks(large, overlap, predictor.network, memory)
    assert len(chunks) >= 4
    assert max(len(c.surroundings) for c in chunks) < len(large)
    found = predict_matrices(predictor, large, memory=memory)
    (h,) = found.hamiltonians
    np.testing.assert_array_equal(h.pairs, found.h0.pairs)
    np.testing.assert_allclose(h.on_pairs_of(expected).values, expected.values, atol=SINGLE)
    assert h.hermiticity_error() == 0.0
    assert found.stage1 == ()


def test_surroundings_that_are_too_small_give_another_hamiltonian(
    predictor: Predictor, large: Structure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above can fail: one pair less than the network sees changes blocks by more than rounding."""
    monkeypatch.setattr("harmose_dft.model.chunks.reach", lambda network: 1)
    memory = 0.2 * len(predictor.physics.overlap(large)) * bytes_per_pair(predictor.network)
    h = predict_matrices(predictor, large, memory=memory).hamiltonians[0]
    expected = predictor.hamiltonian(large)
    assert np.abs(h.on_pairs_of(expected).values - expected.values).max() > 5 * SINGLE


def test_charges_act_through_the_lattice(
    predictor: Predictor, large: Structure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the potential of all atoms, of stage 1 or of stage 2, other blocks come out."""
    assert predictor.network.config.lattice
    memory = 0.4 * len(predictor.physics.overlap(large)) * bytes_per_pair(predictor.network)
    expected, potential = predictor.hamiltonian(large), LatticeSources.potential
    for left_out in (0, 1):
        calls = iter((0, 1))
        monkeypatch.setattr(
            LatticeSources, "potential", lambda s: potential(s) * (0.0 if next(calls) == left_out else 1.0)  # noqa: B023
        )
        h = predict_matrices(predictor, large, memory=memory).hamiltonians[0]
        assert np.abs(h.on_pairs_of(expected).values - expected.values).max() > 5 * SINGLE


def test_one_chunk_in_two_passes_is_the_same(
    predictor: Predictor, large: Structure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harmose_dft.model.chunks.MOST_AT_ONCE", 100)
    h, expected = predict_matrices(predictor, large).hamiltonians[0], predictor.hamiltonian(large)
    np.testing.assert_allclose(h.on_pairs_of(expected).values, expected.values, atol=SINGLE)


def test_spinor_blocks_are_put_together(tmp_path: Path, large: Structure) -> None:
    predictor = train(tmp_path, with_spin_orbit)
    memory = 0.4 * len(predictor.physics.overlap(large)) * bytes_per_pair(predictor.network)
    h = predict_matrices(predictor, large, memory=memory).hamiltonians[0]
    expected = predictor.hamiltonian(large)
    assert h.spinor
    np.testing.assert_allclose(h.on_pairs_of(expected).values, expected.values, atol=SINGLE)


def test_every_atom_is_in_one_chunk_and_enough_memory_makes_one(predictor: Predictor, large: Structure) -> None:
    overlap = predictor.physics.overlap(large)
    chunks = plan_chunks(large, overlap, predictor.network, 1e6)
    assert sorted(np.concatenate([c.atoms for c in chunks]).tolist()) == list(range(len(large)))
    assert all(np.isin(c.atoms, c.surroundings).all() for c in chunks)
    (single,) = plan_chunks(large, overlap, predictor.network)
    assert len(single.atoms) == len(single.surroundings) == len(large)
    assert reach(predictor.network) == 1 + 1 + 1


def test_molecules_and_foreign_elements_are_refused(predictor: Predictor) -> None:
    with pytest.raises(DomainError, match="no cell"):
        predict_matrices(predictor, Structure(np.array([5, 7]), np.array([[0, 0, 0], [0, 0, 2.7]])))
    cell = layer()
    with pytest.raises(DomainError):
        predict_matrices(predictor, Structure(np.array([5, 8]), cell.positions, cell.cell))

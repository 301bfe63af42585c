"""Predictions in chunks have what H0 has of the matrices that depend on spin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft.core.progress import silent
from harmose_dft.core.spin import SPIN_OF_NSPIN
from harmose_dft.data import DatasetWriter
from harmose_dft.model import chunks
from harmose_dft.model.chunks import plan_chunks, predict_matrices
from harmose_dft.model.loading import load_model
from harmose_dft.testing.crystals import configuration, layer, repeat_cell, with_spin_orbit
from harmose_dft.training.run import Fit
from harmose_dft.workflows.evaluate import evaluate


def test_chunks_of_a_spin_orbit_model_are_the_whole_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "spin.h5"
    with DatasetWriter(path) as writer:
        for seed in range(3):
            writer.add(with_spin_orbit(layer(seed)))
    changes = {
        "data": {"files": [path], "split": "ordered", "sizes": (2, 1)},
        "optimizer": {"steps": 6, "batch_size": 1, "learning_rate": 1e-2, "ema": 0.5, "warmup_steps": 2},
    }
    Fit(configuration(path, tmp_path / "model", **changes), silent, lambda entry: None).run()
    predictor = load_model(tmp_path / "model")
    structure = repeat_cell(layer(7), (9, 1, 1))
    whole = predictor.matrices(structure)
    parts = predictor.physics.h0.spin_parts(structure)
    assert max(float(np.abs(part.values).max()) for part in parts) > 1e-4
    monkeypatch.setattr(chunks, "SMALLEST", 4)
    assert len(plan_chunks(structure, whole.overlap, predictor.network, 1.0)) > 1
    in_chunks = predict_matrices(predictor, structure, memory=1.0)
    for found, expected in zip(in_chunks.hamiltonians, whole.hamiltonians, strict=True):
        np.testing.assert_allclose(found.on_pairs_of(expected).values, expected.values, atol=2e-6)
    record = with_spin_orbit(layer(5))
    (h0,) = predictor.physics.h0.as_hamiltonian(record.structure, SPIN_OF_NSPIN[record.nspin])
    deviation = np.abs((h0 - record.hamiltonian[0]).values).mean()
    measured = evaluate(predictor, [record]).h0
    assert measured is not None
    assert measured.mae_all <= deviation * (1 + 1e-9)

"""Crystals with spin from data set to bands: training, symmetries, commands, refusals.

The calculations are made up (``harmose_dft.testing.crystals``); exact properties hold to the network's single
precision.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harmose_dft.adapters.registry import read_calculations
from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import main
from harmose_dft.core.errors import ConfigError, DataError
from harmose_dft.core.progress import silent
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.spin import decompose
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import MICRO
from harmose_dft.data import DatasetWriter
from harmose_dft.metrics import aligned_difference, cov_err, matrix_difference
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.output import read_result
from harmose_dft.solver import bands
from harmose_dft.testing.crystals import BASIS, calculation, configuration, layer, with_collinear_spin, with_spin_orbit
from harmose_dft.training.run import Fit
from harmose_dft.workflows.evaluate import evaluate

SINGLE = 2e-6
"""Hartree; rounding of single precision in blocks of order one."""

MAKERS: dict[str, Callable[..., Record]] = {"collinear": with_collinear_spin, "spin-orbit": with_spin_orbit}


def write(path: Path, records: list[Record]) -> Path:
    with DatasetWriter(path) as writer:
        for record in records:
            writer.add(record)
    return path


@dataclass
class Trained:
    """A model trained on made-up calculations of one kind of spin."""

    spin: str
    predictor: Predictor
    log: list[Any]

    def reference(self, structure: Structure, shift: float = 0.0) -> Record:
        return MAKERS[self.spin](structure, shift)


@pytest.fixture(scope="module", params=sorted(MAKERS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """60 steps on four calculations, one with its energies shifted by 0.3 Hartree; loaded from its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    make = MAKERS[request.param]
    data = write(folder / "layers.h5", [make(layer(k), 0.3 if k == 2 else 0.0) for k in range(6)])
    log: list[Any] = []
    Fit(configuration(data, folder / "model"), silent, log.append).run()
    return Trained(request.param, load_model(folder / "model"), log)


def test_training_takes_the_spin_of_the_data_and_learns(trained: Trained) -> None:
    assert trained.predictor.network.config.spin == trained.spin
    assert trained.log[-1].valid_mae_all < 0.3 * trained.log[0].valid_mae_all or trained.log[-1].valid_mae_all < 5e3


def test_what_depends_on_spin_is_learned(trained: Trained) -> None:
    """The mean absolute error of the parts beside H_0 is a small part of their size, on a structure never seen."""
    record = trained.reference(layer(21))
    found, expected = decompose(trained.predictor.hamiltonians(record.structure)), decompose(record.hamiltonian)
    error = np.mean([np.abs((a - b).values).mean() for a, b in zip(found[1:], expected[1:], strict=True)])
    assert error < 0.35 * np.mean([np.abs(b.values).mean() for b in expected[1:]])


def test_logged_error_is_the_metric_or_bounds_it(trained: Trained) -> None:
    """Collinear spin: the same; spinors: real and imaginary part against the modulus, at most sqrt(2) more."""
    record = trained.reference(layer(4))
    logged = trained.log[-1].valid_mae_all * MICRO
    measured = evaluate(trained.predictor, [record], covariance_samples=0).model.mae_all
    assert measured * (1 - 5e-3) < logged < (1 + 5e-3) * measured * (1 if trained.spin == "collinear" else np.sqrt(2))


def test_predictions_with_spin_are_hermitian_covariant_and_symmetric_under_time_reversal(trained: Trained) -> None:
    predictor, structure = trained.predictor, layer(11)
    matrices = predictor.hamiltonians(structure)
    assert len(matrices) == (2 if trained.spin == "collinear" else 1)
    for matrix in matrices:
        assert matrix.hermiticity_error() == 0.0
        assert matrix.spinor == (trained.spin == "spin-orbit")
    assert cov_err(predictor.hamiltonians, structure, BASIS) < 20 * SINGLE
    if trained.spin == "spin-orbit":
        k = np.array([0.21, 0.4, 0.0])
        levels = bands(matrices, predictor.physics.overlap(structure), np.array([k, -k]))[0]
        assert np.abs(levels[0] - levels[1]).max() < 1e-12
        gamma = bands(matrices, predictor.physics.overlap(structure), np.zeros((1, 3)))[0, 0]
        assert np.abs(gamma[::2] - gamma[1::2]).max() < 1e-12


def test_prediction_with_spin_counts_its_electrons_and_survives_the_result_file(
    trained: Trained, tmp_path: Path
) -> None:
    from harmose_dft.output import write_results
    from harmose_dft.workflows.prediction_files import to_result

    prediction = trained.predictor.predict(layer(15))
    assert prediction.spectrum.n_electrons == pytest.approx(8.0)
    assert prediction.trust.electron_count == pytest.approx(8.0, abs=1e-6)
    assert prediction.trust.covariance_error < 20 * SINGLE
    assert prediction.spectrum.occupations.max() <= 1.0
    write_results(tmp_path / "one.h5", [to_result(prediction)])
    stored = read_result(tmp_path / "one.h5")
    assert len(stored.stage1) == len(prediction.stage1) == len(prediction.hamiltonians)
    for pair in ((stored.record.hamiltonian, prediction.hamiltonians), (stored.stage1, prediction.stage1)):
        for one, other in zip(*pair, strict=True):
            np.testing.assert_array_equal(one.values, other.values)
    if trained.spin == "collinear":
        with pytest.raises(DataError, match="hamiltonians"):
            _ = prediction.hamiltonian


def test_evaluation_of_spin_has_bands_and_does_not_see_the_shift(trained: Trained) -> None:
    straight, shifted = (
        evaluate(trained.predictor, [trained.reference(layer(14), x)], covariance_samples=0) for x in (0.0, 0.5)
    )
    assert straight.model.band_mae == pytest.approx(shifted.model.band_mae, rel=1e-3)
    assert straight.model.mae_all == pytest.approx(shifted.model.mae_all, rel=1e-3)
    assert straight.stage1 is not None


def test_models_with_spin_survive_their_folder(trained: Trained, tmp_path: Path) -> None:
    trained.predictor.model.save(tmp_path / "copy")
    again = ModelFile.load(tmp_path / "copy")
    assert again.network.config.spin == trained.spin
    for name, array in trained.predictor.model.normalizer.arrays().items():
        np.testing.assert_array_equal(array, again.normalizer.arrays()[name])
    assert again.normalizer.spin_mean is not None
    state = trained.predictor.network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in again.network.state_dict().items())


def test_commands_go_from_structure_file_to_bands_with_spin(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ase.io

    monkeypatch.chdir(tmp_path)
    structure = layer(16)
    ase.io.write("bn.cif", to_ase(structure))
    trained.predictor.model.save("model")
    write(Path("data.h5"), [trained.reference(structure)])
    assert main(["predict", "bn.cif", "--model", "model", "--kpath", "GMKG", "--plot", "bn.png"]) == 0
    assert "Fermi level" in capsys.readouterr().out
    assert Path("bn.png").stat().st_size > 10_000
    assert main(["bands", "bn.harmose.h5", "--kpath", "GMKG", "--points", "20", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert np.shape(stored["energies_ev"])[::2] == ((2, 8) if trained.spin == "collinear" else (1, 16))
    assert main(["evaluate", "model", "data.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["model"]["band_mae"] > 0


def test_made_up_calculations_with_spin_turn_with_the_structure() -> None:
    """What the models above learn from is covariant, under inversion too."""
    structure = layer(3)
    for make in MAKERS.values():
        record = make(structure)
        for q in random_rotations(2, random_seed=1):
            again = make(structure.rotate(q))
            for one, other in zip(record.hamiltonian, again.hamiltonian, strict=True):
                turned = rotate_matrix(one, structure.numbers, BASIS, q)
                assert np.abs((other - turned).values).max() < 1e-9


def test_sets_of_several_kinds_of_spin_are_refused(tmp_path: Path) -> None:
    data = write(tmp_path / "mixed.h5", [with_collinear_spin(layer(0)), calculation(layer(1)), calculation(layer(2))])
    settings = {"files": [data], "split": "ordered", "sizes": (2, 1)}
    with pytest.raises(DataError, match=r"nspin 1 \(spin: none\); this model is of spin: collinear"):
        Fit(configuration(data, tmp_path, data=settings), silent, lambda entry: None).run()
    sizes = {"layers": 1, "channels": 8, "l_max": 2, "pair_channels": 8, "hidden_channels": 8}
    with pytest.raises(DataError, match=r"nspin 2 \(spin: collinear\); this model is of spin: none"):
        Fit(
            configuration(data, tmp_path, data=settings, model={"first": sizes, "spin": "none"}), silent, print
        ).run()


def test_lab_transformer_refuses_crystals_with_spin(tmp_path: Path) -> None:
    data = write(tmp_path / "spin.h5", [with_collinear_spin(layer(k)) for k in range(3)])
    settings = {"files": [data], "split": "ordered", "sizes": (2, 1)}
    model = {"first": {"layers": 1, "channels": 8, "l_max": 2}, "second": {"kind": "lab", "width": 16}}
    with pytest.raises(ConfigError, match="'lab' has no spin"):
        Fit(configuration(data, tmp_path, data=settings, model=model), silent, print).run()


@pytest.mark.parametrize("path", ["openmx/Fe_bcc_spin", "abacus/GaAs_soc"])
def test_real_calculations_with_spin_are_learned(path: str, shared_dir: Path, tmp_path: Path) -> None:
    """A small model of one calculation, 40 updates: the error is below 0.3 of |H - H0|, 0.5 of the spin part."""
    (record,) = read_calculations(shared_dir / "samples" / path)
    data = write(tmp_path / "one.h5", [record])
    sizes = {"layers": 1, "channels": 8, "l_max": 4, "pair_channels": 16, "hidden_channels": 16, "radial": 12}
    changes = {
        "data": {"files": [data], "split": "ordered", "sizes": (1, 0)},
        "baseline": {"kind": "kinetic"},  # leaves most of H to learn
        "model": {"first": sizes, "second": None},
        "optimizer": {
            "method": "adamw", "steps": 40, "batch_size": 1, "learning_rate": 2e-2, "ema": 0.5, "warmup_steps": 2,
        },
        "validate_every": 20,
    }
    Fit(configuration(data, tmp_path / "model", **changes), silent, print).run()
    predictor = load_model(tmp_path / "model")
    found = predictor.hamiltonians(record.structure)
    assert [h.spinor for h in found] == [h.spinor for h in record.hamiltonian]
    assert all(h.hermiticity_error() == 0.0 for h in found)
    difference, _ = aligned_difference(matrix_difference(found, record.hamiltonian), record.overlap)
    errors, (first, *spin) = decompose(difference), decompose(record.hamiltonian)
    target = first - predictor.physics.h0(record.structure)
    assert np.abs(errors[0].values).mean() < 0.3 * np.abs(target.values).mean()
    sizes_of_spin = [np.mean([np.abs(m.values).mean() for m in matrices]) for matrices in (errors[1:], spin)]
    assert sizes_of_spin[0] < 0.5 * sizes_of_spin[1]

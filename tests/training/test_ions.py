"""Models of ions, and models that are trained further on elements that are new to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import write_config

import harmose_dft
from harmose_dft.adapters.pyscf import reference
from harmose_dft.cli import main
from harmose_dft.core.errors import DomainError, StructureError
from harmose_dft.core.progress import silent
from harmose_dft.core.structure import Structure
from harmose_dft.data import DatasetWriter
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.testing.models import water
from harmose_dft.testing.molecules import structure_of
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.run import Fit

HYDROXIDE = replace(structure_of(("O 0 0 0", "H 0 0 0.97"), "hydroxide"), charge=-1)
HYDRONIUM = replace(
    structure_of(("O 0 0 0.1", "H 0.94 0 -0.2", "H -0.47 0.81 -0.2", "H -0.47 -0.81 -0.2"), "hydronium"), charge=1
)
FLUORIDE = structure_of(("F 0 0 0", "H 0 0 0.93"), "hydrogen fluoride")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of water, and one that was trained further on two ions and a new element, at a vanishing rate."""
    path = tmp_path_factory.mktemp("ions")
    assert main(["train", str(write_config(path)), "--quiet"]) == 0
    with DatasetWriter(path / "ions.h5") as writer:
        for structure in (HYDROXIDE, HYDRONIUM, FLUORIDE, water(0), water(1)):
            writer.add(reference(structure, "lda,vwn", "sto-3g", grid_level=0))
    train(path, "still", 1e-30)
    return path


def train(folder: Path, name: str, rate: float) -> ModelFile:
    """Train the model of water further."""
    config = TrainConfig.model_validate({
        "name": name, "start_from": str(folder / "model"), "output": folder / name,
        "data": {"files": (folder / "ions.h5",), "split": "ordered", "sizes": (4, 1)},
        "optimizer": {"steps": 6, "batch_size": 2, "warmup_steps": 0, "learning_rate": rate},
    })
    return Fit(config, silent, lambda entry: None).run()


def dense(folder: Path, structure: Structure) -> np.ndarray:
    return harmose_dft.load(folder).hamiltonian(structure).to_dense()


def test_the_further_model_covers_ions_and_new_elements_and_keeps_what_it_was(folder: Path) -> None:
    model = ModelFile.load(folder / "still")
    assert model.domain.charges == (-1, 0, 1)
    assert model.basis.elements == (1, 8, 9)
    assert model.network.config.charged
    np.testing.assert_allclose(dense(folder / "still", water(3)), dense(folder / "model", water(3)), atol=2e-7)
    for structure in (HYDROXIDE, HYDRONIUM, FLUORIDE):
        prediction = harmose_dft.predict(structure, folder / "still", trust=False)
        assert prediction.spectrum.occupations.sum() == pytest.approx(structure.n_electrons)


def test_the_network_sees_the_charge(folder: Path) -> None:
    """A change of the weights that embed the charge changes ions alone."""
    predictor = harmose_dft.load(folder / "still")
    before = [predictor.hamiltonian(s).to_dense() for s in (HYDRONIUM, water(3))]
    embedding = predictor.network.first.embed_charge
    assert embedding is not None
    with torch.no_grad():
        embedding.add_(0.5)
    after = [predictor.hamiltonian(s).to_dense() for s in (HYDRONIUM, water(3))]
    assert np.abs(after[0] - before[0]).max() > 1e-6
    np.testing.assert_array_equal(after[1], before[1])


def test_training_moves_the_weights_of_the_charge(folder: Path) -> None:
    moved = train(folder, "moved", 1e-2)
    assert moved.network.first.embed_charge is not None
    assert moved.network.first.embed_charge.abs().max() > 0


def test_other_charges_are_refused(folder: Path) -> None:
    with pytest.raises(DomainError, match=r"charge \+2; the model was trained on structures of charge -1, 0, \+1"):
        harmose_dft.predict(replace(water(3), charge=2), folder / "still")
    with pytest.raises(DomainError, match="charge -1; the model was trained on neutral structures only"):
        harmose_dft.predict(HYDROXIDE, folder / "model")


def test_the_charge_is_an_option_of_predict(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ion.xyz").write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    Path("said.xyz").write_text("2\ncharge=1\nO 0 0 0\nH 0 0 0.97\n")
    command = ["predict", "ion.xyz", "--model", str(folder / "still")]
    assert main(command) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "odd number of electrons" in said
    assert "charge=-1 in the comment line of an xyz file, or --charge -1" in said
    assert main([*command, "--charge", "-1", "--json"]) == 0
    assert '"charge": -1' in capsys.readouterr().out
    assert main(["predict", "said.xyz", "--model", str(folder / "still"), "--charge", "-1"]) == 1
    assert "said.xyz has the charge +1, --charge asks for -1" in capsys.readouterr().err
    assert main(["predict", "said.xyz", "--model", str(folder / "still"), "--charge", "0"]) == 1
    assert "--charge asks for 0." in capsys.readouterr().err
    with pytest.raises(StructureError, match=r"the charge \+1 already; got -1"):
        HYDRONIUM.with_charge(-1)
    assert (water(0).with_charge(1).spin, water(0).with_charge(-2).spin) == (1, 0)

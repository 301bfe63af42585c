"""What a configuration takes from the data's orbitals where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmose_dft.data import DatasetWriter
from harmose_dft.testing.crystals import calculation, configuration, layer
from harmose_dft.testing.models import tiny_config, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.data import open_training_data
from harmose_dft.training.run import with_physics_defaults


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("defaults") / "layers.h5"
    with DatasetWriter(path) as writer:
        for seed in range(6):
            writer.add(calculation(layer(seed)))
    return path


def complete(config: TrainConfig) -> TrainConfig:
    return with_physics_defaults(config, open_training_data(config))


@pytest.mark.parametrize(
    ("model", "lattice"),
    [({}, True), ({"potential": True}, True), ({"potential": False}, False), ({"lattice": False}, False)],
)
def test_charges_of_crystals_act_through_the_lattice_unless_the_file_says_otherwise(
    layers: Path, tmp_path: Path, model: dict[str, bool], lattice: bool
) -> None:
    assert complete(configuration(layers, tmp_path, model=model)).model.lattice is lattice


def test_crystals_have_fitted_potentials_and_see_h0(layers: Path, tmp_path: Path) -> None:
    config = complete(configuration(layers, tmp_path))
    assert (config.baseline.kind, config.inputs) == ("fitted", ("overlap", "baseline"))
    config = complete(configuration(layers, tmp_path, baseline={"kind": "none"}))
    assert (config.baseline.kind, config.inputs) == ("none", ("overlap",))


def test_molecules_have_no_lattice(tmp_path: Path) -> None:
    files = (write_waters(tmp_path / "waters.h5", range(6)),)
    assert not complete(tiny_config(data={"files": files, "split": "ordered", "sizes": (4, 2)})).model.lattice

"""What a configuration takes from the data's orbitals where it says nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.core.errors import DataError
from harmose_dft.core.progress import silent
from harmose_dft.data import DatasetWriter
from harmose_dft.testing.crystals import calculation, configuration, layer
from harmose_dft.testing.models import tiny_config, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.data import open_training_data
from harmose_dft.training.folder import LOG
from harmose_dft.training.log import LogEntry
from harmose_dft.training.run import Fit, with_physics_defaults


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


def test_log_of_crystals_has_no_orbital_error_instead_of_zero(layers: Path, tmp_path: Path) -> None:
    entries: list[LogEntry] = []
    Fit(configuration(layers, tmp_path / "model"), silent, entries.append).run()
    assert entries
    assert all(np.isfinite(e.valid_mae_all) and np.isnan(e.valid_orbital_mae) for e in entries)
    lines = [json.loads(line) for line in (tmp_path / "model" / LOG).read_text().splitlines()]
    assert [line["valid_orbital_mae"] for line in lines] == [None] * len(entries)


def test_element_without_a_training_structure_is_named(tmp_path: Path) -> None:
    path, nitrogen = tmp_path / "mixed.h5", replace(layer(), numbers=np.array([7, 7]))
    with DatasetWriter(path) as writer:
        for structure in (nitrogen, layer(0)):
            writer.add(calculation(structure))
    data = {"files": [path], "split": "ordered", "sizes": (1, 1)}
    with pytest.raises(DataError, match=r"No training structure holds B, only others.*data\.sizes"):
        Fit(configuration(path, tmp_path / "model", data=data), silent, print).run()

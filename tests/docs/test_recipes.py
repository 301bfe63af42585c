"""Configurations in examples/ and the recipe of the bundled model are valid; what moved out of the package is out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from harmose_dft.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
ORGANIC = ROOT / "benchmarks" / "organic"
WEIGHTS = ROOT / "harmose_dft" / "weights" / "organic"

sys.path.insert(0, str(ORGANIC))

import recipe  # noqa: E402


@pytest.mark.parametrize("number", range(1, 9))
def test_every_part_of_the_recipe_is_a_valid_configuration(number: int, tmp_path: Path) -> None:
    config = TrainConfig.model_validate(recipe.configuration(number, tmp_path, tmp_path / "models"))
    labels = recipe.PARTS[number - 1].labels
    assert len(config.data.files) == (3 if labels is None else 1 + labels)
    assert (config.start_from is None) == (number == 1)


def test_last_part_is_the_configuration_that_the_bundled_model_keeps(tmp_path: Path) -> None:
    kept = json.loads((WEIGHTS / "model.json").read_text(encoding="utf-8"))["training"]["configuration"]
    last = recipe.configuration(len(recipe.PARTS), tmp_path, tmp_path)
    config = TrainConfig.model_validate(last).model_dump(mode="json")
    for section in ("loss", "optimizer", "stages", "augmentation"):
        assert {key: config[section][key] for key in kept[section]} == kept[section]
    assert (config["threads"], config["validate_every"]) == (kept["threads"], kept["validate_every"])


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_configuration_is_valid(path: Path) -> None:
    config = TrainConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert config.data.sizes
    assert config.optimizer.steps is not None


def test_folder_of_the_bundled_model_holds_weights_description_calibration_and_card() -> None:
    assert {path.name for path in WEIGHTS.iterdir()} == {
        "README.md", "model.json", "model.safetensors", "trust.json",
    }
    description = (WEIGHTS / "model.json").read_text(encoding="utf-8")
    assert "mae_block" not in description
    assert len(description.splitlines()) == 1


def test_metrics_that_moved_are_those_of_the_bundled_weights() -> None:
    moved = json.loads((ORGANIC / "metrics.json").read_text(encoding="utf-8"))
    description = json.loads((WEIGHTS / "model.json").read_text(encoding="utf-8"))
    assert moved["weights_sha256"] == description["weights_sha256"]
    for name, metrics in description["metrics"].items():
        for stage in ("model", "stage1"):
            full = moved["metrics"][name][stage]
            assert full.pop("mae_block")
            assert full == metrics[stage]


def test_list_of_added_molecules_is_whole() -> None:
    smiles = (ORGANIC / "added_molecules.smi").read_text(encoding="utf-8").split()
    assert len(smiles) == len(set(smiles)) == 1097

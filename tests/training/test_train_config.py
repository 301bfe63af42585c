"""The training configuration: what is refused and how, and that every key has a default and a meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import trainer

from harmose_dft.core.errors import ConfigError
from harmose_dft.core.hdf5 import HDF5_SIGNATURE
from harmose_dft.testing.models import tiny_config
from harmose_dft.training.config import TrainConfig
from harmose_dft.workflows.configuration import read_config
from harmose_dft.workflows.train import start_processes

ROOT = Path(__file__).resolve().parents[2]


def refusal(folder: Path, text: str) -> str:
    path = folder / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimizer: {stepss: 5}", ("unknown key optimizer.stepss", "did you mean 'steps'?")),
        ("optimiser: {steps: 5}", ("unknown key optimiser", "'optimizer'")),
        ("model: {second: {kind: circle, widht: 8}}", ("unknown key model.second.widht", "'width'")),
        ("model: {second: {kind: circle, width: 1}}", ("model.second.width = 1", "greater than or equal to 4")),
        ("model: {second: {kind: square}}", ("model.second", "'circle'", "'lab'")),
        ("modle: 3", ("unknown key modle", "did you mean 'model'?")),
        ("data: {files: a.h5}", ("data.files = 'a.h5'", "write a list, [a.h5]")),
        ("model: {second: null}\nstages: {mode: staged}", ("needs a second stage",)),
        ("model: {lattice: true, potential: false}", ("model.lattice", "model.potential, which is false")),
        ("optimizer: {learning_rate: fast}", ("optimizer.learning_rate = 'fast'", "valid number")),
        ("inputs: [overlap, dipole]", ("inputs.1 = 'dipole'", "'density'")),
        ("optimizer: {steps: null}", ("set steps or minutes",)),
        ("optimizer: {dropout: 0.1}\nmodel: {second: {kind: lab}}", ("of kind circle",)),
        ("optimizer: {steps: 1, seed: x}\nname: [1]", ("optimizer.seed", "name", "; ")),
        ("optimizer: {learning_rate: yes}", ("optimizer.learning_rate = True", "a number is expected, not yes")),
        ("data: {sizes: [on, 2]}", ("data.sizes.0 = True", "a number is expected")),
        ("loss: {elements: .inf}", ("loss.elements = inf", "finite")),
        ("optimizer: {minutes: .nan}", ("optimizer.minutes = nan", "finite")),
        ("optimizer: {steps: 5, steps: 6}", ("the key 'steps' stands twice", "line 1")),
        ("data: {seed: -1}", ("data.seed = -1", "greater than or equal to 0")),
        (f"optimizer: {{seed: {10**30}}}", ("optimizer.seed", "less than or equal to")),
        ('name: "a\\nb"', ("name = ", "match pattern")),
        (f"name: {'x' * 5000}", ("name = ", "at most 100 characters")),
        ("threads: 99999999", ("threads = 99999999", "less than or equal to 4096")),
        ("- a\n- b", ("sections such as", "list")),
        ("a: b: c", ("not valid YAML",)),
    ],
)
def test_mistakes_are_named_with_their_key_and_what_was_expected(
    tmp_path: Path, text: str, said: tuple[str, ...]
) -> None:
    found = refusal(tmp_path, text)
    for part in said:
        assert part in found
    assert "\n" not in found


SIZES = [
    *(f"first.{name}" for name in ("layers", "channels", "l_max", "pair_channels", "hidden_channels", "radial")),
    *(f"second.{name}" for name in ("layers", "width", "expansion", "heads", "points", "members")),
    "first.cutoff", "first.neighbours",
]  # fmt: skip


@pytest.mark.parametrize("key", SIZES)
def test_absurd_sizes_are_refused_before_anything_is_built(tmp_path: Path, key: str) -> None:
    section, name = key.split(".")
    kind = "kind: circle, " if section == "second" else ""
    message = refusal(tmp_path, f"model: {{{section}: {{{kind}{name}: 1000000000}}}}")
    assert f"model.{key} = 1000000000" in message
    assert "less than or equal to" in message


@pytest.mark.parametrize("name", ["layers", "width", "heads", "l_max", "pair_channels"])
def test_absurd_sizes_of_the_papers_second_stage_are_refused(tmp_path: Path, name: str) -> None:
    message = refusal(tmp_path, f"model: {{second: {{kind: lab, {name}: 1000000000}}}}")
    assert f"model.second.{name} = 1000000000" in message


def test_sizes_that_are_absurd_together_are_refused_before_they_fill_the_memory() -> None:
    first = {"channels": 1024, "hidden_channels": 2048, "pair_channels": 1024, "layers": 64}
    config = tiny_config(model={"first": first, "second": None})
    with pytest.raises(ConfigError, match=r"too large.*100000000 parameters"):
        trainer(config)


def test_missing_file_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yaml")


def test_a_data_set_is_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    path.write_bytes(HDF5_SIGNATURE + bytes(10))
    with pytest.raises(ConfigError, match=r"data\.h5 is an HDF5 file.*--from MODEL"):
        read_config(path)


def test_a_contradiction_of_sections_does_not_repeat_the_file(tmp_path: Path) -> None:
    said = refusal(tmp_path, "start_from: organic\nmodel: {potential: false}")
    assert said == f"{tmp_path / 'train.yaml'}: start_from brings its own model: leave that out of the configuration."


def test_empty_file_means_defaults_and_paths_start_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("")
    assert read_config(path) == TrainConfig()
    path.write_text("data: {files: [a.h5, sub/b.h5]}")
    assert read_config(path).data.files == (tmp_path / "a.h5", tmp_path / "sub" / "b.h5")


def test_unknown_device_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        start_processes("nonsense")
    assert start_processes("cpu") == 0


def test_every_key_has_a_default_and_a_meaning() -> None:
    """Sections have the meanings of their keys; ``kind`` names the second stage, which its section describes."""
    schema = TrainConfig.model_json_schema()
    sections = {"TrainConfig": schema, **schema["$defs"]}
    parts = ((section, entry) for section, entry in sections.items() if "properties" in entry)
    keys = {f"{section}.{name}": entry for section, part in parts for name, entry in part["properties"].items()}
    assert len(keys) > 70
    assert [key for key, entry in keys.items() if "default" not in entry] == []
    without = [key for key, entry in keys.items() if not entry.get("description") and "$ref" not in str(entry)]
    assert without == ["CircleTransformerConfig.kind", "LabTransformerConfig.kind"]


def test_example_configuration_is_valid_and_finds_its_data_beside_it() -> None:
    config = read_config(ROOT / "examples" / "train_water.yaml")
    assert config.data.files == (ROOT / "examples" / "waters.h5",)
    assert config.optimizer.steps is not None

"""``harmose-dft train``: a configuration file in, a model folder out."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from . import console

if TYPE_CHECKING:
    from pydantic import ValidationError

    from ..training.config import TrainConfig
    from ..training.loop import LogEntry


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the model; overrides the configuration.")
@click.option("--device", help="cpu, cuda, ...; overrides the configuration.")
@click.option("--force", is_flag=True, help="Discard an earlier run in the folder and begin anew.")
def train(config: Path, out: Path | None, device: str | None, force: bool) -> None:
    """Train a model as CONFIG (YAML) says.

    A run that was interrupted or killed goes on where its last checkpoint was written. Under torchrun every process
    takes a share of each batch.
    """
    settings = read_config(config)
    changes: dict[str, Any] = {k: v for k, v in (("output", out), ("device", device)) if v is not None}
    settings = settings.model_copy(update=changes)
    from ..fitting import LOG, STATE, Fit

    _start_processes()
    if force:
        for name in (STATE, LOG):
            (settings.output / name).unlink(missing_ok=True)

    model = Fit(settings, console.progress, report).run()
    console.print_table(
        str(settings.output),
        ("", ""),
        [
            ("model", repr(model)),
            ("training structures", str(model.training["structures"])),
            ("steps", str(model.training["steps"])),
            ("time (s)", str(model.training["seconds"])),
        ],
        left=2,
    )


def report(entry: LogEntry) -> None:
    """One line of progress."""
    console.note(
        f"step {entry.step}: training {entry.train_mae_all:.1f} uHa, validation {entry.valid_mae_all:.1f} uHa "
        f"(stage 1 {entry.valid_mae_stage1:.1f}), orbitals {entry.valid_orbital_mae:.1f} uHa, "
        f"{entry.structures_per_second:.1f} structures/s"
    )


def read_config(path: Path) -> TrainConfig:
    """Read and validate a configuration; relative data paths start at its folder.

    Raises:
        ConfigError: The file is missing, is not YAML, or has an unknown key or invalid value.
    """
    import yaml
    from pydantic import ValidationError

    from ..training.config import TrainConfig

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold sections such as 'data:' and 'model:'; got a {type(found).__name__}.")
    try:
        config = TrainConfig.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(explained(error))}") from error
    files = tuple(f if f.is_absolute() else path.parent / f for f in config.data.files)
    return config.model_copy(update={"data": config.data.model_copy(update={"files": files})})


def explained(error: ValidationError) -> list[str]:
    """Each problem with its dotted key, the value, what was expected, and the nearest known key."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(p) for p in problem["loc"])
        if problem["type"] == "extra_forbidden":
            close = get_close_matches(str(problem["loc"][-1]), known_keys(), n=1)
            lines.append(f"unknown key {where}" + (f", did you mean {close[0]!r}?" if close else ""))
        else:
            lines.append(f"{where} = {problem['input']!r}: {problem['msg']}")
    return lines


def known_keys() -> list[str]:
    """Every key of every section."""
    from ..training.config import TrainConfig

    def walk(schema: Any) -> list[str]:
        if isinstance(schema, dict):
            own = list(schema.get("properties", {}))
            return own + [k for value in schema.values() for k in walk(value)]
        return [k for value in schema for k in walk(value)] if isinstance(schema, list) else []

    return sorted(set(walk(TrainConfig.model_json_schema())))


def _start_processes() -> None:
    """Join torchrun's process group where there is one."""
    import os

    import torch

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

"""``harmose-dft train``: a configuration file in, a model folder out."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ..core.errors import ConfigError
from . import console

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

    from ..training.config import TrainConfig
    from ..training.log import LogEntry


LONGEST_CONFIG = 1 << 18
"""Bytes of a configuration; the longest of the examples has a hundredth."""

DEEPEST = 20
"""Sections in sections; there are four."""


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder of the model; overrides the configuration.")
@click.option("--device", help="cpu, cuda, ...; overrides the configuration.")
@click.option("--force", is_flag=True, help="Discard an earlier run or model in the folder and begin anew.")
def train(config: Path, out: Path | None, device: str | None, force: bool) -> None:
    """Train a model as CONFIG (YAML) says.

    A run that was interrupted or killed goes on where its last checkpoint was written. Under torchrun every process
    takes a share of each batch.
    """
    settings = read_config(config)
    changes: dict[str, Any] = {k: v for k, v in (("output", out), ("device", device)) if v is not None}
    settings = settings.model_copy(update=changes)
    rank = start_processes(settings.device)
    console.settings.quiet |= rank > 0
    from ..core.memory import keep_freed_memory
    from ..training.folder import LOG, STATE
    from ..training.run import Fit

    keep_freed_memory()
    if force and rank == 0 and settings.output.is_dir():
        for name in (STATE, LOG):
            (settings.output / name).unlink(missing_ok=True)

    model = Fit(settings, console.progress, report, force=force).run()
    if rank == 0:
        rows = [("model", repr(model)), ("training structures", str(model.training["structures"]))]
        rows += [("steps", str(model.training["steps"])), ("time (s)", str(model.training["seconds"]))]
        console.print_table(str(settings.output), ("", ""), rows, left=2)
    leave_processes()


def report(entry: LogEntry) -> None:
    """One line of progress."""
    console.note(
        f"step {entry.step}: training {entry.train_mae_all:.1f} uHa, validation {entry.valid_mae_all:.1f} uHa "
        f"(stage 1 {entry.valid_mae_stage1:.1f}), orbitals {entry.valid_orbital_mae:.1f} uHa, "
        f"{entry.structures_per_second:.1f} structures/s"
        + (f", {entry.skipped} updates skipped (not finite)" if entry.skipped else "")
    )


def read_config(path: Path) -> TrainConfig:
    """Read and validate a configuration; relative paths of data and of the start begin at its folder.

    Raises:
        ConfigError: The file is missing, is not YAML, or has an unknown key or invalid value.
    """
    import yaml
    from pydantic import ValidationError

    from ..model.loading import bundled_models
    from ..training.config import TrainConfig

    try:
        found = parsed(path) or {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold sections such as 'data:' and 'model:'; got a {type(found).__name__}.")
    try:
        config = TrainConfig.model_validate(found)
    except ValidationError as error:
        raise ConfigError(f"{path}: {'; '.join(explained(error, found))}.") from error
    files = tuple(f if f.is_absolute() else path.parent / f for f in config.data.files)
    changes: dict[str, Any] = {"data": config.data.model_copy(update={"files": files})}
    start = config.start_from
    if start is not None and start not in bundled_models() and (path.parent / start).is_dir():
        changes["start_from"] = str(path.parent / start)
    return config.model_copy(update=changes)


def parsed(path: Path) -> Any:
    """What a YAML file holds: plain values only, of bounded size, without aliases, which multiply a text's size.

    Raises:
        ConfigError: The file is too long, nests too deeply, or has aliases.
        ValueError: It is no text, or a number is too long.
    """
    import yaml

    with path.open("rb") as file:
        text = file.read(LONGEST_CONFIG + 1)
    if len(text) > LONGEST_CONFIG:
        raise ConfigError(f"{path} is longer than {LONGEST_CONFIG} bytes. Is it a configuration?")
    depth = 0
    for event in yaml.parse(text.decode("utf-8"), Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigError(f"{path} nests more than {DEEPEST} lists. Write sections as docs/training.md has them.")
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path} uses the alias *{event.anchor}; write the values out where they are needed.")
    return yaml.safe_load(text.decode("utf-8"))


def explained(error: ValidationError, found: Any) -> list[str]:
    """Each problem with its dotted key, the value, what was expected, and the nearest known key.

    Args:
        error: What the schema says.
        found: What the file holds.
    """
    lines = []
    for problem in error.errors():
        where = dotted(problem["loc"], found)
        if problem["type"] == "extra_forbidden":
            wrong, beside = str(problem["loc"][-1]), keys_beside(problem["loc"])
            close = get_close_matches(wrong, beside, n=1) or get_close_matches(wrong, known_keys(), n=1)
            lines.append(f"unknown key {where}" + (f", did you mean {close[0]!r}?" if close else ""))
        elif problem["type"] == "tuple_type":
            lines.append(f"{where} = {problem['input']!r}: write a list, [{problem['input']}]")
        else:
            lines.append(f"{where} = {problem['input']!r}: {problem['msg']}")
    return lines


def dotted(location: Sequence[str | int], found: Any) -> str:
    """The key as it stands in the file, "model.second.width": without the kinds that the schema puts in between."""
    parts: list[str] = []
    for n, part in enumerate(location):
        inside = part in found if isinstance(found, dict) else isinstance(found, list) and isinstance(part, int)
        if inside or n == len(location) - 1:
            parts.append(str(part))
            found = found[part] if inside else None
    return ".".join(parts)


def keys_beside(location: Sequence[str | int]) -> list[str]:
    """Keys of the section that a key stands in."""
    from ..training.config import TrainConfig

    here: list[type[BaseModel]] = [TrainConfig]
    for part in location[:-1]:  # kinds, which the schema puts in between, are no fields
        fields = [section.model_fields[str(part)] for section in here if part in section.model_fields]
        here = [section for field in fields for section in sections(field.annotation)] or here
    return sorted({name for section in here for name in section.model_fields})


def known_keys() -> list[str]:
    """Every key of every section."""
    from ..training.config import TrainConfig

    here: list[type[BaseModel]] = [TrainConfig]
    found: set[str] = set()
    while here:
        found.update(name for section in here for name in section.model_fields)
        here = [s for section in here for field in section.model_fields.values() for s in sections(field.annotation)]
    return sorted(found)


def sections(annotation: Any) -> list[type[BaseModel]]:
    """The sections of the configuration that a type consists of."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections(part)]


def leave_processes() -> None:
    """Leave the process group, if there is one."""
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start_processes(device: str) -> int:
    """Join torchrun's process group where there is one, each process on its own GPU; returns the process's rank.

    Raises:
        ConfigError: The device cannot be used.
    """
    import os

    import torch

    from ..core.devices import require_device

    many = int(os.environ.get("WORLD_SIZE", "1")) > 1
    own = f"cuda:{os.environ['LOCAL_RANK']}" if many and device == "cuda" else device
    require_device(own)
    if own != device:
        torch.cuda.set_device(own)
    if not many:
        return 0
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return torch.distributed.get_rank()

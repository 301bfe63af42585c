"""Train a model as a configuration says, alone or as one of torchrun's processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..core.devices import require_device
from ..core.errors import ConfigError, printable
from ..core.locks import hold_folder
from ..core.progress import Progress, silent
from ..training.config import TrainConfig
from ..training.run import Fit
from .configuration import read_config

FURTHER_RATE, FURTHER_BATCH, FURTHER_STEPS = 1e-3, 4, 1000
"""Highest learning rate, structures of an update and number of updates of a model that is trained further on a few
calculations. Of half, once, twice and five times that rate this one has the smallest error of validation molecules
(`organic` on 20 molecules of PBE0, journal/results.md)."""

LONGEST_NAME = 100
"""Characters of a model's name."""

if TYPE_CHECKING:
    from ..model.checkpoint import ModelFile
    from ..training.log import LogEntry


def _ignore_entry(entry: LogEntry) -> None:
    """Drop a line of the training log."""


def train(
    config: str | Path | TrainConfig,
    *,
    out: str | Path | None = None,
    device: str | None = None,
    force: bool = False,
    progress: Progress = silent,
    report: Callable[[LogEntry], None] = _ignore_entry,
) -> ModelFile:
    """Train a model; a run that was interrupted or killed continues from its last checkpoint.

    Under torchrun every process takes a share of each batch, and only the first one reports.

    Args:
        config: The configuration, or the path of its YAML file.
        out: Folder of the model; overrides the configuration.
        device: "cpu", "cuda", ...; overrides the configuration.
        force: Discard an earlier run or model in the folder and begin anew.
        progress: Shows progress.
        report: Receives every line of the training log.

    Returns:
        The trained model, which is also in its folder.

    Raises:
        ConfigError: The configuration is invalid, or an earlier run belongs to other data or settings.
        DataError: The data does not fit the configuration, or another run is training in the folder.
        CheckpointError: The state of an earlier run cannot be read.
        OutputExistsError: The folder holds a model without the state of its run.
    """
    settings = config if isinstance(config, TrainConfig) else read_config(config)
    changes: dict[str, object] = {} if out is None else {"output": Path(out)}
    settings = settings.model_copy(update=changes if device is None else {**changes, "device": device})
    if "name" not in settings.model_fields_set:
        settings = settings.model_copy(update={"name": name_after(settings.output)})
    with processes(settings.device) as rank:
        if rank > 0:
            return Fit(settings, silent, _ignore_entry, force=force).run()
        with hold_folder(settings.output, "training"):
            return Fit(settings, progress, report, force=force).run()


def name_after(folder: Path) -> str:
    """The name of a model that a configuration gives none: that of its folder, in one line."""
    return printable(folder.resolve().name)[:LONGEST_NAME] or "model"


def configure_further(start: str, files: Sequence[str | Path], out: str | Path | None = None) -> TrainConfig:
    """A configuration that trains a model further on a few calculations, perhaps with another functional.

    Args:
        start: A bundled model's name, or a model's folder.
        files: Data sets in the model's basis.
        out: Folder of the new model; by default named after the model and the first data set, in the working folder.

    Raises:
        ConfigError: There is no data set.
    """
    if not files:
        raise ConfigError(f"Training {start} further needs data: name one data set or more.")
    output = Path(out) if out is not None else Path(f"{Path(start).name}-{Path(files[0]).stem}")
    return TrainConfig.model_validate({
        "start_from": start,
        "data": {"files": [Path(file) for file in files]},
        "optimizer": {"learning_rate": FURTHER_RATE, "batch_size": FURTHER_BATCH, "steps": FURTHER_STEPS},
        "validate_every": FURTHER_STEPS // 10,
        "output": output,
    })  # fmt: skip


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of torchrun's."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def processes(device: str) -> Iterator[int]:
    """Join torchrun's processes for the time of the block, see :func:`start_processes`; yields the process's rank."""
    rank = start_processes(device)
    yield rank
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def start_processes(device: str) -> int:
    """Join torchrun's process group where there is one, each process on its own GPU; returns the process's rank.

    Raises:
        ConfigError: The device cannot be used.
    """
    parallel = int(os.environ.get("WORLD_SIZE", "1")) > 1
    local = f"cuda:{os.environ['LOCAL_RANK']}" if parallel and device == "cuda" else device
    require_device(local)
    if local != device:
        torch.cuda.set_device(local)
    if not parallel:
        return 0
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return torch.distributed.get_rank()

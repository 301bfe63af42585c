"""The model that a training begins with: a new one, or one that is trained further."""

from __future__ import annotations

from pathlib import Path

import torch

from ..core.basis import OrbitalBasis
from ..core.errors import ConfigError
from ..model.checkpoint import ModelFile
from ..model.loading import model_folder
from ..model.normalizer import Normalizer
from ..model.two_stage import TwoStageModel
from ..nn.precision import single_precision
from ..nn.size import MOST_PARAMETERS, limit_parameters
from .config import TrainConfig, describe_lost_dropout


def starting_model(config: TrainConfig, output: Path) -> ModelFile | None:
    """The model that ``start_from`` names; None for a new one.

    Args:
        config: The configuration.
        output: Folder of the new model.

    Raises:
        ConfigError: Its folder is where the new one is to go.
    """
    if config.start_from is None:
        return None
    folder = model_folder(config.start_from)
    if folder.resolve() == output.resolve():
        raise ConfigError(f"output = {output} is the model that start_from names; choose another folder.")
    return ModelFile.load(folder)


def continue_from(config: TrainConfig, start: ModelFile) -> TrainConfig:
    """The configuration with the inputs, the kind of H0 and the sizes of the model that it starts from.

    Raises:
        ConfigError: It asks for dropout, and the model has no stage that takes it.
    """
    if text := describe_lost_dropout(config.optimizer, start.network.config):
        raise ConfigError(f"{text}: {config.start_from}. Leave it out.")
    h0 = config.baseline.with_kind(start.physics.h0.kind)
    return config.model_copy(update={"inputs": start.inputs, "baseline": h0, "model": start.network.config})


def build_network(basis: OrbitalBasis, normalizer: Normalizer, config: TrainConfig) -> TwoStageModel:
    """An untrained model of a configuration.

    Raises:
        ConfigError: Its sizes contradict each other or the basis, or there are too many parameters.
    """
    torch.manual_seed(config.optimizer.seed)
    try:
        with single_precision(), limit_parameters(MOST_PARAMETERS):
            network = TwoStageModel(basis, len(config.inputs), config.model)
    except ConfigError as error:
        raise ConfigError(f"The section model is too large: {error}.") from error
    except ValueError as error:
        raise ConfigError(f"The section model does not fit the basis {basis.name}: {error}") from error
    set_scales(network, normalizer)
    return network


def set_scales(network: TwoStageModel, normalizer: Normalizer) -> None:
    """Give a network the target scales of a training set."""
    network.set_scales(normalizer.scales(network.axis))

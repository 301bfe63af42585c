"""A bound on the size of a network, kept while it is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..core.errors import ConfigError

MOST_PARAMETERS = 100_000_000
"""Parameters of a network that is trained here (0.4 GB; the bundled model has 1.2 million)."""


@contextmanager
def limit_parameters(most: int) -> Iterator[None]:
    """Refuse a network as soon as it has more parameters than this, before the next weights are allocated.

    Args:
        most: Number of parameters that all networks built in this block may have together.

    Raises:
        ConfigError: There are more.
    """
    count = 0

    def register(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal count
        count += 0 if parameter is None else parameter.numel()
        if count > most:
            raise ConfigError(
                f"the sizes of the model ask for more than {most} parameters. Choose smaller layers, channels, width, "
                "expansion or members"
            )

    handle = register_module_parameter_registration_hook(register)
    try:
        yield
    finally:
        handle.remove()

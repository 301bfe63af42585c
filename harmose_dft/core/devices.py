"""Where networks run."""

from __future__ import annotations

from .errors import ConfigError


def require_device(device: str) -> None:
    """Refuse a device that torch cannot use here.

    Raises:
        ConfigError: With torch's reason.
    """
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"The device {device!r} cannot be used: {reason}. Use cpu, or install a build of torch for this GPU."
        ) from error

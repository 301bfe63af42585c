"""Finding and loading models."""

from __future__ import annotations

from pathlib import Path

from ..adapters.structures import from_ase
from ..core.devices import require_device
from ..core.errors import CheckpointError
from .checkpoint import ModelFile
from .predictor import Predictor
from .trust.store import TrustFile

BUNDLED = Path(__file__).parents[1] / "weights"
"""Folder of the models that come with the package."""


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.name for p in BUNDLED.iterdir() if (p / "model.json").is_file()) if BUNDLED.is_dir() else []


def model_folder(name_or_path: str | Path) -> Path:
    """Folder of a bundled model, or the path itself.

    Raises:
        CheckpointError: Neither a bundled name nor an existing folder.
    """
    if str(name_or_path) in bundled_models():
        return BUNDLED / str(name_or_path)
    path = Path(name_or_path)
    if not path.is_dir():
        raise CheckpointError(
            f"There is no model {str(name_or_path)!r}: it is neither one of the bundled models "
            f"({', '.join(bundled_models()) or 'none'}) nor a model's folder."
        )
    return path


def load(name_or_path: str | Path = "organic", *, device: str = "cpu") -> Predictor:
    """Load a model together with the integrals it needs.

    Args:
        name_or_path: Name of a bundled model, or the folder of a trained one.
        device: Where the network runs: "cpu", "cuda", ...

    Returns:
        A predictor, ready to use.

    Raises:
        CheckpointError: The model cannot be found or read.
        ConfigError: The device does not exist here.
    """
    require_device(device)
    folder = model_folder(name_or_path)
    model = ModelFile.load(folder)
    return Predictor(model, device=device, adapt=from_ase, calibrations=TrustFile.load(folder, model.sha256))


load_model = load
"""The name that :func:`load` had in version 0.1."""


def as_predictor(model: str | Path | Predictor, *, device: str = "cpu") -> Predictor:
    """A predictor as it is, or the one that a name or path stands for, see :func:`load`.

    Raises:
        CheckpointError: The model cannot be loaded, or is neither a name, nor a path, nor a loaded model.
    """
    if isinstance(model, str | Path):
        return load(model, device=device)
    if not hasattr(model, "predict"):
        raise CheckpointError(
            f"A model is the name of a bundled one, a model's folder or a loaded model; got {model!r}."
        )
    return model

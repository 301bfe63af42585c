"""Predict Kohn-Sham Hamiltonians with HarmoSE, and everything that follows from one diagonalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .loading import load_model
    from .predictor import Prediction, Predictor

__all__ = ["Prediction", "Predictor", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the public entry points when they are first used, so that ``import harmose_dft`` stays cheap."""
    if name == "load_model":
        from .loading import load_model

        return load_model
    if name in ("Prediction", "Predictor"):
        from . import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Predict Kohn-Sham Hamiltonians with HarmoSE, and everything that follows from one diagonalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .core.memory import keep_freed_memory
    from .model.loading import load_model
    from .model.predictor import Prediction, Predictor
    from .plugins.ase import HarmoseCalculator
    from .plugins.pyscf import initial_density, seed

__all__ = [
    "HarmoseCalculator",
    "Prediction",
    "Predictor",
    "__version__",
    "initial_density",
    "keep_freed_memory",
    "load_model",
    "seed",
]

ENTRY_POINTS = {
    "HarmoseCalculator": "plugins.ase",
    "Prediction": "model.predictor",
    "Predictor": "model.predictor",
    "initial_density": "plugins.pyscf",
    "keep_freed_memory": "core.memory",
    "load_model": "model.loading",
    "seed": "plugins.pyscf",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    """Import the public entry points when they are first used, so that ``import harmose_dft`` stays cheap."""
    if name in ENTRY_POINTS:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{ENTRY_POINTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

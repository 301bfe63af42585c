"""Where scripts of 0.1 import :class:`HarmoseCalculator` from; today it is at the root of the package."""

from __future__ import annotations

from .plugins.ase import HarmoseCalculator

__all__ = ["HarmoseCalculator"]

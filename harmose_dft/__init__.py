"""Predict Kohn-Sham Hamiltonians with HarmoSE, and everything that follows from one diagonalisation."""

from __future__ import annotations

__version__ = "0.1.0"

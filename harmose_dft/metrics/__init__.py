"""Metrics of predicted Hamiltonians, under the names used in tables and files."""

from __future__ import annotations

from .covariance import cov_err
from .evaluation import MetricAccumulator
from .matrices import BlockErrors, aligned_difference, gauge_shift, matrix_difference
from .results import EvaluationResult, ScfRatio, StageMetrics, mean_scf_ratio
from .spectra import band_errors, frontier_errors, orbital_cosines, orbital_energy_errors, subspace_overlaps

__all__ = [
    "BlockErrors",
    "EvaluationResult",
    "MetricAccumulator",
    "ScfRatio",
    "StageMetrics",
    "aligned_difference",
    "band_errors",
    "cov_err",
    "frontier_errors",
    "gauge_shift",
    "matrix_difference",
    "mean_scf_ratio",
    "orbital_cosines",
    "orbital_energy_errors",
    "subspace_overlaps",
]

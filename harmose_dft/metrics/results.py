"""What an evaluation finds, in Hartree inside and in the field's units outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.units import HARTREE_IN_EV, MICRO

FRONTIER = ("homo_mae", "lumo_mae", "gap_mae")
"""Metrics of frontier levels, which are also reported in eV."""


def _energy(meaning: str) -> dict[str, str]:
    return {"meaning": meaning, "unit": "Hartree"}


def _number(meaning: str) -> dict[str, str]:
    return {"meaning": meaning, "unit": ""}


@dataclass(frozen=True)
class StageMetrics:
    """Metrics of one stage (the baseline of stage 1, or the full model); energies in Hartree.

    Each field says in its metadata what it is, in a line (``meaning``, see :data:`MEANINGS`), and its ``unit``,
    "Hartree" or none. Those with a default are None where they were not computed.
    """

    mae_all: float = field(metadata=_energy("mean absolute error of all elements of H"))
    mae_all_raw: float = field(
        metadata=_energy("the same without the shift of a crystal's energies that makes it smallest")
    )
    mae_block: Mapping[str, float] = field(
        metadata=_energy("mean absolute error per (element, shell) x (element, shell)")
    )
    mae_element: Mapping[str, float] = field(
        metadata=_energy("mean absolute error of on-site blocks per element, of pair blocks per pair of elements")
    )
    mae_median: float | None = field(default=None, metadata=_energy("mae_all of the median structure"))
    mae_cha_s: float | None = field(
        default=None, metadata=_energy("mae_all of the structure on which stage 1 does worst")
    )
    mae_cha_s_5: float | None = field(
        default=None, metadata=_energy("mae_all of the 5 % of the structures on which stage 1 does worst")
    )
    mae_cha_b: float | None = field(
        default=None, metadata=_energy("error of the kind of block on which stage 1 does worst")
    )
    eps_mae: float | None = field(
        default=None, metadata=_energy("mean absolute error of the occupied orbital energies")
    )
    psi_cos: float | None = field(
        default=None, metadata=_number("mean cosine similarity of occupied orbitals; 1 is perfect")
    )
    psi_subspace: float | None = field(
        default=None, metadata=_number("the same whatever the mixing of orbitals of equal energy; 1 is perfect")
    )
    homo_mae: float | None = field(default=None, metadata=_energy("mean absolute error of the highest occupied level"))
    lumo_mae: float | None = field(default=None, metadata=_energy("mean absolute error of the lowest empty level"))
    gap_mae: float | None = field(default=None, metadata=_energy("mean absolute error of their difference"))
    band_mae: float | None = field(
        default=None, metadata=_energy("mean absolute error of bands near the Fermi level, after the best shift")
    )
    cov_err: float | None = field(
        default=None,
        metadata=_energy("largest change of an element of H when a structure is rotated and H is rotated back"),
    )

    def scale(self, factor: float) -> dict[str, Any]:
        """All metrics by name, energies multiplied by a factor; those that were not computed are None."""
        out: dict[str, Any] = {}
        for name in MEANINGS:
            value = getattr(self, name)
            if isinstance(value, Mapping):
                out[name] = {key: v * factor for key, v in value.items()}
            else:
                out[name] = value if value is None or name in DIMENSIONLESS else value * factor
        return out


MEANINGS: dict[str, str] = {entry.name: entry.metadata["meaning"] for entry in fields(StageMetrics)}
"""Name of a metric -> what it is, in a line."""

DIMENSIONLESS = frozenset(entry.name for entry in fields(StageMetrics) if not entry.metadata["unit"])
"""Metrics that are not energies."""


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of the full model and of its stage 1 over one data set.

    Args:
        model: Metrics of the full model.
        stage1: Metrics of the stage-1 baseline, where it was given.
        samples: Number of samples.
        elements: Number of matrix elements.
        periodic: Whether the samples are crystals.
        challenging_sample: Index of the sample on which stage 1 does worst.
        challenging_block: Block type on which stage 1 does worst.
        h0: Metrics of H0 alone, where it was given.
        refined: Metrics of the full model's Hamiltonian as refined by Fock builds, where it was given.
        seconds: Time of a prediction, H0 included, and of H0 alone, mean over the samples; where they were measured.
    """

    model: StageMetrics
    stage1: StageMetrics | None
    samples: int
    elements: int
    periodic: bool
    challenging_sample: int
    challenging_block: str
    h0: StageMetrics | None = None
    refined: StageMetrics | None = None
    seconds: tuple[float, float] | None = None

    @property
    def stages(self) -> dict[str, StageMetrics]:
        """The columns of tables: "refined", "model", "stage1" and "h0", those that there are."""
        stages = {"refined": self.refined, "model": self.model, "stage1": self.stage1, "h0": self.h0}
        return {name: metrics for name, metrics in stages.items() if metrics is not None}

    def frontier_ev(self) -> dict[str, dict[str, float]]:
        """Errors of HOMO, LUMO and gap in eV, by stage."""
        rows = {n: {f: getattr(metrics, f) for f in FRONTIER} for n, metrics in self.stages.items()}
        return {n: {f: e * HARTREE_IN_EV for f, e in row.items() if e is not None} for n, row in rows.items()}

    @property
    def unit(self) -> str:
        """Unit of the energies in :meth:`to_dict`: "uHa" for molecules, "meV" for materials."""
        return "meV" if self.periodic else "uHa"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable figures in :attr:`unit`; cosines are plain numbers."""
        factor = HARTREE_IN_EV * 1e3 if self.periodic else 1 / MICRO
        return {
            "unit": self.unit,
            "samples": self.samples,
            "elements": self.elements,
            "challenging_sample": self.challenging_sample,
            "challenging_block": self.challenging_block,
            "model": self.model.scale(factor),
            "stage1": None if self.stage1 is None else self.stage1.scale(factor),
            "h0": None if self.h0 is None else self.h0.scale(factor),
            **({} if self.refined is None else {"refined": self.refined.scale(factor)}),
            "frontier_ev": self.frontier_ev(),
            "seconds": None if self.seconds is None else dict(zip(("model", "h0"), self.seconds, strict=True)),
        }


@dataclass(frozen=True)
class ScfRatio:
    """Cost of a converged SCF from a predicted guess, relative to the host code's default guess.

    Args:
        builds: Fock builds from the predicted guess, those spent on the guess itself included.
        default_builds: Fock builds from the default guess.
        seconds: Total wall time from the predicted guess, prediction included.
        default_seconds: Total wall time from the default guess.
    """

    builds: int
    default_builds: int
    seconds: float
    default_seconds: float

    @property
    def scf_ratio(self) -> float:
        """Fock builds relative to the default guess."""
        return self.builds / self.default_builds

    @property
    def time_ratio(self) -> float:
        """Wall time relative to the default guess."""
        return self.seconds / self.default_seconds


def mean_scf_ratio(ratios: list[ScfRatio]) -> tuple[float, float]:
    """Means over molecules of the ratios of Fock builds and of wall time.

    Raises:
        DataError: The list is empty.
    """
    if not ratios:
        raise DataError("No SCF runs to average over.")
    return float(np.mean([r.scf_ratio for r in ratios])), float(np.mean([r.time_ratio for r in ratios]))

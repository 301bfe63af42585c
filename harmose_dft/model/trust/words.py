"""The signals of a trust report in words: what speaks for a prediction, and what against it."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.units import MICRO
from .report import TrustReport

EIGENVALUE = 1e-4
"""Smallest eigenvalue of S from which orbitals count as independent."""

ELECTRON = 1e-4
"""Deviation of Tr(P S) from the number of electrons that is rounding."""

ROTATION = 20 * MICRO
"""Change of an element of H on rotation, Hartree, that is no more than the noise of a DFT grid."""

BORDER = 1.0
"""Distance from the training set within which 99 % of its own atoms are."""

LARGER = 1.5
"""Atoms relative to the largest training structure from which size speaks against a molecule; cells may be as large
as they like."""


@dataclass(frozen=True)
class Opinion:
    """What the signals say.

    Args:
        good: What speaks for the prediction.
        bad: What speaks against it.
    """

    good: tuple[str, ...]
    bad: tuple[str, ...]


def explain(report: TrustReport, electrons: float, *, crystal: bool) -> Opinion:
    """Put every signal of a report into words.

    Args:
        report: The report.
        electrons: Electrons that the basis describes.
        crystal: Whether it is of a crystal.
    """
    signals = [
        (report.smallest_overlap_eigenvalue >= EIGENVALUE, "independent orbitals",
         "nearly dependent orbitals, which make empty levels uncertain"),
        (abs(report.electron_count - electrons) <= ELECTRON, "all electrons are there",
         f"{report.electron_count:.4f} electrons in the density, {electrons:g} expected"),
        (report.covariance_error <= ROTATION, "the same answer when rotated",
         f"elements of H change by {report.covariance_error / MICRO:.0f} uHa when rotated"),
        _surroundings(report),
        (not report.unseen_pairs, "only pairs of elements that were trained",
         f"pairs of elements that were not trained: {', '.join(report.unseen_pairs)}"),
        *([] if crystal else [_size(report)]),
    ]  # fmt: skip
    good = tuple(text for is_good, text, _ in signals if is_good)
    return Opinion(good, tuple(text for is_good, _, text in signals if not is_good))


def _surroundings(report: TrustReport) -> tuple[bool, str, str]:
    names = ", ".join(report.unusual_atoms)
    bad = f"unlike the training set: {names}" if names else "some atoms at the border of the training set"
    return not names and report.environment_distance <= BORDER, "every atom has surroundings as in training", bad


def _size(report: TrustReport) -> tuple[bool, str, str]:
    share = report.atoms_relative_to_training
    good = "a size as in training" if share > 1 else "no larger than in training"
    return share <= LARGER, good, f"{share:.1f} times the atoms of the largest training structure"

"""A trust report as a page shows it: a verdict, and checks one by one; thresholds are those of the words on screen."""

from __future__ import annotations

from ..core.units import HARTREE_IN_EV, MICRO
from ..model.trust import TrustReport, Verdict
from ..model.trust.calibration import LARGE_ERROR, LARGE_REFINED_ERROR
from ..model.trust.words import BORDER, EIGENVALUE, ELECTRON, LARGER, ROTATION
from ..plots.page import Check, Level, TrustView

LEVELS = {Verdict.GOOD: Level.GOOD, Verdict.CAREFUL: Level.CAREFUL, Verdict.DO_NOT_USE: Level.BAD}

SELF_CONSISTENT = 0.5 * LARGE_ERROR
"""Hartree; half of the error that makes a prediction of the network bad: more speaks against one."""

SETTLED = 0.5 * LARGE_REFINED_ERROR
"""Hartree; the same of a refined prediction, whose occupied valence levels the last Fock build still moves so far."""


def describe_trust(trust: TrustReport, electrons: float, *, crystal: bool) -> TrustView:
    """The report as a verdict and a list of checks, each with what came out.

    Args:
        trust: The report.
        electrons: Electrons that the basis describes.
        crystal: Whether it is of a crystal, whose cell may be larger than any in training.
    """
    level = None if trust.verdict is None else LEVELS[Verdict(trust.verdict)]
    checks = [check_surroundings(trust), check_pairs(trust), *check_consistency(trust)]
    checks += [] if crystal else [check_size(trust)]
    checks += [check_members(trust)] if trust.member_spread is not None else []
    checks += [check_electrons(trust, electrons), check_covariance(trust), check_orbitals(trust)]
    coverage = None if trust.intervals is None else trust.intervals.coverage
    words = trust.verdict_in_words if trust.verdict is not None else trust.in_words
    return TrustView(level, words, tuple(checks), coverage)


def grade(is_good: bool) -> Level:
    """Good, or something to be careful about."""
    return Level.GOOD if is_good else Level.CAREFUL


def check_surroundings(trust: TrustReport) -> Check:
    """Whether the atoms are surrounded as in training."""
    name = "surroundings of the atoms"
    distance = f"distance {trust.environment_distance:.2f}; 99 % of the training atoms lie within 1"
    if trust.unusual_atoms:
        return Check(Level.BAD, name, f"{', '.join(trust.unusual_atoms)} unlike training ({distance})")
    return Check(grade(trust.environment_distance <= BORDER), name, f"like those of training ({distance})")


def check_pairs(trust: TrustReport) -> Check:
    """Whether neighbouring elements were neighbours in training."""
    unseen = ", ".join(trust.unseen_pairs)
    words = f"never neighbours in training: {unseen}" if unseen else "all neighbours were neighbours in training, too"
    return Check(grade(not unseen), "pairs of elements", words)


def check_size(trust: TrustReport) -> Check:
    """Whether the structure is larger than those of training."""
    share = trust.atoms_relative_to_training
    words = f"{100 * share:.0f} % of the atoms of the largest training structure"
    return Check(grade(share <= LARGER), "size", words)


def check_consistency(trust: TrustReport) -> list[Check]:
    """What Fock builds changed."""
    checks = []
    if trust.certificate is not None:
        certificate = trust.certificate
        first, last = (
            HARTREE_IN_EV * d.largest_level_change for d in (certificate.deviation, certificate.last_deviation)
        )
        words = (
            f"the first one moves the network's occupied valence levels by up to {first:.3f} eV, the last one by up to "
            f"{last:.3f} eV ({certificate.seconds:.1f} s)"
        )
        level = grade(last < SETTLED * HARTREE_IN_EV)
        checks.append(Check(level, f"{certificate.builds} cheap Fock builds", words))
    if trust.verification is not None:
        words = f"changes the elements of H by {trust.verification.mean_change / MICRO:.0f} µHartree on average"
        checks.append(Check(grade(trust.verification.mean_change < SELF_CONSISTENT), "one full Fock build", words))
    return checks


def check_members(trust: TrustReport) -> Check:
    """How far the members of the ensemble differ."""
    assert trust.member_spread is not None
    spread = trust.member_spread
    words = f"differ by {spread / MICRO:.0f} µHartree on average over the elements of H"
    return Check(grade(spread < SELF_CONSISTENT), "networks of the ensemble", words)


def check_electrons(trust: TrustReport, electrons: float) -> Check:
    """Whether the density holds the right number of electrons."""
    is_right = abs(trust.electron_count - electrons) < ELECTRON
    words = f"{trust.electron_count:.6g} in the predicted density, {electrons:.6g} expected"
    return Check(Level.GOOD if is_right else Level.BAD, "electrons", words)


def check_covariance(trust: TrustReport) -> Check:
    """How much H depends on the orientation."""
    words = f"turning the structure changes H by at most {trust.covariance_error / MICRO:.3g} µHartree"
    return Check(grade(trust.covariance_error <= ROTATION), "orientation", words)


def check_orbitals(trust: TrustReport) -> Check:
    """Whether the basis is nearly linearly dependent."""
    smallest = trust.smallest_overlap_eigenvalue
    words = f"smallest eigenvalue of the overlap {smallest:.2g}"
    if smallest < EIGENVALUE:
        words += "; the orbitals are nearly linearly dependent, energies of empty ones are uncertain"
    return Check(grade(smallest >= EIGENVALUE), "independence of the basis", words)

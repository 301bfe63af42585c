"""The trust report of a prediction: checks of the matrices, distance from training, verdict and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV, MICRO
from .bands import BandBound
from .certificate import Certificate, Deviation
from .verdicts import NO_RULES, Intervals, Rules, Verdict

UNCALIBRATED = "no error bars, because this model has no calibration"
"""What is said of every prediction without error bars."""


@dataclass(frozen=True)
class Verification:
    """How far a predicted Hamiltonian H is from self-consistency: one Fock build F[P] at the density P of its orbitals.

    Args:
        mean_change: Mean of |F[P] - H| over the matrix elements, Hartree.
        commutator: Frobenius norm of F P S - S P F in the symmetrically orthogonalised basis, Hartree.
        gradient: Norm of the occupied-virtual block of F[P] in H's orbitals, Hartree.
        energy: Kohn-Sham energy of P, Hartree; up to the grid an upper bound to the converged energy.
    """

    mean_change: float
    commutator: float
    gradient: float
    energy: float

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        return {
            "mean_change_uha": self.mean_change / MICRO,
            "commutator_uha": self.commutator / MICRO,
            "gradient_uha": self.gradient / MICRO,
            "energy_hartree": self.energy,
        }


@dataclass(frozen=True)
class TrustReport:
    """How far a prediction can be trusted.

    Args:
        smallest_overlap_eigenvalue: Smallest eigenvalue of S (of a crystal: at Gamma); near zero the orbitals are
            nearly linearly dependent, and energies of empty orbitals are uncertain.
        electron_count: Tr(P S), the number of electrons in the predicted density.
        covariance_error: Largest deviation of an element of H after a random rotation of the structure, Hartree.
        environment_distance: Largest distance of an atom's surroundings from those in the training set; 1 is the
            99 % quantile of the training atoms.
        unusual_atoms: Atoms far from the training set, by symbol and 1-based index ("C3").
        unseen_pairs: Neighbouring elements that no training structure had near each other ("C-Cl").
        atoms_relative_to_training: Number of atoms divided by that of the largest training structure.
        warnings: Why the prediction may mean nothing, in words; empty if nothing is known against it.
        member_spread: Mean absolute deviation of the second stage's members from their mean over all elements of H,
            Hartree; None for a model with one member.
        verification: Distance from self-consistency; None unless :func:`harmose_dft.verify` has computed it.
        verdict: Whether to use the prediction; None where the model has no calibration and nothing speaks against it,
            which says that the structure resembles the training set, and nothing of the size of the errors.
        risk: Probability that an occupied level is off by more than ``large_error``; None without a calibration.
        intervals: Intervals of HOMO, LUMO, gap, mean occupied level and dipole; None without a calibration, or where
            predictions of this verdict were too rare to calibrate.
        certificate: What the cheap Fock builds that refined the prediction say; None where none were asked for.
        correction: How the orbitals change when the first stage's Hamiltonian takes the place of the final one; None
            for crystals and models of one stage.
        h0_distance: Mean of |H - H0| over the matrix elements, Hartree.
        far_atoms: Those of the unusual atoms that are far outside the training set.
        correction_size: Mean of |H - stage 1's H| over the matrix elements of a crystal, Hartree; None for molecules
            and models of one stage.
        bands: Bound on the error of a crystal's bands; None without a calibration.
        large_error: Error of an occupied level that ``risk`` is about, Hartree.
        rules: What rules without statistics say.
    """

    smallest_overlap_eigenvalue: float
    electron_count: float
    covariance_error: float
    environment_distance: float
    unusual_atoms: tuple[str, ...]
    unseen_pairs: tuple[str, ...]
    atoms_relative_to_training: float
    warnings: tuple[str, ...] = ()
    member_spread: float | None = None
    verification: Verification | None = None
    verdict: Verdict | None = None
    risk: float | None = None
    intervals: Intervals | None = None
    certificate: Certificate | None = None
    correction: Deviation | None = None
    h0_distance: float | None = None
    far_atoms: tuple[str, ...] = ()
    correction_size: float | None = None
    bands: BandBound | None = None
    large_error: float = 0.0
    rules: Rules = NO_RULES

    @property
    def calibrated(self) -> bool:
        """Whether the verdict was calibrated on structures with known errors."""
        return self.risk is not None or self.bands is not None

    @property
    def refused(self) -> bool:
        """Whether the verdict is not to use the prediction."""
        return self.verdict == Verdict.DO_NOT_USE

    @property
    def verdict_in_words(self) -> str:
        """The verdict as one line: what to do, and why."""
        if self.verdict is None:
            return f"none; {UNCALIBRATED}"
        reasons = list(self.warnings)
        if self.unseen_pairs:
            reasons.append(f"pairs of elements that were not trained: {', '.join(self.unseen_pairs)}")
        if self.risk is not None and (self.verdict != Verdict.GOOD or not reasons):
            share = "below 0.1 %" if self.risk < 1e-3 else f"{100 * self.risk:.1f} %"
            reasons.append(f"risk of an occupied level off by more than {self.large_error * 1e3:g} mHartree: {share}")
        if self.bands is not None:
            reasons.append(self.bands.in_words)
        if self.risk is not None and self.certificate is None:
            unrefined = "judged without Fock builds (--refine)"
            reasons.append(f"an ion {unrefined} is never good" if self.rules.unrefined_ion else unrefined)
        if not self.calibrated:
            reasons.append(UNCALIBRATED)
        return f"{self.verdict}: {'; '.join(reasons)}" if reasons else str(self.verdict)

    @property
    def in_words(self) -> str:
        """The report as one short sentence."""
        if self.verdict is not None:
            return self.verdict_in_words
        if self.warnings:
            return f"doubtful: {'; '.join(self.warnings)}"
        if self.unseen_pairs:
            return f"unseen pairs of elements: {', '.join(self.unseen_pairs)}"
        place = "within" if self.environment_distance <= 1.0 else "at the border of"
        distance = f"distance {self.environment_distance:.2f}, training atoms up to 1"
        return f"{place} the training set ({distance}); {UNCALIBRATED}"

    def to_dict(self) -> dict[str, object]:
        """JSON-serialisable figures; a key ends in its unit where there is one. What was not computed is left out."""
        return {
            "smallest_overlap_eigenvalue": self.smallest_overlap_eigenvalue,
            "electron_count": self.electron_count,
            "covariance_error_uha": self.covariance_error / MICRO,
            **({} if self.member_spread is None else {"member_spread_uha": self.member_spread / MICRO}),
            "environment_distance": self.environment_distance,
            "unusual_atoms": list(self.unusual_atoms),
            **({"far_atoms": list(self.far_atoms)} if self.far_atoms else {}),
            "unseen_pairs": list(self.unseen_pairs),
            "atoms_relative_to_training": self.atoms_relative_to_training,
            "warnings": list(self.warnings),
            **({} if self.verification is None else {"scf_residual": self.verification.to_dict()}),
            **({} if self.h0_distance is None else {"h0_distance_uha": self.h0_distance / MICRO}),
            **({} if self.correction is None else {"correction": self.correction.to_dict()}),
            **({} if self.correction_size is None else {"correction_size_uha": self.correction_size / MICRO}),
            **({} if self.bands is None else {"bands": self.bands.to_dict()}),
            **({} if self.verdict is None else {"verdict": str(self.verdict)}),
            **({} if self.risk is None else {
                "risk": self.risk, "risk_of_level_error_above_mha": self.large_error * 1e3,
            }),
            **({} if self.intervals is None else {"intervals": describe_intervals(self.intervals)}),
            **({} if self.certificate is None else {"certificate": self.certificate.to_dict()}),
        }


def describe_intervals(intervals: Intervals) -> dict[str, object]:
    """Intervals as JSON-serialisable pairs of lower and upper end; the unit is the last part of a key."""
    levels = {f"{name}_ev": getattr(intervals, name) for name in ("homo", "lumo", "gap", "mean_occupied")}
    pairs = {name: [x.low * HARTREE_IN_EV, x.high * HARTREE_IN_EV] for name, x in levels.items()}
    dipole = [max(intervals.dipole.low, 0.0) * DIPOLE_AU_IN_DEBYE, intervals.dipole.high * DIPOLE_AU_IN_DEBYE]
    return {"coverage": intervals.coverage, **pairs, "dipole_debye": dipole}


def describe_doubtful(reports: Sequence[tuple[str, TrustReport]], shown: int = 3) -> str:
    """What to be warned of among predictions, in one sentence; empty if nothing.

    Molecules to be careful with count if there are Fock builds: without them, good ones are judged careful, too.

    Args:
        reports: Formula and report of each prediction.
        shown: Number of predictions that are named.
    """
    named = [
        f"{formula}: {report.verdict_in_words if report.verdict else '; '.join(report.warnings)}"
        for formula, report in reports
        if report.warnings
        or report.refused
        or (report.verdict == Verdict.CAREFUL and (report.certificate is not None or report.bands is not None))
    ]
    rest = f"; and {len(named) - shown} more" if len(named) > shown else ""
    return "; ".join(named[:shown]) + rest

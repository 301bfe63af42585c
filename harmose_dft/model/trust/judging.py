"""From what is known of a prediction to its trust report: checks, signals, and the verdict of the calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from ...core.matrix import BlockMatrix
from ...core.spectrum import Spectrum
from ...solver import count_electrons, smallest_overlap_eigenvalue
from ..domain import DomainReport
from .bands import SIGNALS as BAND_SIGNALS
from .bands import BandCalibration
from .calibration import Calibration
from .evidence import Evidence
from .report import TrustReport
from .store import TrustFile
from .verdicts import Interval, Intervals, Rules, Verdict

NAMED = 8
"""Atoms that a sentence names; the report has all of them."""


def assess(
    overlap: BlockMatrix, spectrum: Spectrum, evidence: Evidence, calibrations: TrustFile | None = None
) -> TrustReport:
    """Check a predicted spectrum and sum up what speaks for and against it.

    Args:
        overlap: S, spatial.
        spectrum: The predicted orbitals.
        evidence: What else is known.
        calibrations: Of the model; None where it has none.
    """
    warnings = list(evidence.doubts)
    if evidence.lone_atoms:
        warnings.insert(0, f"atoms without a neighbour: {', '.join(evidence.lone_atoms)}")
    if unusual := describe_unusual(evidence.domain):
        warnings.insert(0, unusual)
    report = TrustReport(
        smallest_overlap_eigenvalue=smallest_overlap_eigenvalue(overlap),
        electron_count=count_electrons(spectrum, overlap),
        covariance_error=evidence.covariance_error,
        member_spread=evidence.member_spread,
        warnings=tuple(warnings),
        certificate=evidence.certificate,
        correction=evidence.correction,
        h0_distance=evidence.h0_distance,
        correction_size=evidence.correction_size,
        rules=apply_rules(evidence, warnings, crystal=spectrum.kpoints is not None),
        **asdict(evidence.domain),
    )
    if calibrations is None:
        return judge(report, spectrum, evidence)
    return judge(
        report, spectrum, evidence, calibrations.choose(evidence.certificate is not None), calibrations.bands
    )


def describe_unusual(domain: DomainReport) -> str:
    """A sentence on atoms far from the training set; empty where there are none."""
    if not domain.unusual_atoms:
        return ""
    far = f" (distance {domain.environment_distance:.3g}, training atoms up to 1)" if domain.far_atoms else ""
    named, rest = domain.unusual_atoms[:NAMED], len(domain.unusual_atoms) - NAMED
    names = ", ".join(named) + (f" and {rest} more" if rest > 0 else "")
    return f"atoms with surroundings unlike those of the training set: {names}{far}"


def judge(
    report: TrustReport,
    spectrum: Spectrum,
    evidence: Evidence,
    calibration: Calibration | None = None,
    band_calibration: BandCalibration | None = None,
) -> TrustReport:
    """Add verdict, risk and intervals to a report; of a crystal, a bound on the error of its bands.

    Where no statistics apply, nothing is good. An ion without Fock builds that only statistics call good has no
    intervals either.
    """
    rules = report.rules
    verdict = Verdict.CAREFUL if report.warnings or report.unseen_pairs else None
    risk, widths, bound = None, None, None
    if calibration is not None and report.correction is not None:
        signals = collect_signals(report, spectrum)
        risk = calibration.estimate_risk(signals)
        statistical = calibration.judge(risk)
        verdict = rules.limit(statistical)
        if not (statistical == Verdict.GOOD and _is_unrefined_ion(evidence)):
            widths = calibration.half_widths(signals, verdict)
    if band_calibration is not None:
        bound = band_calibration.bound(collect_band_signals(report))
        verdict = rules.limit(band_calibration.judge(bound))
    if rules.ruled_out or (risk is None and report.far_atoms):
        verdict = Verdict.DO_NOT_USE
    intervals = None
    if calibration is not None and widths is not None and evidence.dipole is not None:
        values = measure_quantities(spectrum, evidence.dipole)
        intervals = Intervals(calibration.coverage, **{q: Interval(values[q], widths[q]) for q in widths})
    large_error = 0.0 if calibration is None else calibration.large_error
    return replace(
        report, verdict=verdict, risk=risk, intervals=intervals, bands=bound, large_error=large_error
    )


def apply_rules(evidence: Evidence, warnings: Sequence[str], *, crystal: bool) -> Rules:
    """What needs no statistics, the same when a prediction is judged and when a calibration is.

    Nothing with a warning or an unseen pair of elements is good, nor is an ion without Fock builds: what is known for
    free does not tell the smallest ions apart, which are the hardest. Nothing with lone atoms or a vanishing gap is to
    be used, nor a crystal with atoms far outside the training set.

    Args:
        evidence: What is known of the prediction.
        warnings: What is said against it.
        crystal: Whether it is of a crystal.
    """
    domain = evidence.domain
    unrefined_ion = _is_unrefined_ion(evidence)
    is_doubtful = bool(warnings or domain.unseen_pairs) or unrefined_ion
    ruled_out = bool(evidence.lone_atoms or evidence.doubts or (crystal and domain.far_atoms))
    return Rules(is_doubtful, ruled_out, unrefined_ion)


def _is_unrefined_ion(evidence: Evidence) -> bool:
    return evidence.charged and evidence.certificate is None


def measure_quantities(spectrum: Spectrum, dipole: float) -> dict[str, float]:
    """Values of the quantities that have intervals, Hartree and e*Bohr.

    Args:
        spectrum: Orbitals of a molecule.
        dipole: Length of its dipole moment, e*Bohr.
    """
    occupied = float(spectrum.energies[spectrum.occupied].mean())
    return {
        "homo": spectrum.homo, "lumo": spectrum.lumo, "gap": spectrum.gap, "mean_occupied": occupied, "dipole": dipole
    }


def collect_signals(report: TrustReport, spectrum: Spectrum) -> dict[str, float]:
    """Every signal that a report holds, see :data:`harmose_dft.model.trust.calibration.SIGNALS`.

    Args:
        report: Of a molecule by a model with two stages.
        spectrum: The predicted orbitals.
    """
    signals = {"environment_distance": report.environment_distance, "gap": spectrum.gap}
    if report.h0_distance is not None:
        signals["h0_distance"] = report.h0_distance
    if (correction := report.correction) is not None:
        signals |= {
            "correction_rotation": correction.rotation,
            "correction_homo": correction.homo_change,
            "correction_lumo": correction.lumo_change,
            "correction_levels": correction.level_change,
        }
    if report.certificate is not None:
        certificate = report.certificate
        signals |= {"dipole_change": certificate.dipole_change, **asdict(certificate.deviation)}
        last = {"dipole_change": certificate.last_dipole_change, **asdict(certificate.last_deviation)}
        signals |= {f"last_{name}": value for name, value in last.items()}
    return signals


def collect_band_signals(report: TrustReport) -> dict[str, float]:
    """The signals of a crystal's report, see :data:`harmose_dft.model.trust.bands.SIGNALS`."""
    values = {name: getattr(report, name) for name in BAND_SIGNALS}
    return {name: float(value) for name, value in values.items() if value is not None}

"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.spectrum import OCCUPIED
from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV, MICRO
from . import console

if TYPE_CHECKING:
    from ..metrics import EvaluationResult
    from ..model.trust import Interval, Intervals
    from ..solver.band_structure import BandStructure
    from ..workflows.bands import BandComparison
    from ..workflows.compare import Comparison
    from ..workflows.summary import PredictionSummary

Floats = NDArray[np.float64]

MANY_ORBITALS = 16
"""With more occupied orbitals than this, the lower ones are shown as one line."""

EMPTY_SHOWN = 3
"""Unoccupied orbitals shown in the table."""

MANY_STRUCTURES = 3
"""More structures than this share one table with a row each."""

WORST_BLOCKS = 10
"""Blocks of the Hamiltonian that the table of an evaluation lists."""

HIDDEN = ("mae_all_raw", "mae_median", "mae_cha_s", "mae_cha_s_5", "mae_cha_b")
"""Metrics that mean something for a data set only."""

HIDDEN_TRUST = ("warnings", "verdict", "risk", "intervals", "certificate", "h0_distance_uha")
"""Entries of the trust report that are shown in other ways."""

PURE = ("psi_cos", "psi_subspace")
"""Metrics without a unit."""

UNITS = {
    "uha": "uHa", "mha": "mHa", "hartree": "Hartree", "ev": "eV", "mev": "meV", "debye": "D", "bohr": "Bohr",
    "angstrom": "Å",
}
"""Last word of a key -> the unit as it is written."""


def print_summaries(summaries: Sequence[PredictionSummary]) -> None:
    """Print predictions: in full for a few structures, a row each for many."""
    if len(summaries) <= MANY_STRUCTURES:
        for summary in summaries:
            print_summary(summary)
        return
    columns: tuple[str, ...] = ("structure", "formula", "HOMO (eV)", "LUMO (eV)", "gap (eV)", "dipole (D)")
    rows: list[tuple[str, ...]] = []
    for s in summaries:
        intervals = None if s.trust is None else s.trust.intervals
        levels = {"homo": s.homo, "lumo": s.lumo, "gap": s.gap}
        cells = [format_energy(energy) + format_width(intervals, name) for name, energy in levels.items()]
        rows.append((s.source, s.formula, *cells, format_dipole(s) + format_width(intervals, "dipole")))
    verdicts = [s.trust.verdict if s.trust is not None else None for s in summaries]
    if any(verdicts):
        columns = (*columns, "verdict")
        rows = [(*row, str(verdict or "-")) for row, verdict in zip(rows, verdicts, strict=True)]
    console.print_table(summaries[0].level_of_theory, columns, rows, left=2)
    console.say(f"written: {', '.join(dict.fromkeys(str(f) for s in summaries for f in s.files))}")


def print_summary(summary: PredictionSummary) -> None:
    """Print one prediction in full; its warnings are on stderr, however many structures there are."""
    charge = f" with charge {summary.charge:+d}" if summary.charge else ""
    title = (
        f"{summary.source}: {summary.formula}{charge}, {summary.n_electrons} electrons, {summary.level_of_theory}"
    )
    energies = summary.energies * HARTREE_IN_EV
    if energies.ndim == 1:
        rows = list_orbitals(energies, summary.occupations)
        console.print_table(title, ("orbital", "energy (eV)", "occupation"), rows)
    else:
        console.say(f"{title}, {energies.shape[-2]} k-points\n")
    if summary.periodic:
        levels = {"Fermi level": summary.fermi, "gap": summary.gap, "direct gap": summary.direct_gap}
    else:
        levels = {"HOMO": summary.homo, "LUMO": summary.lumo, "gap": summary.gap}
    intervals = None if summary.trust is None else summary.trust.intervals
    figures = [
        f"{name} {format_energy(energy)}{format_width(intervals, name.lower())} eV" for name, energy in levels.items()
    ]
    if not summary.periodic:
        figures.append(f"dipole {format_dipole(summary)}{format_width(intervals, 'dipole')} D")
    console.say("   ".join(figures) + (f"   ({100 * intervals.coverage:g} %)" if intervals else ""))
    print_trust(summary)
    if summary.comparison is not None:
        print_comparison(summary.comparison)
    console.say(f"written: {', '.join(str(path) for path in summary.files)}")


def print_trust(summary: PredictionSummary) -> None:
    """Print the verdict in words, the cost of the certificate, and the trust report, a line for each entry."""
    if (trust := summary.trust) is None:
        return
    if trust.calibrated or trust.verdict is not None:
        console.say(f"  verdict: {trust.verdict_in_words}")
    entries = trust.to_dict()
    if trust.certificate is not None:
        change = trust.certificate.deviation.commutator / MICRO
        console.note(f"certificate: one Fock build in {trust.certificate.seconds:.2f} s (the prediction took "
                     f"{summary.seconds:.2f} s), commutator {change:.0f} uHa per root electron")
    for name, value in entries.items():
        if name not in HIDDEN_TRUST:
            console.say(f"  {label_value(name, value, ':')}")


def list_orbitals(energies: Floats, occupations: Floats) -> list[tuple[str, str, str]]:
    """Name, energy in eV and occupation of a molecule's orbitals around the gap, lowest first."""
    filled = int((occupations > OCCUPIED).sum())
    first = 0 if filled <= MANY_ORBITALS else filled - MANY_ORBITALS + 1
    rows: list[tuple[str, str, str]] = []
    if first:
        rows.append((f"1 to {first}", f"{energies[0]:.2f} to {energies[first - 1]:.2f}", "2 each"))
    for n in range(first, min(filled + EMPTY_SHOWN, len(energies))):
        below, above = n - filled + 1, n - filled
        name = f"HOMO{below or '':}" if n < filled else f"LUMO{f'+{above}' if above else ''}"
        rows.append((f"{n + 1:>3} {name}", f"{energies[n]:.3f}", f"{occupations[n]:g}"))
    return rows


def print_comparison(comparison: Comparison) -> None:
    """Print model and reference side by side, and the metrics of the difference."""
    model, reference = comparison.model.to_dict(), comparison.reference.to_dict()
    rows = []
    for name, key, digits in (
        ("HOMO (eV)", "homo_ev", 3), ("LUMO (eV)", "lumo_ev", 3), ("gap (eV)", "gap_ev", 3),
        ("dipole (D)", "dipole_debye", 3), ("time (s)", "seconds", 2),
    ):
        difference = "" if key == "seconds" else format_number(model[key] - reference[key], digits, sign=True)
        rows.append((name, format_number(model[key], digits), format_number(reference[key], digits), difference))
    console.print_table("against PySCF", ("", "model", "PySCF", "difference"), rows)
    metrics = comparison.metrics
    names = [n for n, v in metrics.to_dict()["model"].items() if isinstance(v, float) and n not in HIDDEN]
    console.print_table("metrics", ("", *list_stages(metrics)), list_metrics(metrics, names, digits=1))


def print_evaluation(result: EvaluationResult, title: str) -> None:
    """Print the metrics of a data set, errors by element, and the worst blocks.

    Args:
        result: The metrics.
        title: Line above the first table.
    """
    stages = list_stages(result)
    names = [n for n, v in result.to_dict()["model"].items() if isinstance(v, float)]
    console.print_table(title, ("", *stages), list_metrics(result, names, digits=2))
    blocks = {stage: figures["mae_block"] for stage, figures in stages.items()}
    elements = {stage: figures["mae_element"] for stage, figures in stages.items()}
    model = blocks["full model"]
    worst = sorted(model, key=model.__getitem__, reverse=True)[:WORST_BLOCKS]
    by_element = "on-site blocks by element, pair blocks by pair of elements"
    for heading, kind, keys, errors in (
        (by_element, "elements", list(elements["full model"]), elements), ("worst blocks", "block", worst, blocks)
    ):
        cells = [(key, *(format_number(values[key], 2) for values in errors.values())) for key in keys]
        console.print_table(f"{heading} ({result.unit})", (kind, *stages), cells)


def list_stages(result: EvaluationResult) -> dict[str, dict[str, Mapping[str, float]]]:
    """Heading of a column -> metrics by name in the result's unit: the full model and, where there is one, stage 1."""
    metrics = result.to_dict()
    stages = {"full model": metrics["model"], "stage 1": metrics["stage1"]}
    return {heading: figures for heading, figures in stages.items() if figures}


def list_metrics(result: EvaluationResult, names: Sequence[str], *, digits: int) -> list[tuple[str, ...]]:
    """A row for each metric: its name with unit, and its value for each stage."""
    metrics = result.to_dict()
    stages = [figures for figures in (metrics["model"], metrics["stage1"]) if figures]
    rows = []
    for name in names:
        places, label = (5, name) if name in PURE else (digits, f"{name} ({result.unit})")
        rows.append((label, *(format_number(figures[name], places) for figures in stages)))
    return rows


def print_bands(source: str, bands: BandStructure, comparison: BandComparison | None, files: Sequence[str]) -> None:
    """Print what a band structure amounts to.

    Args:
        source: Where the crystal came from.
        bands: The bands.
        comparison: Their errors, where there is a reference.
        files: Files written.
    """
    spins, kpoints, count = bands.energies.shape
    indirect, direct = (gap * HARTREE_IN_EV for gap in bands.gaps)
    gap = f"{indirect:.4f} (direct {direct:.4f})" if indirect else "none (metal)"
    rows = [
        ("path", f"{bands.path_name}, {kpoints} k-points, {count} bands" + (", 2 spins" if spins == 2 else "")),
        ("electrons", f"{bands.n_electrons:g}"),
        ("Fermi level (eV)", f"{bands.fermi * HARTREE_IN_EV:.4f}"),
        ("gap on the mesh (eV)", gap),
    ]
    if comparison is not None:
        milli = 1e3 * HARTREE_IN_EV
        rows += [
            ("reference", comparison.reference),
            (f"band_mae within {comparison.window:g} eV (meV)", f"{comparison.mean_error * milli:.3f}"),
            ("largest band error (meV)", f"{comparison.largest_error * milli:.3f}"),
        ]
    if files:
        rows.append(("written", ", ".join(files)))
    console.print_table(f"{source}: {bands.structure.formula} by {bands.label}", ("", ""), rows, left=2)


def format_energy(energy: float | None, digits: int = 3) -> str:
    """An energy in Hartree as a number of eV; a dash where there is none."""
    return format_number(None if energy is None else energy * HARTREE_IN_EV, digits)


def format_dipole(summary: PredictionSummary) -> str:
    """The absolute dipole moment in Debye; a dash for a crystal."""
    moment = summary.dipole_debye
    return format_number(None if moment is None else float(np.linalg.norm(moment)), 3)


def format_width(intervals: Intervals | None, name: str) -> str:
    """" ± 0.030", the half-width of an interval in eV, of "dipole" in Debye; empty where there is none."""
    interval: Interval | None = getattr(intervals, name, None)
    if interval is None:
        return ""
    return f" ± {interval.half_width * (DIPOLE_AU_IN_DEBYE if name == 'dipole' else HARTREE_IN_EV):.3f}"


def format_number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def label_value(key: str, value: object, colon: str = "") -> str:
    """Name, value and unit of an entry whose key ends in its unit, such as "mean_change_uha"."""
    words = key.split("_")
    unit = UNITS.get(words[-1], "") if len(words) > 1 else ""
    name = " ".join(words[:-1] if unit else words)
    return f"{name}{colon} {describe_value(value)} {unit}".rstrip()


def describe_value(value: object) -> str:
    """A value of the trust report in a few words."""
    if isinstance(value, Mapping):
        return ", ".join(label_value(str(k), v) for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(describe_value(v) for v in value) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)

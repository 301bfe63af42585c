"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.spectrum import OCCUPIED
from ..core.structure import ABOUT_ORIGIN, format_charge
from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV, MICRO
from . import console

if TYPE_CHECKING:
    from pathlib import Path

    from ..metrics import EvaluationResult
    from ..model.trust import Interval, Intervals, TrustReport
    from ..model.trust.store import TrustFile
    from ..solver.band_structure import BandStructure
    from ..workflows.bands import BandComparison
    from ..workflows.compare import Comparison
    from ..workflows.large import FermiWindow
    from ..workflows.summary import PredictionSummary

Floats = NDArray[np.float64]

MANY_ORBITALS = 16
"""With more occupied orbitals than this, the lower ones are shown as one line."""

EMPTY_SHOWN = 3
"""Unoccupied orbitals shown in the table."""

WORST_BLOCKS = 10
"""Blocks of the Hamiltonian that the table of an evaluation lists."""

HIDDEN = ("mae_all_raw", "mae_median", "mae_cha_s", "mae_cha_s_5", "mae_cha_b")
"""Metrics that mean something for a data set only."""

HIDDEN_TRUST = ("warnings", "verdict", "risk", "intervals", "bands", "certificate", "scf_residual")
"""Entries of the trust report that are shown in other ways, whatever --verbose says."""

HEADINGS = {"refined": "refined", "model": "full model", "stage1": "stage 1", "h0": "H0 alone"}
"""Name of a stage -> heading of its column."""

UNITS = {
    "uha": "uHa", "mha": "mHa", "hartree": "Hartree", "ev": "eV", "mev": "meV", "debye": "D", "bohr": "Bohr",
    "angstrom": "Å",
}
"""Last word of a key -> the unit as it is written."""


def print_files(files: Sequence[Path]) -> None:
    """Print the names of files that were written, each once."""
    if files:
        console.say(f"written: {', '.join(dict.fromkeys(map(str, files)))}")


def print_summary(summary: PredictionSummary, levels: int | None = None) -> None:
    """Print one prediction in full; its warnings are on stderr, however many structures there are."""
    from ..solver.band_structure import describe_gaps

    charge = f" with charge {format_charge(summary.charge)}" if summary.charge else ""
    title = (
        f"{summary.title}: {summary.formula}{charge}, {summary.n_electrons} electrons, {summary.level_of_theory}"
    )
    energies = summary.energies * HARTREE_IN_EV
    if energies.ndim == 1:
        rows = list_orbitals(energies, summary.occupations, levels)
        console.print_table(title, ("orbital", "energy (eV)", "occupation"), rows)
    else:
        console.say(f"{title}, {energies.shape[-2]} k-points\n")
    intervals = None if summary.trust is None else summary.trust.intervals
    if summary.direct_gap is not None:
        figures = [
            f"Fermi level {format_energy(summary.fermi)} eV", f"gap {describe_gaps(summary.gap, summary.direct_gap)}"
        ]
    else:
        shown = {"HOMO": summary.homo, "LUMO": summary.lumo, "gap": summary.gap}
        figures = [f"{name} {format_energy(e)}{format_width(intervals, name.lower())} eV" for name, e in shown.items()]
        origin = f" {ABOUT_ORIGIN}" if summary.charge else ""
        figures.append(f"dipole {format_dipole(summary)}{format_width(intervals, 'dipole')} D{origin}")
    console.say("   ".join(figures) + (f"   ({100 * intervals.coverage:g} %)" if intervals else ""))
    print_trust(summary)
    print_charges(summary)
    if summary.comparison is not None:
        print_comparison(summary.comparison)
    print_files(summary.files)


def print_charges(summary: PredictionSummary) -> None:
    """Print the charges of the atoms, where they were asked for."""
    if summary.charges is not None:
        pairs = enumerate(zip(summary.symbols, summary.charges, strict=True), start=1)
        rows = [(str(n), symbol, f"{charge:+.3f}") for n, (symbol, charge) in pairs]
        console.print_table(f"{summary.title}: Mulliken charges (e)", ("atom", "element", "charge"), rows, left=2)


def print_trust(summary: PredictionSummary) -> None:
    """Print the verdict, what speaks for and against the prediction, and for --verbose the figures behind it.

    What speaks for a prediction that is not to be used is left out.
    """
    from ..model.trust.words import explain

    if (trust := summary.trust) is None:
        return
    console.say(f"  verdict: {trust.verdict_in_words}")
    entries = trust.to_dict()
    if trust.certificate is not None:
        certificate = trust.certificate
        changes = (d.commutator / MICRO for d in (certificate.deviation, certificate.last_deviation))
        first, last = (f"{change:.0f}" for change in changes)
        console.note(f"refined by {certificate.builds} cheap Fock builds in {certificate.seconds:.2f} s (the network "
                     f"took {summary.seconds - certificate.seconds:.2f} s), commutator {first} uHa per root electron "
                     f"at the first and {last} at the last one")
    opinion = explain(trust, summary.n_electrons, crystal=summary.periodic)
    good = () if trust.refused else opinion.good
    for label, reasons in (("what is good", good), ("what is not", opinion.bad)):
        if reasons:
            console.say(f"  {label}: {'; '.join(reasons)}")
    if trust.verification is not None:
        console.say(f"  {label_value('scf_residual', trust.verification.to_dict(), ':')}")
    for name, value in entries.items():
        if name not in HIDDEN_TRUST:
            console.detail(f"  {label_value(name, value, ':')}")


def print_calibration(calibrations: TrustFile, path: str) -> None:
    """Print what a calibration does on the structures that it was not made from."""
    for name, figures in calibrations.figures.items():
        test = figures["test"]
        rows = [(key, _words(value)) for key, value in test.items() if value is not None and key != "kinds"]
        title = f"{name}, on structures that the calibration has not seen (energies in Hartree)"
        console.print_table(title, ("", ""), rows)
    console.say(f"written: {path}")


def _words(value: object) -> str:
    """A figure, or several by name, as one cell; energies in the unit that they have, Hartree."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items() if v is not None)
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def list_orbitals(
    energies: Floats, occupations: Floats, levels: int | None = None
) -> list[tuple[str, str, str]]:
    """Name, energy in eV and occupation of a molecule's orbitals around the gap, lowest first.

    Args:
        energies: eV, (mo,).
        occupations: Electrons, (mo,).
        levels: Orbitals on either side of the gap.
    """
    filled = int((occupations > OCCUPIED).sum())
    first = 0 if filled <= MANY_ORBITALS else filled - MANY_ORBITALS + 1
    if levels is not None:
        first = max(filled - levels, 0)
    rows: list[tuple[str, str, str]] = []
    if first:
        rows.append((f"1 to {first}", f"{energies[0]:.2f} to {energies[first - 1]:.2f}", "2 each"))
    for n in range(first, min(filled + (levels or EMPTY_SHOWN), len(energies))):
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
    from ..metrics.results import MEANINGS

    stages = list_stages(result)
    names = [n for n, v in result.to_dict()["model"].items() if isinstance(v, float)]
    console.print_table(title, ("", *stages), list_metrics(result, names, digits=2))
    if result.seconds is not None:
        prediction, h0 = result.seconds
        share = "no H0" if result.h0 is None else f"{h0:.3g} s of it for H0"
        console.say(f"time for a structure: {prediction:.3g} s, {share}\n")
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
    console.print_table("legend", ("", ""), [(name, MEANINGS[name]) for name in names], left=2)


def list_stages(result: EvaluationResult) -> dict[str, dict[str, Mapping[str, float]]]:
    """Heading of a column -> metrics by name in the result's unit: full model, stage 1, H0 alone; those there are."""
    metrics = result.to_dict()
    return {HEADINGS[name]: metrics[name] for name in result.stages}


def list_metrics(result: EvaluationResult, names: Sequence[str], *, digits: int) -> list[tuple[str, ...]]:
    """A row for each metric: its name with unit, and its value for each stage."""
    from ..metrics.results import DIMENSIONLESS, FRONTIER

    metrics, in_ev = result.to_dict(), result.frontier_ev()
    stages = [metrics[name] for name in result.stages]
    rows = []
    for name in names:
        places, label = (5, name) if name in DIMENSIONLESS else (digits, f"{name} ({result.unit})")
        rows.append((label, *(format_number(scaled[name], places) for scaled in stages)))
        if name in FRONTIER and not result.periodic:
            rows.append((f"{name} (eV)", *(format_number(figures[name], 4) for figures in in_ev.values())))
    return rows


def print_bands(
    source: str,
    bands: BandStructure,
    comparison: BandComparison | None,
    trust: TrustReport | None,
    files: Sequence[str],
) -> None:
    """Print what a band structure amounts to.

    Args:
        source: Where the crystal came from.
        bands: The bands.
        comparison: Their errors, where there is a reference.
        trust: How far they can be trusted, where they were predicted.
        files: Files written.
    """
    spins, kpoints, count = bands.energies.shape
    from ..solver.band_structure import describe_gaps

    rows = [
        ("path", f"{bands.path_name}, {kpoints} k-points, {count} bands" + (", 2 spins" if spins == 2 else "")),
        ("electrons", f"{bands.n_electrons:g}"),
        ("Fermi level (eV)", f"{bands.fermi * HARTREE_IN_EV:.4f}"),
        ("gap on the mesh (eV)", describe_gaps(*bands.gaps, digits=4, unit="")),
    ]
    if comparison is not None:
        milli = 1e3 * HARTREE_IN_EV
        rows += [
            ("reference", comparison.reference + (": one of the training set" if comparison.in_training else "")),
            (f"band_mae within {comparison.window:g} eV (meV)", f"{comparison.mean_error * milli:.3f}"),
            ("largest band error (meV)", f"{comparison.largest_error * milli:.3f}"),
        ]
    if trust is not None:
        rows.append(("verdict", trust.verdict_in_words))
    if files:
        rows.append(("written", ", ".join(files)))
    console.print_table(f"{source}: {bands.structure.formula} by {bands.label}", ("", ""), rows, left=2)


def print_window(source: str, window: FermiWindow, files: Sequence[str]) -> None:
    """Print what is around the Fermi level of a large cell.

    Args:
        source: Where the crystal came from.
        window: The states, the density of states, or both.
        files: Files written.
    """
    from ..solver.band_structure import describe_gaps

    count = len(window.kpoints)
    rows = [
        ("atoms, orbitals", f"{len(window.structure)}, {window.n_orbitals}"),
        ("electrons", f"{window.n_electrons:g}"),
        ("k-points", "Gamma" if count == 1 else str(count)),
        ("direct solver", window.solver),
        ("Fermi level (eV)", format_energy(window.fermi, 4)),
    ]
    if (states := window.states) is not None:
        is_below = states.energies < window.fermi
        below, above = states.energies[is_below], states.energies[~is_below]
        rows += [
            ("states found", f"{states.energies[0, 0].size}, {format_energy(states.energies.min(), 4)} to "
             f"{format_energy(states.energies.max(), 4)} eV"),
            ("last below, first above the Fermi level (eV)", f"{format_energy(below.max(initial=-np.inf), 4)}, "
             f"{format_energy(above.min(initial=np.inf), 4)}"),
            ("gap at these k-points (eV)", describe_gaps(*states.gaps, digits=4, unit="")),
        ]
    if (density := window.density) is not None:
        level = np.interp(window.fermi, density.energies, density.density) / HARTREE_IN_EV
        error = np.interp(window.fermi, density.energies, density.error) / HARTREE_IN_EV
        low, high = (format_energy(end, 3) for end in density.fermi_interval)
        stochastic = f" ± {error:.4g} ({density.n_vectors} random vectors)" if density.n_vectors else ""
        rows.append(("states per eV at the Fermi level", f"{level:.5g}{stochastic}"))
        if density.n_vectors:
            level_text = f"{format_energy(density.fermi)}, 95 %: {low} to {high}"
            rows.append(("Fermi level by random vectors (eV)", level_text))
    rows.append(("seconds", ", ".join(f"{name} {value:.1f}" for name, value in window.seconds.items())))
    if files:
        rows.append(("written", ", ".join(files)))
    console.print_table(f"{source}: {window.structure.formula} by {window.label}", ("", ""), rows, left=2)


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

"""Predictions as tables: in full for a few structures, a row each for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..core.structure import ABOUT_ORIGIN, format_charge
from ..core.units import MICRO
from . import console
from .render import (
    format_dipole,
    format_energy,
    format_number,
    format_width,
    print_charges,
    print_files,
    print_summary,
)

if TYPE_CHECKING:
    from ..workflows.summary import PredictionSummary

MANY_STRUCTURES = 3
"""More structures than this share one table with a row each."""

ENERGY_HEADINGS = {
    "homo": "HOMO (eV)", "lumo": "LUMO (eV)", "gap": "gap (eV)", "fermi": "Fermi level (eV)",
    "direct_gap": "direct gap (eV)",
}
"""Energy of a structure -> heading of its column."""


def print_summaries(summaries: Sequence[PredictionSummary], levels: int | None = None) -> None:
    """Print predictions: in full for a few structures, a row each for many, in as many tables as were asked for.

    Args:
        summaries: The predictions.
        levels: Orbitals shown on either side of the gap; by default all occupied ones, or the upper ones of many.
    """
    if len(summaries) <= MANY_STRUCTURES:
        for summary in summaries:
            print_summary(summary, levels)
        return
    if levels is not None:
        console.note(f"note: --levels is for up to {MANY_STRUCTURES} structures at once; --json lists all orbitals.")
    print_overview(summaries)
    for summary in summaries:
        print_charges(summary)
    print_comparisons(summaries)
    print_residuals(summaries)
    print_files([f for s in summaries for f in s.files])


def print_overview(summaries: Sequence[PredictionSummary]) -> None:
    """Print a row for each structure, and below what holds for all of them."""
    columns = {"structure": [s.title for s in summaries], "formula": [s.formula for s in summaries]}
    if any(s.charge for s in summaries):
        columns["charge"] = [format_charge(s.charge) for s in summaries]
    bars = [None if s.trust is None else s.trust.intervals for s in summaries]
    shown = ("fermi", "gap", "direct_gap") if summaries[0].periodic else ("homo", "lumo", "gap")
    for name in shown:
        cells = [format_energy(getattr(s, name)) + format_width(b, name) for s, b in zip(summaries, bars, strict=True)]
        columns[ENERGY_HEADINGS[name]] = cells
    if not summaries[0].periodic:
        cells = [format_dipole(s) + format_width(b, "dipole") for s, b in zip(summaries, bars, strict=True)]
        columns["dipole (D)"] = cells
    verdicts = [s.trust.verdict if s.trust is not None else None for s in summaries]
    if any(verdicts):
        columns["verdict"] = [str(verdict or "-") for verdict in verdicts]
    console.print_table(summaries[0].level_of_theory, list(columns), list(zip(*columns.values(), strict=True)), left=2)
    for line in describe_overview(summaries):
        console.say(line)


def describe_overview(summaries: Sequence[PredictionSummary]) -> Iterator[str]:
    """Sentences below a table of many structures: where error bars and dipole moments come from."""
    from ..model.trust.report import UNCALIBRATED

    reports = [s.trust for s in summaries if s.trust is not None]
    if free := sum(r.calibrated and r.certificate is None for r in reports):
        number = "any" if free == len(summaries) else str(free)
        yield (
            f"No Fock builds were made for {number} of the {len(summaries)} structures: "
            "errors are larger than with them, and ions that look good have no error bars. --refine makes three for "
            "each."
        )
    if reports and not any(r.calibrated for r in reports):
        yield f"{UNCALIBRATED.capitalize()}; verdicts tell only what is unlike the training set."
    if any(s.charge and not s.periodic for s in summaries):
        yield f"Dipole moments of ions are {ABOUT_ORIGIN}."


def print_comparisons(summaries: Sequence[PredictionSummary]) -> None:
    """Print differences from PySCF, where it was run, with a row for each structure."""
    rows = []
    for s in summaries:
        if s.comparison is not None:
            model, reference = s.comparison.model.to_dict(), s.comparison.reference.to_dict()
            keys = ("homo_ev", "lumo_ev", "gap_ev", "dipole_debye")
            differences = [format_number(model[k] - reference[k], 3, sign=True) for k in keys]
            errors = s.comparison.metrics.model
            scaled = (None if x is None else x / MICRO for x in (errors.eps_mae, errors.mae_all))
            levels, elements = (format_number(x, 1) for x in scaled)
            rows.append((s.title, *differences, levels, elements, format_number(reference["seconds"], 2)))
    if rows:
        columns = ("structure", "HOMO (eV)", "LUMO (eV)", "gap (eV)", "dipole (D)", "eps_mae (uHa)", "mae_all (uHa)",
                   "PySCF (s)")
        console.print_table("model minus PySCF", columns, rows)


def print_residuals(summaries: Sequence[PredictionSummary]) -> None:
    """Print distances from self-consistency, where a Fock build was made for them, with a row for each structure."""
    rows = [
        (s.title, *(format_number(x / MICRO, 1) for x in (v.mean_change, v.commutator, v.gradient)), f"{v.energy:.6f}")
        for s in summaries
        if s.trust is not None and (v := s.trust.verification) is not None
    ]
    if rows:
        columns = ("structure", "mean change (uHa)", "commutator (uHa)", "gradient (uHa)", "energy (Hartree)")
        console.print_table("scf residual of one Fock build", columns, rows)

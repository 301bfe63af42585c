"""The systems of the paper: a row for each of them, variant and H0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from .sources import read_result, table

SIX = ("MG", "MM", "BG", "BB", "BT", "BS")
"""The systems in the order of the paper."""

MATERIALS = (*SIX, "MG-abacus", "MM-abacus")
"""These, and two of them by another code."""

VARIANTS = {"h0": "H0 alone", "stage-1": "stage 1 alone", "two-stage": "two stages", "density": "two stages, density",
            "stage-1-h0-density": "stage 1 with the density of H0",
            "two-stage-h0-density": "two stages with the density of H0",
            "paper": "two stages, lab frame"}

METRICS = {"mae_all": 3, "mae_cha_s": 3, "mae_cha_b": 3, "eps_mae": 3, "band_mae": 3, "gap_mae": 2, "fermi_mae": 2,
           "cov_err": 2, "psi_cos": 4, "psi_subspace": 5}
"""Metric -> significant digits (of cosines: decimals)."""


def materials_rows() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Label of a row, and its runs, one for each seed: those of the most snapshots, and those of the most seeds."""
    runs = read_result("materials")["runs"]
    keys = sorted(
        {(r["system"], r["variant"], r["h0"], 0 if r["variant"] == "h0" else r["minutes"]) for r in runs},
        key=lambda k: (MATERIALS.index(k[0]), list(VARIANTS).index(k[1]) > 0, k[3], k[2] == "fitted",
                       list(VARIANTS).index(k[1])),
    )
    for system, variant, h0, minutes in keys:
        groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for r in runs:
            if (r["system"], r["variant"], r["h0"]) == (system, variant, h0) and minutes in (0, r["minutes"]):
                groups.setdefault((len(r["train"]), len(r["test"])), []).append(r)
        most_seeds = max(groups, key=lambda k: (len(groups[k]), k))
        title = VARIANTS[variant] if variant == "h0" else f"{VARIANTS[variant]}, {minutes:g} min"
        for counts in sorted({max(groups), most_seeds}):
            yield f"{title}, {h0}", groups[counts]


def materials() -> str:
    """The systems of the paper: a row for each of them, variant and H0."""
    def cells(parts: list[dict[str, Any]]) -> list[str]:
        out = []
        for metric, digits in METRICS.items():
            values = [p["metrics"][metric] for p in parts if metric in p["metrics"]]
            if not values:
                out.append("")
                continue
            mean = fmean(values)
            rounded = f"{mean:.{digits}f}" if metric.startswith("psi") else f"{float(f'{mean:.{digits}g}'):g}"
            out.append(_with_spread(values) if metric == "mae_all" else rounded)
        return out

    titles = ["system", "train + test", "model, H0", *(f"{m} (meV)" for m in METRICS if not m.startswith("psi")),
              *(m for m in METRICS if m.startswith("psi")), "ms per atom", "seeds"]
    rows = []
    for label, runs in materials_rows():
        first = runs[0]
        counts = f"{len(first['train'])} + {len(first['test'])}"
        for name, parts in (("", runs), (" twisted", [r["twisted"] for r in runs if "twisted" in r])):
            if parts:
                cost = sum(p["seconds_per_atom"] for p in parts) / len(parts) * 1e3
                number = counts if not name else f"{len(first['train'])} + {parts[0]['snapshots']}"
                rows.append([first["system"] + name, number, label, *cells(parts), f"{cost:.2g}", str(len(parts))])
    return table(titles, rows)


def ranges(*variants: str) -> dict[str, tuple[float, float]]:
    """Least and largest value of the six systems: "train" counts snapshots, the others are metrics.

    Args:
        variants: Of each system the first one that is measured, with most snapshots and most minutes, mean over seeds.
    """
    runs = read_result("materials")["runs"]
    values: dict[str, list[float]] = {"train": [], "minutes": [], "mae_all": [], "band_mae": []}
    for system in SIX:
        of = {v: [r for r in runs if (r["system"], r["variant"], r["h0"]) == (system, v, "fitted")] for v in variants}
        measured = next(rows for rows in of.values() if rows)
        most = max((len(r["train"]), r["minutes"]) for r in measured)
        same = [r for r in measured if (len(r["train"]), r["minutes"]) == most]
        values["train"].append(most[0])
        values["minutes"].append(most[1])
        for metric in ("mae_all", "band_mae"):
            values[metric].append(fmean(r["metrics"][metric] for r in same))
    return {name: (min(column), max(column)) for name, column in values.items()}


def _with_spread(values: Sequence[float]) -> str:
    """Mean of seeds, and their standard deviation where there are several."""
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def second_stage() -> str:
    """What the second stage is worth: mae_all of each system and number of training snapshots, means over seeds."""
    runs = [r for r in read_result("materials")["runs"] if r["variant"] != "h0"]
    keys = sorted(
        {(r["system"], r["minutes"], len(r["train"])) for r in runs},
        key=lambda k: (MATERIALS.index(k[0]), k[2], k[1]),
    )
    rows = []
    for system, minutes, count in keys:
        of = {
            variant: [
                r["metrics"]["mae_all"] for r in runs
                if (r["system"], r["variant"], r["minutes"], len(r["train"])) == (system, variant, minutes, count)
            ]
            for variant in VARIANTS
        }
        first = of["stage-1"]
        for variant in ("two-stage", "density"):
            if first and of[variant]:
                change = fmean(of[variant]) / fmean(first) - 1.0
                seeds = f"{len(first)}, {len(of[variant])}"
                rows.append([system, str(count), f"{minutes:g}", _with_spread(first), VARIANTS[variant],
                             _with_spread(of[variant]), f"{100 * change:+.0f} %", seeds])
    titles = ["system", "training snapshots", "minutes", "stage 1 alone (meV)", "model", "its mae_all (meV)", "change",
              "seeds"]
    return table(titles, rows)


def learning_curve() -> str:
    """Errors of systems that were trained on several numbers of snapshots with all else equal, means over seeds."""
    runs = [r for r in read_result("materials")["runs"] if r["variant"] != "h0"]
    keys = {(r["system"], r["variant"], r["minutes"], len(r["test"]), len(r["train"])) for r in runs}
    several = [k for k in keys if len({other for other in keys if other[:-1] == k[:-1]}) > 1]
    rows = []
    for key in sorted(several, key=lambda k: (MATERIALS.index(k[0]), list(VARIANTS).index(k[1]), *k[2:])):
        system, variant, minutes, tests, count = key
        same = [r for r in runs if (r["system"], r["variant"], r["minutes"], len(r["test"]), len(r["train"])) == key]
        twisted = [r["twisted"]["metrics"]["mae_all"] for r in same if "twisted" in r]
        bands = [r["metrics"]["band_mae"] for r in same]
        rows.append([system, f"{VARIANTS[variant]}, {minutes:g} min", str(count), str(tests),
                     _with_spread([r["metrics"]["mae_all"] for r in same]), f"{fmean(bands):.3g}",
                     _with_spread(twisted) if twisted else "", str(len(same))])
    titles = ["system", "model", "training snapshots", "test snapshots", "mae_all (meV)", "band_mae (meV)",
              "mae_all, twisted (meV)", "seeds"]
    return table(titles, rows)

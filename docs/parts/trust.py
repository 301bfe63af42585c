"""What verdicts and error bars do: tables of the page on trust, and the lines of the model's card."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from harmose_dft.core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from harmose_dft.model.trust.calibration import LARGE_ERROR, LARGE_REFINED_ERROR

from .sources import read_result, table

NAMES = {"homo": "HOMO", "lumo": "LUMO", "gap": "gap", "mean_occupied": "mean occupied level", "dipole": "dipole"}
"""Quantities that have intervals."""


CRYSTALS = {"graphene": "trust_graphene", "bilayer graphene, trained on 14 snapshots": "trust_bilayer"}
"""Model of crystals -> the file of what its bounds do."""


def band_trust_table() -> str:
    """What the bounds on the errors of crystals' bands do, one column a model."""
    results = [read_result(name) for name in CRYSTALS.values()]
    milli = 1e3 * HARTREE_IN_EV

    def row(title: str, cell: Callable[[dict[str, Any]], str]) -> tuple[str, ...]:
        return (title, *(cell(result) for result in results))

    def judged(result: Mapping[str, Any], verdict: str) -> str:
        largest = result["average"]["largest_error_by_verdict"][verdict]
        count = str(result["average"]["verdicts"][verdict])
        return count if largest is None else f"{count} ({largest * milli:.3g})"

    def beyond(result: Mapping[str, Any]) -> str:
        if (others := result.get("beyond")) is None:
            return ""
        error, bound = (others[name] * milli for name in ("median_error", "median_bound"))
        return f"{others['coverage']:.0%} of {others['crystals']}, {error:.2g}, {bound:.3g}"

    rows = [
        row("structures, and those of the test third", lambda r: f"{r['crystals']}, {r['test']['crystals']}"),
        row("error of the bands, smallest to largest (meV)",
            lambda r: f"{r['errors'][0] * milli:.2g} to {r['errors'][-1] * milli:.3g}"),
        row("95 % bounds that hold: test (20 divisions)",
            lambda r: f"{r['test']['coverage']:.1%} ({r['average']['coverage']:.1%})"),
        row("median error and median bound, 20 divisions (meV)",
            lambda r: ", ".join(f"{r['average'][name] * milli:.2g}" for name in ("median_error", "median_bound"))),
    ]
    rows += [
        row(f"judged {verdict}, 20 divisions (largest error, meV)", lambda r, v=verdict: judged(r, v))
        for verdict in results[0]["average"]["verdicts"]
    ]
    rows.append(row("twisted cell: bounds that hold, median error and bound (meV)", beyond))
    return table(("measured", *CRYSTALS), rows)


def trust_table() -> str:
    """Measured figures of verdicts and intervals, refined by Fock builds and without them."""
    result = read_result("trust")
    tests, means = result["test"], result["average"]
    kinds = ("refined", "free")

    def row(title: str, cell: Callable[[str], str]) -> tuple[str, ...]:
        return (title, *(cell(kind) for kind in kinds))

    rows = [
        ("bad is an occupied level off by more than (mHartree)", *(f"{1e3 * LIMITS[k]:g}" for k in kinds)),
        row("test molecules (bad ones)", lambda k: f"{tests[k]['molecules']} ({tests[k]['bad']})"),
    ]
    rows += [
        row(f"judged {v} (bad ones)", lambda k, v=v: f"{tests[k]['verdicts'][v]} ({tests[k]['bad_by_verdict'][v]})")
        for v in ("good", "careful", "do not use")
    ]
    rows.append(row("area under the ROC curve", lambda k: f"{tests[k]['auc']:.3f}"))
    for key, name in NAMES.items():
        unit, factor = ("D", DIPOLE_AU_IN_DEBYE) if key == "dipole" else ("eV", HARTREE_IN_EV)
        width = {k: tests[k]["median_half_width_of_good"][key] for k in kinds}
        held = {k: (tests[k]["coverage_of_good"][key], means[k]["coverage_of_good"].get(key)) for k in kinds}
        rows.append(row(f"median half-width of {name} ({unit})", lambda k, w=width, f=factor: f"{w[k] * f:.3f}"))
        rows.append(row(
            f"95 % intervals of {name} that hold: test (20 divisions)",
            lambda k, h=held: f"{h[k][0]:.1%} ({h[k][1]:.1%})",
        ))
    rows.append(row(
        "largest error of an occupied level among good ones (mHartree)",
        lambda k: f"{1e3 * tests[k]['largest_level_error_of_good']:.3g}",
    ))
    rows.append(row("accepted as good in 20 divisions (bad ones)",
                    lambda k: f"{means[k]['good']} ({means[k]['bad_among_good']})"))
    for key, title in (("ordinary_do_not_use", "judged do not use"), ("ordinary_not_good", "not judged good")):
        rows.append(row(f"ordinary organic molecules {title}, 20 divisions", lambda k, key=key: f"{means[k][key]:.1%}"))
    rows.append(row(
        "not bad, yet judged do not use, 20 divisions",
        lambda k: f"{means[k]['refused_though_within'] / means[k]['within']:.1%}",
    ))
    if costs := result.get("cost"):
        shares = [c["share_of_scf"] for c in costs]
        share = f"{min(shares):.1%} to {max(shares):.1%}"
        names = ", ".join(c["name"] for c in costs)
        rows.append((f"time of the Fock builds, relative to PySCF's SCF ({names})", share, ""))
    return table(("measured", "refined by three Fock builds", "the network alone"), rows)


LIMITS = {"refined": LARGE_REFINED_ERROR, "free": LARGE_ERROR}
"""Error of an occupied level, Hartree, that makes a prediction a bad one, by way of prediction."""

LARGE_MEV = 1e3 * LARGE_REFINED_ERROR * HARTREE_IN_EV
"""Error of an occupied level, meV, that makes a prediction a bad one."""

KINDS = {
    "test": "organic, test set", "validation": "organic, validation set", "organic": "organic, second set",
    "first": "what people type first", "elements": "with B, Si, P, Br", "ion": "ions and zwitterions",
    "named": "rare bonds and zwitterions", "pair": "pairs of molecules", "hot": "at 1000 to 2500 K",
    "scaled": "swollen or shrunk", "shaken": "displaced at random", "twisted": "turned double bonds",
    "torn": "stretched bonds", "diatomic": "diatomics at seven distances", "carbene": "carbenes",
}
"""Kinds of molecules in the calibration, in words."""


def kinds_table() -> str:
    """Errors of levels by kind of molecule, of the network alone and refined."""
    ways = read_result("trust")["kinds"]
    rows = [
        (words, f"{k['molecules']}", f"{ways['free'][kind]['level_error']:.2g}", f"{k['level_error']:.2g}",
         f"{k['element_error']:.2g}", f"{k['homo_error']:.2g}", f"{k['lumo_error']:.2g}", f"{k['share_within_3']:.0%}",
         f"{k['good']} ({k['good_beyond_3']})")
        for kind, words in KINDS.items()
        if (k := ways["refined"].get(kind))
    ]
    titles = ("kind", "molecules", "occupied levels, network alone (mHa)", "occupied levels (mHa)", "H (µHa)",
              "HOMO (mHa)", "LUMO (mHa)", "HOMO and LUMO within 3 mHa", "judged good (of these beyond 3 mHa)")
    return table(titles, rows)


def wrong_table() -> str:
    """Verdicts on structures that are known to go wrong."""
    rows = [
        (row["name"], "" if "risk" not in row else f"{row['worst_level_mev'] / 1000:.2f}", row["verdict"])
        for row in read_result("trust")["wrong"]
    ]
    return table(("structure", "worst occupied level, error in eV", "verdict"), rows)


def card() -> str:
    """Verdicts and intervals of the bundled model, for its card."""
    result = read_result("trust")
    made, test, mean = result["made_from"], result["test"]["refined"], result["average"]["refined"]
    held = ", ".join(f"{NAMES[q]} {value:.1%}" for q, value in mean["coverage_of_good"].items())
    widths = test["median_half_width_of_good"]
    wrong = [row for row in result["wrong"] if row.get("worst_level_mev", 0.0) > LARGE_MEV]
    trusted = sum(row["verdict"] == "good" for row in wrong)
    counts = ", ".join(f"{n} {v} ({test['bad_by_verdict'][v]})" for v, n in test["verdicts"].items())
    ends = ", ".join(f"{NAMES[q]} ± {widths[q] * HARTREE_IN_EV:.3f} eV" for q in ("homo", "lumo", "gap"))
    text = (
        f"* **Error bars** (`trust.json`): calibrated on {made['molecules']} refined molecules that training never "
        f"saw, {made['bad']} of them off by more than 5 mHartree in an occupied level. Verdicts on {test['molecules']} "
        f"others (in brackets: how many were off by more): {counts}. Median 95 % intervals of good ones: {ends}; over "
        f"20 random divisions they held for {held}. Of {len(wrong)} structures from user reports that are off by more "
        f"than 5 mHartree {trusted} were judged good."
    )
    return textwrap.fill(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)

"""Write the tables of the documentation that follow from the program and from ``benchmarks/results/*.json``.

    python docs/generate.py            # write
    python docs/generate.py --check    # compare, and end with exit code 1 if a page is not up to date

A generated part lies between ``<!-- generated: NAME -->`` and ``<!-- end -->``; all else on a page is written by hand.
"""

from __future__ import annotations

import json
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel

from harmose_dft.adapters.registry import codes, read_options, start_writers
from harmose_dft.core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from harmose_dft.model.trust.calibration import LARGE_ERROR
from harmose_dft.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLES = ("organic", "few_shot", "water", "crystals", "abacus", "large", "speed", "streaming", "seeding")
"""Result files, in the order of the page."""


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# The training configuration


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The pydantic models in an annotation, such as those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def format_default(value: object) -> str:
    """A default as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"[{', '.join(str(v) for v in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def configuration_rows(section: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every key of a section and of those below it.

    Args:
        section: The section.
        prefix: Its dotted name with a dot at the end.
        kind: Which of several sections of that name it is.
    """
    for name, entry in section.model_fields.items():
        below = models_in(entry.annotation)
        if not below:
            key = f"`{prefix}{name}`" + (f" ({kind})" if kind else "")
            meaning = entry.description or "which second stage"
            yield key, f"`{format_default(entry.default)}`", meaning.replace("|", r"\|")
        for model in below:
            choice = str(model.model_fields["kind"].default) if len(below) > 1 else kind
            yield from configuration_rows(model, f"{prefix}{name}.", choice)


def configuration() -> str:
    """Every key of the training configuration."""
    rows = list(configuration_rows(TrainConfig))
    rows.sort(key=lambda row: "." in row[0])  # keys without a section first, otherwise as in the program
    return table(("key", "default", "meaning"), rows)


# Codes


def code_table() -> str:
    """What is read and written of every code."""
    rows = [(c.name, c.about.reads, c.about.writes, c.about.tested) for c in codes()]
    return table(("code or format", "reads", "writes", "tested versions"), rows)


def unit_table() -> str:
    """Units and orbital order of the files of every code."""
    rows = [(c.name, c.about.units, c.about.orbitals) for c in codes()]
    return table(("code or format", "units of its files", "order and sign of its orbitals"), rows)


def recognition_table() -> str:
    """How calculations are recognised."""
    rows = [(c.name, c.recognises.replace("<", r"\<")) for c in codes() if c.recognises]
    return table(("code or format", "recognised by"), rows)


def option_table() -> str:
    """What readers can be told."""
    return table(("option of `harmose-dft convert`", "meaning"), [(f"`{o.flag}`", o.help) for o in read_options()])


def start_table() -> str:
    """Files from which codes start."""
    rows = [(f"`{key}`", w.help.partition(": ")[2]) for key, w in start_writers().items() if w.help]
    return table(("`--code`", "file"), rows)


# Benchmarks


def read_result(name: str) -> dict[str, typing.Any]:
    """A result file."""
    result: dict[str, typing.Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def format_cell(value: object) -> str:
    """A value in a table."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def benchmark(name: str) -> str:
    """One result file as a section: title, description, table, and how each row was measured."""
    result = read_result(name)
    columns = result["columns"]
    letters = dict(zip(result["measurements"], "abcdefgh", strict=False))
    titles = [c["title"] + (f" ({c['unit']})" if "unit" in c else "") for c in columns] + ["measured by"]
    rows = [[format_cell(row[c["key"]]) for c in columns] + [letters[row["measurement"]]] for row in result["rows"]]
    lines = [f"## {result['title']}", "", result["about"], "", table(titles, rows), ""]
    for key, letter in letters.items():
        m = result["measurements"][key]
        command = f"`{m['command']}`" if m["date"] else m["command"]
        facts = ", ".join(fact for fact in (m["date"], m["version"], m["machine"]) if fact)
        lines.append(f"* {letter}: {command} ({facts})")
    return "\n".join(lines)


def benchmarks() -> str:
    """All tables."""
    return "\n\n".join(benchmark(name) for name in TABLES)


MATERIALS = {
    "MG": "graphene", "MM": "MoS2", "BG": "bilayer graphene", "BB": "bilayer bismuthene, SOC",
    "BT": "bilayer Bi2Te3, SOC", "BS": "bilayer Bi2Se3, SOC",
}
"""Abbreviations of the paper, in its order."""

VARIANTS = {"h0": "H0 alone", "stage-1": "stage 1 alone", "two-stage": "two stages", "density": "two stages, density",
            "paper": "two stages, lab frame"}

METRICS = {"mae_all": 3, "mae_cha_s": 3, "mae_cha_b": 3, "eps_mae": 3, "band_mae": 3, "gap_mae": 2, "fermi_mae": 2,
           "cov_err": 2, "psi_cos": 4, "psi_subspace": 5}
"""Metric -> significant digits (of cosines: decimals)."""


def materials_rows() -> Iterator[tuple[str, list[dict[str, typing.Any]]]]:
    """Label of a row, and the runs that it is the mean of: those of the most snapshots, one for each seed."""
    runs = [r for r in read_result("materials")["runs"] if r["system"] in MATERIALS]
    keys = sorted(
        {(r["system"], r["variant"], r["h0"], 0 if r["variant"] == "h0" else r["minutes"]) for r in runs},
        key=lambda k: (list(MATERIALS).index(k[0]), list(VARIANTS).index(k[1]) > 0, k[3], k[2] == "fitted",
                       list(VARIANTS).index(k[1])),
    )
    for system, variant, h0, minutes in keys:
        same = [r for r in runs if (r["system"], r["variant"], r["h0"]) == (system, variant, h0)
                and (variant == "h0" or r["minutes"] == minutes)]
        most = max(len(r["train"]) for r in same)
        title = VARIANTS[variant] if variant == "h0" else f"{VARIANTS[variant]}, {minutes:g} min"
        yield f"{title}, {h0}", [r for r in same if len(r["train"]) == most]


def materials() -> str:
    """The systems of the paper: a row for each of them, variant and H0."""
    def cells(parts: list[dict[str, typing.Any]]) -> list[str]:
        out = []
        for metric, digits in METRICS.items():
            values = [p["metrics"][metric] for p in parts if metric in p["metrics"]]
            mean = sum(values) / max(len(values), 1)
            rounded = f"{mean:.{digits}f}" if metric.startswith("psi") else f"{float(f'{mean:.{digits}g}'):g}"
            out.append(rounded if values else "")
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


def row_of(name: str, **values: object) -> dict[str, typing.Any]:
    """The first row of a result file with these values."""
    return next(row for row in read_result(name)["rows"] if all(row[k] == v for k, v in values.items()))


def four_numbers() -> str:
    """The table of the README."""
    organic = row_of("organic", system="62 test molecules")
    scf_row = row_of("seeding", method="B3LYP/def2-SVP", variant="both", atoms="all")
    quantity = "one molecule of a batch, paracetamol (20 atoms), with error bars (one cheap Fock build)"
    seconds = row_of("speed", quantity=quantity)["value"]
    scf = row_of("speed", quantity="SCF of paracetamol")["reference"]
    judged = read_result("trust")["average"]["refined"]
    rows = [
        ("error of H, 62 molecules that `organic` has never seen", f"{organic['mae_all']:.0f} µHa"),
        ("error of HOMO and LUMO, the same molecules",
         f"{organic['homo_mae'] / 1000:.1f} and {organic['lumo_mae'] / 1000:.1f} mHa"),
        ("predictions judged good that were off by more than 20 mHa in an occupied level, 20 random divisions",
         f"{judged['bad_among_good']} of {judged['good']}"),
        ("paracetamol, H with error bars (PySCF's SCF)", f"{seconds:.3g} s ({scf:.0f} s)"),
        (f"full Fock builds of an SCF, {scf_row['molecules']} unseen molecules (PySCF's)",
         f"{scf_row['full_builds']:.1f} ({scf_row['default_builds']:.1f})"),
        ("CPU time of the SCF, relative to PySCF's", f"{scf_row['cpu_ratio']:.2f}"),
    ]
    return table(("measured", "value"), rows)


NAMES = {"homo": "HOMO", "lumo": "LUMO", "gap": "gap", "mean_occupied": "mean occupied level", "dipole": "dipole"}
"""Quantities that have intervals."""


def band_trust_table() -> str:
    """What the bounds on the error of the bundled crystal model's bands do."""
    result = read_result("trust_graphene")
    test, mean, milli = result["test"], result["average"], 1e3 * HARTREE_IN_EV
    rows = [
        ("structures, and those of the test third", f"{result['crystals']}, {test['crystals']}"),
        ("error of the bands, smallest to largest (meV)",
         f"{result['errors'][0] * milli:.2g} to {result['errors'][-1] * milli:.3g}"),
        ("95 % bounds that hold: test (20 divisions)", f"{test['coverage']:.1%} ({mean['coverage']:.1%})"),
        ("median error and median bound, 20 divisions (meV)",
         f"{mean['median_error'] * milli:.2g}, {mean['median_bound'] * milli:.2g}"),
    ]
    for verdict, count in mean["verdicts"].items():
        largest = mean["largest_error_by_verdict"][verdict]
        rows.append((f"judged {verdict}, 20 divisions (largest error, meV)",
                     f"{count}" + ("" if largest is None else f" ({largest * milli:.3g})")))
    return table(("measured", "graphene"), rows)


def trust_table() -> str:
    """Measured figures of verdicts and intervals, with a Fock build for each molecule and without."""
    result = read_result("trust")
    tests, means = result["test"], result["average"]
    kinds = ("refined", "free")

    def row(title: str, cell: Callable[[str], str]) -> tuple[str, ...]:
        return (title, *(cell(kind) for kind in kinds))

    rows = [
        row("test molecules (off by more than 20 mHartree)", lambda k: f"{tests[k]['molecules']} ({tests[k]['bad']})")
    ]
    rows += [
        row(f"judged {v} (off by more)", lambda k, v=v: f"{tests[k]['verdicts'][v]} ({tests[k]['bad_by_verdict'][v]})")
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
    rows.append(row("accepted as good in 20 divisions (off by more)",
                    lambda k: f"{means[k]['good']} ({means[k]['bad_among_good']})"))
    for key, title in (("ordinary_do_not_use", "judged do not use"), ("ordinary_not_good", "not judged good")):
        rows.append(row(f"ordinary organic molecules {title}, 20 divisions", lambda k, key=key: f"{means[k][key]:.1%}"))
    rows.append(row(
        "within 20 mHartree, yet judged do not use, 20 divisions",
        lambda k: f"{means[k]['refused_though_within'] / means[k]['within']:.1%}",
    ))
    if costs := result.get("cost"):
        shares = [c["share_of_scf"] for c in costs]
        share = f"{min(shares):.1%} to {max(shares):.1%}"
        names = ", ".join(c["name"] for c in costs)
        rows.append((f"time of the Fock build, relative to PySCF's SCF ({names})", share, ""))
    return table(("measured", "one Fock build each", "without"), rows)


LARGE_MEV = 1e3 * LARGE_ERROR * HARTREE_IN_EV
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
    """Errors of levels by kind of molecule."""
    found = read_result("trust")["kinds"]
    rows = [
        (words, f"{k['molecules']}", f"{k['level_error']:.2g}", f"{k['homo_error']:.2g}", f"{k['lumo_error']:.2g}",
         f"{k['share_within_8']:.0%}", f"{k['good']} ({k['good_beyond_8']})")
        for kind, words in KINDS.items()
        if (k := found.get(kind))
    ]
    titles = ("kind", "molecules", "occupied levels (mHa)", "HOMO (mHa)", "LUMO (mHa)",
              "HOMO and LUMO within 8 mHa", "judged good (of these beyond 8 mHa)")
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
        f"* **Error bars** (`trust.json`): calibrated on {made['molecules']} molecules that training never saw, "
        f"{made['bad']} of them off by more than 20 mHartree in an occupied level. Verdicts on {test['molecules']} "
        f"others (in brackets: how many were off by more): {counts}. Median 95 % intervals of good ones: {ends}; over "
        f"20 random divisions they held for {held}. Of {len(wrong)} structures from user reports that are off by more "
        f"than 20 mHartree {trusted} were judged good."
    )
    return textwrap.fill(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "docs/reference/configuration.md": {"configuration": configuration},
    "docs/reference/codes.md": {
        "codes": code_table, "units": unit_table, "recognition": recognition_table, "options": option_table,
        "starts": start_table,
    },
    "docs/benchmarks.md": {"benchmarks": benchmarks, "materials": materials},
    "docs/explanation/trust.md": {
        "trust": trust_table, "bands": band_trust_table, "kinds": kinds_table, "wrong": wrong_table,
    },
    "harmose_dft/weights/organic/README.md": {"trust": card},
    "README.md": {"numbers": four_numbers},
}
"""Page -> name of a generated part -> what writes it."""


def fill(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """A page with its generated parts.

    Args:
        text: The page as it is.
        parts: What writes each part.
    """
    for name, write in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", "\n<!-- end -->"
        before, marker, rest = text.partition(begin)
        assert marker, f"no part {name!r}"
        text = before + begin + write() + end + rest.partition(end)[2]
    return text


def main(arguments: Sequence[str]) -> int:
    """Write or check all pages."""
    stale = []
    for page, parts in PAGES.items():
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = fill(before, parts)
        if after != before:
            stale.append(page)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    if stale:
        print("not up to date:" if "--check" in arguments else "written:", ", ".join(stale))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

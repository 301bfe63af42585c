"""Gathers what ``seeding.py --json`` measured into the table of the documentation.

    python benchmarks/seeding_table.py MEASURED.json... --version "commit 1234567" --machine "..." [--date 2026-11-28]

Molecules of files with the same method and variants are joined. ``docs/generate.py`` then writes the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import ROOT, describe_columns, describe_measurement, origin_options, save
from seeding import SIZES, summarize

TABLE = ROOT / "benchmarks" / "results" / "seeding.json"
COLUMNS = {
    "method": "method", "atoms": "atoms", "molecules": "molecules", "variant": "variant",
    "default_builds": "PySCF's Fock builds", "full_builds": "full Fock builds", "most_builds": "at most",
    "cpu_ratio": "CPU time by PySCF's", "worst_cpu_ratio": "at most", "energy": "largest energy difference",
}  # fmt: skip
UNITS = {"energy": "Hartree"}
ALL = f"1-{SIZES[-1]}"
"""Range of the rows over all sizes."""

Measured = Mapping[str, Any]


def name_method(method: Measured) -> str:
    """A method as the table names it."""
    name = f"{'UKS, ' if method['radicals'] else ''}{method['xc'].upper()}/{(method['basis'] or 'def2-SVP')}"
    return name.replace("tzvp", "TZVP") + (", density fitting" if method["density_fit"] else "")


def command_of(files: Sequence[Measured]) -> str:
    """The command that measures again what is in some files of one method and one set of variants."""
    method, molecules = files[0]["method"], [m for f in files for m in f["molecules"]]
    named = [m["name"] for m in molecules if not m["name"].startswith("test-")]
    split = len(molecules) - len(named)
    flags = [f"--split {split}"] if split else []
    flags += [f"--{key} {value}" for key, value in (("xc", method["xc"]), ("basis", method["basis"])) if value]
    flags += [f"--{key.replace('_', '-')}" for key in ("density_fit", "radicals") if method[key]]
    return " ".join(["python benchmarks/seeding.py", *flags, "--variants", ",".join(variants_of(files[0])), *named])


def variants_of(file: Measured) -> tuple[str, ...]:
    """Names of the variants in a file."""
    return tuple(file["molecules"][0]["variants"])


def rows_of(files: Sequence[Measured], measurement: str) -> list[dict[str, Any]]:
    """Rows of one method and set of variants: each range of sizes where there are several, and all together."""
    molecules = [m for f in files for m in f["molecules"]]
    rows = [r for r in summarize(molecules) if r["variant"] != "default"]
    if len({r["atoms"] for r in rows}) == 2:
        rows = [r for r in rows if r["atoms"] == ALL]
    result = []
    for row in rows:
        low, high = map(int, row["atoms"].split("-"))
        group = [m for m in molecules if low <= m["atoms"] <= high]
        smallest, largest = (f(m["atoms"] for m in group) for f in (min, max))
        default = float(np.mean([m["variants"]["default"]["full_builds"] for m in group]))
        result.append({
            "method": name_method(files[0]["method"]),
            "atoms": "all" if row["atoms"] == ALL else f"{smallest}-{largest}",
            "molecules": row["molecules"], "variant": row["variant"],
            "default_builds": round(default, 1), "full_builds": round(row["full_builds"], 1),
            "most_builds": row["most_builds"], "cpu_ratio": round(row["cpu_ratio"], 2),
            "worst_cpu_ratio": round(row["worst_cpu_ratio"], 2),
            "energy": float(f"{row['largest_energy_difference']:.0e}"), "measurement": measurement,
        })  # fmt: skip
    return result


def describe_start(files: Sequence[Measured]) -> str:
    """The start's distance from self-consistency, where it was measured."""
    starts = [s for f in files for m in f["molecules"] if "commutator" in (s := m["variants"].get("start", {}))]
    if not starts:
        return ""
    commutator, energy = (float(np.mean([s[key] for s in starts])) for key in ("commutator", "energy_above"))
    return (
        f" The start's commutator norm was {commutator:.2g} Hartree, its energy {1e3 * energy:.3g} millihartree above "
        f"the converged one (means over {len(starts)} molecules)."
    )


@click.command()
@click.argument("measured", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@origin_options
@click.option("--out", default=TABLE, type=click.Path(path_type=Path), help="The table.")
def main(measured: tuple[Path, ...], out: Path, **origin: str) -> None:
    """Gather the files MEASURED into one table, in their order."""
    groups: dict[str, list[Measured]] = {}
    for path in measured:
        file = json.loads(path.read_text())
        groups.setdefault(json.dumps([file["method"], variants_of(file)]), []).append(file)
    rows, measurements = [], {}
    for number, files in enumerate(groups.values()):
        key = f"m{number}"
        rows += rows_of(files, key)
        measurements[key] = describe_measurement(command_of(files), **origin)
    everything = [f for files in groups.values() for f in files]
    split = max(sum(m["name"].startswith("test-") for m in f["molecules"]) for f in everything)
    about = (
        "Full Fock builds and CPU time of SCFs from the prediction (start), accelerated from PySCF's start "
        "(accelerator), and accelerated from the prediction (both), on molecules that `organic` has never seen: named "
        f"ones and {split} of the test set. Everything is counted, prediction included; `vsap`, `huckel` and "
        "`fast_newton` are PySCF's own ways. UKS: molecules without their last hydrogen atom; the model has no "
        "prediction for them. CPU times were taken on a busy machine, where they scatter by some 10 %; the builds do "
        f"not depend on it.{describe_start(everything)}"
    )
    columns = describe_columns(COLUMNS, UNITS)
    save(out, {
        "title": "SCF cycles", "about": about, "columns": columns, "measurements": measurements, "rows": rows
    })


if __name__ == "__main__":
    main()

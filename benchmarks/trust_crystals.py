"""How well the bounds on the error of a crystal's bands hold, on structures that neither training nor calibration saw.

    python benchmarks/trust_crystals.py MODEL DATA... [--beyond OTHERS] [--json benchmarks/results/trust_graphene.json]

``harmose-dft calibrate MODEL DATA...`` calibrates MODEL on two thirds of the structures in DATA and judges it on the
last third; this does so for several random divisions, and writes the figures of the first one and the means. Those of
--beyond, of another kind than what calibrates, are judged by the first one as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from common import environment, save

from harmose_dft import load
from harmose_dft.cli import console
from harmose_dft.model.trust.band_fitting import evaluate_band_calibration
from harmose_dft.workflows.calibrate import calibrate_bands, measure_cases

DIVISIONS = 20
"""Random divisions into what calibrates and what judges."""


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--beyond", type=click.Path(path_type=Path, exists=True), help="Data set of structures of another kind.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
def main(model: str, data: tuple[Path, ...], beyond: Path | None, output: Path | None) -> None:
    """Judge the bounds of MODEL on the crystals in DATA."""
    predictor = load(model)
    _, crystals = measure_cases(predictor, data, progress=console.progress, tell=console.note)
    divisions = [calibrate_bands(crystals, predictor.info.sha256, seed=seed) for seed in range(DIVISIONS)]
    tests = [division.figures["bands"]["test"] for division in divisions]
    verdicts = tests[0]["verdicts"]
    worst = {
        verdict: max((e for t in tests if (e := t["largest_error_by_verdict"][verdict]) is not None), default=None)
        for verdict in verdicts
    }
    result: dict[str, Any] = {
        "model": {"name": predictor.info.name, "sha256": predictor.info.sha256},
        "crystals": len(crystals),
        "errors": sorted(case.error for case in crystals),
        "test": tests[0],
        "average": {
            "divisions": DIVISIONS,
            "coverage": float(np.mean([t["coverage"] for t in tests])),
            "lowest_coverage": min(t["coverage"] for t in tests),
            "median_bound": float(np.mean([t["median_bound"] for t in tests])),
            "median_error": float(np.mean([t["median_error"] for t in tests])),
            "verdicts": {v: sum(t["verdicts"][v] for t in tests) for v in verdicts},
            "largest_error_by_verdict": worst,
        },
    }
    if beyond is not None:
        _, others = measure_cases(predictor, [beyond], progress=console.progress, tell=console.note)
        first = divisions[0].bands
        assert first is not None
        result["beyond"] = evaluate_band_calibration(first, others)
    console.print_json({key: value for key, value in result.items() if key != "errors"})
    if output is not None:
        save(output, {**result, **environment()})


if __name__ == "__main__":
    main()

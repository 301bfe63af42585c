"""From molecules with known errors to the file that a model's verdicts and intervals come from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import reference
from harmose_dft.core.errors import DataError
from harmose_dft.model.loading import load
from harmose_dft.model.trust.calibration import LARGE_REFINED_ERROR, QUANTITIES, SIGNALS
from harmose_dft.model.trust.fitting import Case
from harmose_dft.model.trust.store import TrustFile
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.calibrate import (
    FREE,
    Cases,
    calibrate,
    case_from_dict,
    case_to_dict,
    measure_case,
    measure_pair,
    predict_record,
)


def cases(count: int) -> list[Case]:
    rng = np.random.default_rng(3)
    made = []
    for i in range(count):
        size = 10 ** rng.uniform(-4, -1)
        signals = {name: float(size * np.exp(rng.normal())) for name in SIGNALS}
        errors = {name: float(size * rng.random()) for name in QUANTITIES}
        made.append(Case(f"M{i}", "odd" if i % 2 else "test", signals, errors, size))
    return made


def both(count: int) -> Cases:
    return Cases(cases(count), cases(count))


def test_a_calibration_is_judged_on_a_third_that_it_has_not_seen(tmp_path: Path) -> None:
    made = calibrate(both(300), "c" * 64, made_from={"data": ["made up"]})
    assert made.made_from["molecules"] == 200
    assert made.figures["refined"]["test"]["molecules"] == 100
    assert sum(made.figures["refined"]["test"]["verdicts"].values()) == 100
    assert made.figures["refined"]["test"]["auc"] > 0.9
    made.save(tmp_path)
    again = TrustFile.load(tmp_path, "c" * 64)
    assert again is not None
    assert again.made_from["data"] == ["made up"]


def test_the_same_molecules_and_seed_give_the_same_calibration() -> None:
    one, other = (calibrate(both(150), "c" * 64, seed=4).refined.to_dict() for _ in range(2))
    assert one == other


def test_too_few_molecules_are_refused() -> None:
    with pytest.raises(DataError, match="A calibration needs 40 molecules"):
        calibrate(both(30), "c" * 64)


@pytest.mark.parametrize("formulas", [["C2H6O"], ["C2H6O", "H2O"]])
def test_molecules_of_one_or_two_formulas_are_refused_however_many(formulas: list[str]) -> None:
    """One was refused as no molecules at all; of two one was judged by regressions on nothing."""
    members = [replace(case, group=formulas[i % len(formulas)]) for i, case in enumerate(cases(300))]
    with pytest.raises(DataError, match=f"All 300 molecules are of {' or '.join(formulas)}; .* 3 formulas are needed"):
        calibrate(Cases(members, members), "c" * 64)


def test_cases_survive_json() -> None:
    (case,) = cases(1)
    assert case_from_dict(json.loads(json.dumps(case_to_dict(case)))) == case


def test_errors_of_a_case_are_those_of_the_prediction() -> None:
    predictor, water = load(), structure_of()
    record = reference(water, "b3lyp", "def2-svp")
    prediction = predict_record(predictor, record)
    case = measure_case(prediction, record, "test")
    levels = record.eigenvalues[0].energies[0, 0]
    assert case.errors["homo"] == pytest.approx(abs(prediction.spectrum.homo - levels[4]), abs=1e-7)
    largest = np.abs(prediction.spectrum.energies[:5] - levels[:5]).max()
    assert case.largest_level_error == pytest.approx(largest, abs=1e-7)
    assert set(case.signals) == set(SIGNALS)
    assert (case.group, case.kind, case.is_bad(LARGE_REFINED_ERROR), case.ruled_out) == ("H2O", "test", False, False)
    with pytest.raises(DataError, match="with trust reports"):
        measure_case(predictor.predict(water, trust=False), record)


def test_a_molecule_counts_once_refined_and_once_as_the_network_predicts_it() -> None:
    predictor, water = load(), structure_of()
    refined, free = measure_pair(predictor, reference(water, "b3lyp", "def2-svp"))
    assert refined.errors["mean_occupied"] < free.errors["mean_occupied"]
    assert set(refined.signals) == set(SIGNALS)
    assert set(free.signals) == set(FREE)


def test_bad_is_an_error_of_5_millihartree_refined_and_of_20_otherwise() -> None:
    made = calibrate(both(300), "c" * 64)
    assert (made.refined.large_error, made.free.large_error) == (0.005, 0.02)  # type: ignore[union-attr]
    assert made.made_from["bad"] > made.made_from["bad_free"]

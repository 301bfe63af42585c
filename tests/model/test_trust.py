"""Verdicts, intervals, and when there is a certificate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import reference
from harmose_dft.core.errors import CheckpointError, HarmoseWarning
from harmose_dft.core.structure import Structure
from harmose_dft.model.description import seal
from harmose_dft.model.domain import DomainReport, lone_atoms
from harmose_dft.model.loading import BUNDLED, load
from harmose_dft.model.predictor import Predictor
from harmose_dft.model.trust.calibration import LARGE_ERROR, QUANTITIES, Calibration
from harmose_dft.model.trust.certificate import Deviation
from harmose_dft.model.trust.evidence import Evidence
from harmose_dft.model.trust.fitting import Case, evaluate_calibration, fit_calibration
from harmose_dft.model.trust.judging import apply_rules, assess
from harmose_dft.model.trust.report import describe_doubtful
from harmose_dft.model.trust.signals import logistic
from harmose_dft.model.trust.statistics import conformal_quantile, fit_logistic, fit_ridge, split_groups
from harmose_dft.model.trust.store import FILE, TrustFile, set_aside
from harmose_dft.model.trust.verdicts import Rules, Verdict
from harmose_dft.solver import solve
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.calibrate import FREE, WITH_BUILDS

pytestmark = pytest.mark.filterwarnings("ignore::harmose_dft.core.errors.HarmoseWarning")

BOHR = 0.529177210903
SIGNALS = ("commutator", "gap")


def made_up_cases(count: int = 400, seed: int = 0) -> list[Case]:
    """Molecules whose errors grow with the commutator: exactly by a lognormal factor, so that coverage is known."""
    rng = np.random.default_rng(seed)
    commutators = 10 ** rng.uniform(-3, -0.5, count)
    cases = []
    for i, commutator in enumerate(commutators):
        errors = {q: float(0.05 * commutator * np.exp(0.5 * rng.normal())) for q in QUANTITIES}
        level = 0.2 * commutator * np.exp(0.3 * rng.normal())
        cases.append(Case(f"M{i}", "made up", {"commutator": commutator, "gap": 0.3}, errors, float(level)))
    return cases


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return fit_calibration(made_up_cases(), SIGNALS)


@pytest.fixture(scope="module")
def organic() -> Predictor:
    return load()


def diatomic(first: int, second: int, angstrom: float) -> Structure:
    return Structure(np.array([first, second]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, angstrom / BOHR]]))


# Statistics


def test_conformal_quantile_is_the_score_that_leaves_one_in_twenty_above() -> None:
    scores = np.arange(1.0, 40.0)  # 39 scores: the 38th of 40 ranks
    assert conformal_quantile(np.random.default_rng(0).permutation(scores), 0.95) == 38.0
    assert conformal_quantile(scores[:18], 0.95) == float("inf")


def test_logistic_regression_finds_the_odds_that_made_the_data() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20000, 2))
    bad = rng.random(20000) < logistic(1.5 * x[:, 0] - 0.7 * x[:, 1] - 1.0)
    fitted = fit_logistic(x, bad)
    assert fitted.weights == pytest.approx([1.5, -0.7], abs=0.08)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.08)


def test_ridge_finds_a_plane() -> None:
    x = np.random.default_rng(2).normal(size=(5000, 3))
    fitted = fit_ridge(x, x @ [1.0, -2.0, 0.5] + 3.0)
    assert fitted.weights == pytest.approx([1.0, -2.0, 0.5], abs=1e-3)
    assert fitted.intercept == pytest.approx(3.0, abs=1e-3)


def test_molecules_of_one_group_stay_together() -> None:
    cases = [replace(case, group=f"G{i % 30}") for i, case in enumerate(made_up_cases(120))]
    parts = split_groups(cases, 3, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))
    groups = [{cases[i].group for i in part} for part in parts]
    assert sum(len(group) for group in groups) == 30


def test_intervals_hold_as_often_as_promised_on_molecules_that_were_not_seen(calibration: Calibration) -> None:
    figures = evaluate_calibration(calibration, made_up_cases(3000, seed=5))
    for quantity, held in figures["coverage_of_good"].items():  # type: ignore[attr-defined]
        assert 0.92 < held < 0.98, quantity


def test_no_bad_molecule_is_accepted_and_most_good_ones_are(calibration: Calibration) -> None:
    figures = evaluate_calibration(calibration, made_up_cases(3000, seed=6))
    verdicts, bad = figures["verdicts"], figures["bad_by_verdict"]
    assert bad["good"] == 0  # type: ignore[index]
    assert verdicts["good"] > 0.6 * (figures["molecules"] - figures["bad"])  # type: ignore[index, operator]
    assert figures["auc"] > 0.95  # type: ignore[operator]


def test_intervals_widen_with_the_commutator(calibration: Calibration) -> None:
    narrow, wide = (
        calibration.half_widths({"commutator": c, "gap": 0.3}, Verdict.GOOD) for c in (1e-2, 1e-1)
    )
    assert narrow is not None
    assert wide is not None
    assert all(wide[q] > 3.0 * narrow[q] for q in ("homo", "lumo", "gap", "mean_occupied"))


def test_a_verdict_too_rare_to_calibrate_has_no_interval() -> None:
    cases = made_up_cases()
    few = fit_calibration(
        [c for c in cases if not c.is_bad(LARGE_ERROR)] + [c for c in cases if c.is_bad(LARGE_ERROR)][:8], SIGNALS
    )
    assert few.half_widths(cases[0].signals, Verdict.DO_NOT_USE) is None
    assert few.half_widths(cases[0].signals, Verdict.GOOD) is not None


# The file


def trust_file(calibration: Calibration, sha256: str = "a" * 64) -> TrustFile:
    return TrustFile(sha256, calibration, calibration, {"molecules": 400}, {})


def test_a_calibration_reads_back_as_it_was_written(calibration: Calibration, tmp_path: Path) -> None:
    trust_file(calibration).save(tmp_path)
    read = TrustFile.load(tmp_path, "a" * 64)
    assert read is not None
    signals = {"commutator": 0.01, "gap": 0.2}
    assert read.refined.estimate_risk(signals) == calibration.estimate_risk(signals)
    assert read.free.half_widths(signals, Verdict.GOOD) == calibration.half_widths(signals, Verdict.GOOD)


def test_an_edited_calibration_is_refused(calibration: Calibration, tmp_path: Path) -> None:
    path = trust_file(calibration).save(tmp_path)
    content = json.loads(path.read_text())
    content["refined"]["good_below"] = 0.9
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="damaged or was edited"):
        TrustFile.load(tmp_path, "a" * 64)


@pytest.mark.parametrize(
    ("key", "value"),
    [("signals", ["commutator", "unknown"]), ("scale", [1.0]), ("risk", {"weights": [1.0], "intercept": 0.0})],
)
def test_a_calibration_whose_signals_do_not_fit_is_refused(
    key: str, value: object, calibration: Calibration, tmp_path: Path
) -> None:
    path = trust_file(calibration).save(tmp_path)
    content = json.loads(path.read_text())
    content["free"][key] = value
    path.write_text(seal(content))
    with pytest.raises(CheckpointError, match=r"signal 'unknown'|one entry for each signal"):
        TrustFile.load(tmp_path, "a" * 64)


def test_a_calibration_of_other_weights_is_refused(calibration: Calibration, tmp_path: Path) -> None:
    trust_file(calibration).save(tmp_path)
    with pytest.raises(CheckpointError, match="belongs to the weights aaaaaaaaaaaa"):
        TrustFile.load(tmp_path, "b" * 64)


def test_calibration_of_weights_that_were_trained_again_is_set_aside(
    calibration: Calibration, tmp_path: Path
) -> None:
    path = trust_file(calibration).save(tmp_path)
    assert set_aside(tmp_path, "a" * 64) == ""
    assert path.exists()
    assert "trust-aaaaaaaa.json now" in set_aside(tmp_path, "b" * 64)
    assert not path.exists()
    assert TrustFile.load(tmp_path, "b" * 64) is None
    assert (tmp_path / "trust-aaaaaaaa.json").exists()
    assert set_aside(tmp_path, "b" * 64) == ""


def test_name_of_a_calibration_that_is_set_aside_is_no_path_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / FILE).write_text(json.dumps({"model_sha256": "../../x"}))
    assert set_aside(folder, "b" * 64)
    assert [p.name for p in folder.iterdir()] == ["trust-earlier.json"]


def test_a_model_without_the_file_has_no_calibration(tmp_path: Path) -> None:
    assert TrustFile.load(tmp_path, "a" * 64) is None


def test_the_bundled_model_is_calibrated_on_all_signals(organic: Predictor) -> None:
    assert organic.calibrations is not None
    assert set(organic.calibrations.refined.signals.names) == set(WITH_BUILDS)
    assert set(organic.calibrations.free.signals.names) == set(FREE)
    assert (BUNDLED / "organic" / FILE).stat().st_size < 100_000


# The bundled model


def test_water_is_good_and_its_intervals_hold_pyscfs_levels(organic: Predictor) -> None:
    water = structure_of()
    trust = organic.predict(water).trust
    assert trust is not None
    assert trust.intervals is not None
    assert trust.verdict == Verdict.GOOD
    record = reference(water, "b3lyp", "def2-svp")
    exact = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    occupied = float(exact.energies[:5].mean())
    for name, value in (("lumo", exact.lumo), ("gap", exact.gap), ("mean_occupied", occupied)):
        interval = getattr(trust.intervals, name)
        assert interval.low < value < interval.high
        assert interval.half_width < 0.01


def test_a_torn_bond_that_fock_builds_do_not_mend_is_not_to_be_used(organic: Predictor) -> None:
    with pytest.warns(HarmoseWarning, match="do not use"):
        trust = organic.predict(diatomic(6, 8, 2.2)).trust
    assert trust is not None
    assert trust.verdict == Verdict.DO_NOT_USE
    assert trust.certificate is not None
    assert trust.certificate.last_deviation.largest_level_change > 0.05


def test_an_ion_without_fock_builds_is_not_good(organic: Predictor) -> None:
    """The network alone is off by 0.7 eV for ammonium, and everything that is known for free speaks for it."""
    corners = ("H 0.59 0.59 0.59", "H -0.59 -0.59 0.59", "H -0.59 0.59 -0.59", "H 0.59 -0.59 -0.59")
    ammonium = replace(structure_of(("N 0 0 0", *corners)), charge=1)
    free = organic.predict(ammonium, refine=False).trust
    assert free is not None
    assert (free.verdict, free.intervals) == (Verdict.CAREFUL, None)
    assert free.verdict_in_words.endswith("; an ion judged without Fock builds (--refine) is never good")
    neutral = organic.predict(structure_of(), refine=False).trust
    assert neutral is not None
    assert neutral.intervals is not None
    assert neutral.verdict_in_words.endswith("; judged without Fock builds (--refine)")


def test_few_molecules_are_refined_unless_told_otherwise(organic: Predictor) -> None:
    water = structure_of()
    assert organic.predict(water, refine=False).trust.certificate is None  # type: ignore[union-attr]
    assert organic.predict(water).trust.certificate is not None  # type: ignore[union-attr]
    many = organic.predict([water] * 9)
    assert all(p.trust is not None and p.trust.certificate is None and p.trust.verdict for p in many)
    unasked, asked = (organic.predict(water, trust=False, refine=choice) for choice in (None, True))
    assert unasked.trust is None
    assert not unasked.network
    assert asked.trust is None
    assert asked.network


def test_without_a_calibration_there_is_no_verdict_and_no_interval(organic: Predictor) -> None:
    plain = Predictor(organic.model)
    trust = plain.predict(structure_of(), refine=True).trust
    assert trust is not None
    assert (trust.verdict, trust.risk, trust.intervals) == (None, None, None)
    assert trust.certificate is not None
    assert "no calibration" in trust.verdict_in_words
    assert plain.predict(structure_of()).trust.certificate is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("unusual", "far", "verdict"),
    [((), (), None), (("O1",), (), Verdict.CAREFUL), (("O1",), ("O1",), Verdict.DO_NOT_USE)],
)
def test_surroundings_alone_judge_where_there_are_no_statistics(
    organic: Predictor, unusual: tuple[str, ...], far: tuple[str, ...], verdict: Verdict | None
) -> None:
    """The calibrated model, whose statistics know the distance, does not refuse by it."""
    prediction = organic.predict(structure_of())
    domain = DomainReport(4.0 if unusual else 1.0, unusual, (), 0.1, far)
    evidence = Evidence(domain, 1e-9, None, (), (), 0.01, Deviation(*[1e-4] * 6), prediction.trust.certificate, 0.8)  # type: ignore[union-attr]
    assert assess(prediction.overlap, prediction.spectrum, evidence).verdict == verdict
    calibrated = assess(prediction.overlap, prediction.spectrum, evidence, organic.calibrations)
    assert calibrated.verdict == (Verdict.CAREFUL if unusual else Verdict.GOOD)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, Rules()),
        ({"lone_atoms": ("H3",)}, Rules(doubtful=True, ruled_out=True)),
        ({"domain": DomainReport(4.0, ("O1",), (), 0.1, ("O1",))}, Rules(doubtful=True)),
        ({"domain": DomainReport(1.0, (), ("C-Cl",), 0.1)}, Rules(doubtful=True)),
        ({"charged": True, "certificate": None}, Rules(doubtful=True, unrefined_ion=True)),
    ],
)
def test_rules_do_not_depend_on_whether_a_model_is_calibrated(
    organic: Predictor, changes: dict[str, Any], rules: Rules
) -> None:
    """So a second calibration of the same model is made from the same cases as the first."""
    prediction = organic.predict(structure_of())
    certificate = prediction.trust.certificate  # type: ignore[union-attr]
    evidence = Evidence(DomainReport(1.0, (), (), 0.1), 1e-9, None, (), certificate=certificate, dipole=0.8)
    evidence = replace(evidence, **changes)
    for calibrations in (None, organic.calibrations):
        assert assess(prediction.overlap, prediction.spectrum, evidence, calibrations).rules == rules


def test_far_atoms_rule_out_a_crystal_and_not_a_molecule() -> None:
    evidence = Evidence(DomainReport(4.0, ("O1",), (), 0.1, ("O1",)), 1e-9, None, ())
    assert apply_rules(evidence, (), crystal=True) == Rules(ruled_out=True)
    assert apply_rules(evidence, (), crystal=False) == Rules()


def test_atoms_without_a_neighbour_are_named_and_rule_a_prediction_out(organic: Predictor) -> None:
    water = structure_of()
    torn = water.positions.copy()
    torn[-1] += 6.0
    structure = Structure(water.numbers, torn)
    assert lone_atoms(water) == ()
    assert lone_atoms(structure) == (f"{structure.symbols[-1]}{len(structure)}",)
    with pytest.warns(HarmoseWarning, match="without a neighbour"):
        trust = organic.predict(structure).trust
    assert trust is not None
    assert trust.verdict == Verdict.DO_NOT_USE


def test_keys_of_the_report_end_in_their_unit(organic: Predictor) -> None:
    report = organic.predict(structure_of()).trust.to_dict()  # type: ignore[union-attr]
    low, high = report["intervals"]["homo_ev"]  # type: ignore[index]
    assert -9.0 < low < high < -7.0
    assert report["intervals"]["coverage"] == 0.95  # type: ignore[index]
    assert report["verdict"] == "good"
    assert 0.0 < report["certificate"]["commutator_per_root_electron_uha"] < 1e5  # type: ignore[index]


def test_a_warning_names_three_structures_and_counts_the_rest(organic: Predictor) -> None:
    report = organic.predict(structure_of()).trust
    assert report is not None
    doubtful = replace(report, verdict=Verdict.CAREFUL)
    text = describe_doubtful([("H2O", doubtful)] * 5)
    assert text.count("H2O") == 3
    assert text.endswith("and 2 more")
    assert describe_doubtful([("H2O", replace(report, verdict=Verdict.GOOD))]) == ""

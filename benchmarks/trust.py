"""Calibrates a model's verdicts and error bars on molecules that its training never saw, and judges them on others.

    python benchmarks/trust.py DATA... [--model organic] [--seen LIST] [--wrong FOLDER] [--cost NAME] [--write]
                               [--json trust.json]

DATA are data sets with PySCF calculations (``organic_b3lyp.h5``, ``organic2_b3lyp.h5``, what ``odd_molecules.py``
makes). Of a file that the model was trained on only the test and validation parts count (crc32 rule); molecules of the
training part that are listed in LIST (a SMILES per line), those of other elements or charges, and those of up to five
atoms in nearly the geometry of a training molecule are left out.
Every molecule is predicted in two ways: refined and judged by cheap Fock builds, and
as the network predicts. Besides verdicts and intervals the figures are errors of H and levels by kind of molecule.
Predictions are kept in a cache, one by one, so that the benchmark can be interrupted; a new model begins a new cache.
``--write`` stores ``trust.json`` beside the model: this one command calibrates a model. ``--wrong`` judges xyz files
in FOLDER, with PySCF's levels in ``orbital_energies_hartree.json``, which no calibration has seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
from common import ROOT, environment, held_out, save
from scipy.spatial.distance import pdist

from harmose_dft import Predictor, load
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.pyscf import kohn_sham, to_mole
from harmose_dft.adapters.structures import read_structures
from harmose_dft.cli import console
from harmose_dft.core.errors import DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import HARTREE_IN_EV, MICRO
from harmose_dft.data import split_of_smiles
from harmose_dft.model.loading import model_folder
from harmose_dft.model.prediction import Prediction
from harmose_dft.model.refinement import refine_prediction
from harmose_dft.model.trust.calibration import Calibration
from harmose_dft.model.trust.fitting import Case, evaluate_calibration, fit_calibration, limit_verdict
from harmose_dft.model.trust.store import TrustFile
from harmose_dft.solver import solve
from harmose_dft.workflows.calibrate import (
    FITS,
    Cases,
    calibrate,
    case_from_dict,
    case_to_dict,
    divide,
    measure_case,
    predict_record,
)
from harmose_dft.workflows.parts import TrainedRecords

SEEN = tuple(ROOT / "benchmarks" / "organic" / name for name in ("added_molecules.smi", "labelled.txt"))
CACHE = ROOT / "local" / "trust.jsonl"
LEVELS, CURVE_REPEATS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95), 10
"""Stated shares of intervals that hold, and divisions over which the shares that did are averaged."""

REPEATS = 20
"""Random divisions over which coverage is averaged: one test part of 100 molecules tells it to 2 % only."""

WAYS = ("refined", "free")
"""Refined and judged by cheap Fock builds, or as the network predicts."""

SMALL, SAME_GEOMETRY = 5, 0.1
"""Atoms; Bohr. Molecules of so few atoms are seen ones if no distance in a training molecule differs by more."""

WITHIN = 3.0
"""mHartree; errors of HOMO and LUMO that the summary by kind counts."""

ORDINARY = ("test", "validation", "organic")
"""Kinds of ordinary organic molecules. Those of the kind "first" are what people type first, CO, N2 and zwitterions
among them; the others are odd on purpose."""


def annotations(path: Path) -> list[tuple[str, int, str]]:
    """SMILES, charge and kind of each molecule of a ragged or grouped file."""
    with h5py.File(path) as file:
        if "atom_ptr" in file:
            count = len(file["atom_ptr"]) - 1
            smiles = file["smiles"].asstr()[()]
            charges = file["charge"][()] if "charge" in file else np.zeros(count, dtype=int)
            kinds = file["name"].asstr()[()] if "charge" in file else [split_of_smiles(s) for s in smiles]
            return [(str(s), int(q), str(k)) for s, q, k in zip(smiles, charges, kinds, strict=True)]
        groups = [file[name].attrs for name in sorted(file)]
        return [(str(g.get("smiles", "")), int(g.get("charge", 0)), str(g.get("kind", ""))) for g in groups]


Fingerprints = dict[tuple[str, int], list[np.ndarray]]
"""Formula and charge of small molecules -> sorted distances between their atoms, Bohr."""


def fingerprints(paths: Sequence[Path]) -> Fingerprints:
    """Small molecules among the training parts of data sets."""
    result: Fingerprints = {}
    for path in paths:
        dataset = open_dataset(path)
        for i, (smiles, _, _) in enumerate(annotations(path)):
            structure = dataset.structure(i)
            if split_of_smiles(smiles) == "train" and len(structure) <= SMALL:
                result.setdefault((structure.formula, structure.charge), []).append(sorted_distances(structure))
    return result


def sorted_distances(structure: Structure) -> np.ndarray:
    """Distances between all atoms, Bohr, ascending."""
    return np.sort(pdist(structure.positions))


def is_near(structure: Structure, trained: Fingerprints) -> bool:
    """Whether a molecule has nearly the geometry of a training molecule."""
    same = trained.get((structure.formula, structure.charge), ())
    return any(np.abs(sorted_distances(structure) - d).max(initial=0.0) < SAME_GEOMETRY for d in same)


def unseen(
    predictor: Predictor, path: Path, seen: set[str], trained_on: Fingerprints, *, trained: bool
) -> Iterator[tuple[str, str, Record]]:
    """Key, kind and record of each molecule of a data set that training did not see and the model covers."""
    dataset, elements = open_dataset(path), set(predictor.model.basis.elements)
    for i, (smiles, charge, kind) in enumerate(annotations(path)):
        part = split_of_smiles(smiles) if trained else "test"
        if charge in predictor.model.domain.charges and part != "train" and (trained or smiles not in seen):
            structure = dataset.structure(i)
            if set(structure.numbers.tolist()) <= elements and not is_near(structure, trained_on):
                yield f"{path.name}:{i}:{smiles}", kind, dataset[i]


def read_seen(paths: Sequence[Path]) -> set[str]:
    """SMILES of the training part in lists with a molecule per line."""
    lines = [line.split() for path in paths if path.is_file() for line in path.read_text().splitlines()]
    return {words[0] for words in lines if words and words[0] != "#" and split_of_smiles(words[0]) == "train"}


def collect(predictor: Predictor, paths: Sequence[Path], seen: set[str], cache: Path) -> list[dict[str, Any]]:
    """Cases of all molecules as in the cache, from there where they are in it."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    kept = [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []
    done = {row["key"]: row for row in kept if row["model"] == predictor.info.sha256}
    rows: list[dict[str, Any]] = []
    trained = [
        path for path in paths if TrainedRecords.find(predictor.model.training, open_dataset(path)).is_own_file
    ]
    trained_on = fingerprints(trained)
    seen = seen | {smiles for path in trained for smiles, _, _ in annotations(path)}
    for path in paths:
        for key, kind, record in unseen(predictor, path, seen, trained_on, trained=path in trained):
            if key in done:
                rows.append(done[key])
                continue
            row: dict[str, Any] = {"model": predictor.info.sha256, "key": key}
            try:
                for name in WAYS:
                    prediction = predict_record(predictor, record, refine=name == "refined")
                    row[name] = {
                        **case_to_dict(measure_case(prediction, record, kind)),
                        "level_error": mean_level_error(prediction, record),
                        "element_error": mean_element_error(prediction, record),
                    }
            except DomainError as error:
                row["refused"] = str(error)
            with cache.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
            console.note(f"{len(rows)} {key}")
    return rows


def mean_element_error(prediction: Prediction, record: Record) -> float:
    """Mean absolute error of the elements of H, Hartree, as mae_all."""
    return float(np.abs(prediction.hamiltonian.to_dense() - record.hamiltonian[0].to_dense()).mean())


def mean_level_error(prediction: Prediction, record: Record) -> float:
    """Mean absolute error of the occupied levels, Hartree."""
    reference = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    levels = prediction.spectrum.energies[prediction.spectrum.occupied]
    return float(np.abs(levels - reference.energies[reference.occupied]).mean())


def summarize_kinds(rows: Sequence[Mapping[str, Any]], trust: TrustFile) -> dict[str, dict[str, dict[str, Any]]]:
    """Errors by kind of molecule of refined and of network's predictions, and the verdicts by the new calibration.

    Returns:
        Way, kind, figure; errors of levels in mHartree, of elements of H in microhartree.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for name in WAYS:
        cases = [row[name] for row in rows if "refused" not in row]
        kinds = sorted({case["kind"] for case in cases})
        result[name] = {
            kind: summarize([case for case in cases if case["kind"] == kind], trust.choose(name == "refined"))
            for kind in kinds
        }
    return result


def summarize(cases: Sequence[Mapping[str, Any]], calibration: Calibration) -> dict[str, Any]:
    """Errors of one kind of molecule, and the verdicts on them."""
    homo, lumo = (1e3 * np.array([case["errors"][q] for case in cases]) for q in ("homo", "lumo"))
    levels = 1e3 * np.array([case["level_error"] for case in cases])
    verdicts = [judge(case_from_dict(case), calibration) for case in cases]
    within = (homo <= WITHIN) & (lumo <= WITHIN)
    return {
        "molecules": len(cases),
        "element_error": float(np.mean([case["element_error"] for case in cases]) / MICRO),
        "level_error": float(levels.mean()),
        "median_level_error": float(np.median(levels)),
        "homo_error": float(homo.mean()),
        "lumo_error": float(lumo.mean()),
        "largest_homo_error": float(homo.max()),
        "largest_lumo_error": float(lumo.max()),
        f"share_within_{WITHIN:g}": float(within.mean()),
        "good": verdicts.count("good"),
        f"good_beyond_{WITHIN:g}": sum(v == "good" and not w for v, w in zip(verdicts, within, strict=True)),
    }


def judge(case: Case, calibration: Calibration) -> str:
    """Verdict on a case."""
    return str(limit_verdict(calibration.judge(calibration.estimate_risk(case.signals)), case))


def average(cases: Cases, sha256: str) -> dict[str, Any]:
    """Figures over random divisions into calibration and test molecules."""
    figures = [calibrate(cases, sha256, seed=seed).figures for seed in range(REPEATS)]
    result: dict[str, Any] = {}
    for name in WAYS:
        tests = [f[name]["test"] for f in figures]
        ordinary = [t["kinds"].get(k, {}) for t in tests for k in ORDINARY]
        count = sum(o.get("molecules", 0) for o in ordinary)
        held = {q: [t["coverage_of_good"][q] for t in tests] for q in tests[0]["coverage_of_good"]}
        result[name] = {
            "divisions": REPEATS,
            "auc": float(np.mean([t["auc"] for t in tests])),
            "coverage_of_good": {q: float(np.mean(v)) for q, v in held.items() if None not in v},
            "lowest_and_highest_coverage": {q: [min(v), max(v)] for q, v in held.items() if None not in v},
            "good": sum(t["verdicts"]["good"] for t in tests),
            "bad_among_good": sum(t["bad_by_verdict"]["good"] for t in tests),
            "ordinary_molecules": count,
            "ordinary_not_good": sum(o.get("careful", 0) + o.get("do not use", 0) for o in ordinary) / count,
            "within": sum(t["molecules"] - t["bad"] for t in tests),
            "refused_though_within": sum(t["refused_though_within"] for t in tests),
            "ordinary_do_not_use": sum(o.get("do not use", 0) for o in ordinary) / count,
        }
    return result


def cover(cases: Cases) -> dict[str, Any]:
    """Share of good predictions inside their intervals for several stated shares, means over random divisions.

    Returns:
        "stated": the shares; by way of prediction and quantity: what held.
    """
    curve: dict[str, Any] = {"divisions": CURVE_REPEATS, "stated": list(LEVELS)}
    for name in WAYS:
        members = getattr(cases, name)
        held: dict[str, list[float]] = {}
        for level in LEVELS:
            tests = []
            for seed in range(CURVE_REPEATS):
                used, kept = divide(members, seed)
                calibration = fit_calibration(used, seed=seed, coverage=level, **FITS[name])
                tests.append(evaluate_calibration(calibration, kept)["coverage_of_good"])
            for quantity in tests[0]:
                held.setdefault(quantity, []).append(float(np.mean([test[quantity] for test in tests])))
        curve[name] = held
    return curve


def judge_wrong(predictor: Predictor, folder: Path) -> list[dict[str, Any]]:
    """Verdict and errors of each structure that is known to go wrong."""
    levels = json.loads((folder / "orbital_energies_hartree.json").read_text())
    rows = []
    for name, energies in sorted(levels.items()):
        (structure,) = read_structures(folder / f"{name}.xyz")
        try:
            prediction = predict_record(predictor, _Bare(structure))
        except DomainError:
            rows.append({"name": name, "verdict": "refused"})
            continue
        trust, spectrum = prediction.trust, prediction.spectrum
        assert trust is not None
        count = int(spectrum.occupied.sum())
        apart = np.abs(spectrum.energies[:count] - np.array(energies)[:count])
        homo = None if trust.intervals is None else trust.intervals.homo
        rows.append({
            "name": name,
            "verdict": str(trust.verdict),
            "risk": trust.risk,
            "worst_level_mev": float(apart.max()) * 1e3 * HARTREE_IN_EV,
            "homo_inside": None if homo is None else homo.low <= energies[count - 1] <= homo.high,
        })
    return rows


def measure_cost(predictor: Predictor, names: Sequence[str]) -> list[dict[str, Any]]:
    """CPU seconds of prediction, refinement and PySCF's SCF (its defaults) of held-out molecules, on one thread."""
    rows = []
    for molecule in held_out(names):
        seconds = []
        for _ in range(2):  # the first one loads what later ones find
            start = time.process_time()
            prediction = predictor.predict(molecule, refine=False)
            middle = time.process_time()
            refine_prediction(prediction)
            seconds = [middle - start, time.process_time() - middle]
        start = time.process_time()
        kohn_sham(to_mole(molecule, prediction.basis), prediction.functional).kernel()
        scf = time.process_time() - start
        rows.append({
            "name": molecule.name, "atoms": len(molecule), "prediction_s": seconds[0], "refinement_s": seconds[1],
            "scf_s": scf, "share_of_scf": seconds[1] / scf,
        })
        console.note(json.dumps(rows[-1]))
    return rows


class _Bare:
    """A record of which only the structure is known."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--seen", multiple=True, default=SEEN, type=click.Path(path_type=Path), help="Training molecules.")
@click.option("--cache", default=CACHE, type=click.Path(path_type=Path), help="Kept predictions.")
@click.option("--wrong", type=click.Path(path_type=Path, exists=True), help="Folder of structures that go wrong.")
@click.option("--cost", multiple=True, metavar="NAME", help="Time the SCF of this molecule in benchmarks/molecules.")
@click.option("--write", is_flag=True, help="Store trust.json beside the model.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
def main(
    data: tuple[Path, ...], model: str, seen: tuple[Path, ...], cache: Path, wrong: Path | None, cost: tuple[str, ...],
    write: bool, output: Path | None,
) -> None:
    """Calibrate a model on molecules of DATA that it has never seen."""
    predictor = load(model)
    rows = collect(predictor, data, read_seen(seen), cache)
    cases = Cases(*([case_from_dict(row[name]) for row in rows if "refused" not in row] for name in WAYS))
    sources = {"data": [path.name for path in data], "date": time.strftime("%F")}
    trust = calibrate(cases, predictor.info.sha256, made_from=sources)
    if write:
        console.note(f"written: {trust.save(model_folder(model), force=True)}")
        predictor = load(model)
    result: dict[str, Any] = {
        "model": {"name": predictor.info.name, "sha256": predictor.info.sha256},
        "made_from": dict(trust.made_from),
        "test": {name: figures["test"] for name, figures in trust.figures.items()},
        "average": average(cases, predictor.info.sha256),
        "coverage": cover(cases),
        "kinds": summarize_kinds(rows, trust),
    }
    if wrong is not None:
        result["wrong"] = judge_wrong(predictor, wrong)
    if cost:
        result["cost"] = measure_cost(predictor, cost)
    show(result)
    if output is not None:
        save(output, {**result, **environment()})


def show(result: Mapping[str, Any]) -> None:
    """Print the figures."""
    for name in WAYS:
        test, mean = result["test"][name], result["average"][name]
        rows: list[tuple[str, str]] = [("test molecules (bad)", f"{test['molecules']} ({test['bad']})")]
        rows += [(f"verdict {v} (bad)", f"{n} ({test['bad_by_verdict'][v]})") for v, n in test["verdicts"].items()]
        rows += [(f"coverage of good, {q}", f"{x:.3f}") for q, x in test["coverage_of_good"].items() if x is not None]
        widths = test["median_half_width_of_good"]
        rows += [(f"half-width of good, {q} (mHa)", f"{1e3 * x:.2f}") for q, x in widths.items() if x]
        rows += [("AUC", f"{test['auc']:.3f}")]
        rows += [(f"{REPEATS} divisions: {k}", json.dumps(v)) for k, v in mean.items()]
        console.print_table(name, ("", ""), rows)
    for name, kinds in result["kinds"].items():
        for kind, figures in kinds.items():
            console.print_table(f"{kind}, {name}", ("", ""), [(k, f"{v:.3g}") for k, v in figures.items()])
    for row in (*result.get("wrong", []), *result.get("cost", [])):
        console.say(json.dumps(row))


if __name__ == "__main__":
    main()

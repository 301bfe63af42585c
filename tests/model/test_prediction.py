"""Predictions as objects: short representations, typed trust, copies and pickles."""

from __future__ import annotations

import copy
import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from harmose_dft.cli.console import plain
from harmose_dft.core.errors import DataError
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.model.loading import load
from harmose_dft.model.prediction import Prediction
from harmose_dft.model.predictor import Predictor
from harmose_dft.model.trust import TrustReport, Verification
from harmose_dft.testing.crystals import layer
from harmose_dft.testing.models import BASIS, water

REPORT = TrustReport(0.02, 10.0, 3e-9, 0.75, (), (), 0.5)

HARTREE, DEBYE = 27.211386, 2.541746
"""eV, and Debye in one e*Bohr (CODATA 2018)."""


@pytest.fixture(scope="module")
def predictor(fixtures_dir: Path) -> Predictor:
    return load(fixtures_dir / "model_v1")


@pytest.fixture(scope="module")
def prediction(predictor: Predictor) -> Prediction:
    return predictor.predict(water(0))


def crystal(prediction: Prediction, fermi: float = 0.1, gap: float = 0.2) -> Prediction:
    """Two bands at one k-point, the lower one full, in the place of the spectrum."""
    energies = np.array([[fermi - gap / 2, fermi + gap / 2]])
    spectrum = Spectrum(energies, np.eye(2)[None], np.array([[2.0, 0.0]]), np.ones(1), fermi, np.zeros((1, 3)))
    return replace(prediction, structure=layer(0), spectrum=spectrum)


def text_of(prediction: Prediction) -> str:
    stream = io.StringIO()
    Console(width=140, file=stream).print(prediction)
    return stream.getvalue()


def test_one_structure_gives_a_prediction_and_several_give_a_list(predictor: Predictor) -> None:
    assert isinstance(predictor.predict(water(0), trust=False), Prediction)
    assert [type(p) for p in predictor.predict([water(0)], trust=False)] == [Prediction]


def test_representations_show_the_figures_of_a_molecule(prediction: Prediction) -> None:
    spectrum = prediction.spectrum
    assert prediction.dipole is not None
    expected = [f"{spectrum.homo * HARTREE:.3f} eV", f"{spectrum.lumo * HARTREE:.3f} eV",
                f"{spectrum.gap * HARTREE:.3f} eV", "H2O", "tiny"]
    dipole = f"{np.linalg.norm(prediction.dipole) * DEBYE:.3f} D"
    for part in expected:
        assert part in repr(prediction)
    for shown in (text_of(prediction), prediction._repr_html_()):
        for part in (*expected, dipole, "the training set"):
            assert part in shown
    assert len(repr(prediction)) < 200


def test_representations_of_a_crystal_show_fermi_level_and_gap(prediction: Prediction) -> None:
    """Gap 0.2 Hartree is 5.442 eV; the Fermi level 0.1 Hartree is 2.721 eV."""
    insulator, metal = crystal(prediction), crystal(prediction, gap=0.0)
    assert insulator.dipole is None
    for shown in (text_of(insulator), insulator._repr_html_(), repr(insulator)):
        assert "Fermi level" in shown
        assert "2.721 eV" in shown
        assert "5.442 eV (direct 5.442 eV)" in shown
        assert "HOMO" not in shown
        assert "dipole" not in shown
    touching = crystal(prediction, gap=1e-8)
    assert "none (metal)" in repr(metal)
    assert "none (metal)" in repr(touching)
    full = replace(insulator, spectrum=replace(insulator.spectrum, occupations=np.full((1, 2), 2.0)))
    assert "gap none (no empty band)" in repr(full)


def test_html_escapes_what_a_model_is_called(prediction: Prediction) -> None:
    shown = replace(prediction, model=replace(prediction.model, name="<script>"))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "[bold]" in text_of(replace(prediction, functional="[bold]"))


def test_control_characters_in_names_do_not_reach_the_terminal(prediction: Prediction) -> None:
    hostile = replace(prediction, functional="\x1b[2J")
    assert "\x1b" not in text_of(hostile) + repr(hostile)


def test_orbitals_without_radial_functions_have_no_dipole_line(prediction: Prediction) -> None:
    shown = replace(prediction, basis=BASIS)._repr_html_()
    assert "dipole" not in shown
    assert "HOMO" in shown


def test_trust_that_was_not_asked_for_is_none(predictor: Predictor) -> None:
    plain_prediction = predictor.predict(water(0), trust=False)
    assert plain_prediction.trust is None
    assert "not asked for" in text_of(plain_prediction)


def test_trust_report_in_json_has_units_in_its_keys() -> None:
    """1 uHa is 1e-6 Hartree; a report without members and verification leaves their keys out."""
    assert plain(REPORT.to_dict()) == {
        "smallest_overlap_eigenvalue": 0.02,
        "electron_count": 10.0,
        "covariance_error_uha": pytest.approx(0.003),
        "environment_distance": 0.75,
        "unusual_atoms": [],
        "unseen_pairs": [],
        "atoms_relative_to_training": 0.5,
        "warnings": [],
    }
    full = replace(REPORT, member_spread=2e-6, verification=Verification(1e-6, 2e-6, 3e-6, -75.5))
    found = json.loads(json.dumps(full.to_dict()))
    assert found["member_spread_uha"] == pytest.approx(2.0)
    assert found["scf_residual"] == pytest.approx(
        {"mean_change_uha": 1.0, "commutator_uha": 2.0, "gradient_uha": 3.0, "energy_hartree": -75.5}
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "within the training set (distance 0.75"),
        ({"environment_distance": 1.25}, "at the border of the training set (distance 1.25"),
        ({"unseen_pairs": ("C-Cl",)}, "unseen pairs of elements: C-Cl"),
        ({"warnings": ("a small gap",), "unseen_pairs": ("C-Cl",)}, "doubtful: a small gap"),
    ],
)
def test_trust_in_words_names_the_worst_first(changes: dict[str, object], expected: str) -> None:
    assert replace(REPORT, **changes).in_words.startswith(expected)  # type: ignore[arg-type]


def test_two_spins_have_no_single_hamiltonian(prediction: Prediction) -> None:
    with pytest.raises(DataError, match="spin up and spin down"):
        _ = replace(prediction, hamiltonians=prediction.hamiltonians * 2).hamiltonian


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_predictions_and_predictors_can_be_copied_and_sent(again, predictor, prediction) -> None:  # type: ignore[no-untyped-def]
    other = again(prediction)
    assert other is not prediction
    assert other.trust == prediction.trust
    assert other.basis == prediction.basis
    np.testing.assert_array_equal(other.hamiltonian.values, prediction.hamiltonian.values)
    np.testing.assert_array_equal(other.spectrum.energies, prediction.spectrum.energies)
    twin = again(predictor).predict(water(0), trust=False)
    np.testing.assert_array_equal(twin.hamiltonian.values, prediction.hamiltonian.values)


def test_notebook_shows_the_levels_of_a_molecule_and_none_of_a_crystal(prediction: Prediction) -> None:
    shown = prediction._repr_html_()
    assert f"HOMO {prediction.spectrum.homo * HARTREE:.2f} eV".replace("-", "−") in shown
    within = np.abs(prediction.spectrum.energies - prediction.spectrum.homo) * HARTREE <= 6.0
    below = within & (prediction.spectrum.energies <= prediction.spectrum.homo)
    assert shown.count('stroke="#1f5fa8"') == below.sum()
    assert "<svg" not in crystal(prediction)._repr_html_()

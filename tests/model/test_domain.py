"""Where a model may be used: refusals through the command line, and the trust report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.cli import main
from harmose_dft.core.errors import DomainError
from harmose_dft.core.rotations import random_rotations
from harmose_dft.core.structure import Structure
from harmose_dft.model.domain import TrainingDomain, environments
from harmose_dft.model.loading import load_model
from harmose_dft.testing.models import water
from harmose_dft.testing.molecules import WATER, structure_of

XYZ = "3\nwater\n" + "\n".join(WATER) + "\n"
OUTSIDE = {
    "unknown element": ("1\n\nHe 0 0 0\n", "He"),
    "atoms too close": ("3\n\nO 0 0 0\nH 0 0 0.6\nH 0 1.2 -0.7\n", "0.60 Angstrom"),
    "charge": ('4\nProperties=species:S:1:pos:R:3 charge=1\n' + "\n".join(WATER) + "\nH 0 0 1.1\n", "charge"),
    "odd electrons": ("2\n\nO 0 0 0\nH 0 0 0.97\n", "electron"),
    "periodic cell": (
        '3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 pbc="T T T"\n' + "\n".join(WATER) + "\n", "cell"
    ),
}


@pytest.fixture(scope="module")
def domain() -> TrainingDomain:
    return TrainingDomain.of([water(k) for k in range(30)])


@pytest.mark.parametrize("case", OUTSIDE)
def test_structure_outside_the_domain_ends_with_code_three_and_no_files(
    case: str, tmp_path: Path, fixtures_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, said = OUTSIDE[case]
    path = tmp_path / "outside.xyz"
    path.write_text(text)
    assert main(["predict", str(path), "--model", str(fixtures_dir / "model_v1")]) == 3
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert [p.name for p in tmp_path.iterdir()] == ["outside.xyz"]


@pytest.mark.parametrize(("distance", "code"), [(0.1, 1), (0.29, 1), (0.31, 3), (0.6, 3)])
def test_overlapping_atoms_are_a_damaged_file_and_short_bonds_are_outside_the_domain(
    distance: float, code: int, tmp_path: Path, fixtures_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of exit codes: 1 is an error of the data, whatever the model; 3 is the model's domain."""
    path = tmp_path / "close.xyz"
    path.write_text(f"3\n\nO 0 0 0\nH 0 0 {distance}\nH 0 1.2 -0.7\n")
    assert main(["predict", str(path), "--model", str(fixtures_dir / "model_v1")]) == code
    assert ("overlap" in capsys.readouterr().err) == (code == 1)


def test_refusal_names_the_file_of_several(
    tmp_path: Path, fixtures_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("a.xyz", XYZ), ("b.xyz", XYZ), ("he.xyz", "1\n\nHe 0 0 0\n")):
        Path(name).write_text(text)
    assert main(["predict", "a.xyz", "he.xyz", "b.xyz", "--model", str(fixtures_dir / "model_v1")]) == 3
    assert "error: he.xyz: He" in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == ["a.xyz", "b.xyz", "he.xyz"]


def test_command_predicts_with_a_real_model_and_reports_trust(
    tmp_path: Path, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "water.xyz"
    path.write_text(XYZ)
    assert main(["predict", str(path), "--model", str(fixtures_dir / "model_v1"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    trust = found["trust"]
    assert trust["electron_count"] == pytest.approx(10, abs=1e-6)
    assert 0 < trust["smallest_overlap_eigenvalue"] < 1
    assert trust["covariance_error_uha"] < 0.1
    assert trust["atoms_relative_to_training"] == 1
    assert trust["unseen_pairs"] == []
    assert trust["warnings"] == []
    assert 0 < trust["environment_distance"] < 3
    assert (tmp_path / "water.harmose.h5").is_file()


def test_command_warns_of_unusual_atoms_and_vanishing_gaps(
    tmp_path: Path, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Water torn apart: atoms unlike those of training, and no gap worth the name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "water.xyz"
    path.write_text("3\n\nO 0 0 0\nH 0 0 5\nH 0 5 0\n")
    assert main(["predict", str(path), "--model", str(fixtures_dir / "model_v1"), "--json"]) == 3
    captured = capsys.readouterr()
    assert "The verdict on water.xyz is 'do not use'" in captured.err
    warnings = json.loads(captured.out)["trust"]["warnings"]
    assert any("unlike those of the training set: O1, H2, H3" in w for w in warnings)
    assert any("probably not a closed shell" in w for w in warnings)
    assert all(w in " ".join(captured.err.split()) for w in warnings)


def test_training_like_structures_are_near_and_weird_ones_far(domain: TrainingDomain) -> None:
    """Distance one is the 99 % quantile of the training atoms."""
    inside = [domain.report(water(k)).environment_distance for k in range(30)]
    assert np.mean(np.array(inside) <= 1.0 + 1e-9) > 0.9
    base = structure_of()
    linear = Structure(base.numbers, np.array([[0, 0, 0], [0, 0, 2.6], [0, 0, -2.6]]))
    assert domain.report(linear).environment_distance > 3 * max(inside)
    assert domain.report(linear).unusual_atoms


def test_far_is_what_has_other_neighbours_and_not_what_few_training_structures_leave_out() -> None:
    """A training set of one molecule has no variance: its twin is at a huge distance, and yet not far."""
    single = TrainingDomain.of([water(0)])
    twin, base = single.report(water(1)), structure_of()
    assert twin.environment_distance > 100
    assert twin.unusual_atoms
    assert twin.far_atoms == ()
    torn = Structure(base.numbers, np.array([[0, 0, 0], [0, 0, 1.8], [0, 0, -5.5]]))
    assert single.report(torn).far_atoms == ("O1", "H2", "H3")


def test_environments_do_not_depend_on_orientation_or_order() -> None:
    structure = water(1)
    expected = environments(structure, [1, 8])
    turned = structure.rotate(random_rotations(2)[1])
    np.testing.assert_allclose(environments(turned, [1, 8]), expected, atol=1e-12)
    swapped = Structure(structure.numbers[::-1], structure.positions[::-1])
    np.testing.assert_allclose(environments(swapped, [1, 8])[::-1], expected, atol=1e-12)


def test_pairs_never_seen_are_reported(domain: TrainingDomain) -> None:
    two = Structure(np.array([8, 8]), np.array([[0, 0, 0], [0, 0, 2.3]]))
    assert domain.report(two).unseen_pairs == ("O-O",)


def test_atoms_at_one_place_are_refused(domain: TrainingDomain) -> None:
    with pytest.raises(DomainError, match=r"0\.00 Angstrom apart"):
        domain.check(Structure(np.array([8, 1, 1]), np.array([[0, 0, 0], [0, 0, 0], [0, 0, 4.0]])))


def test_description_keeps_the_domain(domain: TrainingDomain) -> None:
    again = TrainingDomain.from_dict(json.loads(json.dumps(domain.to_dict())))
    assert again.report(water(50)) == domain.report(water(50))
    assert again.elements == (1, 8)


def test_predictor_refuses_before_it_computes(fixtures_dir: Path) -> None:
    predictor = load_model(fixtures_dir / "model_v1")
    with pytest.raises(DomainError, match="trained on H, O only"):
        predictor.predict([water(0), Structure(np.array([6, 8]), np.array([[0, 0, 0], [0, 0, 2.1]]))])
    predictor.check(water(0))
    with pytest.raises(DomainError, match="trained on H, O only"):
        predictor.check(Structure(np.array([6, 8]), np.array([[0, 0, 0], [0, 0, 2.1]])))
    with pytest.raises(TypeError, match="Structure"):
        predictor.predict([1])

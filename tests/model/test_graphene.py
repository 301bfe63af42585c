"""The bundled model of a crystal: found by its name, small, and with graphene's Dirac cone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harmose_dft import bands
from harmose_dft.cli import main
from harmose_dft.core.errors import DomainError
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.model.loading import BUNDLED, load
from harmose_dft.model.trust import Verdict
from harmose_dft.testing.molecules import structure_of

FOLDER = BUNDLED / "graphene"


def graphene(constant: float = 2.463) -> Structure:
    """The layer at rest; lattice constant in Angstrom."""
    a = constant / BOHR_IN_ANGSTROM
    cell = np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(0.75), 0.0], [0.0, 0.0, 19.0]])
    return Structure(np.array([6, 6]), np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]) @ cell, cell)


def test_files_are_small_and_complete() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [
        "README.md", "model.json", "model.safetensors", "trust.json"
    ]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_bands_touch_at_k_and_nowhere_else_on_the_path() -> None:
    """Symmetry makes pi and pi* degenerate at K; at M graphene by PBE has them about 4 eV apart (here 2 to 6)."""
    curves = bands(graphene(), "graphene", kpath="GMKG", points=60)
    valence, conduction = curves.energies[0, :, 3], curves.energies[0, :, 4]
    gaps = (conduction - valence) * 27.211386
    at = {name: int(np.argmin(np.abs(curves.path.distances - x))) for x, name in curves.path.ticks[1:3]}
    assert gaps[at["K"]] < 0.01
    assert 2.0 < gaps[at["M"]] < 6.0
    assert gaps.argmin() == at["K"]


def test_layer_of_training_is_familiar_and_others_are_refused() -> None:
    prediction = load("graphene").predict(graphene())
    assert prediction.trust is not None
    assert prediction.trust.environment_distance < 1.0
    assert prediction.functional == "pbe"
    with pytest.raises(DomainError, match="has no cell"):
        load("graphene").predict(structure_of())


def test_a_layer_of_training_is_good_and_its_bands_have_a_bound() -> None:
    trust = load("graphene").predict(graphene()).trust
    assert trust is not None
    assert trust.verdict == Verdict.GOOD
    assert trust.intervals is None
    assert trust.bands is not None
    assert 0.5 < trust.bands.mean_error_mev < 20.0
    assert trust.verdict_in_words == f"good: {trust.bands.in_words}"


def test_without_a_calibration_a_layer_has_no_verdict_and_is_told_so(tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        shutil.copy(FOLDER / name, tmp_path)
    trust = load(tmp_path).predict(graphene()).trust
    assert trust is not None
    assert (trust.verdict, trust.intervals, trust.bands) == (None, None, None)
    assert trust.verdict_in_words.startswith("none; no error bars")
    assert "no error bars" in trust.in_words


@pytest.mark.parametrize("kind", ["diamond", "pair", "swollen"])
@pytest.mark.filterwarnings("ignore::harmose_dft.core.errors.HarmoseWarning")
def test_carbon_that_is_no_graphene_is_not_to_be_used(kind: str) -> None:
    """Diamond's bonds and a pair at 2.2 Angstrom; a layer swollen by a tenth."""
    angstrom = 1 / BOHR_IN_ANGSTROM
    structures = {
        "diamond": Structure(
            np.array([6, 6]), np.array([[0, 0, 0], [0.89175] * 3]) * angstrom,
            1.7835 * angstrom * (np.ones((3, 3)) - np.eye(3)),
        ),
        "pair": Structure(np.array([6, 6]), np.array([[0, 0, 0], [0, 0, 2.2]]) * angstrom, 15.0 * np.eye(3)),
        "swollen": graphene(2.7),
    }
    trust = load("graphene").predict(structures[kind]).trust
    assert trust is not None
    assert trust.verdict == Verdict.DO_NOT_USE
    assert "unlike those of the training set: C1, C2 (distance " in trust.verdict_in_words
    assert trust.bands is not None
    assert trust.bands.mean_error_mev > 50.0


def test_bands_of_what_is_no_graphene_come_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, a in (("layer", 2.463), ("swollen", 2.7)):
        cell = f"{a} 0 0 {-a / 2} {a * 0.75**0.5} 0 0 0 10"
        Path(f"{name}.xyz").write_text(f'2\nLattice="{cell}" pbc="T T T"\nC 0 0 5\nC 0 {a / 3**0.5} 5\n')
    assert main(["bands", "layer.xyz", "--model", "graphene", "--points", "10"]) == 0
    assert "warning" not in capsys.readouterr().err
    assert main(["bands", "swollen.xyz", "--model", "graphene", "--points", "10"]) == 3
    told = capsys.readouterr()
    assert "The verdict on swollen.xyz is do not use: atoms with surroundings unlike those" in told.err
    assert "verdict" in told.out
    assert main(["bands", "swollen.xyz", "--model", "graphene", "--points", "10", "--json", "--force-domain"]) == 0
    assert json.loads(capsys.readouterr().out)["trust"]["verdict"] == "do not use"
    assert main(["bands", "swollen.xyz", "--model", "graphene", "--dos"]) == 3
    told = capsys.readouterr()
    assert "warning: C2 has atoms with surroundings unlike those" in told.err
    assert "The verdict on swollen.xyz is do not use: atoms with surroundings unlike those" in told.err
    assert main(["bands", "swollen.xyz", "--model", "graphene", "--dos", "--force-domain"]) == 0


def test_card_quotes_the_weights_and_the_recipe() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert load("graphene").info.sha256[:8] in card
    recipe = Path(__file__).resolve().parents[2] / "benchmarks" / "graphene"
    assert (recipe / "train.yaml").is_file()
    assert "benchmarks/graphene/train.yaml" in card

"""The bundled model of a crystal: found by its name, small, and with graphene's Dirac cone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft import bands
from harmose_dft.core.errors import DomainError
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.model.loading import BUNDLED, load
from harmose_dft.testing.molecules import structure_of

FOLDER = BUNDLED / "graphene"


def graphene(constant: float = 2.463) -> Structure:
    """The layer at rest; lattice constant in Angstrom."""
    a = constant / BOHR_IN_ANGSTROM
    cell = np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(0.75), 0.0], [0.0, 0.0, 19.0]])
    return Structure(np.array([6, 6]), np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]) @ cell, cell)


def test_files_are_small_and_complete() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == ["README.md", "model.json", "model.safetensors"]
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


def test_card_quotes_the_weights_and_the_recipe() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert load("graphene").info.sha256[:8] in card
    recipe = Path(__file__).resolve().parents[2] / "benchmarks" / "graphene"
    assert (recipe / "train.yaml").is_file()
    assert "benchmarks/graphene/train.yaml" in card

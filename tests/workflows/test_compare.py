"""``compare`` and ``verify`` on predictions whose Hamiltonian is PySCF's own, or spoilt by a known amount."""

from __future__ import annotations

from dataclasses import replace

import pytest
from known_predictor import KnownPredictor

from harmose_dft.adapters.pyscf import fock_residual, reference
from harmose_dft.core.errors import HarmoseError
from harmose_dft.model.prediction import Prediction
from harmose_dft.model.trust import TrustReport
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.compare import compare, verify

TRUST = TrustReport(0.02, 10.0, 1e-9, 0.5, (), (), 1.0)


def prediction(spoilt: float = 0.0, trust: TrustReport | None = TRUST) -> Prediction:
    return replace(KnownPredictor(spoilt, grid_level=3).predict(structure_of()), trust=trust)


def test_self_consistent_prediction_equals_its_reference() -> None:
    comparison = compare(prediction())
    assert comparison.metrics.model.mae_all < 1e-6
    assert comparison.metrics.stage1 is None
    assert comparison.model.spectrum.homo == pytest.approx(comparison.reference.spectrum.homo, abs=1e-6)
    assert comparison.model.dipole == pytest.approx(comparison.reference.dipole, abs=1e-5)
    assert comparison.energy == pytest.approx(reference(structure_of(), "pbe", "sto-3g").energy, abs=1e-8)


def test_comparison_in_json_is_in_ev_and_debye() -> None:
    """1 Hartree = 27.2114 eV, 1 e*Bohr = 2.5417 Debye."""
    comparison = compare(prediction(1e-3))
    found = comparison.to_dict()
    assert list(found) == ["model", "reference", "metrics"]
    model, other = found["model"], found["reference"]
    assert isinstance(model, dict)
    assert isinstance(other, dict)
    spectrum = comparison.model.spectrum
    assert model["homo_ev"] == pytest.approx(spectrum.homo * 27.2114, rel=1e-5)
    assert model["gap_ev"] == pytest.approx(spectrum.gap * 27.2114, rel=1e-5)
    norm = float((comparison.model.dipole**2).sum() ** 0.5)
    assert model["dipole_debye"] == pytest.approx(norm * 2.5417, rel=1e-4)
    assert other["energy_hartree"] == comparison.energy
    assert other["functional"] == "pbe"
    assert list(model) == ["homo_ev", "lumo_ev", "gap_ev", "dipole_debye", "seconds"]


def test_verification_is_that_of_one_fock_build_and_leaves_the_rest() -> None:
    given = prediction(2e-3)
    verified = verify(given)
    residual = fock_residual(given.structure, given.hamiltonian, "pbe", given.basis)
    assert verified.trust is not None
    assert verified.trust.verification is not None
    assert verified.trust.verification.commutator == pytest.approx(residual.commutator)
    assert verified.trust.verification.energy == pytest.approx(residual.energy)
    assert verified.trust.environment_distance == TRUST.environment_distance
    assert given.trust is not None
    assert given.trust.verification is None


def test_prediction_without_trust_has_nowhere_to_put_a_verification() -> None:
    with pytest.raises(HarmoseError, match="trust=True"):
        verify(prediction(trust=None))

"""Kinds of H0: how they are found, what is said of an unknown one, and that a new one is one class in one file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import harmose_dft.physics.h0 as package
from harmose_dft.adapters.pyscf import core_hamiltonian
from harmose_dft.core.errors import ConfigError, DataError
from harmose_dft.core.progress import silent
from harmose_dft.model.loading import load_model
from harmose_dft.physics.h0 import GaussianH0, H0Settings, NumericalH0, h0_class, h0_kinds
from harmose_dft.physics.h0.base import settings_of
from harmose_dft.testing.models import tiny_config, water, water_record, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.run import Fit
from harmose_dft.workflows.configuration import read_config

SCALED = '''
"""H0 = a (T + V), a fitted to the traces of Hamiltonians."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from harmose_dft.adapters.pyscf import core_hamiltonian
from harmose_dft.physics.h0 import GaussianH0, H0Settings


class ScaledCoreH0(GaussianH0):
    """A multiple of the core Hamiltonian."""

    kind = "scaled-core"

    class Settings(H0Settings):
        """With a factor."""

        half: bool = Field(False, description="whether to halve it")

    def __init__(self, basis, factor):
        super().__init__(basis)
        self.factor = float(factor)

    def dense(self, structure):
        return self.factor * core_hamiltonian(structure, self.basis)

    @classmethod
    def fit(cls, basis, functional, records, settings, seed):
        traces = [
            (np.trace(r.hamiltonian[0].to_dense()), np.trace(core_hamiltonian(r.structure, basis))) for r in records
        ]
        factor = np.mean([h / core for h, core in traces])
        return cls(basis, factor / 2 if settings.half else factor)

    def describe(self):
        return {"kind": self.kind, "factor": self.factor}

    @classmethod
    def from_description(cls, description, basis, functional):
        return cls(basis, description["factor"])
'''


@pytest.fixture
def scaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new kind of H0: one class in one file on the path of the package."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    (folder / "scaled_core.py").write_text(SCALED, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    sys.modules.pop(f"{package.__name__}.scaled_core", None)
    vars(package).pop("scaled_core", None)


def test_kinds_are_those_of_the_files() -> None:
    assert h0_kinds() == ("fitted", "kinetic", "minao", "none", "sap")
    assert h0_kinds(GaussianH0) == ("fitted", "minao", "none", "sap")
    assert h0_kinds(NumericalH0) == ("fitted", "kinetic", "none")
    for base in (GaussianH0, NumericalH0):
        for kind in h0_kinds(base):
            found = h0_class(kind, base)
            assert found.kind == kind
            assert issubclass(found, base)


def test_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="no H0 'huckel'; choose one of fitted, kinetic, minao, none, sap"):
        h0_class("huckel", GaussianH0)


def test_kind_for_other_orbitals_is_refused_with_those_that_apply() -> None:
    with pytest.raises(DataError, match=r"'kinetic' is not available for Gaussian orbitals.* fitted or minao or none"):
        h0_class("kinetic", GaussianH0)
    with pytest.raises(DataError, match=r"'sap' is not available for numerical orbitals.* fitted or kinetic or none"):
        h0_class("sap", NumericalH0)


def test_configuration_refuses_unknown_kinds_and_values(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("baseline: {kind: huckel}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"baseline\.kind = 'huckel': .*fitted, kinetic, minao, none, sap"):
        read_config(path)
    path.write_text("baseline: {kind: sap, fit_structure: 3}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"unknown key baseline\.fit_structure, did you mean 'fit_structures'\?$"):
        read_config(path)
    path.write_text("baseline: {kind: [sap]}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"baseline\.kind"):
        read_config(path)


def test_configuration_is_written_and_read_as_before() -> None:
    config = TrainConfig.model_validate({"baseline": {"kind": "sap"}})
    assert config.model_dump(mode="json")["baseline"] == {"kind": "sap", "fit_structures": 80}
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    assert TrainConfig().baseline.kind == "fitted"


def test_another_kind_keeps_the_common_values() -> None:
    assert H0Settings(fit_structures=7).with_kind("kinetic") == H0Settings(kind="kinetic", fit_structures=7)


@pytest.mark.usefixtures("scaled")
def test_settings_are_those_of_the_kind_and_two_classes_of_it_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(settings_of("scaled-core").model_fields) == {"kind", "fit_structures", "half"}
    assert settings_of("fitted") is settings_of("none") is H0Settings
    (tmp_path / "scaled_twin.py").write_text(
        SCALED.replace("ScaledCoreH0(GaussianH0)", "ScaledTwinH0(GaussianH0)"), encoding="utf-8"
    )
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    try:
        with pytest.raises(ValueError, match="'scaled-core' have different settings"):
            settings_of("scaled-core")
    finally:
        sys.modules.pop(f"{package.__name__}.scaled_twin", None)
        vars(package).pop("scaled_twin", None)


@pytest.mark.usefixtures("scaled")
def test_new_kind_is_one_class_in_one_file_and_is_configured_trained_stored_and_predicted_with(tmp_path: Path) -> None:
    data = write_waters(tmp_path / "waters.h5", range(6))
    settings = {"files": (str(data),), "split": "ordered", "sizes": (4, 2)}
    section = {"kind": "scaled-core", "half": True}
    config = tiny_config(data=settings, baseline=section, output=str(tmp_path / "model"))
    assert config.model_dump(mode="json")["baseline"] == {**section, "fit_structures": 80}
    Fit(config, silent, lambda entry: None).run()
    stored = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert stored["baseline"]["kind"] == "scaled-core"
    predictor = load_model(tmp_path / "model")
    # The definition of the fit: half the mean ratio of the traces of H and of the core Hamiltonian.
    records = [water_record(k) for k in range(4)]
    ratios = [
        np.trace(r.hamiltonian[0].to_dense()) / np.trace(core_hamiltonian(r.structure, r.basis)) for r in records
    ]
    factor = 0.5 * np.mean(ratios)
    assert stored["baseline"]["factor"] == pytest.approx(factor, rel=1e-6)  # data sets round matrix elements
    expected = stored["baseline"]["factor"] * core_hamiltonian(water(0), predictor.model.basis)
    np.testing.assert_allclose(predictor.physics.h0(water(0)).to_dense(), expected, rtol=1e-12)
    assert np.isfinite(predictor.predict(water(0)).spectrum.homo)


@pytest.mark.usefixtures("scaled")
def test_values_of_a_new_kind_are_checked() -> None:
    with pytest.raises(ValidationError, match=r"baseline\.half"):
        TrainConfig.model_validate({"baseline": {"kind": "scaled-core", "half": "perhaps"}})
    with pytest.raises(ValidationError, match="half"):
        TrainConfig.model_validate({"baseline": {"kind": "sap", "half": True}})


def test_new_kind_is_gone_with_its_file() -> None:
    assert "scaled-core" not in h0_kinds()

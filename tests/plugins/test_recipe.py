"""The recipe "accelerated": PySCF's own Fock matrix, from a prediction or from PySCF's start, in fewer full builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import reference
from harmose_dft.cli import main
from harmose_dft.core.errors import SolverError, StructureError
from harmose_dft.core.structure import Structure
from harmose_dft.data import open_dataset
from harmose_dft.plugins.pyscf import reference_from_prediction
from harmose_dft.testing.molecules import structure_of

MEAN, LARGEST = 5e-8, 2e-6
"""Hartree; measured on acetone and glycine (docs/howto/label.md): 0.005 and 0.43 uHartree."""

WB97X_D = "hyb_gga_xc_wb97x_d"
"""libxc's name of the electronic functional; of "wb97x-d" PySCF wants a dispersion energy that it does not have."""


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grid levels of the Fock builds to come, but for those on coarse grids of the accelerator."""
    from pyscf.dft.rks import RKS

    made, plain = [], RKS.get_veff

    def get_veff(mf: RKS, *args: object, **options: object) -> object:
        made.append(mf.grids.level)
        return plain(mf, *args, **options)

    monkeypatch.setattr(RKS, "get_veff", get_veff)
    return made


@pytest.mark.parametrize("xc", ["b3lyp", "pbe0", WB97X_D])
def test_accelerated_fock_matrix_is_that_of_full_convergence(xc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    full = reference(structure_of(), xc, "def2-svp")
    made = count_builds(monkeypatch)
    fast = reference_from_prediction(structure_of(), xc, "def2-svp")
    assert made.count(3) <= 4
    deviation = np.abs(full.hamiltonian[0].values - fast.hamiltonian[0].values)
    assert deviation.mean() < MEAN
    assert deviation.max() < LARGEST
    assert fast.energy == pytest.approx(full.energy, abs=1e-9)
    np.testing.assert_allclose(fast.eigenvalues[0].energies, full.eigenvalues[0].energies, atol=LARGEST)
    assert fast.provenance["recipe"] == "accelerated"
    assert fast.provenance["start"] == "organic"


@pytest.mark.parametrize(
    "structure",
    [structure_of(), Structure(np.array([10]), np.zeros((1, 3)), name="neon")],
    ids=["projected into another basis", "element that the model does not have"],
)
def test_whatever_the_start_the_result_is_the_same(structure: Structure) -> None:
    full = reference(structure, "pbe", "6-31g", grid_level=2)
    fast = reference_from_prediction(structure, "pbe", "6-31g", grid_level=2)
    np.testing.assert_allclose(fast.hamiltonian[0].values, full.hamiltonian[0].values, atol=LARGEST)
    assert fast.provenance["start"] == ("PySCF" if 10 in structure.numbers else "organic")


def test_starts_that_are_not_predicted_are_noted_and_not_warned_of(recwarn: pytest.WarningsRecorder) -> None:
    reference_from_prediction(Structure(np.array([10]), np.zeros((1, 3))), "pbe", "sto-3g", grid_level=0)
    assert not [w for w in recwarn if "initial guess" in str(w.message)]


def test_open_shells_and_failures_are_refused_as_by_the_other_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StructureError, match="odd number of electrons"):
        reference_from_prediction(Structure(np.array([1]), np.zeros((1, 3))), "pbe", "sto-3g")
    monkeypatch.setattr("harmose_dft.adapters.pyscf.recipes.MAX_CYCLES", 1)
    with pytest.raises(SolverError, match="did not converge within 1 cycles"):
        reference_from_prediction(structure_of(), "pbe", "sto-3g", grid_level=0)


def test_command_line_labels_by_the_recipe_and_refuses_to_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("water.xyz").write_text("3\n\nO 0 0 0\nH 0 0.76 0.58\nH 0 -0.76 0.58\n")
    command = ["label", "water.xyz", "--xc", "pbe0", "--basis", "sto-3g", "--grid-level", "2", "-o", "w.h5"]
    assert main([*command, "--recipe", "accelerated", "--jobs", "1"]) == 0
    record = open_dataset("w.h5")[0]
    assert (record.provenance["recipe"], record.provenance["functional"]) == ("accelerated", "pbe0")
    full = reference(record.structure, "pbe0", "sto-3g", grid_level=2)
    np.testing.assert_allclose(record.hamiltonian[0].values, full.hamiltonian[0].values, atol=LARGEST)
    assert main([*command, "--jobs", "1"]) == 1

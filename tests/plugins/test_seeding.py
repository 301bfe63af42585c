"""Starting PySCF from a Hamiltonian: the same answer in fewer cycles, and PySCF's own start whenever in doubt.

The predictor of these tests returns PySCF's own converged Hamiltonians (PBE/STO-3G, level-0 grid), spoilt on demand.
"""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from known_predictor import KnownPredictor

from harmose_dft.adapters.pyscf import kohn_sham, to_mole
from harmose_dft.adapters.pyscf.start import (
    LARGEST_COMMUTATOR,
    LARGEST_PROJECTED_COMMUTATOR,
    require_near_self_consistent,
    write_checkpoint,
)
from harmose_dft.cli import main
from harmose_dft.core.basis import NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import BasisMismatchError, DomainError, HarmoseError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import ModelInfo
from harmose_dft.plugins.pyscf import SeedWarning, density_of, initial_density, seed, seed_with
from harmose_dft.solver.orthogonal import commutator_norm
from harmose_dft.testing.molecules import WATER, structure_of

ENERGY = 1e-8
"""Hartree; PySCF converges to 1e-9."""


def water(basis: str = "sto-3g") -> Any:
    return to_mole(structure_of(), basis)


def rks(basis: str = "sto-3g", xc: str = "pbe") -> Any:
    return kohn_sham(water(basis), xc, 0)


@pytest.fixture(scope="module")
def known() -> KnownPredictor:
    return KnownPredictor()


@pytest.fixture(scope="module")
def plain() -> Any:
    mf = rks()
    mf.kernel()
    return mf


def test_converged_hamiltonian_saves_most_cycles(known: KnownPredictor, plain: Any) -> None:
    mf = seed(rks(), known)
    assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.guess.predicted
    assert mf.guess.commutator < 1e-4
    assert mf.cycles <= 3 < plain.cycles


def test_slightly_wrong_hamiltonian_gives_the_same_answer_in_fewer_cycles(plain: Any) -> None:
    mf = seed(rks(), KnownPredictor(spoilt=2e-4))
    assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.guess.predicted
    assert mf.cycles < plain.cycles


def test_tested_start_costs_no_fock_build(known: KnownPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyscf.dft.rks import RKS

    counted = []
    original = RKS.get_veff
    monkeypatch.setattr(RKS, "get_veff", lambda self, *a, **k: counted.append(1) or original(self, *a, **k))
    mf = seed(rks(), known)
    mf.kernel()
    with_seed = len(counted)
    counted.clear()
    other = rks()
    other.kernel(dm0=initial_density(other, known))
    assert (with_seed, mf.cycles) == (len(counted), other.cycles)


def test_bad_hamiltonian_is_rejected_and_pyscf_starts_itself(plain: Any) -> None:
    mf = seed(rks(), KnownPredictor(spoilt=1.0))
    with pytest.warns(SeedWarning, match="far from self-consistent"):
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
    assert not mf.guess.predicted
    assert mf.guess.commutator > LARGEST_COMMUTATOR * np.sqrt(10)
    assert repr(mf.guess).startswith("Guess(own start of PySCF, commutator ")
    assert "\n" not in repr(mf.guess)
    assert mf.cycles == plain.cycles


def test_projected_start_has_a_limit_of_its_own(known: KnownPredictor) -> None:
    """STO-3G's orbitals in def2-TZVP are farther from self-consistency than a good start in the model's own basis."""
    assert initial_density(rks("sto-3g"), known).projected is False
    mf = seed(rks("def2-tzvp"), known)
    mf.kernel()
    assert mf.guess.predicted
    assert LARGEST_COMMUTATOR < mf.guess.commutator / np.sqrt(10) < LARGEST_PROJECTED_COMMUTATOR
    with pytest.raises(HarmoseError, match="unlike those of the training set, or this basis too far from the model's"):
        require_near_self_consistent(1.01 * LARGEST_PROJECTED_COMMUTATOR * np.sqrt(10), 10, projected=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_start_that_is_not_finite_is_rejected(plain: Any, value: float) -> None:
    mf = seed_with(rks(), lambda mol: np.full((mol.nao, mol.nao), value), "pbe")
    with pytest.warns(SeedWarning, match="not finite"):
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)


def test_start_with_lost_electrons_is_rejected(known: KnownPredictor, plain: Any) -> None:
    mf = seed_with(rks(), lambda mol: 0.9 * np.asarray(initial_density(mol, known)), "pbe")
    with pytest.warns(SeedWarning, match=r"9\.0000\d* electrons instead of 10"):
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)


def test_scf_that_does_not_converge_from_the_prediction_is_run_again(
    plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harmose_dft.plugins.pyscf.mean_field.FEW_CYCLES", 1)
    mf = seed(rks(), KnownPredictor(spoilt=0.005))
    mf.max_cycle = 1
    with pytest.warns(SeedWarning, match="did not converge from the predicted"):
        mf.kernel()
    assert not mf.guess.predicted
    assert not mf.converged


@pytest.mark.parametrize("cycles", [1, 2, 3])
def test_few_cycles_on_purpose_start_from_the_prediction(plain: Any, cycles: int) -> None:
    mf, other = seed(rks(), KnownPredictor(spoilt=0.005)), rks()
    mf.max_cycle = other.max_cycle = cycles
    assert mf.kernel() - plain.e_tot < 0.5 * (other.kernel() - plain.e_tot)
    assert mf.guess.predicted
    assert mf.cycles == cycles


def test_what_is_no_mean_field_object_is_refused(known: KnownPredictor) -> None:
    from pyscf import mp

    for wrong in (water(), mp.MP2(rks()), "water", None):
        with pytest.raises(TypeError, match=r"mean-field object of PySCF, such as dft\.RKS\(mol\); got"):
            seed(wrong, known)
    with pytest.raises(HarmoseError, match=r"initial_density\(mol\)"):
        seed(water(), known)


def test_crystals_of_pyscf_run_as_pyscf_does(known: KnownPredictor) -> None:
    from pyscf.pbc import dft
    from pyscf.pbc import gto as crystal

    cell = crystal.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", mesh=[15] * 3, verbose=0)
    energy = dft.RKS(cell).kernel()
    mf = seed(dft.RKS(cell), known)
    with pytest.warns(SeedWarning, match="calculation of a crystal"):
        assert mf.kernel() == pytest.approx(energy, abs=ENERGY)
    assert "crystals" in mf.acceleration.reason


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:pyscf.*")  # PySCF's reader of checkpoints uses an old name
def test_starts_that_the_user_asks_for_are_left_alone(known: KnownPredictor, plain: Any, tmp_path: Path) -> None:
    """A checkpoint, another name, a matrix, and orbitals of an earlier run; none asks for a prediction or warns."""
    first = rks()
    first.chkfile = str(tmp_path / "first.chk")
    first.kernel()
    calls = known.calls
    mf = seed(rks(), known)
    mf.chkfile, mf.init_guess = first.chkfile, "chkfile"
    assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.cycles <= 2
    assert (mf.guess.predicted, mf.guess.reason) == (False, "Another initial guess was asked for.")
    mf = seed(rks(), known)
    mf.init_guess = "huckel"
    np.testing.assert_array_equal(mf.get_init_guess(key="huckel"), rks().init_guess_by_huckel())
    mf.kernel(dm0=first.make_rdm1())
    assert (mf.cycles <= 2, mf.guess.reason) == (True, "A density matrix was given.")
    mf.kernel()
    assert mf.cycles <= 2
    assert known.calls == calls


def test_potential_of_a_start_follows_the_settings_outside_of_an_scf(known: KnownPredictor) -> None:
    mf = seed(rks(), known)
    start = mf.get_init_guess()
    mf.get_veff(dm=start)
    mf.xc = "lda,vwn"
    expected = rks(xc="lda,vwn").get_veff(dm=np.asarray(start))
    np.testing.assert_allclose(np.asarray(mf.get_veff(dm=start)), np.asarray(expected), atol=1e-9)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda mf: pickle.loads(pickle.dumps(mf))], ids=["copy", "pickle"])
@pytest.mark.parametrize("accelerate", [True, False])
def test_seeded_calculations_can_be_copied_and_sent(known: KnownPredictor, accelerate: bool, again: Any) -> None:
    """Before and after a run."""
    mf = seed(rks(), known, accelerate=accelerate)
    other = again(mf)
    assert (type(other).__name__, other.accelerate, other.guess) == (type(mf).__name__, accelerate, None)
    assert other.kernel() == pytest.approx(mf.kernel(), abs=ENERGY)
    third = again(mf)
    assert third.e_tot == mf.e_tot
    assert third.guess.predicted
    assert third.acceleration == mf.acceleration
    assert third.undo_seeded().kernel() == pytest.approx(mf.e_tot, abs=ENERGY)


def test_predictor_that_breaks_down_is_no_reason_to_fail(plain: Any) -> None:
    def start(mol: Any) -> Any:
        raise RuntimeError("out of memory")

    mf = seed_with(rks(), start, "pbe")
    with pytest.warns(SeedWarning, match="out of memory"):
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)


def test_hartree_fock_and_density_fitting_start_from_a_density_functional_prediction(known: KnownPredictor) -> None:
    from pyscf import scf

    plain = scf.RHF(water()).density_fit()
    plain.kernel()
    for mf in (seed(scf.RHF(water()).density_fit(), known), seed(scf.RHF(water()), known).density_fit()):
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
        assert mf.guess.predicted
        assert mf.cycles <= plain.cycles


def test_another_functional_is_said_on_pyscfs_log(known: KnownPredictor, tmp_path: Path) -> None:
    for xc, said in (("pbe0", True), ("PBE,PBE", False)):
        mf = rks(xc=xc)
        with (tmp_path / "log").open("w") as log:
            mf.stdout, mf.verbose = log, 3
            seed(mf, known).kernel()
        assert ("is a prediction for pbe" in (tmp_path / "log").read_text()) is said


def test_density_in_a_larger_basis_holds_all_electrons(known: KnownPredictor) -> None:
    plain = rks("6-31g")
    plain.kernel()
    density = initial_density(water("6-31g"), known)
    assert np.sum(density * plain.get_ovlp()) == pytest.approx(10.0, abs=1e-10)
    mf = seed(rks("6-31g"), known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeedWarning)
        assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)


def test_unrestricted_calculations_start_as_pyscf_does(known: KnownPredictor) -> None:
    from pyscf import scf

    mf = seed(scf.UHF(water()), known)
    with pytest.warns(SeedWarning, match="closed shells"):
        mf.kernel()
    assert mf.e_tot == pytest.approx(scf.RHF(water()).run().e_tot, abs=1e-7)
    assert mf.guess.density.shape == (2, 7, 7)


def test_ions_start_as_pyscf_does(known: KnownPredictor) -> None:
    ion = Structure(structure_of().numbers, structure_of().positions, charge=2)
    plain = kohn_sham(to_mole(ion, "sto-3g"), "pbe", 0)
    mf = seed(plain, known)
    with pytest.warns(SeedWarning, match="domain"):
        np.testing.assert_array_equal(mf.get_init_guess(), plain.get_init_guess())
    assert not mf.guess.predicted


def test_molecules_that_no_prediction_fits_are_refused(known: KnownPredictor) -> None:
    from pyscf import gto
    from pyscf.pbc import gto as crystal

    lines = "; ".join(WATER)
    with pytest.raises(BasisMismatchError, match="Cartesian"):
        initial_density(gto.M(atom=lines, basis="6-31g*", cart=True, verbose=0), known)
    with pytest.raises(BasisMismatchError, match="8 of 10 electrons"):
        initial_density(gto.M(atom=lines, basis="ccecp-cc-pvdz", ecp={"O": "ccecp"}, verbose=0), known)
    with pytest.raises(DomainError, match="ghost"):
        initial_density(gto.M(atom=f"{lines}; ghost-H 0 0 3", basis="sto-3g", verbose=0), known)
    with pytest.raises(DomainError, match="crystal"):
        initial_density(crystal.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0), known)


def test_seeding_twice_and_undoing_leave_one_or_no_layer(known: KnownPredictor) -> None:
    mf = rks()
    twice = seed(seed(mf, known), known)
    assert [c.__name__ for c in type(twice).__mro__].count("Seeded") == 1
    assert type(twice.undo_seeded()) is type(mf)
    assert "start" not in mf.__dict__


def test_gradients_of_a_seeded_calculation_are_plain_ones(known: KnownPredictor, plain: Any) -> None:
    mf = seed(rks(), known)
    mf.kernel()
    np.testing.assert_allclose(mf.nuc_grad_method().kernel(), plain.nuc_grad_method().kernel(), atol=2e-5)


def test_commutator_is_the_norm_in_orthogonal_orbitals() -> None:
    """Two orthogonal orbitals, F = [[0, a], [a, 1]], P = diag(2, 0): FPS - SPF = 2a [[0, -1], [1, 0]]."""
    fock, density = np.array([[0.0, 0.3], [0.3, 1.0]]), np.diag([2.0, 0.0])
    assert commutator_norm(fock, density, np.eye(2)) == pytest.approx(2 * 0.3 * np.sqrt(2))
    assert commutator_norm(4 * fock, density / 4, 4 * np.eye(2)) == pytest.approx(2 * 0.3 * np.sqrt(2))


def test_limit_of_the_commutator_grows_with_the_root_of_the_electrons() -> None:
    require_near_self_consistent(LARGEST_COMMUTATOR * 9.99, 100)
    for bad in (LARGEST_COMMUTATOR * 10.01, float("nan")):
        with pytest.raises(HarmoseError, match="far from"):
            require_near_self_consistent(bad, 100)


def test_pyscf_reads_the_checkpoint_and_starts_from_it(known: KnownPredictor, plain: Any, tmp_path: Path) -> None:
    prediction = known.predict(structure_of())
    write_checkpoint(
        tmp_path / "water.chk", prediction.structure, prediction.basis, prediction.spectrum, -75.0
    )
    mf = rks()
    mf.chkfile, mf.init_guess = str(tmp_path / "water.chk"), "chkfile"
    start = mf.get_init_guess(key="chkfile")
    np.testing.assert_allclose(start, density_of(prediction, mf.mol), atol=1e-10)
    assert mf.kernel(dm0=start) == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.cycles <= 3 < plain.cycles


WATER_FILE = f"3\nwater\n{chr(10).join(WATER)}\n"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command with a known predictor, in a folder with a structure."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": KnownPredictor())
    Path("water.xyz").write_text(WATER_FILE)
    return tmp_path


def test_command_writes_a_checkpoint(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyscf.scf import chkfile

    assert main(["seed", "water.xyz", "--code", "pyscf", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    mol, scf = chkfile.load_scf(printed["file"])
    assert printed["file"] == "water.chk"
    assert mol.nelectron == 10
    assert scf["mo_coeff"].shape == (7, 7)
    assert float(scf["e_tot"]) == pytest.approx(printed["energy_hartree"])
    assert printed["commutator_hartree"] < 1e-2  # PySCF on its level-3 grid, the predictor on level 0


def test_command_writes_into_the_working_folder_not_beside_the_structure(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("elsewhere").mkdir()
    Path("water.xyz").rename("elsewhere/water.xyz")
    Path("elsewhere/h2.extxyz").write_text(CRYSTAL_FILE)
    assert main(["seed", "elsewhere/water.xyz", "--code", "pyscf"]) == 0
    assert capsys.readouterr().out.startswith("water.chk: ")
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": CrystalPredictor(NUMERICAL))
    assert main(["seed", "elsewhere/h2.extxyz", "--code", "abacus"]) == 0
    assert sorted(p.name for p in Path().iterdir()) == ["elsewhere", "hrs1_nao.csr", "water.chk"]
    assert sorted(p.name for p in Path("elsewhere").iterdir()) == ["h2.extxyz", "water.xyz"]


def test_command_leaves_existing_files_alone(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("start.chk").write_text("precious")
    assert main(["seed", "water.xyz", "--code", "pyscf", "-o", "start.chk"]) == 1
    assert "--force" in capsys.readouterr().err
    assert Path("start.chk").read_text() == "precious"
    assert main(["seed", "water.xyz", "--code", "pyscf", "-o", "start.chk", "--force"]) == 0
    assert 'mf.init_guess = "chkfile"' in capsys.readouterr().out


def test_command_writes_no_bad_start(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": KnownPredictor(spoilt=1.0))
    assert main(["seed", "water.xyz", "--code", "pyscf"]) == 1
    assert "far from self-consistent" in capsys.readouterr().err
    assert not Path("water.chk").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["water.xyz", "--code", "openmx"], 1, "only from its own binary restart files"),
        (["water.xyz", "--code", "abacus"], 1, "ABACUS needs its own numerical orbitals"),
        (["two.xyz", "--code", "pyscf"], 1, "holds 2 structures"),
        (["none.xyz", "--code", "pyscf"], 1, "no such file"),
        (["water.xyz"], 2, "--code"),
    ],
)
def test_command_explains_what_it_cannot_do(
    command: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    Path("two.xyz").write_text(WATER_FILE * 2)
    assert main(["seed", *arguments]) == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert sorted(p.name for p in Path().iterdir()) == ["two.xyz", "water.xyz"]


def test_charge_of_an_ion_is_an_option_of_seed(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pyscf.scf import chkfile

    monkeypatch.setattr(KnownPredictor, "check", lambda self, structure: None)
    Path("oh.xyz").write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    Path("said.xyz").write_text("2\ncharge=1\nO 0 0 0\nH 0 0 0.97\n")
    assert main(["seed", "oh.xyz", "--code", "pyscf", "--charge", "-1"]) == 0
    mol, _ = chkfile.load_scf("oh.chk")
    assert (mol.charge, mol.nelectron) == (-1, 10)
    assert main(["seed", "said.xyz", "--code", "pyscf", "--charge", "-1"]) == 1
    assert "said.xyz has the charge +1, --charge asks for -1" in capsys.readouterr().err


class CrystalPredictor:
    """Predicts two hydrogen atoms in a box, coupled within the cell and along x, in one shell each."""

    def __init__(self, radial: Any, code: str = "ABACUS v3.8.1") -> None:
        self.basis = OrbitalBasis("H8.0-s1", {1: (Shell(0, radial),)})
        self.model, self.info = SimpleNamespace(basis=self.basis, code=code), ModelInfo("crystals", "0" * 64)

    def check(self, structure: Structure) -> None: ...

    def predict(self, structure: Structure, *, trust: bool = True) -> Any:
        pairs = np.array([[0, 0], [1, 1], [0, 1], [1, 0], [0, 0], [0, 0]])
        shifts = np.array([[0, 0, 0]] * 4 + [[1, 0, 0], [-1, 0, 0]])
        values = np.array([-0.3, -0.2, 0.1, 0.1, 0.05, 0.05])
        matrix = BlockMatrix(np.array([1, 1]), pairs, shifts, values)
        return SimpleNamespace(
            structure=structure, basis=self.basis, hamiltonians=(matrix,), overlap=matrix, model=self.info,
            spectrum=None, functional="",
        )  # fmt: skip


NUMERICAL = NumericalRadial(np.linspace(0.0, 8.0, 81), np.exp(-np.linspace(0.0, 8.0, 81)))
CRYSTAL_FILE = '2\nLattice="4 0 0 0 6 0 0 0 6" pbc="T T T"\nH 0.5 1 1\nH 1.3 1 1\n'


def test_command_writes_what_abacus_reads(command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix elements in Rydberg, twice the Hartree values, in ABACUS's own reader's layout."""
    from harmose_dft.adapters.abacus.csr import read_csr

    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": CrystalPredictor(NUMERICAL))
    Path("h2.extxyz").write_text(CRYSTAL_FILE)
    assert main(["seed", "h2.extxyz", "--code", "abacus"]) == 0
    (section,) = read_csr(Path("hrs1_nao.csr"))
    assert section.shifts.tolist() == [[-1, 0, 0], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose(section.values, [0.1, -0.6, 0.2, 0.2, -0.4, 0.1])


@pytest.mark.parametrize("text", [WATER_FILE, CRYSTAL_FILE], ids=["molecule", "crystal"])
def test_command_gives_abacus_no_gaussian_orbitals(
    text: str, tmp_path: Path, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real model, which would itself refuse a cell, and ABACUS a molecule: neither is of any help here."""
    monkeypatch.chdir(tmp_path)
    Path("atoms.extxyz").write_text(text)
    assert main(["seed", "atoms.extxyz", "--code", "abacus", "--model", str(fixtures_dir / "model_v1")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "The model 'tiny' predicts matrices in the orbitals sto-3g of PySCF" in said
    assert "Use a model that was trained on ABACUS calculations" in said
    assert not Path("hrs1_nao.csr").exists()


def test_command_gives_abacus_no_orbitals_of_another_code(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = CrystalPredictor(NUMERICAL, "OpenMX 3.9.9")
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": model)
    Path("h2.extxyz").write_text(CRYSTAL_FILE)
    assert main(["seed", "h2.extxyz", "--code", "abacus"]) == 1
    assert "in the orbitals H8.0-s1 of OpenMX 3.9.9" in " ".join(capsys.readouterr().err.split())
    assert not Path("hrs1_nao.csr").exists()


def test_command_wants_a_cell_for_abacus(
    command: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harmose_dft.model.loading.load_model", lambda name, device="cpu": CrystalPredictor(NUMERICAL))
    assert main(["seed", "water.xyz", "--code", "abacus"]) == 3
    assert "has no cell; ABACUS calculates crystals" in " ".join(capsys.readouterr().err.split())


def test_what_is_no_model_is_refused_in_words() -> None:
    from pyscf import dft, gto

    with pytest.raises(HarmoseError, match="a model's folder or a loaded model; got 3"):
        seed(dft.RKS(gto.M(atom="He", verbose=0)), 3)  # type: ignore[arg-type]


def test_the_charge_of_a_neutral_atom_is_written_without_a_sign() -> None:
    from ase import Atoms

    from harmose_dft.adapters.pyscf.calculations import require_closed_shell
    from harmose_dft.adapters.structures import from_ase

    with pytest.raises(HarmoseError, match="F with charge 0 has an odd number"):
        require_closed_shell(from_ase(Atoms("F")))

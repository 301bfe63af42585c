"""The accelerated SCF: PySCF's own result with few full Fock builds, or PySCF's own loop and a reason.

PBE/STO-3G on the level-2 grid, whose plain SCF of water takes eight full builds or more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_predictor import KnownPredictor

from harmose_dft.adapters.pyscf import kohn_sham, to_mole
from harmose_dft.core.errors import DomainError
from harmose_dft.plugins.pyscf import SeedWarning, seed, seed_with
from harmose_dft.plugins.pyscf.accelerate import Accelerator
from harmose_dft.plugins.pyscf.cheap import (
    CheapPotential,
    _coarse_grids,
    _fitting_basis,
    _shared_integrals,
    coarser_grids,
    keep_integrals,
)
from harmose_dft.testing.molecules import WATER, structure_of

ENERGY = 1e-9
"""Hartree; PySCF's default ``conv_tol``."""

MOST_BUILDS = 4
"""Full Fock builds of an accelerated SCF; three mostly."""

TRIPLET = "O 0 0 0; O 0 0 1.21"


def water(**options: Any) -> Any:
    from pyscf import gto

    return gto.M(atom="; ".join(WATER), basis="sto-3g", verbose=0, **options)


def oxygen(**options: Any) -> Any:
    """A triplet."""
    from pyscf import gto

    return gto.M(atom=TRIPLET, basis="sto-3g", spin=2, verbose=0, **options)


def refined(mf: Any, level: int = 2) -> Any:
    """The object with the grid of these tests."""
    mf.grids.level = level
    return mf


def no_start(mol: Any) -> Any:
    raise DomainError("There is no prediction.")


def accelerated(mf: Any, **options: Any) -> Any:
    """The object seeded without a prediction."""
    return seed_with(mf, no_start, "pbe", **options)


def count_builds(monkeypatch: pytest.MonkeyPatch, mol: Any) -> list[Any]:
    """Collects the grid of each restricted Kohn-Sham potential."""
    from pyscf.dft.rks import RKS

    levels: list[Any] = []
    original = RKS.get_veff
    monkeypatch.setattr(
        RKS, "get_veff", lambda self, *a, **k: levels.append(self.grids.level) or original(self, *a, **k)
    )
    return levels


CASES: dict[str, Callable[[], Any]] = {
    "RKS": lambda: water().RKS(xc="pbe"),
    "hybrid": lambda: water().RKS(xc="b3lyp"),
    "meta-GGA": lambda: water().RKS(xc="r2scan"),
    "range-separated": lambda: water().RKS(xc="camb3lyp"),
    "screened": lambda: water().RKS(xc="hse06"),
    "double hybrid's SCF": lambda: water().RKS(xc="0.53*HF + 0.47*B88, 0.73*LYP"),
    "density fitting": lambda: water().RKS(xc="pbe0").density_fit(),
    "UKS": lambda: oxygen().UKS(xc="pbe"),
    "ROKS": lambda: oxygen().ROKS(xc="pbe"),
    "symmetry": lambda: water(symmetry=True).RKS(xc="pbe"),
    "symmetric UKS": lambda: oxygen(symmetry=True).UKS(xc="pbe"),
    "X2C": lambda: water().RKS(xc="pbe").sfx2c1e(),
    "smearing": lambda: water().RKS(xc="pbe").smearing(0.01),
    "Cartesian": lambda: water(cart=True).RKS(xc="pbe"),
}


@pytest.mark.parametrize("case", CASES)
def test_accelerated_result_is_pyscfs(case: str) -> None:
    """Energy, orbital energies up to the convergence, occupations, summary: everything an SCF leaves behind."""
    plain, mf = refined(CASES[case]()), accelerated(refined(CASES[case]()))
    plain.kernel()
    with pytest.warns(SeedWarning):
        mf.kernel()
    assert mf.converged
    assert mf.acceleration.used
    assert mf.acceleration.full_builds <= MOST_BUILDS < plain.cycles + 1
    assert mf.cycles == mf.acceleration.full_builds - 1
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=ENERGY)
    np.testing.assert_allclose(mf.mo_energy, plain.mo_energy, atol=1e-5)
    np.testing.assert_array_equal(mf.mo_occ > 1e-3, plain.mo_occ > 1e-3)
    assert mf.scf_summary.keys() == plain.scf_summary.keys()
    for name, value in plain.scf_summary.items():
        assert mf.scf_summary[name] == pytest.approx(value, abs=1e-4)
    if case not in ("smearing", "ROKS"):
        assert np.linalg.norm(mf.get_grad(mf.mo_coeff, mf.mo_occ)) < 3 * np.sqrt(mf.conv_tol)


def test_surroundings_stay_in_the_fock_matrix() -> None:
    """A field in the core Hamiltonian, and point charges."""
    from pyscf import qmmm

    def in_field() -> Any:
        mf = refined(water().RKS(xc="pbe"))
        hcore = mf.get_hcore() + 0.02 * mf.mol.intor("int1e_r")[2]
        mf.get_hcore = lambda *_: hcore
        return mf

    def by_charges() -> Any:
        return qmmm.mm_charge(refined(water().RKS(xc="pbe")), np.array([[0.0, 0.0, 4.0]]), np.array([-0.5]))

    for make in (in_field, by_charges):
        mf = accelerated(make())
        with pytest.warns(SeedWarning):
            assert mf.kernel() == pytest.approx(make().kernel(), abs=ENERGY)
        assert mf.acceleration.used


def test_full_builds_are_few_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, the one that tests the prediction and the one of PySCF's extra diagonalisation included."""
    mf = seed(kohn_sham(to_mole(structure_of(), "sto-3g"), "pbe", 2), KnownPredictor(spoilt=2e-4))
    levels = count_builds(monkeypatch, mf.mol)
    mf.kernel()
    assert mf.guess.predicted
    assert levels.count(2) == mf.acceleration.full_builds <= MOST_BUILDS - 1
    assert levels.count(0) >= mf.acceleration.cheap_builds > 0


def test_prediction_saves_cheap_builds() -> None:
    mol = to_mole(structure_of(), "sto-3g")
    predicted = seed(kohn_sham(mol, "pbe", 2), KnownPredictor(spoilt=1e-4, grid_level=2))
    predicted.kernel()
    other = accelerated(kohn_sham(mol, "pbe", 2))
    with pytest.warns(SeedWarning):
        other.kernel()
    assert predicted.acceleration.cheap_builds <= other.acceleration.cheap_builds - 2
    assert predicted.e_tot == pytest.approx(other.e_tot, abs=ENERGY)


def test_bad_start_leads_to_the_same_state() -> None:
    """Carbon monoxide from the density of C2+ and O2-, which passes for a start as soon as no limit is set."""
    from pyscf import gto

    mol = gto.M(atom="C 0 0 0; O 0 0 1.128", basis="sto-3g", verbose=0)
    plain = refined(mol.RKS(xc="pbe"))
    plain.kernel()
    wrong = np.diag([2.0, 0, 0, 0, 0, 2, 2, 2, 2, 2])
    mf = seed_with(refined(mol.RKS(xc="pbe")), no_start, "pbe")
    assert mf.kernel(dm0=wrong) == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.acceleration.used
    assert mf.guess.reason == "A density matrix was given."


def test_molecule_far_from_the_models_training_set_ends_in_the_same_state() -> None:
    """Carbon monoxide, of which the bundled model is several eV off and whose prediction passes for a start."""
    from pyscf import gto

    mol = gto.M(atom="C 0 0 0; O 0 0 1.128", basis="def2-svp", verbose=0)
    plain, mf = refined(mol.RKS(xc="b3lyp"), 1), seed(refined(mol.RKS(xc="b3lyp"), 1))
    plain.kernel()
    assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.guess.predicted
    assert mf.acceleration.full_builds <= MOST_BUILDS


def test_switched_off_it_runs_as_pyscf_does() -> None:
    plain, mf = refined(water().RKS(xc="pbe")), accelerated(refined(water().RKS(xc="pbe")), accelerate=False)
    plain.kernel()
    with pytest.warns(SeedWarning):
        assert mf.kernel() == plain.e_tot
    assert (mf.cycles, mf.acceleration.reason, mf.acceleration.cheap_builds) == (plain.cycles, "accelerate=False", 0)
    assert mf.acceleration.full_builds == plain.cycles + 2


def change(mf: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(mf, name, value)
    return mf


def replace_potential(mf: Any) -> Any:
    original = mf.get_veff
    mf.get_veff = lambda *a, **k: original(*a, **k)
    return mf


LEFT_ALONE: dict[str, tuple[Callable[[], Any], str]] = {
    "integrals in memory": (lambda: water().RHF(), "the full Fock builds are cheap"),
    "exact exchange alone": (lambda: water().RKS(xc="hf"), "the full Fock builds are cheap"),
    "coarse grid": (lambda: refined(water().RKS(xc="pbe"), 0), "grid is coarse"),
    "level shift": (lambda: change(water().RKS(xc="pbe"), level_shift=0.1), "level shift"),
    "damping": (lambda: change(water().RKS(xc="pbe"), damp=0.1), "damping"),
    "no DIIS": (lambda: change(water().RKS(xc="pbe"), diis=None), "mf.diis"),
    "another DIIS": (lambda: change(water().RKS(xc="pbe"), DIIS=__import__("pyscf.scf").scf.ADIIS), "ADIIS"),
    "solvent": (lambda: refined(water().RKS(xc="pbe"), 0).ddCOSMO(), "get_veff of its own"),
    "second order": (lambda: refined(water().RKS(xc="pbe"), 0).newton(), "no accelerated SCF"),
    "own potential": (lambda: replace_potential(refined(water().RKS(xc="pbe"), 0)), "function of the user's"),
    "general spins": (lambda: refined(water().GKS(xc="pbe"), 0), "only restricted"),
    "energy only": (lambda: change(refined(water().RKS(xc="pbe"), 0), max_cycle=0), "no SCF cycle"),
    "one electron": (lambda: __import__("pyscf").gto.M(atom="H 0 0 0", spin=1, verbose=0).UHF(), "of its own"),
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_not_accelerated_runs_as_pyscf_does_and_says_why(case: str, tmp_path: Path) -> None:
    make, reason = LEFT_ALONE[case]
    plain, mf = make(), accelerated(make())
    plain.kernel(dm0=plain.get_init_guess())
    with (tmp_path / "log").open("w") as log:
        mf.stdout, mf.verbose = log, 3
        mf.kernel(dm0=plain.get_init_guess())
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=ENERGY)
    assert (getattr(mf, "cycles", 0), mf.acceleration.cheap_builds) == (getattr(plain, "cycles", 0), 0)
    assert reason in mf.acceleration.reason
    if case != "second order":
        assert (tmp_path / "log").read_text().count("not accelerated") == 1


def test_hartree_fock_is_accelerated_where_the_integrals_do_not_fit() -> None:
    from pyscf.scf.hf import SCF

    for method in ("RHF", "UHF", "ROHF"):
        def make(method: str = method) -> Any:
            mf = getattr(oxygen() if method != "RHF" else water(), method)()
            mf._is_mem_enough = lambda: False
            return mf

        plain, mf = make(), accelerated(make())
        assert isinstance(plain, SCF)
        plain.kernel()
        with pytest.warns(SeedWarning):
            assert mf.kernel() == pytest.approx(plain.e_tot, abs=ENERGY)
        assert mf.acceleration.used
        assert mf.acceleration.full_builds < plain.cycles


def test_iterations_that_stall_are_left_to_pyscf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cheap operator that is no use: its potential is attractive where it should repel."""
    build = CheapPotential.__call__
    monkeypatch.setattr(CheapPotential, "__call__", lambda self, density: -np.asarray(build(self, density)))
    plain, mf = refined(water().RKS(xc="pbe")), accelerated(refined(water().RKS(xc="pbe")))
    plain.kernel()
    with (tmp_path / "log").open("w") as log:
        mf.stdout, mf.verbose = log, 3
        with pytest.warns(SeedWarning):
            mf.kernel()
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=ENERGY)
    assert mf.converged
    assert "not accelerated any longer" in (tmp_path / "log").read_text()
    assert mf.acceleration.reason
    assert not mf.acceleration.used


@pytest.mark.parametrize("method", ["__init__", "start", "next_fock"])
def test_failures_of_the_accelerator_are_left_to_pyscf(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *args: Any, **options: Any) -> Any:
        raise MemoryError("no memory")

    monkeypatch.setattr(Accelerator, method, fail)
    mf = accelerated(refined(water().RKS(xc="pbe")))
    with pytest.warns(SeedWarning):
        assert mf.kernel() == pytest.approx(refined(water().RKS(xc="pbe")).kernel(), abs=ENERGY)
    assert "no memory" in mf.acceleration.reason


def test_converged_density_is_not_led_astray_by_the_cheap_operator() -> None:
    """PySCF itself needs one cycle and the extra one; starting at the cheap operator's solution would take two."""
    plain, mf = refined(water().RKS(xc="pbe")), accelerated(refined(water().RKS(xc="pbe")))
    plain.kernel()
    mf.kernel(dm0=plain.make_rdm1())
    assert (mf.cycles, mf.acceleration.used) == (1, True)
    mf.kernel()
    assert (mf.cycles, mf.acceleration.used) == (1, True)
    assert mf.acceleration.cheap_builds <= 4
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=ENERGY)


def test_log_holds_the_full_cycles_and_counts_the_cheap_builds(tmp_path: Path) -> None:
    mf = accelerated(refined(water().RKS(xc="pbe")))
    with (tmp_path / "log").open("w") as log:
        mf.stdout, mf.verbose = log, 4
        with pytest.warns(SeedWarning):
            mf.kernel()
    text = (tmp_path / "log").read_text()
    assert text.count("HOMO = ") == mf.cycles + 1
    assert text.count("cheap Fock builds, |g| = ") >= 2


def test_settings_of_the_convergence_are_obeyed() -> None:
    for attributes in ({"conv_tol": 1e-12}, {"conv_tol": 1e-6}, {"conv_tol_grad": 1e-7}, {"conv_check": False}):
        mf = change(accelerated(refined(water().RKS(xc="pbe"))), **attributes)
        cycles: list[dict[str, float]] = []
        mf.callback = lambda envs, cycles=cycles: cycles.append(
            {k: float(envs[k]) for k in ("e_tot", "last_hf_e", "norm_gorb")}
        )
        with pytest.warns(SeedWarning):
            mf.kernel()
        assert mf.converged
        assert len(cycles) == mf.cycles
        assert abs(cycles[-1]["e_tot"] - cycles[-1]["last_hf_e"]) < mf.conv_tol
        assert cycles[-1]["norm_gorb"] < (mf.conv_tol_grad or np.sqrt(mf.conv_tol))


def test_few_cycles_end_where_they_are_told_to() -> None:
    plain = refined(water().RKS(xc="pbe"))
    plain.kernel()
    for cycles in (1, 2, 3):
        mf = change(accelerated(refined(water().RKS(xc="pbe"))), max_cycle=cycles)
        with pytest.warns(SeedWarning):
            mf.kernel()
        assert mf.cycles <= cycles
        assert mf.e_tot == pytest.approx(plain.e_tot, abs=1e-6)


def test_checkpoint_scanner_gradient_and_conversions_are_those_of_pyscf(tmp_path: Path) -> None:
    from pyscf.scf import chkfile

    mf = accelerated(refined(water().RKS(xc="pbe")))
    mf.chkfile = str(tmp_path / "water.chk")
    with pytest.warns(SeedWarning):
        mf.kernel()
    stored = chkfile.load_scf(mf.chkfile)[1]
    assert stored["e_tot"] == mf.e_tot
    np.testing.assert_array_equal(stored["mo_coeff"], mf.mo_coeff)
    plain = refined(water().RKS(xc="pbe"))
    plain.kernel()
    np.testing.assert_allclose(mf.nuc_grad_method().kernel(), plain.nuc_grad_method().kernel(), atol=2e-5)
    assert mf.to_uks().run().e_tot == pytest.approx(plain.e_tot, abs=ENERGY)
    scanner = mf.as_scanner()
    moved = water().set_geom_("O 0 0 0.13; H 0 0.757 -0.469; H 0 -0.757 -0.469", inplace=False)
    assert scanner(moved) == pytest.approx(refined(moved.RKS(xc="pbe")).kernel(), abs=ENERGY)
    assert scanner.acceleration.used


def test_fitting_basis_is_that_for_correlation_of_a_named_basis_and_else_one_for_all() -> None:
    from pyscf import gto

    named = gto.M(atom="O 0 0 0; H1 0 0 1; Cl 0 1.7 0", basis="def2-tzvp", verbose=0)
    shells = {"O": gto.basis.load("sto-3g", "O"), "ghost-H": "sto-3g"}
    unnamed = gto.M(atom="O 0 0 0; ghost-H 0 0 1", basis=shells, verbose=0)
    francium = gto.M(atom="Fr 0 0 0", basis={"Fr": [[0, [1.0, 1.0]]]}, spin=1, verbose=0)
    assert _fitting_basis(named) == {"O": "def2-tzvp-ri", "H1": "def2-tzvp-ri", "Cl": "def2-universal-jkfit"}
    assert _fitting_basis(unnamed) == {"O": "weigend", "GHOST-H": "weigend"}
    assert _fitting_basis(francium) is None


def test_coarse_grid_lies_between_the_two_smallest_ones_of_pyscf() -> None:
    from pyscf import dft, gto

    mol = gto.M(atom="S 0 0 0; H1 0 0 1.34; ghost-H 0 1.3 0", basis="sto-3g", charge=-1, verbose=0)
    smallest, next_one = (dft.gen_grid.Grids(mol).set(level=level, verbose=0).build().weights.size for level in (0, 1))
    assert smallest < _coarse_grids(mol).build().weights.size < next_one


def test_first_full_build_may_be_on_a_coarser_grid_and_the_result_is_that_of_the_grid_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = refined(water().RKS(xc="b3lyp"), 3).run()
    mf = accelerated(refined(water().RKS(xc="b3lyp"), 3))
    levels = count_builds(monkeypatch, mf.mol)
    with pytest.warns(SeedWarning):
        mf.kernel()
    full = [level for level in levels if level]
    assert full == [2] + [3] * (mf.acceleration.full_builds - 1)
    assert mf.grids.level == 3
    assert mf.e_tot == pytest.approx(plain.e_tot, abs=ENERGY)
    levels.clear()
    mf.kernel(mf.make_rdm1())
    assert 2 not in levels


def test_integrals_that_pyscf_would_keep_are_kept_whatever_memory_the_cheap_operator_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory for them, and for no more: PySCF's question is asked before the cheap operator exists."""
    mf = accelerated(refined(water().RKS(xc="b3lyp")))
    monkeypatch.setattr(type(mf), "_is_mem_enough", lambda self: self._accelerator is None, raising=False)
    with pytest.warns(SeedWarning):
        mf.kernel()
    assert mf._eri is not None
    assert mf.acceleration.used
    direct = refined(water().RKS(xc="b3lyp"))
    direct.max_memory = 0
    keep_integrals(direct)
    assert direct._eri is None


def test_grids_are_coarsened_by_a_level_where_that_saves_time_and_they_are_the_programs() -> None:
    mf = refined(water().RKS(xc="pbe"), 4)
    mf.grids.prune = None
    coarser = coarser_grids(mf)
    assert (coarser.level, coarser.prune, mf.grids.level) == (3, None, 4)
    assert coarser_grids(refined(water().RKS(xc="pbe"), 2)) is None
    mf.grids.atom_grid = (50, 194)
    assert coarser_grids(mf) is None
    direct = refined(water().RKS(xc="pbe"), 3)
    direct.max_memory = 0
    assert coarser_grids(direct) is None
    assert coarser_grids(water().RHF()) is None


def test_integrals_of_a_small_fitting_basis_are_shared_and_those_of_a_large_one_are_not() -> None:
    mf, small = water().RKS(xc="pbe"), {"O": "weigend", "H": "weigend"}
    shared, large = mf.density_fit("weigend"), mf.density_fit("def2-universal-jkfit")
    for fitted in (shared, large):
        fitted.with_df.build()
    assert _shared_integrals(mf, small) is None
    assert _shared_integrals(shared, small) is shared.with_df
    assert _shared_integrals(large, small) is None
    assert _shared_integrals(large, None) is large.with_df

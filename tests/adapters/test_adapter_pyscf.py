"""The PySCF adapter: orbital convention, bases, reference calculations, Fock residual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyscf
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln, lpmv

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import BasisMismatchError, HarmoseError, SolverError, StructureError
from harmose_dft.core.structure import Structure

WATER = Structure(np.array([8, 1, 1]), np.array([[0.1, 0.0, 0.2], [0.0, 1.4, 1.3], [0.3, -1.5, 1.2]]))
HYDROGEN = Structure(np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 1.3]]))


def real_harmonics(l: int, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Our real Y_lm, m = -l..l, at (point, 3), from associated Legendre functions (an independent formula)."""
    radius = np.linalg.norm(r, axis=1)
    cosine, phi = r[:, 2] / radius, np.arctan2(r[:, 1], r[:, 0])
    rows = []
    for m in range(-l, l + 1):
        a = abs(m)
        norm = np.sqrt((2 * l + 1) / (4 * np.pi) * np.exp(gammaln(l - a + 1) - gammaln(l + a + 1)))
        legendre = (-1) ** a * lpmv(a, l, cosine)
        angular = np.sqrt(2) * np.cos(a * phi) if m > 0 else np.sqrt(2) * np.sin(a * phi) if m < 0 else 1.0
        rows.append(norm * legendre * angular)
    return np.array(rows)


def orbital_values(structure: Structure, basis: OrbitalBasis, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Our orbitals on points from the basis object alone, (ao, point)."""
    rows = []
    for z, centre in zip(structure.numbers, structure.positions, strict=True):
        r = points - centre
        radius = np.linalg.norm(r, axis=1)
        for shell in basis.shells[int(z)]:
            assert isinstance(shell.radial, GaussianRadial)
            a, c, l = shell.radial.exponents, shell.radial.coefficients, shell.l
            norm = np.sqrt(2 * (2 * a) ** (l + 1.5) / np.exp(gammaln(l + 1.5)))
            radial = (c * norm) @ np.exp(-a[:, None] * radius**2) * radius**l
            rows.append(radial * real_harmonics(l, r))
    return np.concatenate(rows)


@pytest.mark.parametrize("name", ["def2-svp", "cc-pvtz", "cc-pvqz"])
def test_orbitals_written_from_our_convention_have_the_overlap_of_the_adapter(name: str) -> None:
    """Proves the row PYSCF for s, p, d (def2-svp), f (cc-pvtz), g (cc-pvqz), and for generally contracted shells."""
    from pyscf.dft import gen_grid

    basis = adapter.orbital_basis(name, [1, 8])
    grid = gen_grid.Grids(adapter.to_mole(WATER, basis))
    grid.level = 5
    grid.build()
    values = orbital_values(WATER, basis, grid.coords)
    numerical = (values * grid.weights) @ values.T
    # The bound is the error of the level-5 quadrature; a wrong order or sign gives differences of 0.1 and more.
    assert np.abs(numerical - adapter.overlap(WATER, basis).to_dense()).max() < 2e-5


def test_conversion_there_and_back_is_the_identity() -> None:
    basis = adapter.orbital_basis("cc-pvtz", [1, 8])
    n = int(basis.orbitals_per_atom(WATER.numbers).sum())
    matrix = np.random.default_rng(0).normal(size=(3, n, n))
    back = adapter.from_ours(adapter.to_ours(matrix, basis, WATER.numbers), basis, WATER.numbers)
    np.testing.assert_array_equal(back, matrix)


def test_conversion_refuses_a_matrix_of_another_size() -> None:
    with pytest.raises(BasisMismatchError, match="24 orbitals"):
        adapter.to_ours(np.eye(3), adapter.orbital_basis("def2-svp", [1, 8]), WATER.numbers)


def test_molecule_made_from_the_basis_object_equals_the_one_made_by_name() -> None:
    """Splitting generally contracted shells leaves the order: PySCF numbers contraction by contraction."""
    basis = adapter.orbital_basis("cc-pvdz", [1, 8])
    by_name, by_object = adapter.to_mole(WATER, "cc-pvdz"), adapter.to_mole(WATER, basis)
    np.testing.assert_allclose(by_object.intor("int1e_ovlp"), by_name.intor("int1e_ovlp"), atol=1e-12)
    assert adapter.basis_from_mole(by_object, "cc-pvdz") == basis == adapter.basis_from_mole(by_name, "cc-pvdz")


def test_def2_svp_has_the_shells_of_its_paper() -> None:
    """Weigend and Ahlrichs 2005, table 2: H [2s1p], C to F [3s2p1d], S and Cl [4s3p1d]."""
    basis = adapter.orbital_basis("def2-svp", [1, 6, 17])
    assert [basis.label(z) for z in (1, 6, 17)] == ["2s1p", "3s2p1d", "4s3p1d"]
    assert basis.fingerprint == adapter.orbital_basis("def2-svp", [17, 1, 6]).fingerprint
    assert basis.fingerprint != adapter.orbital_basis("def2-svpd", [1, 6, 17]).fingerprint


def test_dipole_integrals_give_the_dipole_of_pyscf() -> None:
    mf = adapter.kohn_sham(adapter.to_mole(WATER, "def2-svp"), "pbe", 0)
    mf.kernel()
    basis = adapter.orbital_basis("def2-svp", [1, 8])
    density = adapter.to_ours(mf.make_rdm1(), basis, WATER.numbers)
    electronic = -np.einsum("xij,ij->x", adapter.dipole_integrals(WATER, basis), density)
    dipole = electronic + WATER.numbers @ WATER.positions
    np.testing.assert_allclose(dipole, mf.dip_moment(unit="AU", verbose=0), atol=1e-10)


def test_pseudopotential_elements_lose_their_core_electrons() -> None:
    """def2 bases replace 28 core electrons of iodine (Peterson 2003)."""
    iodine = Structure(np.array([53, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))
    mol = adapter.to_mole(iodine, "def2-svp")
    assert mol.nelectron == 54 - 28
    basis = adapter.basis_from_mole(mol, "def2-svp")
    assert set(basis.elements) == {1, 53}
    np.testing.assert_array_equal(adapter.core_charges(iodine, basis), mol.atom_charges())
    assert adapter.count_electrons(iodine, basis) == mol.nelectron
    assert adapter.count_electrons(replace(iodine, charge=-2), basis) == mol.nelectron + 2


def test_cartesian_orbitals_are_refused() -> None:
    mol = adapter.to_mole(WATER, "def2-svp")
    mol.cart = True
    with pytest.raises(BasisMismatchError, match="Cartesian"):
        adapter.basis_from_mole(mol)


def test_two_bases_on_one_element_are_refused() -> None:
    from pyscf import gto

    mol = gto.M(atom="H1 0 0 0; H2 0 0 1", basis={"H1": "sto-3g", "H2": "def2-svp"}, verbose=0)
    with pytest.raises(BasisMismatchError, match="atom 2"):
        adapter.basis_from_mole(mol)


def test_unknown_names_are_refused_in_one_sentence() -> None:
    with pytest.raises(HarmoseError, match="no basis 'def3-svp' for O"):
        adapter.orbital_basis("def3-svp", [8])
    with pytest.raises(HarmoseError, match="no functional 'b3lypp'"):
        adapter.reference(HYDROGEN, "b3lypp", "sto-3g")
    with pytest.raises(HarmoseError, match="levels 0 to 9"):
        adapter.reference(HYDROGEN, "pbe", "sto-3g", grid_level=10)
    with pytest.raises(HarmoseError, match="no recipe"):
        adapter.reference(HYDROGEN, "pbe", "sto-3g", recipe="half")


def test_orbitals_that_are_not_gaussian_are_refused() -> None:
    numerical = Shell(0, NumericalRadial(np.linspace(0, 1, 5), np.zeros(5)))
    with pytest.raises(BasisMismatchError, match="contracted Gaussians"):
        adapter.overlap(HYDROGEN, OrbitalBasis("pao", {1: (numerical,)}))


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        (Structure(np.array([1]), np.zeros((1, 3))), "odd number"),
        (Structure(WATER.numbers, WATER.positions, charge=1), "odd number"),
        (Structure(np.array([8, 8]), np.array([[0, 0, 0], [0, 0, 2.3]]), spin=2), "unpaired"),
        (Structure(np.array([1]), np.zeros((1, 3)), charge=1), "0 electrons"),
        (Structure(WATER.numbers, WATER.positions, cell=np.eye(3) * 10), "periodic"),
    ],
)
def test_what_restricted_theory_cannot_do_is_refused(structure: Structure, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        adapter.reference(structure, "pbe", "sto-3g")


def test_functional_whose_dispersion_energy_is_missing_is_refused_with_the_name_that_works() -> None:
    mol = adapter.to_mole(WATER, "sto-3g")
    with pytest.raises(HarmoseError, match="such as hyb_gga_xc_wb97x_d for wb97x-d"):
        adapter.kohn_sham(mol, "wb97x-d")
    assert not adapter.kohn_sham(mol, "hyb_gga_xc_wb97x_d").do_disp()


def test_reference_gives_the_orbital_energies_of_its_own_matrices() -> None:
    record = adapter.reference(WATER, "pbe", "def2-svp", grid_level=1)
    from scipy.linalg import eigh

    levels = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense(), eigvals_only=True)
    np.testing.assert_allclose(levels, record.eigenvalues[0].energies[0, 0], atol=1e-10)
    assert record.n_electrons == 10
    assert record.hamiltonian[0].hermiticity_error() < 1e-12
    assert record.provenance["functional"] == "pbe"
    assert record.provenance["version"] == pyscf.__version__


@pytest.mark.parametrize(("recipe", "builds"), [("staged", 1), ("corrected", 1)])
def test_fast_recipes_agree_with_full_convergence(
    recipe: str, builds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one Fock matrix on the final grid; mean deviations of small organic molecules are 0.1 to 0.2 uHa."""
    full = adapter.reference(WATER, "b3lyp", "sto-3g")
    from pyscf.dft.rks import RKS

    made, plain = [], RKS.get_veff

    def counted(mf: RKS, *args: object, **options: object) -> object:
        made.extend([mf.grids.level] if mf.grids.level == 3 else [])
        return plain(mf, *args, **options)

    monkeypatch.setattr(RKS, "get_veff", counted)
    fast = adapter.reference(WATER, "b3lyp", "sto-3g", recipe=recipe)
    assert len(made) == builds
    assert np.abs(full.hamiltonian[0].values - fast.hamiltonian[0].values).mean() < 2e-6
    assert full.energy == pytest.approx(fast.energy, abs=1e-7)


def test_converged_hamiltonian_as_guess_takes_fewer_cycles() -> None:
    cold = adapter.reference(WATER, "pbe", "sto-3g", grid_level=1)
    warm = adapter.reference(WATER, "pbe", "sto-3g", grid_level=1, guess=cold.hamiltonian[0])
    assert int(warm.provenance["scf_cycles"]) < int(cold.provenance["scf_cycles"])
    assert warm.energy == pytest.approx(cold.energy, abs=1e-10)


def test_scf_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harmose_dft.adapters.pyscf.recipes.MAX_CYCLES", 2)
    with pytest.raises(SolverError, match="did not converge within 2 cycles"):
        adapter.reference(WATER, "pbe", "sto-3g", grid_level=0)


def test_fock_residual_vanishes_for_the_converged_matrix_and_not_for_another() -> None:
    record = adapter.reference(WATER, "pbe", "sto-3g", grid_level=1)
    exact = adapter.fock_residual(WATER, record.hamiltonian[0], "pbe", record.basis, grid_level=1)
    assert exact.commutator < 1e-6
    assert exact.mean_change < 1e-7
    assert exact.gradient < 1e-6
    assert exact.energy == pytest.approx(record.energy, abs=1e-9)
    core = record.hamiltonian[0].with_values(record.hamiltonian[0].values * 1.3)
    core = core + record.overlap.with_values(record.overlap.values * np.sin(np.arange(len(record.overlap.values))))
    wrong = adapter.fock_residual(WATER, core.symmetrize(), "pbe", record.basis, grid_level=1)
    assert wrong.commutator > 1e-2
    assert wrong.energy > exact.energy

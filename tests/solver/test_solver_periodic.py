"""Crystals with analytic bands: chain and graphene; meshes, Fermi levels, smearing, density, DOS, shift-invert."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from harmose_dft.core.errors import SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.solver import (
    Smearing,
    band_gap,
    bands,
    bands_near,
    density_blocks,
    density_of_states,
    energy_weighted_density_blocks,
    fermi_level,
    loewdin_charges,
    monkhorst_pack,
    mulliken_charges,
    solve,
    solve_kpoints,
    states_near,
    wavefunction,
)
from harmose_dft.solver.sparse import Method, choose_method

T, S1 = -0.1, 0.08
"""Hopping and overlap between neighbours in Hartree; any numbers do."""


def chain(
    onsite: tuple[float, ...] = (0.0,), *, hopping: float = T, overlap: float = S1
) -> tuple[BlockMatrix, BlockMatrix]:
    """H and S of a chain with one orbital per atom, eps(k) = 2 t cos(2 pi k) / (1 + 2 s cos(2 pi k)) for one atom."""
    n = len(onsite)
    h: dict[tuple[int, int, int, int, int], np.ndarray] = {}
    s = {}
    for i, e in enumerate(onsite):
        h[i, i, 0, 0, 0], s[i, i, 0, 0, 0] = np.array([[e]]), np.eye(1)
        j, x = (i + 1) % n, (i + 1) // n
        for key in ((i, j, x, 0, 0), (j, i, -x, 0, 0)):
            h[key], s[key] = np.array([[hopping]]), np.array([[overlap]])
    return BlockMatrix.from_blocks([1] * n, h), BlockMatrix.from_blocks([1] * n, s)


def chain_energy(k: np.ndarray) -> np.ndarray:
    cos = np.cos(2 * np.pi * k)
    return 2 * T * cos / (1 + 2 * S1 * cos)


def graphene() -> tuple[BlockMatrix, BlockMatrix]:
    """Nearest-neighbour pi bands: eps = +-|t f| / (1 -+ s |f|), f = 1 + exp(2 pi i k1) + exp(2 pi i k2)."""
    h, s = {}, {}
    for x, y in ((0, 0), (-1, 0), (0, -1)):
        for key in ((0, 1, x, y, 0), (1, 0, -x, -y, 0)):
            h[key], s[key] = np.array([[T]]), np.array([[S1]])
    one = {(i, i, 0, 0, 0): np.eye(1) for i in range(2)}
    return BlockMatrix.from_blocks([1, 1], {**h, **{k: 0 * v for k, v in one.items()}}), BlockMatrix.from_blocks(
        [1, 1], {**s, **one}
    )


def multiplied(matrix: BlockMatrix, times: int) -> BlockMatrix:
    """The same crystal with a cell that is several times as long along the first vector."""
    atoms = len(matrix.orbitals)
    blocks = {}
    for i, j, (x, y, z), block in matrix.blocks():
        for c in range(times):
            blocks[c * atoms + i, (c + x) % times * atoms + j, (c + x) // times, y, z] = block
    return BlockMatrix.from_blocks(np.tile(matrix.orbitals, times), blocks, spinor=matrix.spinor)


def test_chain_has_its_analytic_band() -> None:
    k = np.linspace(-0.5, 0.5, 21)
    energies = bands(*chain(), np.stack([k, 0 * k, 0 * k], -1))
    np.testing.assert_allclose(energies[0, :, 0], chain_energy(k), atol=1e-14)


def test_graphene_bands_touch_at_the_corner() -> None:
    k = np.array([[1 / 3, 2 / 3, 0], [0, 0, 0], [0.5, 0, 0]])
    f = np.array([0.0, 3.0, 1.0])
    energies = bands(*graphene(), k)[0]
    np.testing.assert_allclose(energies[:, 0], T * f / (1 + S1 * f), atol=1e-14)
    np.testing.assert_allclose(energies[:, 1], -T * f / (1 - S1 * f), atol=1e-14)


@pytest.mark.parametrize("grid", [(4, 4, 1), (3, 5, 2), (1, 1, 1)])
@pytest.mark.parametrize("shift", [(0, 0, 0), (0.5, 0.5, 0)])
def test_mesh_integrates_plane_waves_and_time_reversal_halves_it(grid: tuple, shift: tuple) -> None:
    """The mean of cos(2 pi k.R) vanishes on an N mesh for 0 < R < N, reduced or not."""
    full, w = monkhorst_pack(grid, shift, time_reversal=False)
    reduced, weights = monkhorst_pack(grid, shift)
    assert len(full) == np.prod(grid)
    assert len(reduced) <= len(full) // 2 + 4
    assert weights.sum() == pytest.approx(1.0)
    assert full.min() > -0.5
    assert full.max() <= 0.5
    for r in np.ndindex(*grid):
        expected = 1.0 if not any(r) else 0.0
        assert w @ np.cos(2 * np.pi * full @ r) == pytest.approx(expected, abs=1e-12)
        assert weights @ np.cos(2 * np.pi * reduced @ r) == pytest.approx(expected, abs=1e-12)


def test_mesh_that_does_not_hold_minus_k_is_not_reduced() -> None:
    assert len(monkhorst_pack((4, 1, 1), (0.3, 0, 0))[0]) == 4
    with pytest.raises(SolverError, match="three positive integers"):
        monkhorst_pack((4, 0, 1))


@pytest.mark.parametrize("filling", [0.5, 1.0, 1.3])
def test_fermi_level_of_the_chain_is_analytic(filling: float) -> None:
    """Filling n electrons (of two) up to |k| = n/4: E_F = eps(n/4), with a mesh error below the level spacing."""
    k, w = monkhorst_pack((2000, 1, 1))
    spectrum = solve_kpoints(*chain(), k, filling, weights=w)
    assert spectrum.fermi == pytest.approx(float(chain_energy(np.array(filling / 4))), abs=3e-4)
    assert spectrum.n_electrons == pytest.approx(filling)
    for smearing in (Smearing.FERMI_DIRAC, Smearing.GAUSSIAN, Smearing.METHFESSEL_PAXTON, Smearing.COLD):
        smeared = solve_kpoints(*chain(), k, filling, weights=w, smearing=smearing, width=1e-3)
        assert smeared.fermi == pytest.approx(spectrum.fermi, abs=3e-4)
        assert smeared.n_electrons == pytest.approx(filling, abs=1e-10)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(Smearing)), st.floats(0.01, 7.99), st.floats(1e-4, 0.1), st.integers(0, 1000))
def test_occupations_hold_the_electrons(smearing: Smearing, electrons: float, width: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    energies, weights = np.sort(rng.normal(size=(5, 4)), axis=-1), rng.dirichlet(np.ones(5))
    chosen = 0.0 if smearing is Smearing.NONE else width
    _, occupations = fermi_level(energies, weights, electrons, smearing=smearing, width=chosen)
    assert (weights @ occupations).sum() == pytest.approx(electrons, abs=1e-9)
    if smearing in (Smearing.NONE, Smearing.FERMI_DIRAC, Smearing.GAUSSIAN):
        assert occupations.min() >= 0
        assert occupations.max() <= 2


def test_smearing_functions_have_their_published_values() -> None:
    """At the Fermi level: 1/2, 1/2, 1/2, and (erfc(1/sqrt 2) + sqrt(2/pi) exp(-1/2)) / 2 = 0.4006 for cold smearing.

    Cold smearing is the integral of exp(-(x - 1/sqrt 2)^2) (2 - sqrt 2 x) / sqrt pi (Marzari et al. 1999, eq. 4).
    """
    from scipy.integrate import quad
    from scipy.special import eval_hermite

    from harmose_dft.solver.occupations import occupation

    def cold(x: float) -> float:
        return np.exp(-((x - 1 / np.sqrt(2)) ** 2)) * (2 - np.sqrt(2) * x) / np.sqrt(np.pi)

    def methfessel(x: float) -> float:
        return np.exp(-(x**2)) / np.sqrt(np.pi) * (1 - eval_hermite(2, x) / 4)

    for x in (-1.5, -0.2, 0.0, 0.7, 2.0):
        for delta, kind in ((cold, Smearing.COLD), (methfessel, Smearing.METHFESSEL_PAXTON)):
            value = quad(delta, -30, -x)[0] if kind is Smearing.COLD else quad(delta, x, 30)[0]
            assert float(occupation(np.array(x), kind)) == pytest.approx(value, abs=1e-9)
    assert float(occupation(np.array(np.log(3.0)), Smearing.FERMI_DIRAC)) == pytest.approx(0.25)


def test_insulator_has_its_fermi_level_in_the_middle_of_the_gap() -> None:
    """On-site energies +-d and no overlap: eps = +-sqrt(d^2 + 4 t^2 cos^2(pi k)), gap 2 d at the zone boundary."""
    d = 0.05
    k, w = monkhorst_pack((8, 1, 1))
    matrices = chain((-d, d), overlap=0.0)
    for smearing, width in ((Smearing.NONE, 0.0), (Smearing.FERMI_DIRAC, 1e-4), (Smearing.COLD, 1e-3)):
        spectrum = solve_kpoints(*matrices, k, 2, weights=w, smearing=smearing, width=width)
        assert spectrum.fermi == pytest.approx(0.0, abs=1e-3)
        assert band_gap(spectrum) == pytest.approx((2 * d, 2 * d))


def test_indirect_gap_is_smaller_than_the_direct_one() -> None:
    energies = np.array([[-1.0, 2.0], [-0.5, 3.0]])
    spectrum = Spectrum(energies, np.tile(np.eye(2), (2, 1, 1)), np.array([[2.0, 0], [2, 0]]), np.full(2, 0.5))
    assert band_gap(spectrum) == (2.5, 3.0)
    metal = Spectrum(np.array([[-1.0, 2.0], [2.5, 3.0]]), spectrum.coefficients, spectrum.occupations, spectrum.weights)
    assert band_gap(metal) == (0.0, 0.0)


@pytest.mark.parametrize("smearing", list(Smearing)[1:])
def test_graphene_has_no_gap_and_a_staggered_one_keeps_it_under_smearing(smearing: Smearing) -> None:
    """On-site energies +-d open a gap of 2 d / (1 +- ...) at K; without overlap exactly 2 d. The width is 2 d."""
    k, w = monkhorst_pack((6, 6, 1))
    h, s = graphene()
    spectrum = solve_kpoints(h, s, k, 2, weights=w, smearing=smearing, width=0.01)
    assert band_gap(spectrum)[0] == pytest.approx(0.0, abs=1e-12)
    unit = s.with_values(np.where(s.values == 1.0, 1.0, 0.0))
    staggered = h + BlockMatrix.from_dense(np.diag([0.005, -0.005]), [1, 1])
    spectrum = solve_kpoints(staggered, unit, k, 2, weights=w, smearing=smearing, width=0.01)
    assert band_gap(spectrum) == pytest.approx((0.01, 0.01))


def test_gap_needs_k_points_and_is_infinite_without_an_empty_band() -> None:
    with pytest.raises(SolverError, match=r"use Spectrum\.gap"):
        band_gap(solve(np.diag([0.0, 1.0]), np.eye(2), 2))
    assert band_gap(solve_kpoints(*chain(), [[0.0, 0, 0]], 2.0)) == (np.inf, np.inf)
    half_filled = solve_kpoints(*chain(), monkhorst_pack((8, 1, 1), time_reversal=False)[0], 1.0)
    assert band_gap(half_filled) == (0.0, 0.0)
    flat = chain((-0.3, 0.2), hopping=0.0, overlap=0.0)
    assert band_gap(solve_kpoints(*flat, [[0.0, 0, 0]], 1.0)) == (0.0, 0.0)
    assert band_gap(solve_kpoints(*flat, [[0.0, 0, 0]], 2.0)) == pytest.approx((0.5, 0.5))


def test_partly_filled_degenerate_level_is_shared() -> None:
    fermi, occupations = fermi_level(np.array([[-1.0, 0.5, 0.5, 0.5, 2.0]]), np.ones(1), 4.0)
    assert fermi == 0.5
    np.testing.assert_allclose(occupations, [[2, 2 / 3, 2 / 3, 2 / 3, 0]])


def test_impossible_electron_counts_and_smearings_are_refused() -> None:
    energies, w = np.array([[0.0, 1.0]]), np.ones(1)
    with pytest.raises(SolverError, match="5 electrons do not fit into orbitals that hold 4"):
        fermi_level(energies, w, 5)
    with pytest.raises(SolverError, match="positive width"):
        fermi_level(energies, w, 2, smearing="gaussian")
    with pytest.raises(SolverError, match="no width without"):
        fermi_level(energies, w, 2, width=0.1)
    fermi, occupations = fermi_level(energies, w, 4, smearing="fermi-dirac", width=0.01)
    assert (fermi, occupations.tolist()) == (1.0, [[2.0, 2.0]])


def test_two_spins_share_one_fermi_level() -> None:
    """A chain whose spin-down band lies 1 Ha higher: one electron per cell fills spin up completely."""
    up, s = chain()
    down = up.with_values(up.values + 1.0 * s.values)
    k, w = monkhorst_pack((12, 1, 1))
    spectrum = solve_kpoints([up, down], s, k, 1.0, weights=w)
    assert spectrum.energies.shape == (2, len(k), 1)
    np.testing.assert_allclose(spectrum.occupations[0], 1.0)
    np.testing.assert_allclose(spectrum.occupations[1], 0.0)
    p_up, p_down = density_blocks(spectrum, s)
    assert (p_up.values @ s.values, p_down.values @ s.values) == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(mulliken_charges(spectrum, s, [1.0]), 0.0, atol=1e-12)


@pytest.mark.parametrize("spinor", [False, True])
def test_density_blocks_hold_electrons_and_band_energy(spinor: bool) -> None:
    """sum P S = N and sum P H = sum of occupied energies; they do not depend on how the cell is chosen."""
    h, s = (multiplied(m, 2) for m in chain((-0.03, 0.02)))
    k, w = monkhorst_pack((6, 1, 1), time_reversal=not spinor)
    if spinor:
        h = h.with_spin()
        flip = np.zeros((h.size, h.size), dtype=complex)
        flip[np.arange(4), np.arange(4, 8)] = 0.01j
        h = h + BlockMatrix.from_dense(flip + flip.conj().T, h.orbitals, spinor=True)
    spectrum = solve_kpoints(h, s, k, 3.0, weights=w, smearing="gaussian", width=0.01)
    (p,) = density_blocks(spectrum, h)
    full = (s.with_spin() if spinor else s).on_pairs_of(h)
    energy = float((w[:, None] * spectrum.occupations * spectrum.energies).sum())
    assert np.vdot(full.values, p.values).real == pytest.approx(3.0)
    assert np.vdot(h.values, p.values).real == pytest.approx(energy)
    assert p.hermiticity_error() < 1e-14
    (weighted,) = energy_weighted_density_blocks(spectrum, h)
    assert np.vdot(full.values, weighted.values).real == pytest.approx(energy)
    charges = mulliken_charges(spectrum, s, [1.0, 0.5, 1.0, 0.5])
    assert charges.sum() == pytest.approx(0.0, abs=1e-10)
    np.testing.assert_allclose(charges[:2], charges[2:], atol=1e-10)
    assert loewdin_charges(spectrum, s, [1.0, 0.5, 1.0, 0.5]).sum() == pytest.approx(0.0, abs=1e-10)


def test_density_of_a_molecule_is_not_a_matter_of_blocks() -> None:
    spectrum = solve(np.diag([0.0, 1.0]), np.eye(2), 2)
    with pytest.raises(SolverError, match="no k-points"):
        density_blocks(spectrum, chain((0.0, 0.0))[0])


@pytest.mark.parametrize("spinor", [False, True])
def test_density_of_states_integrates_to_the_electrons(spinor: bool) -> None:
    """Up to a Fermi level in the gap of the dimerised chain, 1/8 of the gap being the broadening."""
    h, s = chain((-0.3, 0.3))
    k, w = monkhorst_pack((30, 1, 1))
    spectrum = solve_kpoints(h.with_spin() if spinor else h, s, k, 2.0, weights=w)
    grid = np.linspace(-2, 2, 4001)
    dos = density_of_states(spectrum, s, grid, 0.02)
    assert dos.total.shape == (1, 4001)
    below = grid <= spectrum.fermi
    assert np.trapezoid(dos.total[0][below], grid[below]) == pytest.approx(2.0, abs=1e-3)
    assert np.trapezoid(dos.total[0], grid) == pytest.approx(4.0, abs=1e-3)
    np.testing.assert_allclose(dos.per_atom().sum(axis=1), dos.total)
    np.testing.assert_allclose(dos.per_shell([0, 0]), dos.per_atom())
    populations = np.trapezoid(dos.per_atom()[0][:, below], grid[below], axis=-1)
    np.testing.assert_allclose(1.0 - populations, mulliken_charges(spectrum, s, [1.0, 1.0]), atol=1e-3)


def test_density_of_states_of_two_spins_and_of_a_molecule() -> None:
    up, s = chain()
    k, w = monkhorst_pack((10, 1, 1))
    pair = solve_kpoints([up, up], s, k, 1.0, weights=w)
    grid = np.linspace(-2, 2, 2001)
    assert np.trapezoid(density_of_states(pair, s, grid, 0.05).total, grid) == pytest.approx([1.0, 1.0])
    molecule = solve(np.diag([-1.0, 1.0]), np.eye(2), 2)
    unit = BlockMatrix.from_dense(np.eye(2), [1, 1])
    dos = density_of_states(molecule, unit, grid, 0.05)
    assert np.trapezoid(dos.total, grid) == pytest.approx([4.0])
    with pytest.raises(SolverError, match="broadening must be positive"):
        density_of_states(molecule, unit, grid, 0.0)
    with pytest.raises(SolverError, match="hold 3 orbitals; the projection has 2"):
        dos.per_shell([1])


def disordered(times: int, *, spinor: bool = False) -> tuple[BlockMatrix, BlockMatrix]:
    """A long cell of graphene with random on-site energies."""
    h, s = (multiplied(m, times) for m in graphene())
    rng = np.random.default_rng(0)
    onsite = BlockMatrix.from_dense(np.diag(rng.normal(scale=0.02, size=h.size)), h.orbitals)
    return (h + onsite).with_spin() if spinor else h + onsite, s


@pytest.mark.parametrize("k", [(0.0, 0.0, 0.0), (0.2, 0.3, 0.0)])
@pytest.mark.parametrize("spinor", [False, True])
def test_shift_invert_finds_what_dense_diagonalisation_finds(k: tuple, spinor: bool) -> None:
    h, s = disordered(60, spinor=spinor)
    dense, c = states_near(h, s, k, 0.012, 14, method="dense")
    sparse, x = states_near(h, s, k, 0.012, 14, method="shift-invert")
    np.testing.assert_allclose(sparse, dense, atol=1e-10)
    metric = (s.with_spin() if spinor else s).at(k)
    np.testing.assert_allclose(x.conj().T @ metric @ x, np.eye(14), atol=1e-10)
    np.testing.assert_allclose(h.at(k) @ x, metric @ x * sparse, atol=1e-9)
    np.testing.assert_allclose(np.linalg.svd(c.conj().T @ metric @ x, compute_uv=False), 1.0, atol=1e-8)


def test_method_follows_size_and_share() -> None:
    assert choose_method(200, 10) is Method.DENSE
    assert choose_method(5000, 50) is Method.SHIFT_INVERT
    assert choose_method(5000, 2000) is Method.DENSE


def test_bands_near_an_energy_are_a_window_of_the_bands() -> None:
    h, s = disordered(20)
    k = np.array([[0.0, 0, 0], [0.1, 0.2, 0]])
    window = bands_near([h, h], s, k, 0.0, 6)
    everything = bands(h, s, k)[0]
    assert window.shape == (2, 2, 6)
    for row, all_of_them in zip(window[1], everything, strict=True):
        nearest = np.sort(all_of_them[np.argsort(np.abs(all_of_them))[:6]])
        np.testing.assert_allclose(row, nearest, atol=1e-12)


def test_threads_change_nothing() -> None:
    h, s = disordered(40)
    k = np.stack([np.linspace(0, 0.5, 5), np.zeros(5), np.zeros(5)], -1)
    alone, together = (bands_near(h, s, k, 0.01, 6, method="shift-invert", workers=n) for n in (1, 3))
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_impossible_numbers_of_states_are_refused() -> None:
    h, s = disordered(3)
    with pytest.raises(SolverError, match="Between 1 and 6 states"):
        states_near(h, s, (0, 0, 0), 0.0, 7)
    with pytest.raises(SolverError, match="at most 4 of 6"):
        states_near(h, s, (0, 0, 0), 0.0, 5, method="shift-invert")


def test_shift_on_an_eigenvalue_and_broken_values_are_refused() -> None:
    h, s = (BlockMatrix.from_dense(np.diag(d), [1] * 8) for d in (np.arange(8.0), np.ones(8)))
    with pytest.raises(SolverError, match=r"(?i)move the energy off an eigenvalue"):
        states_near(h, s, (0, 0, 0), 3.0, 2, method="shift-invert")
    broken = h.with_values(np.where(np.arange(64) == 9, np.nan, h.values))
    with pytest.raises(SolverError, match="Hamiltonian has 1 values that are not finite"):
        states_near(broken, s, (0, 0, 0), 3.1, 2, method="shift-invert")


def test_wavefunction_solves_the_eigenproblem_at_its_k_point() -> None:
    h, s = disordered(4)
    k = (0.3, -0.2, 0.0)
    energies, c = wavefunction(h, s, k)
    np.testing.assert_allclose(h.at(k) @ c, s.at(k) @ c * energies, atol=1e-12)
    np.testing.assert_allclose(c.conj().T @ s.at(k) @ c, np.eye(8), atol=1e-12)


def test_linear_dependence_at_one_k_point_shortens_all_rows() -> None:
    """Two equal chains with overlap cos-like 1: S(k) is singular at k = 0 only."""
    s = BlockMatrix.from_blocks(
        [1, 1],
        {(0, 0, 0, 0, 0): [[1.0]], (1, 1, 0, 0, 0): [[1.0]], (0, 1, 0, 0, 0): [[0.5]], (1, 0, 0, 0, 0): [[0.5]],
         (0, 1, 1, 0, 0): [[0.5]], (1, 0, -1, 0, 0): [[0.5]]},
    )
    k = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    assert bands(s, s, k).shape == (1, 2, 1)
    assert solve_kpoints(s, s, k, 1.0).coefficients.shape == (2, 2, 1)


def test_unusable_matrices_are_refused_with_their_k_point() -> None:
    h, s = chain()
    with pytest.raises(SolverError, match=r"At k = \(0.5000, 0.0000, 0.0000\): The overlap matrix is not positive"):
        bands(*chain(overlap=0.7), [[0.0, 0, 0], [0.5, 0, 0]])
    with pytest.raises(SolverError, match="Hamiltonian has 1 values"):
        bands(h.with_values(np.where(np.arange(3) == 1, np.nan, h.values)), s, [[0.0, 0, 0]])
    with pytest.raises(SolverError, match="have 1 and 2 orbitals"):
        bands(h, chain((0.0, 0.0))[1], [[0.0, 0, 0]])
    with pytest.raises(SolverError, match=r"shape \(k, 3\)"):
        bands(h, s, [0.0, 0, 0])
    with pytest.raises(SolverError, match="as many weights"):
        solve_kpoints(h, s, [[0.0, 0, 0]], 1.0, weights=[0.5])
    with pytest.raises(SolverError, match="got 3"):
        bands([h, h, h], s, [[0.0, 0, 0]])


def test_fermi_dirac_level_solves_the_count_of_a_two_level_system() -> None:
    """One electron in levels 0 and 1 with k_B T = 0.3, found by an independent root search."""

    def excess(mu: float) -> float:
        return 2 / (np.exp(-mu / 0.3) + 1) + 2 / (np.exp((1 - mu) / 0.3) + 1) - 1

    fermi, _ = fermi_level(np.array([[0.0, 1.0]]), np.ones(1), 1.0, smearing="fermi-dirac", width=0.3)
    assert fermi == pytest.approx(brentq(excess, -5, 5), abs=1e-10)


def test_states_that_linear_dependence_leaves_out_are_not_promised() -> None:
    """With overlaps of one half S(Gamma) of two atoms is [[1, 1], [1, 1]], which has one eigenvalue of zero."""
    h, s = chain((0.0, 0.1), overlap=0.5)
    assert bands_near(h, s, [[0, 0, 0], [0.5, 0, 0]], 0.0, 1).shape == (1, 2, 1)
    with pytest.raises(SolverError, match="2 states were asked for; linear dependence leaves 1 of 2"):
        bands_near(h, s, [[0.25, 0, 0], [0, 0, 0]], 0.0, 2)

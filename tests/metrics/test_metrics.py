"""Metrics: each against its definition on matrices small enough to work out by hand, and end to end on water."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.errors import BasisMismatchError, DataError, SolverError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Record
from harmose_dft.core.rotations import random_rotations
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import HARTREE_IN_EV
from harmose_dft.metrics import (
    MetricAccumulator,
    ScfRatio,
    band_errors,
    cov_err,
    frontier_errors,
    gauge_shift,
    mean_scf_ratio,
    orbital_cosines,
    subspace_overlaps,
)
from harmose_dft.metrics.results import DIMENSIONLESS, MEANINGS, StageMetrics
from harmose_dft.metrics.spectra import reach_bands
from harmose_dft.testing.molecules import hartree_fock, structure_of
from harmose_dft.training.median import weighted_median

HYDROGEN = OrbitalBasis("minimal", {1: (Shell(0),)})


@pytest.fixture(scope="module")
def water() -> Record:
    """Water, RHF/def2-SVP by PySCF."""
    basis, fock, overlap, _, _ = hartree_fock(structure_of())
    return Record(structure_of(), basis, (fock,), overlap, 10)


def disturbed(matrix: BlockMatrix, size: float, seed: int = 0) -> BlockMatrix:
    """The matrix with a random Hermitian error of a mean absolute size."""
    noise = matrix.with_values(np.random.default_rng(seed).normal(size=matrix.values.shape)).symmetrize()
    return matrix.with_values(matrix.values + size * noise.values / np.abs(noise.values).mean())


def test_mean_absolute_error_is_the_noise_that_was_added(water: Record) -> None:
    collect = MetricAccumulator(water.basis)
    collect.add(water, disturbed(water.hamiltonian[0], 1e-5), disturbed(water.hamiltonian[0], 4e-5))
    figures = collect.result().to_dict()
    assert figures["unit"] == "uHa"
    assert figures["model"]["mae_all"] == pytest.approx(10.0)
    assert figures["stage1"]["mae_all"] == pytest.approx(40.0)
    assert figures["model"]["mae_all_raw"] == figures["model"]["mae_all"]
    json.dumps(figures)


def test_exact_prediction_has_no_error_and_full_similarity(water: Record) -> None:
    collect = MetricAccumulator(water.basis)
    collect.add(water, water.hamiltonian)
    model = collect.result().model
    assert model.mae_all == model.eps_mae == model.homo_mae == model.lumo_mae == model.gap_mae == 0.0
    assert model.psi_cos == pytest.approx(1.0, abs=1e-12)
    assert model.psi_subspace == pytest.approx(1.0, abs=1e-12)
    assert model.band_mae is None


def test_orbital_errors_follow_first_order_perturbation_theory(water: Record) -> None:
    """d eps_i = C_i^T dH C_i; the second order is below 1e-9 Ha for noise of 1e-6 Ha in this basis."""
    reference = hartree_fock(structure_of())[3]
    wrong = disturbed(water.hamiltonian[0], 1e-6)
    change = (wrong - water.hamiltonian[0]).to_dense()
    shifts = np.einsum("pi,pq,qi->i", reference.coefficients, change, reference.coefficients)
    collect = MetricAccumulator(water.basis)
    collect.add(water, wrong)
    model = collect.result().model
    assert model.eps_mae == pytest.approx(np.abs(shifts[:5]).mean(), abs=1e-9)
    assert model.homo_mae == pytest.approx(abs(shifts[4]), abs=1e-9)
    assert model.gap_mae == pytest.approx(abs(shifts[5] - shifts[4]), abs=1e-9)


def test_known_reference_spectrum_changes_nothing(water: Record) -> None:
    wrong, results = disturbed(water.hamiltonian[0], 1e-4), []
    for known in (None, hartree_fock(structure_of())[3]):
        collect = MetricAccumulator(water.basis)
        collect.add(water, wrong, reference_spectrum=known)
        results.append(collect.result().model)
    assert results[0].eps_mae == pytest.approx(results[1].eps_mae, abs=1e-8)
    assert results[0].psi_cos == pytest.approx(results[1].psi_cos, abs=1e-8)


def test_block_errors_average_to_the_total(water: Record) -> None:
    """Weighted by their number of elements, the blocks' errors give mae_all; water has 5 shells on O and 3 on H."""
    collect = MetricAccumulator(water.basis)
    collect.add(water, disturbed(water.hamiltonian[0], 1e-4))
    model = collect.result().model
    assert len(model.mae_block) == (6 + 3) * (6 + 3 + 1) // 2
    size = {**{f"O {s}{n}": w for s, w, c in (("s", 1, 3), ("p", 3, 2), ("d", 5, 1)) for n in range(1, c + 1)},
            **{f"H {s}{n}": 2 * w for s, w, c in (("s", 1, 2), ("p", 3, 1)) for n in range(1, c + 1)}}
    total = 0.0
    for pair, error in model.mae_block.items():
        a, b = pair.split(" - ")
        total += error * size[a] * size[b] * (1 if a == b else 2)
    assert total / 24**2 == pytest.approx(model.mae_all)


def hydrogen_record(element: float = 0.0) -> Record:
    """Two hydrogen atoms with one orbital each and a given coupling."""
    structure = Structure(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 1.4]]))
    h = BlockMatrix.from_dense(np.array([[-1.0, element], [element, -0.5]]), [1, 1])
    return Record(structure, HYDROGEN, (h,), BlockMatrix.from_dense(np.eye(2), [1, 1]), 2)


def test_challenging_samples_are_those_where_stage_one_is_worst() -> None:
    """40 samples, 5 % are two: 37 and 12 by stage 1, whatever the final model makes of them."""
    collect = MetricAccumulator(HYDROGEN, spectral=False)
    record = hydrogen_record()
    h = record.hamiltonian[0]
    for n in range(40):
        stage1 = {37: 8e-3, 12: 4e-3}.get(n, 1e-4)
        model = {37: 1e-3, 12: 3e-3, 5: 1.0}.get(n, 1e-5)
        collect.add(record, h.with_values(h.values + model), h.with_values(h.values + stage1))
    result = collect.result()
    assert result.challenging_sample == 37
    assert result.model.mae_cha_s == pytest.approx(1e-3)
    assert result.model.mae_median == pytest.approx(1e-5)
    assert result.model.mae_cha_s_5 == pytest.approx(2e-3)
    assert result.stage1 is not None
    assert result.stage1.mae_cha_s == pytest.approx(8e-3)
    assert result.stage1.mae_cha_s_5 == pytest.approx(6e-3)
    assert result.model.eps_mae is None


def test_challenging_block_is_chosen_by_stage_one(water: Record) -> None:
    h = water.hamiltonian[0]
    dense = np.zeros((24, 24))
    dense[:1, :1], final = 1e-3, np.zeros((24, 24))
    final[3:6, 3:6] = 1e-4
    collect = MetricAccumulator(water.basis, spectral=False)
    collect.add(water, h + BlockMatrix.from_dense(final, h.orbitals), h + BlockMatrix.from_dense(dense, h.orbitals))
    result = collect.result()
    assert result.challenging_block == "O s1 - O s1"
    assert result.stage1 is not None
    assert result.stage1.mae_cha_b == pytest.approx(1e-3)
    assert result.model.mae_cha_b == 0.0
    assert result.model.mae_block["O p1 - O p1"] == pytest.approx(1e-4)


def test_cosine_depends_on_rotations_inside_a_degenerate_level_and_the_subspace_does_not() -> None:
    """Two degenerate occupied orbitals turned by 60 degrees: cosine 1/2, subspace 1."""
    c = np.eye(3)
    turn = np.array([[0.5, -np.sqrt(0.75), 0], [np.sqrt(0.75), 0.5, 0], [0, 0, 1]])
    energies, occupations = np.array([-1.0, -1.0, 1.0]), np.array([2.0, 2.0, 0.0])
    a, b = Spectrum(energies, c, occupations), Spectrum(energies, turn, occupations)
    np.testing.assert_allclose(orbital_cosines(a, b), [0.5, 0.5])
    np.testing.assert_allclose(subspace_overlaps(a, b, np.eye(3)), [1.0, 1.0])


def test_cosine_uses_plain_vectors_whatever_their_length() -> None:
    a = Spectrum(np.array([-1.0]), np.array([[1.0], [0.0]]), np.array([2.0]))
    b = Spectrum(np.array([-1.0]), np.array([[-3.0], [4.0]]), np.array([2.0]))
    np.testing.assert_allclose(orbital_cosines(a, b), [0.6])


@settings(deadline=None)
@given(st.floats(-2.0, 2.0), st.integers(0, 1000))
def test_gauge_shift_is_recovered_exactly_when_few_elements_are_wrong(mu: float, seed: int) -> None:
    """The 1-norm ignores outliers: a tenth of the elements wrong, and mu comes back to rounding."""
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.1, 1.0, 100) * rng.choice([-1, 1], 100)
    d = mu * s
    d[:10] += rng.normal(size=10)
    assert gauge_shift(d, s) == pytest.approx(mu, abs=1e-12)


def test_gauge_shift_minimises_what_it_says() -> None:
    rng = np.random.default_rng(0)
    s, d = rng.normal(size=301), rng.normal(size=301) + 0.3
    grid = np.linspace(-2, 2, 4001)
    l1 = np.abs(d[:, None] - grid * s[:, None]).sum(0)
    assert np.abs(d - gauge_shift(d, s) * s).sum() <= l1.min() + 1e-12
    median = weighted_median(torch.from_numpy(d / s), torch.from_numpy(np.abs(s)))
    assert gauge_shift(d, s) == float(median), "the shift of evaluate is that of training"
    assert gauge_shift(d, np.zeros(301)) == 0.0


def chain_record(hopping: float = -0.1, *, spinor: bool = False, shift: float = 0.0) -> Record:
    """A chain of hydrogen atoms: eps(k) = (shift + ... 2 t cos 2 pi k) with overlap 0.1 between neighbours."""
    structure = Structure(np.array([1]), np.zeros((1, 3)), np.diag([3.0, 20.0, 20.0]))
    overlap = BlockMatrix.from_blocks([1], {(0, 0, x, 0, 0): [[1.0 if x == 0 else 0.1]] for x in (-1, 0, 1)})
    h = BlockMatrix.from_blocks([1], {(0, 0, x, 0, 0): [[0.0 if x == 0 else hopping]] for x in (-1, 0, 1)})
    h = h.with_values(h.values + shift * overlap.values)
    return Record(structure, HYDROGEN, (h.with_spin() if spinor else h,), overlap, 1)


def path(_: Structure) -> np.ndarray:
    return np.stack([np.linspace(0, 0.5, 11), np.zeros(11), np.zeros(11)], -1)


@pytest.mark.parametrize("spinor", [False, True])
def test_crystal_metrics_ignore_the_gauge_and_report_the_raw_error(spinor: bool) -> None:
    record, moved = chain_record(spinor=spinor), chain_record(spinor=spinor, shift=0.02)
    collect = MetricAccumulator(record.basis, kpoints=path)
    collect.add(record, moved.hamiltonian)
    result = collect.result()
    assert result.unit == "meV"
    assert result.model.mae_all == pytest.approx(0.0, abs=1e-15)
    per_overlap = np.abs(record.overlap.values).sum() / (6 if spinor else 3)
    assert result.model.mae_all_raw == pytest.approx(0.02 * per_overlap)
    assert result.model.band_mae == pytest.approx(0.0, abs=1e-12)
    assert result.model.eps_mae == pytest.approx(0.0, abs=1e-12)
    assert result.model.psi_subspace == pytest.approx(1.0)
    assert result.to_dict()["model"]["mae_all_raw"] == pytest.approx(0.02e3 * HARTREE_IN_EV * per_overlap)


def test_band_error_of_a_chain_with_wrong_hopping_is_analytic() -> None:
    """eps(k) = 2 t cos / (1 + 0.2 cos): the error of t enters as 2 dt cos / (1 + 0.2 cos) minus its median."""
    cos = np.cos(2 * np.pi * path(None)[:, 0])  # type: ignore[arg-type]
    wrong = 0.002 * cos / (1 + 0.2 * cos)
    collect = MetricAccumulator(HYDROGEN, kpoints=path, window=1.0)
    collect.add(chain_record(-0.1), chain_record(-0.099).hamiltonian)
    assert collect.result().model.band_mae == pytest.approx(np.abs(wrong - np.median(wrong)).mean(), rel=1e-9)


def test_window_without_bands_reaches_both_edges_of_the_gap() -> None:
    """Of a crystal whose gap is wider than the window, the evaluation ended with the advice to widen it."""
    energies = np.array([[-9.0, -2.0, 3.0, 4.0], [-8.0, -2.5, 3.5, 4.0]])
    assert reach_bands(energies, 0.0, 1.0) == 3.0
    assert reach_bands(energies, 0.0, 2.0) == 2.0
    assert reach_bands(energies, 5.0, 0.5) == 1.0
    collect = MetricAccumulator(HYDROGEN, kpoints=path, window=1.0)
    collect.add(replace(chain_record(-0.1), fermi=7.0), chain_record(-0.099).hamiltonian)
    assert collect.result().model.band_mae == pytest.approx(0.0, abs=1e-12)  # one level, after the best shift


def test_bands_are_compared_inside_the_window_only() -> None:
    reference = np.array([[-2.0, 0.0, 3.0]])
    errors, shift = band_errors(reference, np.array([[-9.0, 0.25, 9.0]]), fermi=0.0, window=1.0)
    assert shift == 0.25
    np.testing.assert_array_equal(errors, [0.0])
    with pytest.raises(SolverError, match="No band lies within"):
        band_errors(reference, reference, fermi=10.0, window=1.0)


def test_covariance_error_sees_a_preferred_direction(water: Record) -> None:
    """PySCF's core Hamiltonian is covariant; a field along z added on top breaks it by the field's own size."""
    from harmose_dft.core.conventions import PYSCF
    from harmose_dft.testing.molecules import mole

    index, sign = PYSCF.to_ours(water.basis.shell_sequence(water.structure.numbers))
    orbitals = water.basis.orbitals_per_atom(water.structure.numbers)

    def core(field: float) -> Callable[[Structure], BlockMatrix]:
        def predict(structure: Structure) -> BlockMatrix:
            mol = mole(structure)
            with mol.with_common_origin((0, 0, 0)):
                dense = mol.intor("int1e_kin") + mol.intor("int1e_nuc") + field * mol.intor("int1e_r")[2]
            return BlockMatrix.from_dense(dense[np.ix_(index, index)] * np.outer(sign, sign), orbitals)

        return predict

    assert cov_err(core(0.0), water.structure, water.basis) < 1e-10
    assert cov_err(core(0.01), water.structure, water.basis, rotations=-np.eye(3)[None]) > 0.01
    assert cov_err(core(0.01), water.structure, water.basis, rotations=random_rotations(2)) > 1e-3


def test_largest_covariance_error_is_kept() -> None:
    record, collect = hydrogen_record(), MetricAccumulator(HYDROGEN, spectral=False)
    collect.add(record, record.hamiltonian, record.hamiltonian)
    collect.add_cov_err(3e-6, 1e-7)
    collect.add_cov_err(2e-6, 2e-7)
    figures = collect.result().to_dict()
    assert figures["model"]["cov_err"] == pytest.approx(3.0)
    assert figures["stage1"]["cov_err"] == pytest.approx(0.2)


def test_frontier_errors_of_shifted_levels_are_zero() -> None:
    a = Spectrum(np.array([-1.0, 1.0]), np.eye(2), np.array([2.0, 0.0]))
    b = Spectrum(np.array([-0.8, 1.3]), np.eye(2), np.array([2.0, 0.0]))
    assert frontier_errors(a, b, shift=0.2) == pytest.approx((0.0, 0.1, 0.1))


def test_scf_ratio_counts_builds_and_time() -> None:
    ratios = [ScfRatio(6, 12, 3.0, 4.0), ScfRatio(5, 5, 1.0, 0.8)]
    assert mean_scf_ratio(ratios) == pytest.approx((0.75, 1.0))
    with pytest.raises(DataError, match="No SCF runs"):
        mean_scf_ratio([])


def test_reference_path_needs_no_network() -> None:
    """Adapter -> solver -> metrics: LDA and PBE of water by PySCF, one judged by the other.

    The solver finds the energies PySCF found, and the two functionals' HOMOs differ as PySCF says.
    """
    from harmose_dft.adapters.pyscf import reference

    pbe, lda = (reference(structure_of(), xc, "def2-svp", grid_level=0) for xc in ("pbe", "lda,vwn"))
    collect = MetricAccumulator(pbe.basis)
    collect.add(pbe, lda.hamiltonian, pbe.hamiltonian)
    result = collect.result()
    levels = [record.eigenvalues[0].energies[0, 0] for record in (pbe, lda)]
    assert result.model.eps_mae == pytest.approx(np.abs(levels[1] - levels[0])[:5].mean(), abs=1e-9)
    assert result.model.homo_mae == pytest.approx(abs(levels[1][4] - levels[0][4]), abs=1e-9)
    assert result.stage1 is not None
    assert result.stage1.eps_mae == 0.0
    assert 0.99 < result.model.psi_subspace < 1.0  # type: ignore[operator]


def test_inconsistent_samples_are_refused(water: Record) -> None:
    collect = MetricAccumulator(water.basis, spectral=False)
    with pytest.raises(DataError, match="nothing to evaluate"):
        collect.result()
    collect.add(water, water.hamiltonian)
    with pytest.raises(DataError, match="every sample or for none"):
        collect.add(water, water.hamiltonian, water.hamiltonian)
    with pytest.raises(DataError, match="separately"):
        collect.add(chain_record(), chain_record().hamiltonian)
    with pytest.raises(BasisMismatchError, match="2 spin directions"):
        collect.add(water, [water.hamiltonian[0]] * 2)


def test_every_metric_has_a_line_in_the_legend_and_a_row_in_the_documentation() -> None:
    names = [f.name for f in fields(StageMetrics)]
    assert len(set(MEANINGS.values())) == len(names)
    assert all(len(line) > 20 and "\n" not in line for line in MEANINGS.values())
    page = (Path(__file__).resolve().parents[2] / "docs/reference/metrics.md").read_text(encoding="utf-8")
    first = " ".join(row.split("|")[1] for row in page.splitlines() if row.startswith("| `"))
    assert [name for name in names if f"`{name}`" not in first] == []


def test_cosines_alone_are_no_energies() -> None:
    """A cosine stays what it is when energies are converted."""
    assert {"psi_cos", "psi_subspace"} == DIMENSIONLESS
    metrics = StageMetrics(mae_all=1.0, mae_all_raw=2.0, mae_block={"H s1": 3.0}, mae_element={"H": 4.0}, psi_cos=0.5)
    scaled = {name: value for name, value in metrics.scale(10.0).items() if value is not None}
    assert scaled == {
        "mae_all": 10.0, "mae_all_raw": 20.0, "mae_block": {"H s1": 30.0}, "mae_element": {"H": 40.0}, "psi_cos": 0.5,
    }  # fmt: skip

"""Fermi levels, moments and bands of real ABACUS runs: reader -> solver against what the code printed.

Expected values are ABACUS 3.8.1's, from the running_scf.log of each sample; Gaussian smearing of 0.002 Ry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters import abacus
from harmose_dft.adapters.abacus.constants import EV_IN_HARTREE
from harmose_dft.core.record import Record
from harmose_dft.core.units import HARTREE_IN_EV
from harmose_dft.metrics import MetricAccumulator
from harmose_dft.solver import band_gap, bands, density_blocks, monkhorst_pack, solve_kpoints

WIDTH = 0.001
"""0.002 Ry in Hartree."""


def sample(shared_dir: Path, name: str) -> Record:
    return abacus.read(shared_dir / "samples" / "abacus" / name)[0]


@pytest.mark.shared
def test_fermi_level_of_graphene_is_the_one_abacus_found(shared_dir: Path) -> None:
    """EFERMI = -1.8307376936 eV on a 9x9x1 mesh, at the Dirac point."""
    record = sample(shared_dir, "graphene_prim")
    k, w = monkhorst_pack((9, 9, 1))
    spectrum = solve_kpoints(
        record.hamiltonian, record.overlap, k, record.n_electrons, weights=w, smearing="gaussian", width=WIDTH
    )
    assert spectrum.fermi / EV_IN_HARTREE == pytest.approx(-1.8307376936, abs=1e-6)
    assert band_gap(spectrum)[0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.shared
def test_spin_polarised_iron_has_the_fermi_level_and_moment_abacus_found(shared_dir: Path) -> None:
    """EFERMI = 18.456555968 eV, 9.11111 electrons up and 6.88889 down, on a 6x6x6 mesh."""
    record = sample(shared_dir, "Fe_bcc_spin2")
    k, w = monkhorst_pack((6, 6, 6))
    spectrum = solve_kpoints(
        record.hamiltonian, record.overlap, k, record.n_electrons, weights=w, smearing="gaussian", width=WIDTH
    )
    assert spectrum.fermi / EV_IN_HARTREE == pytest.approx(18.456555968, abs=1e-6)
    electrons = [
        float(np.vdot(record.overlap.on_pairs_of(p).values, p.values).real)
        for p in density_blocks(spectrum, record.hamiltonian[0])
    ]
    assert electrons == pytest.approx([9.11111, 6.88889], abs=1e-5)


@pytest.mark.shared
def test_spinor_bands_of_gallium_arsenide_are_those_abacus_printed(shared_dir: Path) -> None:
    """The code's own eigenvalues, which the record carries; 7e-4 meV is the deviation the sample's README measures."""
    record = sample(shared_dir, "GaAs_soc")
    printed = record.eigenvalues[0]
    ours = bands(record.hamiltonian, record.overlap, printed.kpoints)
    n = printed.energies.shape[-1]
    assert np.abs(ours[..., :n] - printed.energies).max() * HARTREE_IN_EV * 1e3 < 0.01


@pytest.mark.shared
def test_displaced_graphene_judged_by_another_snapshot(shared_dir: Path) -> None:
    """Two snapshots of one cell share pairs in part; the metrics take the union and stay finite."""
    records = [abacus.read(path)[0] for path in sorted((shared_dir / "samples/abacus/graphene_3x3").glob("snap*"))[:2]]
    collect = MetricAccumulator(records[0].basis, kpoints=lambda _: np.array([[0.0, 0, 0], [1 / 3, 1 / 3, 0]]))
    collect.add(records[0], records[1].hamiltonian, records[0].hamiltonian)
    result = collect.result()
    assert result.stage1 is not None
    assert result.stage1.band_mae == 0.0
    assert 0.0 < result.model.mae_all <= result.model.mae_all_raw
    assert result.model.psi_subspace < 1.0  # type: ignore[operator]

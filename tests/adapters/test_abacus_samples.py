"""ABACUS reader on real output of ABACUS 3.8.1 (commit 729059f): eigenvalues and overlaps of the code itself."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from harmose_dft.adapters.abacus import read
from harmose_dft.adapters.abacus.constants import EV_IN_HARTREE
from harmose_dft.adapters.abacus.dense import read_dense
from harmose_dft.core.basis import NumericalRadial
from harmose_dft.core.conventions import ABACUS
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Eigenvalues, Record
from harmose_dft.physics.integrals import overlap

MILLI_EV = 1e-3 * EV_IN_HARTREE
TOLERANCE = 0.01 * MILLI_EV
"""What an eigenvalue may deviate; more only where the digits of the files explain it."""

CSR_DIGITS = 8
"""Digits behind the point of the mantissa in ABACUS's CSR text."""

WITH_EIGENVALUES = (
    "Si2", "Si2_variants", "Si2_md_append", "Si2_md_separate", "graphene_prim", "graphene_3x3/snap00",
    "graphene_3x3/snap11", "H2O_gamma", "H2O_gamma_wfc", "H2O_multik", "Fe_bcc_spin2", "H3_soc_nc",
)  # fmt: skip
"""GaAs_soc has a test of its own, which reads its 14 MB once."""

ALL_SYSTEMS = (*WITH_EIGENVALUES, "Si2_getS", "MoS2_getS", "graphene_3x3_getS")


@pytest.fixture(scope="module")
def samples(shared_dir: Path) -> Path:
    return shared_dir / "samples" / "abacus"


def rounding_variance(matrix: BlockMatrix) -> BlockMatrix:
    """Variance that CSR_DIGITS digits give every element."""
    size = np.maximum(np.abs(matrix.values), 1e-300)
    unit = 10.0 ** (np.floor(np.log10(size)) - CSR_DIGITS)
    return matrix.with_values(np.where(np.abs(matrix.values) > 0, unit**2 / 12, 0.0))


def worst_deviation(record: Record, listed: Eigenvalues, subset: int = 4) -> float:
    """Largest deviation (Hartree) at some of the code's k-points, less what the digits of the CSR files explain.

    A rounding error dH, dS changes an eigenvalue by c^+ (dH - eps dS) c; three standard deviations are allowed for.
    """
    s_blocks = record.overlap.with_spin() if record.spinor else record.overlap
    s_noise = rounding_variance(s_blocks).at((0, 0, 0)).real
    worst = 0.0
    for spin, h_blocks in enumerate(record.hamiltonian):
        h_noise = rounding_variance(h_blocks).at((0, 0, 0)).real
        for n in np.unique(np.linspace(0, len(listed.kpoints) - 1, subset).astype(int)):
            k, energies = listed.kpoints[n], listed.energies[spin, n]
            ours, c = scipy.linalg.eigh(h_blocks.at(k), s_blocks.at(k))
            weight = np.abs(c) ** 2
            variance = np.einsum("in,ij,jn->n", weight, h_noise, weight)
            variance += ours**2 * np.einsum("in,ij,jn->n", weight, s_noise, weight)
            deviation = np.abs(ours[: len(energies)] - energies) - 3 * np.sqrt(variance[: len(energies)])
            worst = max(worst, float(deviation.max()))
    return worst


@pytest.mark.parametrize("system", WITH_EIGENVALUES)
def test_bands_are_those_that_the_code_printed(samples: Path, system: str) -> None:
    compared = 0
    for record in read(samples / system):
        for listed in record.eigenvalues:
            assert worst_deviation(record, listed) <= max(TOLERANCE, 1.01 * listed.precision)
            compared += 1
    assert compared == {"Si2": 2, "graphene_prim": 2, "Fe_bcc_spin2": 2}.get(system, 1)


@pytest.mark.parametrize("system", ALL_SYSTEMS)
def test_overlap_is_that_of_the_orbital_files(samples: Path, system: str) -> None:
    """Independent two-centre integrals of the .orb tables: proves order and sign of orbitals (H2O tilted; f in Fe and
    MoS2), folding (Si2_variants) and lattice vectors. Limit: ABACUS's own integration accuracy (1e-7 measured)."""
    for record in read(samples / system):
        assert all(isinstance(s.radial, NumericalRadial) for z in record.basis.elements for s in record.basis.shells[z])
        computed, stored = overlap(record.structure, record.basis).unite_with(record.overlap)
        if system.startswith("H2O_gamma"):
            assert np.abs(computed.to_dense() - stored.to_dense()).max() < 2e-7, "known at Gamma only"
        else:
            assert np.abs(computed.values - stored.values).max() < 2e-7


def test_other_signs_or_orders_would_not_give_the_overlap(samples: Path) -> None:
    """The same comparison fails by far with the signs of the p or d components left out: the test can fail."""
    (record,) = read(samples / "H2O_gamma")
    index, sign = ABACUS.to_ours(record.basis.shell_sequence(record.structure.numbers))
    assert (sign < 0).any()
    computed, stored = overlap(record.structure, record.basis).unite_with(record.overlap)
    unsigned = stored.reorder(np.arange(len(sign)), sign)
    assert np.abs(computed.values - unsigned.values).max() > 0.1
    assert not np.array_equal(index, np.arange(len(index)))


def test_spinor_bands_and_overlap_are_those_of_the_code(samples: Path) -> None:
    """GaAs with spin-orbit coupling, nspin 4: 27 SCF k-points and 17 of a band run."""
    (record,) = read(samples / "GaAs_soc")
    assert record.spinor
    assert record.n_electrons == 18
    for listed in record.eigenvalues:
        assert worst_deviation(record, listed, 3) <= TOLERANCE
    computed, stored = overlap(record.structure, record.basis).unite_with(record.overlap)
    assert np.abs(computed.values - stored.values).max() < 2e-7


def test_dense_matrices_at_k_are_the_lattice_sums(samples: Path) -> None:
    """Si2: data-<ik>-H and -S against sum_R exp(2 pi i k.R) of the CSR files, in ABACUS's order; 8 digits."""
    (record,) = read(samples / "Si2")
    index, sign = ABACUS.from_ours(record.basis.shell_sequence(record.structure.numbers))
    scf = record.eigenvalues[0].kpoints
    for n in (0, 1, 7):
        for kind, matrix, factor in (("H", record.hamiltonian[0], 2.0), ("S", record.overlap, 1.0)):
            dense = read_dense(samples / "Si2" / "OUT.ABACUS" / f"data-{n}-{kind}")
            ours = factor * matrix.at(scf[n])[np.ix_(index, index)] * np.outer(sign, sign)
            assert np.abs(ours - dense).max() < 2e-8


def test_steps_in_one_file_and_in_many_are_the_same(samples: Path) -> None:
    appended, separate = read(samples / "Si2_md_append"), read(samples / "Si2_md_separate")
    assert len(appended) == len(separate) == 3
    for a, b in zip(appended, separate, strict=True):
        np.testing.assert_array_equal(a.hamiltonian[0].values, b.hamiltonian[0].values)
        np.testing.assert_array_equal(a.overlap.values, b.overlap.values)
        np.testing.assert_array_equal(a.structure.positions, b.structure.positions)
        assert a.fermi == b.fermi


def test_positions_are_folded_as_the_code_folds_them(samples: Path) -> None:
    """STRU has -0.030775071302; the log and STRU.cif have 0.96922493."""
    (record,) = read(samples / "Si2_variants")
    fractional = record.structure.positions @ np.linalg.inv(record.structure.cell)
    np.testing.assert_allclose(fractional[0], [0.969224928698, 0.036933772782, 0.993129480710], atol=1e-12)


@pytest.mark.parametrize(("system", "electrons", "fermi_ev"), [
    ("Si2", 8, None), ("Fe_bcc_spin2", 16, 18.456555968), ("H3_soc_nc", 3, -3.8372294843), ("MoS2_getS", 26, None),
    ("graphene_3x3/snap00", 72, -1.1548071261),
])  # fmt: skip
def test_electrons_and_fermi_level_are_those_of_the_log(
    samples: Path, system: str, electrons: int, fermi_ev: float | None
) -> None:
    """Numbers copied from each running_*.log."""
    record = read(samples / system)[0]
    assert record.n_electrons == electrons
    assert record.provenance["version"] == "3.8.1"
    if fermi_ev is not None:
        assert record.fermi == pytest.approx(fermi_ev * EV_IN_HARTREE, rel=1e-12)


def test_reading_a_supercell_takes_about_a_second(samples: Path) -> None:
    """18 atoms, 4.2 + 3.5 MB of text; 0.6 s of CPU measured."""
    start = time.process_time()
    read(samples / "graphene_3x3" / "snap00")
    assert time.process_time() - start < 2.0

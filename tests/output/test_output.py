"""Result files, Molden and cube: written, read back by us and by PySCF, refused where they make no sense."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from harmose_dft.core.basis import NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.conventions import PYSCF
from harmose_dft.core.errors import FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.orbitals import orbital_values
from harmose_dft.core.record import Record
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.output import Result, read_result, read_results, write_cube, write_molden, write_results
from harmose_dft.solver import Smearing, monkhorst_pack, solve_kpoints
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.molecules import hartree_fock, mole, structure_of


@pytest.fixture(scope="module")
def water_result() -> Result:
    """RHF/def2-SVP water, made by PySCF when the test runs."""
    structure = structure_of()
    basis, fock, overlap, spectrum, energy = hartree_fock(structure)
    record = Record(structure, basis, (fock,), overlap, 10, energy=energy, provenance={"code": "pyscf", "xc": "hf"})
    return Result(record, spectrum, stage1=(fock,))


def crystal_result() -> Result:
    """A made-up chain with spinor blocks: not physics, but every field of the format."""
    rng = np.random.default_rng(1)
    structure = Structure(np.array([1, 6]), rng.normal(size=(2, 3)), 5.0 * np.eye(3), name="chain")
    grid = np.linspace(0, 4, 9)
    basis = OrbitalBasis(
        "toy", {1: (Shell(0, NumericalRadial(grid, 4 - grid)),), 6: (Shell(0, NumericalRadial(grid, grid)), Shell(1))}
    )
    shifts = [(0, 0, 0), (0, 0, 1), (0, 0, -1)]
    sizes = {0: 1, 1: 4}
    keys = [(i, j, *r) for i in range(2) for j in range(2) for r in shifts]
    h = BlockMatrix.from_blocks(
        [1, 4], {k: rng.normal(size=(2 * sizes[k[0]], 2 * sizes[k[1]])) * (1 + 1j) for k in keys}, spinor=True
    ).symmetrize()
    s = BlockMatrix.from_blocks(
        [1, 4],
        {
            (i, j, *r): 0.02 * rng.normal(size=(n, m)) + (i == j and not any(r)) * np.eye(n, m)
            for i, j, *r in keys for n, m in [(sizes[i], sizes[j])]
        },
    ).symmetrize()
    spectrum = Spectrum(
        np.sort(rng.normal(size=(3, 10)), axis=-1), rng.normal(size=(3, 10, 10)) * 1j, np.ones((3, 10)),
        np.ones(3) / 3, 0.1, rng.normal(size=(3, 3)),
    )
    return Result(Record(structure, basis, (h,), s, 5.0, fermi=0.2, provenance={"code": "none"}), spectrum)


@pytest.mark.parametrize("smearing", [Smearing.METHFESSEL_PAXTON, Smearing.COLD])
def test_occupations_beyond_full_and_empty_are_read_back(tmp_path: Path, smearing: Smearing) -> None:
    """These two smearings exceed 2 by up to 0.07 and 0.17."""
    record = calculation(layer(1))
    kpoints, weights = monkhorst_pack((6, 6, 1))
    spectrum = solve_kpoints(
        record.hamiltonian, record.overlap, kpoints, 7.0, weights=weights, smearing=smearing, width=0.02
    )
    assert spectrum.occupations.max() > 2.01
    result = Result(record, spectrum)
    write_results(tmp_path / "metal.h5", [result])
    assert_same(read_result(tmp_path / "metal.h5"), result)


def assert_same(one: Result, other: Result) -> None:
    a, b = one.record, other.record
    assert np.array_equal(a.structure.numbers, b.structure.numbers)
    assert np.array_equal(a.structure.positions, b.structure.positions)
    assert (a.structure.cell is None) == (b.structure.cell is None)
    assert a.basis.fingerprint == b.basis.fingerprint
    assert (a.n_electrons, a.fermi, a.energy, dict(a.provenance)) == (b.n_electrons, b.fermi, b.energy, b.provenance)
    assert a.structure.name == b.structure.name
    for x, y in zip((*a.hamiltonian, a.overlap), (*b.hamiltonian, b.overlap), strict=True):
        assert np.array_equal(x.pairs, y.pairs)
        assert np.array_equal(x.shifts, y.shifts)
        assert np.array_equal(x.values, y.values)
        assert x.spinor == y.spinor
    for name in ("energies", "coefficients", "occupations", "weights", "kpoints", "fermi"):
        assert np.array_equal(getattr(one.spectrum, name), getattr(other.spectrum, name)), name
    assert len(one.stage1) == len(other.stage1)


def test_molecule_survives_the_result_file(tmp_path: Path, water_result: Result) -> None:
    path = tmp_path / "water.harmose.h5"
    write_results(path, [water_result])
    assert_same(water_result, read_result(path))


def test_crystal_with_spinors_survives_the_result_file(tmp_path: Path) -> None:
    path = tmp_path / "chain.harmose.h5"
    write_results(path, [crystal_result()])
    assert_same(crystal_result(), read_result(path))


def test_several_structures_share_one_file_in_order(tmp_path: Path, water_result: Result) -> None:
    path = tmp_path / "two.h5"
    turned = Result(water_result.record, water_result.spectrum)
    write_results(path, [water_result, turned])
    first, second = read_results(path)
    assert_same(first, water_result)
    assert second.stage1 == ()
    with pytest.raises(FileFormatError, match="2 structures"):
        read_result(path)


def test_structures_are_read_in_order_beyond_four_digits(tmp_path: Path) -> None:
    path = tmp_path / "many.h5"
    write_results(path, [crystal_result(), replace(crystal_result(), stage1=crystal_result().record.hamiltonian)])
    with h5py.File(path, "a") as file:
        file.move("0001", "9999")
        file.move("0002", "10000")
    assert [len(result.stage1) for result in read_results(path)] == [0, 1]


def test_the_networks_matrix_of_a_refined_prediction_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "result.h5"
    plain = crystal_result()
    network = tuple(h.with_values(1.5 * h.values) for h in plain.record.hamiltonian)
    write_results(path, [plain, replace(plain, network=network)])
    first, second = read_results(path)
    assert first.network == ()
    np.testing.assert_array_equal(second.network[0].values, network[0].values)


def test_result_of_an_earlier_release_has_its_version(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    write_results(path, [crystal_result()])
    with h5py.File(path, "a") as file:
        file["0001"].attrs["provenance"] = json.dumps({"code": "harmose_dft", "code_version": "0.1"})
    assert read_result(path).record.provenance == {"code": "harmose_dft", "version": "0.1"}


def test_stored_orbitals_solve_the_stored_eigenproblem_without_our_code(tmp_path: Path, water_result: Result) -> None:
    """What a user of plain h5py does: dense arrays, H C = S C eps."""
    path = tmp_path / "water.h5"
    write_results(path, [water_result])
    with h5py.File(path) as file:
        group = file["0001"]
        h, s, c, e = (group[n][()] for n in ("hamiltonian", "overlap", "coefficients", "energies"))
        assert group["orbitals"].shape == (24, 3)  # def2-SVP: O 14 orbitals, H 5
    assert np.abs(h @ c - s @ c * e).max() < 1e-5


def test_results_of_different_bases_do_not_share_a_file(tmp_path: Path, water_result: Result) -> None:
    with pytest.raises(HarmoseError, match="different orbitals for H"):
        write_results(tmp_path / "x.h5", [water_result, crystal_result()])
    assert list(tmp_path.iterdir()) == []


def test_existing_result_is_kept_without_force(tmp_path: Path, water_result: Result) -> None:
    path = tmp_path / "water.h5"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        write_results(path, [water_result])
    assert path.read_text() == "precious"


def test_a_disk_that_really_runs_full_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process whose files may grow to 30 kB only; HDF5 writing to the disk itself would crash here."""
    code = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/../support"]
from test_output import crystal_result
from harmose_dft.core.errors import HarmoseError
from harmose_dft.output import write_results
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    write_results(Path(sys.argv[2]) / "x.h5", [crystal_result()] * 10)
except HarmoseError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "x.h5 was not written: file too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match="no results"):
        write_results(tmp_path / "x.h5", [])


@pytest.mark.parametrize("damage", ["truncated", "text", "other", "newer", "missing"])
def test_damaged_result_file_is_refused_by_name(tmp_path: Path, water_result: Result, damage: str) -> None:
    path = tmp_path / "water.h5"
    write_results(path, [water_result])
    match damage:
        case "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "text":
            path.write_text("energies: -0.5")
        case "other":
            with h5py.File(path, "w") as file:
                file["x"] = 1
        case "newer":
            with h5py.File(path, "a") as file:
                file.attrs["version"] = 99
        case "missing":
            path.unlink()
    with pytest.raises(FileFormatError, match=r"water\.h5"):
        read_results(path)


def test_molden_file_read_by_pyscf_gives_the_same_orbitals(tmp_path: Path, water_result: Result) -> None:
    """PySCF's reader knows nothing of our order; overlap and Fock expectation values must come out."""
    from pyscf.tools import molden

    record, spectrum = water_result.record, water_result.spectrum
    path = tmp_path / "water.molden"
    write_molden(path, record.structure, record.basis, spectrum)
    mol, energies, coefficients, occupations, _, _ = molden.load(str(path))
    assert np.abs(mol.atom_coords() - record.structure.positions).max() < 1e-8
    assert np.abs(energies - spectrum.energies).max() < 1e-9
    assert np.array_equal(occupations, spectrum.occupations)
    assert np.abs(coefficients.T @ mol.intor("int1e_ovlp") @ coefficients - np.eye(mol.nao)).max() < 1e-7
    reference = mole(record.structure)
    points = np.random.default_rng(2).normal(size=(20, 3))
    ours = orbital_values(record.structure, record.basis, spectrum.coefficients, points)
    assert np.abs(mol.eval_gto("GTOval_sph", points) @ coefficients - ours).max() < 1e-7
    assert reference.nao == mol.nao


def test_molden_refuses_numerical_orbitals_and_crystals(tmp_path: Path, water_result: Result) -> None:
    crystal = crystal_result()
    with pytest.raises(HarmoseError, match="crystal"):
        write_molden(tmp_path / "a.molden", crystal.record.structure, crystal.record.basis, crystal.spectrum)
    molecule = Structure(np.array([1]), np.zeros((1, 3)))
    flat = Spectrum(np.zeros(1), np.ones((1, 1)), np.ones(1))
    with pytest.raises(HarmoseError, match="Gaussian"):
        write_molden(tmp_path / "a.molden", molecule, crystal.record.basis, flat)
    with pytest.raises(HarmoseError, match="crystal"):
        write_cube(tmp_path / "a.cube", crystal.record.structure, crystal.record.basis, np.ones(5), title="")
    assert list(tmp_path.iterdir()) == []


def test_cube_holds_a_normalised_orbital_equal_to_pyscf_values(tmp_path: Path, water_result: Result) -> None:
    """Reference: PySCF's eval_gto on the points the header states; sum of psi^2 dV is one."""
    record, spectrum = water_result.record, water_result.spectrum
    homo = spectrum.coefficients[:, 4]
    path = tmp_path / "homo.cube"
    write_cube(path, record.structure, record.basis, homo, title="water HOMO", spacing=0.3)
    lines = path.read_text().splitlines()
    natoms, origin = int(lines[2].split()[0]), np.array(lines[2].split()[1:], dtype=float)
    counts = [int(line.split()[0]) for line in lines[3:6]]
    steps = np.array([line.split()[1:] for line in lines[3:6]], dtype=float)
    field = np.array(" ".join(lines[6 + natoms :]).split(), dtype=float)
    assert natoms == 3
    assert abs((field**2).sum() * np.linalg.det(steps) - 1.0) < 5e-3
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
    index, sign = PYSCF.from_ours(record.basis.shell_sequence(record.structure.numbers))
    values = mole(record.structure).eval_gto("GTOval_sph", origin + grid @ steps) @ (homo[index] * sign)
    assert np.abs(values - field).max() < 1e-5  # six printed digits of values below one

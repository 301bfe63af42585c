"""Data sets: round trips, joining, splits, damaged files."""

from __future__ import annotations

import errno
import os
import pickle
import zlib
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmose_dft.core.basis import GaussianRadial, NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.errors import DataError, FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Eigenvalues, Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import (
    DatasetWriter,
    Failure,
    HDF5Dataset,
    merge,
    open_dataset,
    ordered_split,
    random_split,
    smiles_split,
    split_dataset,
    split_of_smiles,
    structure_id,
)

GAUSSIAN = GaussianRadial(np.array([1.3, 0.4]), np.array([0.2, 0.9]))
NUMERICAL = NumericalRadial(np.linspace(0, 3, 7), np.linspace(1, 0, 7) ** 2)
MOLECULAR = OrbitalBasis("tiny", {1: (Shell(0, GAUSSIAN),), 8: (Shell(0, GAUSSIAN), Shell(1, GAUSSIAN))})
PERIODIC = OrbitalBasis("pao", {6: (Shell(0, NUMERICAL), Shell(1, NUMERICAL))})


def molecule(seed: int = 0, *, smiles: str = "O") -> Record:
    """A made-up water molecule with random Hermitian matrices."""
    rng = np.random.default_rng(seed)
    numbers = np.array([8, 1, 1])
    structure = Structure(numbers, rng.normal(size=(3, 3)) * 3, charge=0, name=f"water {seed}")
    orbitals = MOLECULAR.orbitals_per_atom(numbers)
    noise_h, noise_s = rng.normal(size=(2, 6, 6))
    h = BlockMatrix.from_dense(noise_h + noise_h.T, orbitals)
    s = BlockMatrix.from_dense(np.eye(6) + 0.003 * (noise_s + noise_s.T), orbitals)
    spectrum = Eigenvalues(np.zeros((1, 3)), rng.normal(size=(1, 1, 6)), "made up")
    provenance = {"code": "none", "smiles": smiles}
    return Record(structure, MOLECULAR, (h,), s, 10.0, energy=-76.0, eigenvalues=(spectrum,), provenance=provenance)


def crystal(seed: int = 0, *, spinor: bool = False, hermitian: bool = True, nspin: int = 1) -> Record:
    """Two carbon atoms in a cell, with blocks to some neighbouring cells and different pairs in H and S."""
    rng = np.random.default_rng(seed)
    structure = Structure(np.array([6, 6]), rng.normal(size=(2, 3)), np.eye(3) * 5 + 0.1)
    orbitals = PERIODIC.orbitals_per_atom(structure.numbers)

    def matrix(reach: int, spin: bool, scale: float = 1.0) -> BlockMatrix:
        n = 8 if spin else 4
        blocks = {}
        for i, j, x in [(a, b, x) for a in (0, 1) for b in (0, 1) for x in range(-reach, reach + 1)]:
            block = rng.normal(size=(n, n)) + (1j * rng.normal(size=(n, n)) if spin else 0)
            blocks[i, j, x, 0, -x] = scale * block + (scale < 1 and i == j and x == 0) * np.eye(n)
        out = BlockMatrix.from_blocks(orbitals, blocks, spinor=spin).symmetrize()
        return out if hermitian else out.with_values(out.values + 1e-6 * rng.normal(size=len(out.values)))

    kpoints = rng.normal(size=(3, 3))
    spectra = (
        Eigenvalues(kpoints, rng.normal(size=(nspin, 3, 5)), "a.out", 5e-6),
        Eigenvalues(kpoints[:1], rng.normal(size=(nspin, 1, 5)), "b.out"),
    )
    hamiltonians = tuple(matrix(2, spinor) for _ in range(nspin))
    return Record(structure, PERIODIC, hamiltonians, matrix(1, False, 0.01), 8.0, fermi=-0.2, eigenvalues=spectra)


def assert_same(one: Record, other: Record) -> None:
    """Equal to the last bit, except that pairs may come in another order."""
    assert structure_id(one.structure) == structure_id(other.structure)
    assert one.structure.name == other.structure.name
    np.testing.assert_array_equal(one.structure.positions, other.structure.positions)
    assert one.basis.restrict(other.basis.elements) == other.basis
    assert len(one.hamiltonian) == len(other.hamiltonian)
    for a, b in zip((one.overlap, *one.hamiltonian), (other.overlap, *other.hamiltonian), strict=True):
        assert a.spinor == b.spinor
        assert len(a) == len(b)
        np.testing.assert_array_equal(a.on_pairs_of(b).values, b.values)
    for e, f in zip(one.eigenvalues, other.eigenvalues, strict=True):
        np.testing.assert_array_equal(e.kpoints, f.kpoints)
        np.testing.assert_array_equal(e.energies, f.energies)
        assert (e.source, e.precision) == (f.source, f.precision)
    assert (one.energy, one.fermi, one.n_electrons) == (other.energy, other.fermi, other.n_electrons)
    assert dict(one.provenance) == dict(other.provenance)


def written(path: Path, *records: Record, **options: object) -> Path:
    with DatasetWriter(path, **options) as writer:  # type: ignore[arg-type]
        for record in records:
            writer.add(record)
    return path


@pytest.mark.parametrize(
    "record",
    [
        molecule(),
        crystal(),
        crystal(hermitian=False),
        crystal(nspin=2),
        crystal(spinor=True),
        crystal(spinor=True, hermitian=False),
        Record(molecule().structure, MOLECULAR, (), molecule().overlap, 10.0),
    ],
    ids=["molecule", "crystal", "not Hermitian", "spin", "spinor", "spinor, not Hermitian", "overlap only"],
)
def test_record_comes_back_as_it_was(record: Record, tmp_path: Path) -> None:
    dataset = open_dataset(written(tmp_path / "a.h5", molecule(9), record, molecule(10)))
    assert_same(record, dataset[1])
    assert_same(molecule(10), dataset[-1])
    assert dataset[1].structure.periodic == record.structure.periodic


@settings(max_examples=15, deadline=None)
@given(seeds=st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True), kind=st.booleans())
def test_records_are_found_at_random_in_the_order_they_were_added(
    seeds: list[int], kind: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records = [molecule(s) if kind or s % 2 else crystal(s) for s in seeds]
    dataset = open_dataset(written(tmp_path_factory.mktemp("d") / "a.h5", *records))
    for i in reversed(range(len(records))):
        assert_same(records[i], dataset[i])
        assert dataset.structure(i).formula == records[i].structure.formula


def test_hermitian_matrices_are_stored_by_halves(tmp_path: Path) -> None:
    dataset = open_dataset(written(tmp_path / "a.h5", molecule()))
    # 3 atoms: 6 of the 9 pairs, for the overlap and for the Hamiltonian.
    assert dataset.array("edges", "pairs").shape == (12, 2)
    assert dataset.array("matrices", "half").all()


def test_rounding_keeps_the_quantum_and_shrinks_the_file(tmp_path: Path) -> None:
    exact = written(tmp_path / "exact.h5", *map(molecule, range(400)))
    rounded = written(tmp_path / "rounded.h5", *map(molecule, range(400)), quantum=1e-6)
    error = np.abs(open_dataset(rounded).array("values", "values") - open_dataset(exact).array("values", "values"))
    assert 0 < error.max() <= 0.5e-6
    assert rounded.stat().st_size < 0.9 * exact.stat().st_size


def test_bulk_columns_agree_with_single_records(tmp_path: Path) -> None:
    dataset = open_dataset(written(tmp_path / "a.h5", molecule(1), crystal(2), molecule(3)))
    pointers, positions = dataset.pointers("atoms"), dataset.array("atoms", "positions")
    for i in range(3):
        np.testing.assert_array_equal(positions[pointers[i] : pointers[i + 1]], dataset.structure(i).positions)
    np.testing.assert_array_equal(dataset.array("records", "energy"), [-76.0, np.nan, -76.0])


def test_bases_of_different_elements_are_one_basis(tmp_path: Path) -> None:
    """As those of runs that name their basis after the elements they hold."""
    bases = [OrbitalBasis(f"X{z}", {z: (Shell(0), Shell(1))}) for z in (6, 14)]
    atom = [Structure(np.array([z]), np.zeros((1, 3))) for z in (6, 14)]
    matrix = BlockMatrix.from_dense(np.eye(4), np.array([4]))
    path = written(tmp_path / "a.h5", *(Record(s, b, (matrix,), matrix, 4.0) for s, b in zip(atom, bases, strict=True)))
    found = open_dataset(path).basis
    assert (found.name, found.elements) == ("X6+X14", (6, 14))


def test_bases_of_one_name_are_joined_and_different_ones_kept_apart(tmp_path: Path) -> None:
    hydrogen = MOLECULAR.restrict([1])
    atoms = Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 1.4]]))
    matrix = BlockMatrix.from_dense(np.eye(2), np.array([1, 1]))
    small = Record(atoms, hydrogen, (matrix,), matrix, 2.0)
    joined = open_dataset(written(tmp_path / "a.h5", small, molecule()))
    assert joined.basis == MOLECULAR
    assert joined[0].basis == hydrogen
    mixed = open_dataset(written(tmp_path / "b.h5", small, crystal()))
    with pytest.raises(DataError, match="mixes orbital bases"):
        _ = mixed.basis


def test_joined_files_hold_every_structure_once(tmp_path: Path) -> None:
    one = written(tmp_path / "1.h5", molecule(1), molecule(2), attributes={"xc": "pbe"})
    two = written(tmp_path / "2.h5", molecule(2), crystal(3))
    assert merge(tmp_path / "all.h5", [one, two], attributes={"xc": "pbe"}) == 3
    dataset = open_dataset(tmp_path / "all.h5")
    assert_same(crystal(3), dataset[2])
    assert dataset.attributes == {"xc": "pbe"}
    assert merge(one, [one, two], force=True) == 3
    assert_same(crystal(3), open_dataset(one)[2])


def test_failures_are_kept_apart_until_the_structure_succeeds(tmp_path: Path) -> None:
    failed = [Failure(structure_id(molecule(k).structure), f"water {k}", "did not converge") for k in (1, 2)]
    with DatasetWriter(tmp_path / "a.h5") as writer:
        writer.add(molecule(1))
        for failure in failed:
            writer.add_failure(failure)
    assert open_dataset(tmp_path / "a.h5").failures == failed[1:]
    merge(tmp_path / "b.h5", [tmp_path / "a.h5", written(tmp_path / "c.h5", molecule(2))])
    assert open_dataset(tmp_path / "b.h5").failures == []


def test_data_set_travels_to_another_process(tmp_path: Path) -> None:
    dataset = open_dataset(written(tmp_path / "a.h5", molecule(1)))
    assert_same(molecule(1), pickle.loads(pickle.dumps(dataset))[0])


def test_full_disk_is_one_error_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 itself would crash the process."""
    def full(folder: Path, size: int) -> None:
        assert folder == tmp_path
        assert size > 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("harmose_dft.data.writer.require_space", full)
    with pytest.raises(HarmoseError, match="was not written: no space left on device"), DatasetWriter(
        tmp_path / "x.h5"
    ) as writer:
        writer.add(molecule(1))
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", molecule(1))
    with pytest.raises(OutputExistsError):
        written(path, molecule(2))
    assert_same(molecule(1), open_dataset(path)[0])


def test_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", molecule(1))
    with pytest.raises(AttributeError), DatasetWriter(path, force=True) as writer:
        writer.add(None)  # type: ignore[arg-type]
    assert_same(molecule(1), open_dataset(path)[0])
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _foreign(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1


def _newer(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 99


def _lose_column(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["atoms/positions"]


def _shorten_column(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["atoms/positions"].resize(2, axis=0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "truncated or damaged"),
        (lambda p: p.write_bytes(b""), "not an HDF5 file"),
        (lambda p: p.write_text("3\nwater\n"), "not an HDF5 file"),
        (lambda p: p.unlink(), "no such file"),
        (_foreign, "not a data set of harmose_dft"),
        (_newer, "format version 99"),
        (_lose_column, "column is missing"),
        (_shorten_column, "different lengths"),
    ],
)
def test_damaged_file_is_refused(damage: object, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", molecule(1))
    damage(path)  # type: ignore[operator]
    with pytest.raises(FileFormatError, match=message):
        open_dataset(path)


def test_empty_data_set_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    assert len(HDF5Dataset(path)) == 0
    with pytest.raises(DataError, match="no records"):
        open_dataset(path)


def test_records_outside_the_file_do_not_exist(tmp_path: Path) -> None:
    dataset = open_dataset(written(tmp_path / "a.h5", molecule(1)))
    with pytest.raises(IndexError, match="1 records"):
        dataset[1]
    assert len(list(dataset)) == 1


def test_identity_is_that_of_the_content() -> None:
    s = molecule(1).structure
    assert structure_id(s) == structure_id(Structure(s.numbers, s.positions + 1e-9, name="another name"))
    assert structure_id(s) != structure_id(Structure(s.numbers, s.positions + 1e-5))
    assert structure_id(s) != structure_id(Structure(s.numbers, s.positions, charge=1))
    assert structure_id(s) != structure_id(Structure(s.numbers, s.positions, np.eye(3) * 9))


def test_molecules_are_split_by_the_crc32_of_their_smiles(tmp_path: Path) -> None:
    """Expected parts from Python's zlib, by the rule of the data's README."""
    smiles = ["C", "O", "N", "CC", "CO", "CN", "C=O", "C#N", "CCC", "CCO", "COC", "OO", "NN", "CCN", "C1CC1"]
    records = [molecule(k, smiles=s) for k, s in enumerate(smiles)]
    split = smiles_split(open_dataset(written(tmp_path / "a.h5", *records)))
    assert sorted(np.concatenate(list(split.values())).tolist()) == list(range(len(smiles)))
    for k, s in enumerate(smiles):
        rest = zlib.crc32(s.encode()) % 10
        assert k in split["test" if rest == 0 else "validation" if rest == 1 else "train"]
    assert split_of_smiles("C") in split


def test_version_of_the_code_is_found_under_the_key_of_earlier_releases(tmp_path: Path) -> None:
    old = replace(molecule(), provenance={"code": "PySCF", "code_version": "2.14.0"})
    dataset = open_dataset(written(tmp_path / "a.h5", old))
    assert dataset.metadata(0) == dataset[0].provenance == {"code": "PySCF", "version": "2.14.0"}


def test_record_without_smiles_cannot_be_split_by_molecule(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no SMILES"):
        smiles_split(open_dataset(written(tmp_path / "a.h5", crystal())))


def test_random_split_is_the_documented_permutation() -> None:
    order = np.random.default_rng(0).permutation(1500)
    split = random_split(1500, (500, 500))
    np.testing.assert_array_equal(split["train"], order[:500])
    np.testing.assert_array_equal(split["test"], order[1000:])
    assert len(random_split(10, (3, 2, 1), seed=4)["test"]) == 1


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1, 0, 0]), (2, [1, 1, 0]), (9, [8, 1, 0]), (10, [8, 1, 1]), (19, [17, 1, 1]), (20, [16, 2, 2])],
)
def test_split_without_sizes_validates_on_a_tenth_and_on_one_of_several(count: int, sizes: list[int]) -> None:
    for kind in ("random", "ordered"):
        parts = split_dataset(range(count), kind)  # type: ignore[arg-type]  # only its length counts
        assert [len(v) for v in parts.values()] == sizes


def test_ordered_split_follows_the_file() -> None:
    split = ordered_split(10, (3, 2))
    assert [v.tolist() for v in split.values()] == [[0, 1, 2], [3, 4], [5, 6, 7, 8, 9]]


@pytest.mark.parametrize("sizes", [(5, 6), (5,), (-1, 3), (1, 2, 3, 4)])
def test_impossible_split_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(DataError):
        ordered_split(10, sizes)

"""Foreign data sets: a small file of each published layout is written here and read back."""

from __future__ import annotations

import pickle
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.db import connect
from foreign_datasets import (
    BASIS,
    LAYOUTS,
    NUMBERS,
    POSITIONS,
    WATER,
    Layout,
    frames,
    orca_order,
    qh9_stable,
    ragged,
    schnorb,
    schnorb_text,
)
from numpy.typing import NDArray

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.core.conventions import ORCA
from harmose_dft.core.errors import DataError, FileFormatError
from harmose_dft.data import DatasetWriter, smiles_split


@pytest.fixture(scope="module")
def pyscf_fock() -> NDArray[np.float64]:
    """The core Hamiltonian of water in PySCF's order: a matrix with the symmetry of a Fock matrix, without an SCF."""
    mol = adapter.to_mole(WATER, "def2-svp")
    return np.asarray(mol.intor("int1e_kin") + mol.intor("int1e_nuc"))



@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_every_layout_gives_the_matrix_in_our_order(
    layout: Layout, pyscf_fock: NDArray[np.float64], tmp_path: Path
) -> None:
    layout(tmp_path / "data", pyscf_fock)
    functional, energy, precision = LAYOUTS[layout]
    dataset = open_dataset(tmp_path / "data")
    assert len(dataset) == 2
    record = dataset[1]
    np.testing.assert_allclose(record.structure.positions, POSITIONS, atol=2e-7)
    expected = adapter.to_ours(pyscf_fock, BASIS, NUMBERS)
    np.testing.assert_allclose(record.hamiltonian[0].to_dense(), expected, atol=precision)
    np.testing.assert_allclose(record.overlap.to_dense(), adapter.overlap(WATER, BASIS).to_dense(), atol=1e-6)
    assert record.energy == (None if energy is None else pytest.approx(energy, abs=1e-6))
    assert record.provenance["functional"] == functional
    assert record.n_electrons == 10
    assert dataset.structure(1).formula == "H2O"
    assert dataset.basis.restrict([1, 8]) == BASIS
    with pytest.raises(IndexError):
        dataset[2]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_every_layout_can_be_used_by_worker_processes(
    layout: Layout, pyscf_fock: NDArray[np.float64], tmp_path: Path
) -> None:
    layout(tmp_path / "data", pyscf_fock)
    copy = pickle.loads(pickle.dumps(open_dataset(tmp_path / "data")))
    assert copy[-1].structure.formula == "H2O"


def test_orca_row_agrees_with_the_order_written_by_hand() -> None:
    matrix = adapter.to_mole(WATER, "def2-svp").intor("int1e_ovlp")
    index, sign = ORCA.to_ours(BASIS.shell_sequence(NUMBERS))
    ours = orca_order(matrix)[np.ix_(index, index)] * np.outer(sign, sign)
    np.testing.assert_allclose(ours, adapter.to_ours(matrix, BASIS, NUMBERS), atol=1e-15)


def test_overlap_in_another_order_is_noticed(pyscf_fock: NDArray[np.float64], tmp_path: Path) -> None:
    schnorb(tmp_path / "a.db", pyscf_fock)
    data = dict.fromkeys(("hamiltonian", "overlap"), pyscf_fock)
    with connect(str(tmp_path / "a.db"), type="db") as db:
        db.update(2, data=data)
    with pytest.raises(FileFormatError, match="overlap stored with record 1"):
        open_dataset(tmp_path / "a.db")[1]


def test_own_format_is_recognised(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "a.h5") as writer:
        writer.add(adapter.reference(WATER, "pbe", "sto-3g", grid_level=0))
    assert open_dataset(tmp_path / "a.h5")[0].provenance["grid_level"] == "0"


def test_version_of_pyscf_is_that_of_the_attribute(pyscf_fock: NDArray[np.float64], tmp_path: Path) -> None:
    frames(tmp_path / "a.h5", pyscf_fock)
    assert open_dataset(tmp_path / "a.h5").metadata(0)["version"] == "2.14.0"


def _table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")


def _empty_qh9(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE data (id INTEGER NOT NULL PRIMARY KEY, N INTEGER, Z BLOB, pos BLOB, Ham BLOB)")


def _torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


def _numpy_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(2))


def _no_units(path: Path) -> None:
    frames(path, np.zeros((24, 24)))
    with h5py.File(path, "a") as file:
        del file.attrs["units"]


def _short_ragged(path: Path) -> None:
    ragged(path, np.zeros((24, 24)))
    with h5py.File(path, "a") as file:
        del file["mo_energy"]
        file["mo_energy"] = np.zeros(40)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b""), "file is empty"),
        (lambda p: p.write_text("3\n\nO 0 0 0"), "neither an HDF5 file nor"),
        (lambda p: p.mkdir(), "harmose-dft convert"),
        (lambda p: None, "no such file"),
        (lambda p: p.write_bytes(pickle.dumps({"a": 1})), "never opened"),
        (_torch_archive, "never opened"),
        (_numpy_archive, "unpack the archive"),
        (lambda p: p.write_bytes(b"SQLite format 3\x00" + b"x" * 200), "cannot be read"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 200), "truncated or damaged"),
        (_table, "not those of a QH9"),
        (_no_units, "units is missing"),
        (_short_ragged, "ao_ptr does not fit"),
    ],
)
def test_what_is_no_data_set_is_refused(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "data")
    with pytest.raises(FileFormatError, match=message):
        open_dataset(tmp_path / "data")


def test_lmdb_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"")
    with pytest.raises(FileFormatError, match="LMDB"):
        open_dataset(tmp_path)


def test_empty_database_is_refused(tmp_path: Path) -> None:
    _empty_qh9(tmp_path / "a.db")
    with pytest.raises(DataError, match="no records"):
        open_dataset(tmp_path / "a.db")


def test_truncated_matrix_is_refused(pyscf_fock: NDArray[np.float64], tmp_path: Path) -> None:
    qh9_stable(tmp_path / "a.db", pyscf_fock[:5])
    with pytest.raises(FileFormatError, match="Ham of a record has 960 bytes; 576 numbers"):
        open_dataset(tmp_path / "a.db")[0]


def test_broken_text_of_a_matrix_is_refused(pyscf_fock: NDArray[np.float64], tmp_path: Path) -> None:
    schnorb_text(tmp_path / "a.db", pyscf_fock)
    with connect(str(tmp_path / "a.db"), type="db") as db:
        db.update(1, data={"hamiltonian": "not base64!"})
    with pytest.raises(FileFormatError, match="cannot be decoded"):
        open_dataset(tmp_path / "a.db")[0]


def test_shared_files_give_their_stored_orbital_energies(shared_dir: Path) -> None:
    """mo_energy of both files solves H C = S C eps with our overlap: order, units and basis are right."""
    from scipy.linalg import eigh

    for name in ("water_pbe.h5", "organic_b3lyp.h5"):
        record = open_dataset(shared_dir / "data" / name)[11]
        levels = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense(), eigvals_only=True)
        # The stored matrices are rounded to about 1e-9 Hartree; positions enter the overlap in full precision.
        np.testing.assert_allclose(levels, record.eigenvalues[0].energies[0, 0], atol=1e-6)


def test_shared_organic_molecules_are_split_by_smiles(shared_dir: Path) -> None:
    dataset = open_dataset(shared_dir / "data" / "organic_b3lyp.h5")
    split = smiles_split(dataset)
    assert sum(map(len, split.values())) == len(dataset)
    first = int(split["test"][0])
    assert zlib.crc32(dataset.metadata(first)["smiles"].encode()) % 10 == 0

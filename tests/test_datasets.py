"""Foreign data sets: a small file of each published layout is written here and read back."""

from __future__ import annotations

import pickle
import sqlite3
import warnings
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.db import connect
from numpy.typing import NDArray
from pyscf.lib.parameters import BOHR

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.conventions import ORCA
from harmose_dft.data import DatasetWriter, smiles_split
from harmose_dft.errors import DataError, FileFormatError
from harmose_dft.structure import Structure
from harmose_dft.units import BOHR_IN_ANGSTROM

NUMBERS = np.array([8, 1, 1])
POSITIONS = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.89], [0.2, -1.43, -0.89]])
WATER = Structure(NUMBERS, POSITIONS)
BASIS = adapter.orbital_basis("def2-svp", [1, 8])


@pytest.fixture(scope="module")
def pyscf_fock() -> NDArray[np.float64]:
    """The core Hamiltonian of water in PySCF's order: a matrix with the symmetry of a Fock matrix, without an SCF."""
    mol = adapter.to_mole(WATER, "def2-svp")
    return np.asarray(mol.intor("int1e_kin") + mol.intor("int1e_nuc"))


def orca_order(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix of PySCF as ORCA orders it, by hand: p = z, x, y out of x, y, z; d = 0, 1, -1, 2, -2 out of -2..2."""
    s, p, d = [0], [2, 0, 1], [2, 3, 1, 4, 0]
    atoms = {8: [s, s, s, p, p, d], 1: [s, s, p]}
    order: list[int] = []
    for z in NUMBERS:
        for shell in atoms[int(z)]:
            first = len(order)
            order += [first + k for k in shell]
    return matrix[np.ix_(order, order)]


def qh9_stable(path: Path, fock: NDArray[np.float64]) -> None:
    """Layout of QH9Stable.db as its generation script creates it."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE data (id INTEGER NOT NULL PRIMARY KEY, N INTEGER, Z BLOB, pos BLOB, Ham BLOB)")
        for key in (7, 9):
            row = (key, 3, NUMBERS.astype("i4").tobytes(), (POSITIONS * BOHR).tobytes(), fock.tobytes())
            db.execute("INSERT INTO data VALUES (?,?,?,?,?)", row)


def qh9_dynamic(path: Path, fock: NDArray[np.float64]) -> None:
    """Layout of QH9Dynamic_300k.db: positions in Bohr, the molecule's number as an 8-byte blob."""
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE data (id INTEGER NOT NULL, geo_id INTEGER NOT NULL, N INTEGER, Z BLOB, pos BLOB, ekin FLOAT, "
            "epot FLOAT, etot FLOAT, time FLOAT, Ham BLOB, converged INT)"
        )
        for frame in range(2):
            numbers, positions = NUMBERS.astype("i4").tobytes(), POSITIONS.tobytes()
            key = np.int64(7).tobytes()
            row = (key, frame, 3, numbers, positions, 0.1, -76.3, -76.2, 50.0 * frame, fock.tobytes(), 1)
            db.execute("INSERT INTO data VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)


def schnorb(path: Path, fock: NDArray[np.float64], *, text: bool = False) -> None:
    """Layout of schnorb_hamiltonian_water.db: an ASE database, matrices in ORCA's order in each row's data."""
    overlap = adapter.to_mole(WATER, "def2-svp").intor("int1e_ovlp")
    arrays = {"hamiltonian": orca_order(fock), "overlap": orca_order(overlap), "energy": np.array([0.25])}
    data: dict[str, Any] = {}
    for name, array in arrays.items():
        if text:
            single = array.astype(np.float32)
            data |= {name: b64encode(single.tobytes()).decode(), f"_dtype_{name}": "float32"}
            data[f"_shape_{name}"] = list(single.shape)
        else:
            data[name] = array.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with connect(str(path), type="db") as db:
            for _ in range(2):
                db.write(Atoms(NUMBERS, POSITIONS * BOHR_IN_ANGSTROM), data=data)
        db.metadata = {"mean_energy": -76.5}


def schnorb_text(path: Path, fock: NDArray[np.float64]) -> None:
    """The same with base64 text, as SchNetPack before version 1 wrote it."""
    schnorb(path, fock, text=True)


def phisnet(path: Path, fock: NDArray[np.float64]) -> None:
    """Layout of PhiSNet's databases: single precision, Bohr, components m = -l..l."""
    h = adapter.to_ours(fock, BASIS, NUMBERS)
    s = adapter.overlap(WATER, BASIS).to_dense()
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE data (id INTEGER NOT NULL PRIMARY KEY, R BLOB, E FLOAT, F BLOB, H BLOB, S BLOB, C BLOB)"
        )
        db.execute("CREATE TABLE nuclear_charges (id INTEGER NOT NULL PRIMARY KEY, N INTEGER, Z BLOB)")
        db.execute("CREATE TABLE basisset (Z INTEGER NOT NULL PRIMARY KEY, orbitals BLOB)")
        db.execute("CREATE TABLE metadata (id INTEGER PRIMARY KEY, N INTEGER)")
        db.execute("INSERT INTO nuclear_charges VALUES (0, 3, ?)", (NUMBERS.astype("i4").tobytes(),))
        for key in range(2):
            r, hb, sb = (np.asarray(a, dtype="f4").tobytes() for a in (POSITIONS, h, s))
            db.execute("INSERT INTO data VALUES (?,?,?,?,?,?,?)", (key, r, -76.25, None, hb, sb, None))


def frames(path: Path, fock: NDArray[np.float64]) -> None:
    """Frames of one molecule, as in water_pbe.h5."""
    with h5py.File(path, "w") as f:
        f.attrs.update(basis="def2-svp", xc="pbe", units="hartree,angstrom", smiles="O", grid_level=3, pyscf="2.14.0")
        f["numbers"], f["positions"] = NUMBERS.astype("u1"), np.stack([POSITIONS * BOHR] * 2)
        f["fock"], f["mo_energy"], f["energy"] = np.stack([fock] * 2), np.zeros((2, 24)), np.full(2, -76.25)


def ragged(path: Path, fock: NDArray[np.float64]) -> None:
    """Different molecules, as in organic_b3lyp.h5."""
    triangle = fock[np.tril_indices(24)]
    with h5py.File(path, "w") as f:
        f.attrs.update(basis="def2-svp", xc="b3lyp", units="hartree,angstrom")
        f["atom_ptr"], f["ao_ptr"], f["fock_ptr"] = [0, 3, 6], [0, 24, 48], [0, 300, 600]
        f["numbers"], f["positions"] = np.tile(NUMBERS, 2).astype("u1"), np.tile(POSITIONS * BOHR, (2, 1))
        f["fock_tril"], f["mo_energy"] = np.tile(triangle, 2), np.zeros(48)
        f["energy"], f["temperature"] = np.full(2, -76.25), [0.0, 300.0]
        f["smiles"] = ["O", "[OH2]"]


def groups(path: Path, fock: NDArray[np.float64]) -> None:
    """One group per molecule, as label_organic.py writes."""
    with h5py.File(path, "w") as f:
        f.attrs.update(basis="def2-svp", xc="b3lyp", units="hartree,angstrom")
        for name in ("00012", "00007"):
            g = f.create_group(name)
            g.attrs.update(smiles="O", energy=-76.25, temperature=150.0, nao=24, cycles=8)
            g["numbers"], g["positions"] = NUMBERS.astype("u1"), POSITIONS * BOHR
            g["mo_energy"], g["fock_tril"] = np.zeros(24), fock[np.tril_indices(24)]


Layout = Callable[[Path, NDArray[np.float64]], None]
LAYOUTS: dict[Layout, tuple[str, float | None, float]] = {
    qh9_stable: ("b3lyp5", None, 1e-12),
    qh9_dynamic: ("b3lyp5", -76.3, 1e-12),
    schnorb: ("pbe", -76.25, 3e-6),
    schnorb_text: ("pbe", -76.25, 3e-6),
    phisnet: ("pbe", -76.25, 3e-6),
    frames: ("pbe", -76.25, 1e-12),
    ragged: ("b3lyp", -76.25, 1e-12),
    groups: ("b3lyp", -76.25, 1e-12),
}
"""Functional, energy, and precision of the matrix (single precision of elements up to 33 Hartree: 2e-6)."""


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
    assert dataset.basis.restricted([1, 8]) == BASIS
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
        (lambda p: np.savez(p.open("wb"), a=np.zeros(2)), "unpack the archive"),
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

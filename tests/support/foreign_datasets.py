"""Writers of published data set layouts, for water in def2-SVP."""

from __future__ import annotations

import sqlite3
import warnings
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from ase import Atoms
from ase.db import connect
from numpy.typing import NDArray
from pyscf.lib.parameters import BOHR

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM

NUMBERS = np.array([8, 1, 1])
POSITIONS = np.array([[0.0, 0.0, 0.22], [0.0, 1.43, -0.89], [0.2, -1.43, -0.89]])
WATER = Structure(NUMBERS, POSITIONS)
BASIS = adapter.orbital_basis("def2-svp", [1, 8])


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



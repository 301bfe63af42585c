"""DeepH folders of both layouts: what is written is read back, and means what the format's documentation says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from harmose_dft.adapters import deeph, openmx
from harmose_dft.adapters.deeph import FolderWriter, read, recognise, write
from harmose_dft.adapters.deeph.common import DEEPH_BOHR_IN_ANGSTROM, DEEPH_HARTREE_IN_EV
from harmose_dft.core.errors import FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.solver import bands
from harmose_dft.testing.openmx import CELL, ELECTRONS, FERMI, make_demo

LAYOUTS = list(deeph.LAYOUTS)
ORDER = {"legacy": [0, 1, 2], "chunked": [0, 2, 1]}
"""Where the atoms C, H, C of the made-up crystal end up: DeepH-dock groups them by element."""


@pytest.fixture(scope="module", params=[0, 1, 3], ids=["off", "collinear", "spinor"])
def record(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Record:
    demo = make_demo(tmp_path_factory.mktemp("deeph"), spin=request.param)
    return openmx.read(demo.folder)[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return openmx.read(make_demo(tmp_path_factory.mktemp("deeph")).folder)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip_keeps_matrices_and_structure(record: Record, tmp_path: Path, layout: str) -> None:
    write(record, tmp_path / "run", layout=layout)
    (back,) = read(tmp_path / "run")
    order = np.array(ORDER[layout])
    place = np.argsort(order)
    np.testing.assert_allclose(back.structure.positions, record.structure.positions[order], atol=1e-14)
    np.testing.assert_allclose(back.structure.cell, CELL, atol=1e-14)
    assert back.structure.symbols == [record.structure.symbols[a] for a in order]
    assert (back.nspin, back.n_electrons) == (record.nspin, ELECTRONS)
    assert back.fermi == pytest.approx(FERMI, abs=1e-15)
    for theirs, ours in zip(
        (*back.hamiltonian, back.overlap), (*record.hamiltonian, record.overlap), strict=True
    ):
        moved = BlockMatrix(ours.orbitals[order], place[ours.pairs], ours.shifts, ours.values, ours.spinor)
        np.testing.assert_allclose(theirs.on_pairs_of(moved).values, moved.values, atol=1e-15)
    k = [[0.1, 0.2, -0.3]]
    np.testing.assert_allclose(
        bands(back.hamiltonian, back.overlap, k), bands(record.hamiltonian, record.overlap, k), atol=1e-11
    )


def test_chunked_files_follow_the_documentation(plain: Record, tmp_path: Path) -> None:
    """Key names, 0-based atoms, eV, m = -l..l (docs/key_concepts.md of DeepH-dock)."""
    write(plain, tmp_path / "run")
    info = json.loads((tmp_path / "run/info.json").read_text())
    assert info["elements_orbital_map"] == {"C": [0, 0, 1, 2, 3], "H": [0, 1]}
    assert (info["atoms_quantity"], info["orbits_quantity"], info["spinful"]) == (3, 38, False)
    assert info["fermi_energy_eV"] == pytest.approx(FERMI * 27.2113845)
    with h5py.File(tmp_path / "run/hamiltonian.h5") as h, h5py.File(tmp_path / "run/overlap.h5") as s:
        assert set(h) == {"atom_pairs", "chunk_shapes", "chunk_boundaries", "entries"}
        assert np.array_equal(h["atom_pairs"], s["atom_pairs"])
        pairs, ends = h["atom_pairs"][()], h["chunk_boundaries"][()]
        home = int(np.flatnonzero((pairs == [0, 0, 0, 2, 2]).all(axis=1))[0])  # hydrogen, atom 1 of the record
        block = h["entries"][ends[home] : ends[home + 1]].reshape(h["chunk_shapes"][home])
    (own,) = plain.hamiltonian
    edge = int(own.find(np.array([[1, 1]]), np.zeros((1, 3), dtype=np.int64))[0])
    np.testing.assert_allclose(block, own.block(edge) * DEEPH_HARTREE_IN_EV, rtol=1e-14)


def test_legacy_files_follow_the_documentation(plain: Record, tmp_path: Path) -> None:
    """Keys with atoms from 1, columns of lat.dat and site_positions.dat, eV, OpenMX's order p = x, y, z."""
    write(plain, tmp_path / "run", layout="legacy")
    lattice = np.loadtxt(tmp_path / "run/lat.dat")
    np.testing.assert_allclose(lattice.T, CELL * DEEPH_BOHR_IN_ANGSTROM, rtol=1e-15)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "run/rlat.dat").T @ lattice, 2 * np.pi * np.eye(3), atol=1e-12)
    positions = np.loadtxt(tmp_path / "run/site_positions.dat")
    np.testing.assert_allclose(positions[:, 1], plain.structure.positions[1] * DEEPH_BOHR_IN_ANGSTROM, rtol=1e-15)
    assert (tmp_path / "run/orbital_types.dat").read_text().splitlines()[1] == "0 1"
    with h5py.File(tmp_path / "run/hamiltonians.h5") as h:
        block = h["[0, 0, 0, 2, 2]"][()]
    (own,) = plain.hamiltonian
    edge = int(own.find(np.array([[1, 1]]), np.zeros((1, 3), dtype=np.int64))[0])
    ours = own.block(edge)[np.ix_([0, 3, 1, 2], [0, 3, 1, 2])]  # s, then x, y, z from our y, z, x
    np.testing.assert_allclose(block, ours * DEEPH_HARTREE_IN_EV, rtol=1e-14)


def test_different_pairs_of_h_and_s_are_united_and_said(plain: Record, tmp_path: Path) -> None:
    (h,) = plain.hamiltonian
    near = np.abs(plain.overlap.shifts).sum(axis=1) < 1
    s = plain.overlap
    kept = s.values[np.repeat(near, np.diff(s.pointers))]
    fewer = replace(plain, overlap=BlockMatrix(s.orbitals, s.pairs[near], s.shifts[near], kept))
    write(fewer, tmp_path / "run", layout="legacy")
    (back,) = read(tmp_path / "run")
    assert len(back.overlap) == len(back.hamiltonian[0]) == len(h)
    assert f"union of {len(h)} pairs of H and {int(near.sum())} of S: {len(h)}" in back.provenance["pair_support"]


def test_split_pseudopotential_part_is_added(plain: Record, tmp_path: Path) -> None:
    """split_hkb: H = 1_2 kron hamiltonian.h5 + hkb.h5 (docs/key_concepts.md of DeepH-dock)."""
    folder = tmp_path / "run"
    write(plain, folder)
    info = json.loads((folder / "info.json").read_text())
    (folder / "info.json").write_text(json.dumps(info | {"spinful": True, "split_hkb": True}))
    with h5py.File(folder / "hamiltonian.h5") as h, h5py.File(folder / "hkb.h5", "w") as hkb:
        hkb["atom_pairs"], hkb["chunk_shapes"] = h["atom_pairs"][()], 2 * h["chunk_shapes"][()]
        hkb["chunk_boundaries"] = 4 * h["chunk_boundaries"][()]
        hkb["entries"] = np.zeros(4 * len(h["entries"]), dtype=complex)
    (back,) = read(folder)
    assert back.spinor
    k = [[0.1, 0.0, 0.3]]
    twice = np.repeat(bands(plain.hamiltonian, plain.overlap, k), 2, axis=-1)
    np.testing.assert_allclose(bands(back.hamiltonian, back.overlap, k), twice, atol=1e-11)


def test_orthogonal_basis_needs_no_overlap(plain: Record, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write(plain, folder)
    (folder / "overlap.h5").unlink()
    with pytest.raises(FileFormatError, match=r"no overlap\.h5"):
        read(folder)
    info = json.loads((folder / "info.json").read_text())
    (folder / "info.json").write_text(json.dumps(info | {"orthogonal_basis": True}))
    (back,) = read(folder)
    np.testing.assert_array_equal(back.overlap.at((0.3, 0.1, 0.2)), np.eye(38))


def test_spin_diagonal_overlap_is_accepted(record: Record, tmp_path: Path) -> None:
    """DeepH-dock accepts scalar and 1_2 kron S overlaps of spinful data."""
    folder = tmp_path / "run"
    write(record, folder)
    (scalar,) = read(folder)
    double = scalar.overlap.with_spin()
    with h5py.File(folder / "overlap.h5", "w") as file:
        file["atom_pairs"] = np.concatenate([double.shifts, double.pairs], axis=1)
        file["chunk_shapes"] = 2 * double.orbitals[double.pairs]
        file["chunk_boundaries"], file["entries"] = double.pointers, double.values
    (back,) = read(folder)
    np.testing.assert_allclose(back.overlap.values, scalar.overlap.values, atol=1e-15)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_molecule_is_put_into_a_box(plain: Record, tmp_path: Path, layout: str) -> None:
    s = plain.overlap
    home = ~s.shifts.any(axis=1)
    within = np.repeat(home, np.diff(s.pointers))

    def inside(m: BlockMatrix) -> BlockMatrix:
        return BlockMatrix(m.orbitals, m.pairs[home], m.shifts[home], m.values[within])

    molecule = Structure(plain.structure.numbers, plain.structure.positions)
    small = replace(plain, structure=molecule, hamiltonian=(inside(plain.hamiltonian[0]),), overlap=inside(s))
    write(small, tmp_path / "run", layout=layout)
    (back,) = read(tmp_path / "run")
    extent = float(np.ptp(molecule.positions, axis=0).max())
    np.testing.assert_allclose(back.structure.cell, (extent + 40.0) * np.eye(3), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_overlap_only_record_round_trips(plain: Record, tmp_path: Path, layout: str) -> None:
    write(replace(plain, hamiltonian=()), tmp_path / "run", layout=layout)
    (back,) = read(tmp_path / "run")
    assert back.hamiltonian == ()
    assert "no H" in back.provenance["pair_support"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_number_of_electrons_of_other_programs_folders_is_unknown(plain: Record, tmp_path: Path, layout: str) -> None:
    write(plain, tmp_path / "run", layout=layout)
    info = json.loads((tmp_path / "run/info.json").read_text())
    del info["n_electrons"]
    (tmp_path / "run/info.json").write_text(json.dumps(info))
    (back,) = read(tmp_path / "run")
    assert np.isnan(back.n_electrons)
    assert "number of electrons is not known" in back.provenance["found"]


def test_existing_folders_are_kept(plain: Record, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    for force in (False, True):
        with pytest.raises(OutputExistsError, match="left as it is"):
            write(plain, tmp_path / "mine", force=force)
        with pytest.raises(OutputExistsError), FolderWriter(tmp_path / "mine", "chunked", force=force):
            pass
    write(plain, tmp_path / "run")
    with pytest.raises(OutputExistsError):
        write(plain, tmp_path / "run")
    write(plain, tmp_path / "run", layout="legacy", force=True)
    assert (tmp_path / "run/lat.dat").is_file()
    assert not (tmp_path / "run/POSCAR").exists()


def test_failure_leaves_no_folder(plain: Record, tmp_path: Path) -> None:
    broken = replace(plain, fermi="not a number")  # type: ignore[arg-type]

    def fill() -> None:
        with FolderWriter(tmp_path / "all", "legacy") as writer:
            writer.add(plain)
            writer.add(broken)

    with pytest.raises(TypeError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_unknown_layouts_and_folders_are_refused(plain: Record, tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match="no DeepH layout 'new'"):
        write(plain, tmp_path / "run", layout="new")
    with pytest.raises(HarmoseError, match="does not exist"):
        write(plain, tmp_path / "no/run")
    assert not recognise(tmp_path)
    with pytest.raises(FileFormatError, match="no DeepH folder"):
        read(tmp_path)


def edit(path: Path, key: str, change: object) -> None:
    """Replace a data set of an HDF5 file."""
    with h5py.File(path, "a") as file:
        new = change(file[key][()])  # type: ignore[operator]
        del file[key]
        file[key] = new


CHUNK_DAMAGE = {
    "atom_pairs": (lambda a: a[:, :4], "Expected atom_pairs"),
    "chunk_shapes": (lambda a: a + 1, "the basis in info.json needs"),
    "chunk_boundaries": (lambda a: a + 1, "chunk_boundaries do not fit"),
    "entries": (lambda a: a[:-1], "chunk_boundaries do not fit"),
}


@pytest.mark.parametrize("key", CHUNK_DAMAGE)
def test_damaged_chunks_are_refused(plain: Record, tmp_path: Path, key: str) -> None:
    write(plain, tmp_path / "run")
    change, message = CHUNK_DAMAGE[key]
    edit(tmp_path / "run/hamiltonian.h5", key, change)
    with pytest.raises(FileFormatError, match=message):
        read(tmp_path / "run")


def test_other_mistakes_in_chunked_folders_are_refused(plain: Record, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write(plain, folder)
    good = {name: (folder / name).read_bytes() for name in ("info.json", "POSCAR", "overlap.h5", "hamiltonian.h5")}
    info = json.loads(good["info.json"])

    def refused(name: str, content: bytes | str, message: str) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(FileFormatError, match=message):
            read(folder)
        (folder / name).write_bytes(good[name])

    refused("info.json", "{", "not readable JSON")
    refused("info.json", "[]", "Expected a JSON object")
    refused("info.json", json.dumps(info | {"spinful": True}), "spinful = True")
    refused("info.json", json.dumps(info | {"atoms_quantity": 4}), "atoms_quantity is 4")
    refused("info.json", json.dumps(info | {"elements_orbital_map": {"C": [0]}}), "shells of C, H")
    refused("POSCAR", "nothing\n", "POSCAR cannot be read")
    refused("overlap.h5", b"no hdf5", "not a readable HDF5 file")
    edit(folder / "overlap.h5", "atom_pairs", lambda a: a + np.array([0, 0, 0, 5, 0]))
    with pytest.raises(FileFormatError, match=r"outside 0\.\.2"):
        read(folder)
    (folder / "overlap.h5").write_bytes(good["overlap.h5"])
    edit(folder / "overlap.h5", "atom_pairs", lambda a: np.concatenate([a[1:2], a[1:]]))
    with pytest.raises(FileFormatError, match=r"needs|may occur once"):
        read(folder)
    with h5py.File(folder / "overlap.h5", "a") as file:
        del file["entries"]
    with pytest.raises(FileFormatError, match="has no entries"):
        read(folder)


def test_mistakes_in_legacy_folders_are_refused(plain: Record, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write(plain, folder, layout="legacy")

    def refused(name: str, content: str, message: str) -> None:
        good = (folder / name).read_bytes()
        (folder / name).write_text(content)
        with pytest.raises(FileFormatError, match=message):
            read(folder)
        (folder / name).write_bytes(good)

    refused("lat.dat", "1 2\n3 4\n", "3 x 3 table")
    refused("lat.dat", "a b c\n", "table of numbers")
    refused("element.dat", "6\n1\n", "3 rows and 2 columns")
    refused("orbital_types.dat", "0 1\n", "angular momenta of 3 atoms")
    refused("orbital_types.dat", "0 0 1 2 3\n0 1\n0 1\n", r"line 3: C has the shells \[0, 1\] here")
    refused("orbital_types.dat", "0 0 1 2\n0 1\n0 0 1 2\n", "the basis needs")
    (folder / "overlaps.h5").unlink()
    with pytest.raises(FileFormatError, match=r"no overlaps\.h5"):
        read(folder)
    (folder / "info.json").unlink()
    with pytest.raises(FileFormatError, match=r"no info\.json"):
        read(folder)

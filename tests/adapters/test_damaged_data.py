"""Data sets, results and DeepH folders with damaged numbers are refused at the door, by every reader alike."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from foreign_datasets import WATER, frames, groups, phisnet, qh9_stable, ragged

from harmose_dft.adapters import deeph, openmx
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.core.errors import DataError, FileFormatError, HarmoseError
from harmose_dft.core.record import Record
from harmose_dft.core.soundness import require_sound
from harmose_dft.data import DatasetWriter
from harmose_dft.output import Result, read_results, write_results
from harmose_dft.testing.molecules import hartree_fock
from harmose_dft.testing.openmx import make_demo


@pytest.fixture(scope="module")
def water() -> Result:
    basis, fock, overlap, spectrum, energy = hartree_fock(WATER)
    return Result(Record(WATER, basis, (fock,), overlap, 10.0, energy=energy), spectrum)


def write_data(path: Path, result: Result) -> None:
    with DatasetWriter(path) as writer:
        writer.add(result.record)


def asymmetric(result: Result) -> Record:
    h = result.record.hamiltonian[0]
    values = h.values.copy()
    values[1] += 0.01
    return replace(result.record, hamiltonian=(h.with_values(values),))


def changed(result: Result, value: float, where: str) -> Record:
    record = result.record
    matrix = record.overlap if where == "S" else record.hamiltonian[0]
    values = matrix.values.copy()
    values[0] = value
    matrix = matrix.with_values(values)
    return replace(record, overlap=matrix) if where == "S" else replace(record, hamiltonian=(matrix,))


DAMAGES: dict[str, tuple[Callable[[Result], Record], str]] = {
    "H nan": (lambda r: changed(r, np.nan, "H"), "not finite"),
    "H inf": (lambda r: changed(r, np.inf, "H"), "not finite"),
    "H 1e30": (lambda r: changed(r, 1e30, "H"), "1e\\+30"),
    "H asymmetric": (asymmetric, "adjoint"),
    "H zero": (lambda r: replace(r.record, hamiltonian=(r.record.overlap.with_values(0 * r.record.overlap.values),)),
               "without any element"),
    "S zero": (lambda r: replace(r.record, overlap=r.record.overlap.with_values(0 * r.record.overlap.values)),
               "differs from one"),
    "S 3": (lambda r: changed(r, 3.0, "S"), "at most"),
    "S negative": (lambda r: replace(r.record, overlap=r.record.overlap.with_values(
        np.where(r.record.overlap.values < 0.9999, -1.3 * r.record.overlap.values, r.record.overlap.values))),
        "negative"),
    "electrons -1": (lambda r: replace(r.record, n_electrons=-1.0), "-1 electrons"),
    "electrons 4e9": (lambda r: replace(r.record, n_electrons=4e9), "4e\\+09 electrons"),
    "electrons 8": (lambda r: replace(r.record, n_electrons=8.0), "8 electrons"),
    "electrons inf": (lambda r: replace(r.record, n_electrons=np.inf), "inf electrons"),
    "energy": (lambda r: replace(r.record, energy=np.inf), "total energy"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_records_are_never_written_into_a_data_set(name: str, tmp_path: Path, water: Result) -> None:
    damage, message = DAMAGES[name]
    with pytest.raises(DataError, match=message):
        write_data(tmp_path / "data.h5", Result(damage(water), water.spectrum))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_records_are_refused_by_data_sets_and_results(
    name: str, tmp_path: Path, water: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data set is written without the writer's own check, as an older version or another program writes it."""
    monkeypatch.setattr("harmose_dft.data.writer.require_sound", lambda record, name: record)
    damage, message = DAMAGES[name]
    record = damage(water)
    with pytest.raises(DataError, match=message):
        require_sound(record)
    with np.errstate(all="ignore"):
        write_data(tmp_path / "data.h5", Result(record, water.spectrum))
        write_results(tmp_path / "result.h5", [Result(record, water.spectrum)])
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "data.h5")[0]
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "result.h5")


def test_sound_records_pass_every_door(tmp_path: Path, water: Result) -> None:
    write_data(tmp_path / "data.h5", water)
    write_results(tmp_path / "result.h5", [water])
    assert open_dataset(tmp_path / "data.h5")[0].n_electrons == 10
    assert len(read_results(tmp_path / "result.h5")) == 1


@pytest.mark.parametrize(("array", "message"), [
    ("energies", "not those of H"), ("coefficients", "orthonormal"), ("occupations", "0 to 2"),
])
def test_spectra_that_do_not_belong_to_their_matrices_are_refused(
    array: str, message: str, tmp_path: Path, water: Result
) -> None:
    values = getattr(water.spectrum, array).copy()
    values.flat[-1] += 3.0
    write_results(tmp_path / "r.h5", [Result(water.record, replace(water.spectrum, **{array: values}))])
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / "r.h5")


@pytest.mark.parametrize("layout", deeph.LAYOUTS)
@pytest.mark.parametrize("value", [np.nan, 1e30, 5.0])
def test_damaged_deeph_folders_are_refused(layout: str, value: float, tmp_path: Path) -> None:
    record = openmx.read(make_demo(tmp_path / "run").folder)[0]
    for kind in ("hamiltonian", "overlap"):
        folder = tmp_path / kind
        deeph.write(record, folder, layout=layout)
        name = f"{kind}.h5" if layout == "chunked" else f"{kind}s.h5"
        with h5py.File(folder / name, "r+") as file:
            data = file["entries"] if layout == "chunked" else file["[0, 0, 0, 1, 1]"]
            data[(1,) if layout == "chunked" else (0, 1)] = value
        if value == 5.0 and kind == "hamiltonian":
            assert deeph.read(folder)  # a plausible number, which symmetrisation spreads
            continue
        with pytest.raises(HarmoseError, match=r"finite|at most|DeepH"):
            deeph.read(folder)


@pytest.mark.parametrize("info", [
    {"fermi_energy_eV": "x"}, {"n_electrons": [1]}, {"n_electrons": -3}, {"n_electrons": 1e9}, {"spinful": True},
    {"elements_orbital_map": {"C": 3, "H": [0, 1]}}, {"elements_orbital_map": {"C": [10**9], "H": [0, 1]}},
    {"elements_orbital_map": {"C": ["s"], "H": [0]}}, {"elements_orbital_map": []}, {"atoms_quantity": None},
])
def test_damaged_info_of_deeph_is_refused(info: dict[str, Any], tmp_path: Path) -> None:
    deeph.write(openmx.read(make_demo(tmp_path / "run").folder)[0], tmp_path / "dock")
    path = tmp_path / "dock/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | info))
    with pytest.raises(HarmoseError):
        deeph.read(tmp_path / "dock")


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    deeph.write(openmx.read(make_demo(tmp_path / "run").folder)[0], tmp_path / "dock")
    (tmp_path / "dock/info.json").write_text('{"a":' * 100000 + "1" + "}" * 100000)
    with pytest.raises(FileFormatError):
        deeph.read(tmp_path / "dock")


def replace_array(path: Path, name: str, data: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = data


OWN = ["records/n_electrons", "records/basis", "atoms/numbers", "atoms/positions", "matrices/role", "edges/pairs",
       "edges/pointers", "values/values", "records/id", "bases", "spectra/spins", "kpoints/kpoints"]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("data", ["text", 3.5, [[1.5]], b"\xff\xfe", [], np.array([2**62]), np.array([np.nan])])
def test_columns_of_another_type_or_shape_are_refused(name: str, data: object, tmp_path: Path, water: Result) -> None:
    path = tmp_path / "data.h5"
    write_data(path, water)
    replace_array(path, name, data)
    with pytest.raises(HarmoseError):
        open_dataset(path)[0]


@pytest.mark.parametrize("write", [frames, ragged, groups])
@pytest.mark.parametrize("name", ["numbers", "positions", "fock", "mo_energy", "energy"])
@pytest.mark.parametrize("data", ["text", 3.5, [[1.5]], np.array([2**62]), np.array([np.nan])])
def test_foreign_hdf5_of_another_type_or_shape_is_refused(
    write: Callable[[Path, Any], None], name: str, data: object, tmp_path: Path, water: Result
) -> None:
    path = tmp_path / "data.h5"
    write(path, water.record.hamiltonian[0].to_dense())
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visit(lambda n: found.append(n) if n.split("/")[-1].startswith(name) else None)
    if not found:
        pytest.skip("this layout has no such array")
    replace_array(path, found[0], data)
    with pytest.raises(HarmoseError):
        open_dataset(path)[0]


@pytest.mark.parametrize(("write", "columns"), [(qh9_stable, ("N", "Z", "pos", "Ham")), (phisnet, ("R", "H", "S"))])
@pytest.mark.parametrize("value", [None, "text", -1, 2.5, 2**62, b"", b"\x00" * 8, b"\xff" * 1000])
def test_databases_with_damaged_cells_are_refused(
    write: Callable[[Path, Any], None], columns: tuple[str, ...], value: object, tmp_path: Path, water: Result
) -> None:
    for column in columns:
        path = tmp_path / f"{column}.db"
        write(path, water.record.hamiltonian[0].to_dense())
        with sqlite3.connect(path) as db:
            db.execute(f"UPDATE data SET {column} = ?", (value,))
        if write is phisnet and column == "S" and value is None:
            assert open_dataset(path)[0]  # a file without overlaps
            continue
        with pytest.raises(HarmoseError):
            open_dataset(path)[0]


@pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "a%20b.db", "a;b=c.db"])
def test_databases_with_signs_in_their_names_are_read_and_leave_no_file(
    name: str, tmp_path: Path, water: Result
) -> None:
    from foreign_datasets import schnorb

    for write in (qh9_stable, phisnet, schnorb):
        write(tmp_path / "plain.db", water.record.hamiltonian[0].to_dense())
        folder = tmp_path / write.__name__
        folder.mkdir()
        shutil.move(tmp_path / "plain.db", folder / name)
        assert open_dataset(folder / name)[0].structure.formula == "H2O"
        assert [p.name for p in folder.iterdir()] == [name]


def test_arrays_that_are_larger_than_their_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", shape=(1 << 40,), dtype="f8", chunks=(1 << 16,), fillvalue=1.0)
    with pytest.raises(FileFormatError, match="bytes of which"):
        open_dataset(path)


def test_shells_beyond_any_basis_are_refused(tmp_path: Path, water: Result) -> None:
    path = tmp_path / "data.h5"
    write_data(path, water)
    with h5py.File(path, "r+") as file:
        bases = json.loads(file["bases"][()].tobytes())
        bases[0]["shells"]["8"][0]["l"] = 10**9
        del file["bases"]
        file["bases"] = np.frombuffer(json.dumps(bases).encode(), dtype=np.uint8)
    with pytest.raises(HarmoseError, match="angular momentum"):
        open_dataset(path)[0]


@pytest.mark.parametrize("name", ["basis", "xc", "units"])
@pytest.mark.parametrize("value", [[], 3, [[1.0]], b"\xff", "x" * 5000])
def test_foreign_attributes_of_another_type_are_refused(
    name: str, value: object, tmp_path: Path, water: Result
) -> None:
    path = tmp_path / "data.h5"
    frames(path, water.record.hamiltonian[0].to_dense())
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    if name == "xc":
        assert open_dataset(path)[0].provenance["functional"]
        return
    with pytest.raises(HarmoseError):
        open_dataset(path)[0]

"""Seeds of every kind of file that is read, and random damage to them."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import foreign_datasets
import h5py
import numpy as np
from ase.build import bulk, molecule
from ase.io import write

from harmose_dft.adapters import deeph, openmx
from harmose_dft.adapters.registry import find_calculations, iterate_calculation
from harmose_dft.adapters.structures import read_structures
from harmose_dft.core.record import Record
from harmose_dft.core.soundness import require_sound
from harmose_dft.data import DatasetWriter
from harmose_dft.output import Result, read_results, write_results
from harmose_dft.testing.abacus import Case, write_case
from harmose_dft.testing.molecules import hartree_fock
from harmose_dft.testing.openmx import make_demo

Reader = Callable[[Path], int]
"""Reads a file or folder to the end; returns the number of structures or records."""

NUMBERS = (b"99999999999", b"-1", b"0", b"1e30", b"nan", b"inf", b"1e-300", b"2147483648", b"0.5", b"", b"x")
"""What a number of a text is replaced by."""

VALUES: tuple[object, ...] = (
    None, -1, 0, 2**31, 2**62, 1e30, float("nan"), float("inf"), "", "x", b"", b"\xff" * 7, [], [[1.0]], "\x1b[2J",
    True,
)  # fmt: skip
"""What a cell, an array, an attribute or a JSON value is replaced by."""


def read_structure_file(path: Path) -> int:
    """Structures of a file."""
    return len(read_structures(path))


def read_calculation(path: Path) -> int:
    """Records of a calculation or data set, which must be sound."""
    records = (record for place in find_calculations(path) for record in iterate_calculation(place))
    return sum(bool(require_sound(record)) for record in records)


def read_result_file(path: Path) -> int:
    """Results of a file."""
    return len(read_results(path))


def make_seeds(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """Valid files of every kind: name -> (file or folder, reader)."""
    folder.mkdir(parents=True)
    seeds: dict[str, tuple[Path, Reader]] = {}
    atoms, crystal = molecule("C2H4"), bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    for name in ("a.xyz", "b.extxyz", "a.gen", "b.gen", "POSCAR", "a.xsf", "b.xsf", "b.cif", "a.pdb"):
        kind = "vasp" if name == "POSCAR" else None
        write(folder / name, crystal if name[0] in "bP" else atoms, format=kind)
        seeds[name] = folder / name, read_structure_file
    lines = [f"{a.x:10.4f}{a.y:10.4f}{a.z:10.4f} {a.symbol:<3} 0  0  0" for a in atoms]
    table = "\n".join(["", "", "", f"{len(atoms):3d}  0  0  0  0  0  0  0  0  0999 V2000", *lines])
    (folder / "a.sdf").write_text(f"{table}\nM  CHG  1   1   1\nM  RAD  1   2   2\nM  END\n$$$$\n")
    seeds["a.sdf"] = folder / "a.sdf", read_structure_file
    atom_lines = [f"M  V30 {n} {a.symbol} {a.x} {a.y} {a.z} 0" for n, a in enumerate(atoms, start=1)]
    head = ["ethene", "", "", "  0  0  0     0  0            999 V3000", "M  V30 BEGIN CTAB"]
    count = f"M  V30 COUNTS {len(atoms)} 0 0 0 0"
    tail = ["M  V30 END ATOM", "M  V30 END CTAB", "M  END", "$$$$", ""]
    (folder / "b.sdf").write_text("\n".join([*head, count, "M  V30 BEGIN ATOM", *atom_lines, *tail]))
    rows = "\n".join(f"{a.symbol} {a.x} {a.y} {a.z}" for a in atoms)
    (folder / "a.gjf").write_text(f"%mem=1GB\n# b3lyp/def2svp\n\nethene\n\n0 1\n{rows}\n\n")
    write(folder / "a.traj", [atoms, crystal])
    for name in ("b.sdf", "a.gjf", "a.traj"):
        seeds[name] = folder / name, read_structure_file
    demo = make_demo(folder / "openmx")
    write_case(folder / "abacus", Case(2))
    write_case(folder / "abacus_nao", Case(), layout="nao")
    (record,) = openmx.read(demo.folder)
    for layout in deeph.LAYOUTS:
        deeph.write(record, folder / f"deeph_{layout}", layout=layout)
    basis, fock, overlap, spectrum, energy = hartree_fock(foreign_datasets.WATER)
    water = Record(foreign_datasets.WATER, basis, (fock,), overlap, 10.0, energy=energy)
    with DatasetWriter(folder / "own.h5") as writer:
        writer.add(water)
        writer.add(record)
    for name in ("frames", "ragged", "groups"):
        getattr(foreign_datasets, name)(folder / f"{name}.h5", fock.to_dense())
    for name in ("qh9_stable", "qh9_dynamic", "schnorb", "schnorb_text", "phisnet"):
        getattr(foreign_datasets, name)(folder / f"{name}.db", fock.to_dense())
    for place in ("openmx", "abacus", "abacus_nao", *(f"deeph_{layout}" for layout in deeph.LAYOUTS), "own.h5",
                  "frames.h5", "ragged.h5", "groups.h5", "qh9_stable.db", "qh9_dynamic.db", "schnorb.db",
                  "schnorb_text.db", "phisnet.db"):
        seeds[place] = folder / place, read_calculation
    write_results(folder / "result.h5", [Result(water, spectrum)])
    seeds["result.h5"] = folder / "result.h5", read_result_file
    return seeds


def damage(seed: Path, target: Path, rng: random.Random) -> str:
    """Copy a file or folder and damage one of its files; returns what was done."""
    if seed.is_dir():
        shutil.copytree(seed, target)
        file = rng.choice(sorted(p for p in target.rglob("*") if p.is_file()))
    else:
        shutil.copy(seed, target)
        file = target
    kinds = [damage_bytes]
    if h5py.is_hdf5(file):
        kinds += [damage_hdf5] * 3
    elif file.suffix == ".db":
        kinds += [damage_sqlite] * 3
    elif file.suffix == ".json":
        kinds += [damage_json] * 3
    elif b"\x00" not in file.read_bytes()[:4096]:
        kinds += [damage_text] * 3
    return f"{file.relative_to(target.parent)}: {rng.choice(kinds)(file, rng)}"


def damage_bytes(file: Path, rng: random.Random) -> str:
    """Flip, cut, repeat or overwrite bytes."""
    data = bytearray(file.read_bytes())
    if not data:
        return "empty already"
    begin = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            for _ in range(rng.choice((1, 4, 32))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            what = "bits flipped"
        case 1:
            del data[begin:]
            what = f"cut at byte {begin}"
        case 2:
            data[begin:begin] = data[begin : begin + rng.randrange(200)]
            what = f"bytes repeated at {begin}"
        case _:
            data[begin : begin + 8] = rng.choice((b"\xff" * 8, b"\x00" * 8, b"\x7f" * 8))
            what = f"bytes overwritten at {begin}"
    file.write_bytes(data)
    return what


def damage_text(file: Path, rng: random.Random) -> str:
    """Replace a word, or remove, repeat or swap a line."""
    lines = file.read_bytes().split(b"\n")
    at = rng.randrange(len(lines))
    words = lines[at].split()
    match rng.randrange(4):
        case 0 | 1 if words:
            old, new = rng.choice(words), rng.choice(NUMBERS)
            lines[at] = lines[at].replace(old, new, 1)
            what = f"line {at + 1}: {old!r} became {new!r}"
        case 2:
            del lines[at]
            what = f"line {at + 1} removed"
        case _:
            lines.insert(rng.randrange(len(lines)), lines[at])
            what = f"line {at + 1} repeated elsewhere"
    file.write_bytes(b"\n".join(lines))
    return what


def damage_hdf5(file: Path, rng: random.Random) -> str:
    """Replace an array, one of its numbers, or an attribute; or remove an object."""
    with h5py.File(file, "r+") as h:
        names: list[str] = []
        h.visit(names.append)
        name = rng.choice(names)
        item, value = h[name], rng.choice(VALUES)
        holders = [h, *(h[n] for n in names)]
        with_attributes = [o for o in holders if len(o.attrs)]
        kind = rng.randrange(4)
        try:
            if kind == 0 and with_attributes:
                attributes = rng.choice(with_attributes).attrs
                key = rng.choice(sorted(attributes))
                attributes[key] = value
                return f"attribute {key} became {value!r}"
            if kind == 1:
                del h[name]
                return f"{name} removed"
            if kind == 2 and isinstance(item, h5py.Dataset) and item.size and item.dtype.kind in "iuf":
                array = np.atleast_1d(item[()])
                with np.errstate(all="ignore"):
                    number = rng.choice((np.nan, np.inf, 1e30, -1, 2**31 - 1, 0, 7))
                    array.flat[rng.randrange(array.size)] = np.array(number).astype(array.dtype)
                item[...] = array.reshape(item.shape)
                return f"an element of {name} became {number}"
            del h[name]
            h[name] = value
        except (TypeError, ValueError, OSError, OverflowError):  # HDF5 cannot hold the value
            return f"{name} could not become {value!r}"
        return f"{name} became {value!r}"


def damage_sqlite(file: Path, rng: random.Random) -> str:
    """Replace the cells of a column, or rename a table or column."""
    with sqlite3.connect(file) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice(sorted(tables))
        columns = [row[1] for row in db.execute(f"PRAGMA table_info('{table}')")]
        column, value = rng.choice(columns), rng.choice(VALUES)
        try:
            if rng.randrange(5) == 0:
                db.execute(f"ALTER TABLE '{table}' RENAME COLUMN {column} TO other")
                return f"{table}.{column} renamed"
            if isinstance(value, list) or value is True:
                blob = db.execute(f"SELECT {column} FROM '{table}'").fetchone()[0]
                value = blob[: len(blob) // 2] if isinstance(blob, bytes | str) else 10**18
            db.execute(f"UPDATE '{table}' SET {column} = ?", (value,))
        except (sqlite3.Error, OverflowError, TypeError) as error:
            return f"{table}.{column} could not become {value!r} ({error})"
        return f"{table}.{column} became {value!r}"


def damage_json(file: Path, rng: random.Random) -> str:
    """Replace or remove a value, at any depth."""
    data = json.loads(file.read_text())
    holder: dict[str, object] = data
    key = rng.choice(sorted(holder))
    inner = holder[key]
    if isinstance(inner, dict) and inner and rng.random() < 0.5:
        holder, key = inner, rng.choice(sorted(inner))
    value = rng.choice([v for v in VALUES if not isinstance(v, bytes)] + [{}, {"a": 1}, [10**9], ["s"]])
    if rng.randrange(4) == 0:
        del holder[key]
        what = f"{key} removed"
    else:
        holder[key] = value
        what = f"{key} became {value!r}"
    file.write_text(json.dumps(data))
    return what

"""Counts that a file announces are compared with the file before anything is allocated or looped over."""

from __future__ import annotations

import lzma
import time
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from harmose_dft.adapters import abacus, openmx
from harmose_dft.adapters.openmx.input import parse_input
from harmose_dft.adapters.openmx.output import read_bands
from harmose_dft.adapters.structures import read_structures
from harmose_dft.adapters.text import MOST_COMPRESSED, SPARE, read_bytes
from harmose_dft.core.errors import FileFormatError, HarmoseError
from harmose_dft.testing.abacus import Case, write_case
from harmose_dft.testing.openmx import INPUT, make_demo

HUGE = "99999999999"
SOON = 5.0
"""Seconds; a loop over such a count takes hours."""


@pytest.mark.parametrize("name", ["POSCAR", "a.gen", "a.xsf", "a.xyz", "a.sdf"])
def test_structure_files_that_announce_too_many_atoms_are_refused_at_once(name: str, tmp_path: Path) -> None:
    texts = {"a.xyz": f"{HUGE}\n\nH 0 0 0\n", "a.sdf": f"\n\n\n{HUGE}  0  0  0 V2000\nM  END\n"}
    if name in texts:
        (tmp_path / name).write_text(texts[name])
    else:
        crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
        write(tmp_path / name, crystal, format="vasp" if name == "POSCAR" else None)
        text = (tmp_path / name).read_text()
        counts = {"POSCAR": ("   1   1", f" {HUGE} 1"), "a.gen": ("8 ", f"{HUGE} "), "a.xsf": (" 8 1", f" {HUGE} 1")}
        old, new = counts[name]
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
    start = time.monotonic()
    with pytest.raises(HarmoseError):
        read_structures(tmp_path / name)
    assert time.monotonic() - start < SOON


def test_a_compressed_file_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csr.xz"
    path.write_bytes(lzma.compress(b"0 " * (SPARE // 2 + 100 * MOST_COMPRESSED * 1024), preset=0))
    with pytest.raises(FileFormatError, match="times its size"):
        read_bytes(path)


@pytest.mark.parametrize("specification", ["s100000000", "s2p100d1", "s1f999999999"])
def test_orbitals_without_number_are_refused(specification: str, tmp_path: Path) -> None:
    settings = parse_input(INPUT.replace("s2p1d1f1", specification), tmp_path / "demo.dat")
    with pytest.raises(FileFormatError, match="too many shells"):
        assert settings.species


@pytest.mark.parametrize("line", [0, 2, 3])
def test_bands_that_announce_too_much_are_refused(line: int, tmp_path: Path) -> None:
    path = make_demo(tmp_path / "run").folder / "demo.Band"
    lines = path.read_text().splitlines()
    lines[line] = " ".join([HUGE, *lines[line].split()[1:]])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match="as long as the file"):
        read_bands(path)


@pytest.mark.parametrize(("name", "old", "new"), [
    ("OUT.ABACUS/data-HR-sparse_SPIN0.csr", "Matrix number of H(R): ", f"Matrix number of H(R): {HUGE}"),
    ("OUT.ABACUS/running_scf.log", "L=0, number of zeta = 2", f"L=0, number of zeta = {HUGE}"),
    ("C_2s1p.orb", "Mesh                   51", f"Mesh                   {HUGE}"),
    ("STRU", "0.00\n2\n", f"0.00\n{HUGE}\n"),
])
def test_counts_of_abacus_are_compared_with_its_files(name: str, old: str, new: str, tmp_path: Path) -> None:
    folder = write_case(tmp_path / "run", Case())
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    start = time.monotonic()
    with pytest.raises(HarmoseError):
        abacus.read(folder)
    assert time.monotonic() - start < SOON


def test_a_damaged_output_of_openmx_is_refused(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "run").folder
    out = folder / "demo.out"
    out.write_text(out.read_text().replace("Utot.        -12.345678900000", "Utot.   ********"))
    with pytest.raises(FileFormatError, match=r"\*\*\*\*"):
        openmx.read(folder)


def test_a_huge_number_among_the_symbols_of_a_poscar_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "POSCAR", bulk("NaCl", "rocksalt", a=5.64), format="vasp")
    text = (tmp_path / "POSCAR").read_text()
    (tmp_path / "POSCAR").write_text(text.replace("\n Na", f"\n {HUGE}", 1))
    with pytest.raises(FileFormatError, match="announced"):
        read_structures(tmp_path / "POSCAR")

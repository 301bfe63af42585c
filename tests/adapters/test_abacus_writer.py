"""Writing H(R) for ABACUS: what is written is read back digit for digit, in both layouts and all spins."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.abacus import Layout, read, write_hr, write_sr
from harmose_dft.adapters.abacus.csr import read_csr
from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.errors import HarmoseError, OutputExistsError, StructureError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.testing.abacus import Case, write_case


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("nspin", [1, 2, 4])
def test_written_matrices_are_read_back_digit_for_digit(tmp_path: Path, layout: Layout, nspin: int) -> None:
    folder = write_case(tmp_path / "run", Case(nspin))
    (record,) = read(folder)
    out = folder / "OUT.ABACUS"
    for old in out.glob("*.csr"):
        old.unlink()
    files = write_hr(record, out, layout=layout)
    assert [f.name for f in files] == [layout.file_name("H", s) for s in range(len(record.hamiltonian))]
    write_sr(record, out, layout=layout)
    (again,) = read(folder)
    for a, b in zip(record.hamiltonian, again.hamiltonian, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.shifts, b.shifts)
        np.testing.assert_array_equal(a.pairs, b.pairs)
    np.testing.assert_array_equal(record.overlap.values, again.overlap.values)
    np.testing.assert_allclose(record.structure.positions, again.structure.positions, atol=1e-9)


def test_old_layout_is_written_as_the_independent_generator_writes_it(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "run", Case(2))
    (record,) = read(folder)
    (tmp_path / "new").mkdir()
    for file in write_hr(record, tmp_path / "new", layout=Layout.SPARSE):
        assert file.read_text() == (folder / "OUT.ABACUS" / file.name).read_text()


def test_new_layout_has_the_lines_that_the_codes_reader_counts(tmp_path: Path) -> None:
    """ABACUS 3.9+ reads by position: 6 header lines, blank, cell, blank, 8 comment lines, blank; then blocks of R line,
    comment, values of 6 per line, comment, columns of 16 per line, comment, pointers of 16 per line, blank."""
    (record,) = read(write_case(tmp_path / "run", Case()))
    (file,) = write_hr(record, tmp_path / "hrs1_nao.csr")
    lines = file.read_text().splitlines()
    assert lines[0] == " --- Ionic Step 1 ---"
    assert [line.split("#")[0].strip() for line in lines[2:6]] == ["1", "1", "14", "5"]
    assert lines[6] == "" == lines[18] == lines[27]
    assert lines[7].strip() == "user_defined_lattice"
    assert all(line.startswith(" #") for line in lines[19:27])
    count = int(lines[28].split()[3])
    assert lines[28].split()[:3] == ["-1", "0", "0"]
    assert lines[29] == " # CSR values"
    value_lines = -(-count // 6)
    assert all(len(line.split()) == 6 for line in lines[30 : 29 + value_lines])
    assert lines[30 + value_lines] == " # CSR column indices"
    column_lines = -(-count // 16)
    assert lines[31 + value_lines + column_lines] == " # CSR row pointers"
    assert lines[33 + value_lines + column_lines] == ""
    (section,) = read_csr(file)
    assert section.counts.sum() == sum(np.count_nonzero(m) for m in Case().hamiltonians[0].values())


def mixed_crystal() -> tuple[Structure, OrbitalBasis, BlockMatrix]:
    """H, C, H, C with atoms outside the cell and a random Hermitian matrix."""
    rng = np.random.default_rng(5)
    cell = np.diag([6.0, 7.0, 8.0])
    fractional = np.array([[0.2, -0.3, 0.1], [1.4, 0.5, 0.2], [0.3, 0.9, -2.5], [0.6, 0.6, 0.6]])
    structure = Structure(np.array([1, 6, 1, 6]), fractional @ cell, cell)
    basis = OrbitalBasis("test", {1: (Shell(0),), 6: (Shell(0), Shell(1))})
    sizes = basis.orbitals_per_atom(structure.numbers)
    keys = [(0, 1, 0, 0, 0), (0, 2, 1, 0, -1), (1, 3, 0, 1, 0), (2, 3, 0, 0, 2), *((i, i, 0, 0, 0) for i in range(4))]
    blocks = {key: rng.normal(size=(sizes[key[0]], sizes[key[1]])) for key in keys}
    return structure, basis, BlockMatrix.from_blocks(sizes, blocks).symmetrize()


def test_atoms_are_regrouped_and_folded_without_changing_the_bands(tmp_path: Path) -> None:
    structure, basis, matrix = mixed_crystal()
    k = np.array([0.13, -0.4, 0.29])
    (file,) = write_hr(matrix, tmp_path / "hrs1_nao.csr", structure=structure, basis=basis)
    (section,) = read_csr(file)
    assert [text for _, text in section.cell_text][5:7] == ["H C", "2 2"]
    fractional = np.array([[float(x) for x in text.split()] for _, text in section.cell_text[8:]])
    expected = [[0.2, 0.7, 0.1], [0.3, 0.9, 0.5], [0.4, 0.5, 0.2], [0.6, 0.6, 0.6]]
    np.testing.assert_allclose(fractional, expected, atol=1e-12)
    dense = np.zeros((section.size, section.size), dtype=complex)
    phases = np.repeat(np.exp(2j * np.pi * section.shifts @ k), section.counts)
    np.add.at(dense, (section.rows, section.columns), phases * section.values / 2)
    np.testing.assert_allclose(np.linalg.eigvalsh(dense), np.linalg.eigvalsh(matrix.at(k)), atol=1e-7)


def test_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    (record,) = read(write_case(tmp_path / "run", Case()))
    target = tmp_path / "hrs1_nao.csr"
    target.write_text("mine")
    with pytest.raises(OutputExistsError):
        write_hr(record, target)
    assert target.read_text() == "mine"
    write_hr(record, target, force=True)
    assert "Ionic Step" in target.read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hrs1_nao.csr", "run"]


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    structure, basis, matrix = mixed_crystal()
    target = tmp_path / "hrs1_nao.csr"
    with pytest.raises(HarmoseError, match="does not know its atoms"):
        write_hr(matrix, target)
    with pytest.raises(HarmoseError, match="not one of"):
        write_hr(matrix, target, structure=structure, basis=OrbitalBasis("s", {1: (Shell(0),), 6: (Shell(0),)}))
    with pytest.raises(StructureError, match="needs a cell"):
        write_hr(matrix, target, structure=Structure(structure.numbers, structure.positions), basis=basis)
    values = matrix.values.copy()
    values[0] += 0.1
    values[-3] += 0.1
    with pytest.raises(HarmoseError, match="not Hermitian"):
        write_hr(matrix.with_values(values), target, structure=structure, basis=basis)
    (two_spins,) = read(write_case(tmp_path / "two", Case(2)))
    with pytest.raises(HarmoseError, match="2 spin directions"):
        write_hr(two_spins, target)
    empty = Record(two_spins.structure, two_spins.basis, (), two_spins.overlap, 9)
    with pytest.raises(HarmoseError, match="no Hamiltonian"):
        write_hr(empty, target)
    assert not target.exists()


@pytest.mark.parametrize("system", ["Si2", "H3_soc_nc", "Si2_variants"])
def test_real_files_are_reproduced_byte_for_byte(shared_dir: Path, tmp_path: Path, system: str) -> None:
    """H(R) of ABACUS 3.8.1 (nspin 1 and 4), read and written again."""
    folder = shared_dir / "samples" / "abacus" / system
    (record,) = read(folder)
    for file in write_hr(record, tmp_path, layout=Layout.SPARSE):
        original = folder / "OUT.ABACUS" / file.name
        compressed = original.with_name(original.name + ".xz")
        data = original.read_bytes() if original.exists() else lzma.decompress(compressed.read_bytes())
        assert file.read_bytes() == data


def test_missing_orbital_files_are_named(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "run", Case(1))
    assert "no radial functions" not in read(folder)[0].provenance["found"]
    for file in folder.rglob("*.orb"):
        file.unlink()
    assert "no radial functions: the .orb files of " in read(folder)[0].provenance["found"]

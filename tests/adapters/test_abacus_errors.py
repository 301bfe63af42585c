"""Every way an ABACUS calculation can be damaged or mixed up is refused with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harmose_dft.adapters.abacus import read
from harmose_dft.adapters.abacus.csr import read_csr
from harmose_dft.adapters.abacus.dense import read_dense
from harmose_dft.adapters.abacus.eigenvalues import read_bands, read_eig, read_istate, read_kpoints
from harmose_dft.adapters.abacus.log import read_log
from harmose_dft.adapters.abacus.orbitals import read_orb, read_z_valence
from harmose_dft.adapters.abacus.stru import read_stru
from harmose_dft.adapters.abacus.structure import read_md_dump
from harmose_dft.core.errors import FileFormatError
from harmose_dft.testing.abacus import (
    KPOINTS,
    Case,
    kpoints_text,
    log_text,
    nao_text,
    orb_text,
    sparse_text,
    stru_text,
    write_case,
)

CASE = Case()
SPARSE, NAO = sparse_text("H", CASE.hamiltonians[0], CASE.size), nao_text("H", CASE.hamiltonians[0], CASE.size)
SPARSE_LINES, NAO_LINES = SPARSE.splitlines(), NAO.splitlines()
FIRST_BLOCK_NAO = next(n for n, line in enumerate(NAO_LINES) if line.startswith(" -1 0 0 "))


def edited(lines: list[str], line: int, change: Callable[[str], str]) -> str:
    """The text with one line (1-based) changed."""
    return "\n".join([*lines[: line - 1], change(lines[line - 1]), *lines[line:]]) + "\n"


def without_last_word(text: str) -> str:
    return text.rsplit(maxsplit=1)[0]


DAMAGED_CSR = {
    "empty file": ("", None, "empty"),
    "binary file": ("\0\0\0", None, "binary"),
    "unknown header": (edited(SPARSE_LINES, 1, lambda _: "IONIC_STEP: 0"), 1, "not a header"),
    "header of two matrices": (edited(SPARSE_LINES, 3, lambda s: s.replace("H(R)", "S(R)")), 2, "not a header"),
    "truncated after a block": ("\n".join(SPARSE_LINES[:11]) + "\n", 12, "announces 5 lattice.* ends after 2"),
    "truncated inside a line": (SPARSE[: len(SPARSE) // 2], None, "truncated|Expected"),
    "missing block": ("\n".join(SPARSE_LINES[:7] + SPARSE_LINES[11:]) + "\n", None, "ends after 4"),
    "one block too many": (edited(SPARSE_LINES, 3, lambda s: s.replace("5", "4")), 20, "more data follow"),
    "block twice": (edited(SPARSE_LINES, 8, lambda s: s.replace("0 -1 1", "-1 0 0")), 8, "twice"),
    "value missing": (edited(SPARSE_LINES, 5, without_last_word), 5, r"Expected \d+ values of R = \(-1, 0, 0\)"),
    "value no number": (edited(SPARSE_LINES, 5, lambda s: s.replace("e", "x", 1)), 5, "Expected .* values"),
    "value not finite": (edited(SPARSE_LINES, 5, lambda s: without_last_word(s) + " nan"), 5, "not finite"),
    "column missing": (edited(SPARSE_LINES, 6, without_last_word), 6, "column indices"),
    "column outside": (edited(SPARSE_LINES, 6, lambda s: without_last_word(s) + " 99"), 5, "outside 0..13"),
    "pointer missing": (edited(SPARSE_LINES, 7, without_last_word), 7, "row pointers"),
    "pointers fall": (edited(SPARSE_LINES, 7, lambda s: " 5" + s.lstrip()[1:]), 7, "must rise"),
    "wrong count": (edited(SPARSE_LINES, 4, lambda s: s + "0"), 5, "Expected"),
    "negative count": (edited(SPARSE_LINES, 4, lambda _: "-1 0 0 -5"), 4, "cannot hold -5"),
    "block line no numbers": (edited(SPARSE_LINES, 4, lambda _: "R = 0"), 4, "Rx Ry Rz count"),
    "newer header without count": ("\n".join(NAO_LINES[:5] + NAO_LINES[6:]) + "\n", None, "Bravais lattice vector"),
    "newer header without title": ("\n".join([NAO_LINES[0], *NAO_LINES[2:]]) + "\n", 2, "Expected '# print"),
    "newer block without comment": (
        "\n".join(line for line in NAO_LINES if "column indices" not in line) + "\n", None, "comment|Expected",
    ),
    "newer truncated": ("\n".join(NAO_LINES[: FIRST_BLOCK_NAO + 4]) + "\n", None, "Expected .* values"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED_CSR)
def test_damaged_csr_text_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text, line, message = DAMAGED_CSR[name]
    path = tmp_path / "data-HR-sparse_SPIN0.csr"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message) as error:
        read_csr(path)
    assert str(path) in str(error.value)
    if line is not None:
        assert error.value.line == line


def test_compressed_file_cut_short_is_refused(tmp_path: Path) -> None:
    import lzma

    path = tmp_path / "data-HR-sparse_SPIN0.csr.xz"
    path.write_bytes(lzma.compress(SPARSE.encode())[:-30])
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_csr(path)


Change = Callable[[Path], object]
"""Something done to a calculation's folder."""


def rewrite(name: str, text: str) -> Change:
    return lambda run: (run / name).write_text(text)


def replace(name: str, old: str, new: str) -> Change:
    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return change


def remove(*names: str) -> Change:
    return lambda run: [(run / name).unlink() for name in names]


def all_of(*changes: Change) -> Change:
    return lambda run: [change(run) for change in changes]


H, S = "OUT.ABACUS/data-HR-sparse_SPIN0.csr", "OUT.ABACUS/data-SR-sparse_SPIN0.csr"
LOG, ISTATE = "OUT.ABACUS/running_scf.log", "OUT.ABACUS/istate.info"
NOT_HERMITIAN = dict(CASE.hamiltonians[0]) | {(1, 0, 0): CASE.hamiltonians[0][1, 0, 0] * 1.001}
LARGER = {r: np.pad(m, (0, 2)) for r, m in CASE.overlap.items()}

MIXED_UP = {
    "no overlap": (remove(S), "no S\\(R\\) file"),
    "overlap of another size": (rewrite(S, sparse_text("S", LARGER, 16)), "dimension 14, S\\(R\\).* has 16"),
    "overlap of another step": (replace(S, "STEP: 0", "STEP: 4"), "no S\\(R\\) of ionic step 0"),
    "Hamiltonian as overlap": (rewrite(S, SPARSE), "promises S\\(R\\), the header says H"),
    "overlap that is none": (rewrite(S, SPARSE.replace("H(R)", "S(R)")), "not the overlap of normalised"),
    "half a Hamiltonian": (rewrite(H, sparse_text("H", NOT_HERMITIAN, 14)), "not the adjoint"),
    "one block without its partner": (
        rewrite(H, sparse_text("H", {r: m for r, m in CASE.hamiltonians[0].items() if r != (1, 0, 0)}, 14)),
        "not the adjoint",
    ),
    "log with two spins": (rewrite(LOG, log_text(2)), "Spin mismatch: the run has nspin = 2"),
    "log with spinors": (rewrite(LOG, log_text(4)), "Spin mismatch: the run has nspin = 4"),
    "eigenvalues of two spins": (
        replace(ISTATE, " 0.5\n", " 0.5 1.0 0.5\n"), "2 spin directions, H\\(R\\) has 1",
    ),
    "only the second spin": (
        lambda run: (run / H).rename(run / H.replace("SPIN0", "SPIN1")), "first spin direction is missing",
    ),
    "unknown version": (replace(LOG, "v3.8.1", "v7.0"), "ABACUS 7.0 is not known"),
    "log of another code": (replace(LOG, "ABACUS", "SPHINX"), "not a running log of ABACUS"),
    "STRU of another run": (replace("STRU", "0.700000000000", "0.710000000000"), "Atom 3 lies at .* not the structure"),
    "STRU with other atoms": (
        all_of(replace("STRU", "\nC\n", "\nN\n"), replace("STRU", "C 12", "N 12")),
        "The run had C2 H1, this file has N2 H1",
    ),
    "orbitals of another element": (rewrite("C_2s1p.orb", orb_text("H")), "orbitals of H; STRU uses them for C"),
    "other orbitals": (rewrite("C_2s1p.orb", orb_text("C", [0, 1, 2])), "holds 1s1p1d; the run used 2s1p"),
    "matrix of other orbitals": (
        all_of(
            rewrite("H_1s1p.orb", orb_text("H", [0])),
            replace(LOG, "L=1, number of zeta = 1\n             number of atom for this type = 1",
                    "number of atom for this type = 1"),
        ),
        "dimension 14; C2H with the orbitals H 1s, C 2s1p has 11",
    ),
    "no orbitals at all": (
        all_of(remove("C_2s1p.orb", LOG), replace("STRU", "C_2s1p.orb", "carbon.orb")),
        "carbon.orb of C is not found",
    ),
    "no electrons": (remove(LOG), "number of electrons is not known"),
    "electrons no number": (
        all_of(remove(LOG), rewrite("INPUT", "INPUT_PARAMETERS\nnelec many\n")), "nelec in INPUT must be a number",
    ),
    "no structure": (remove(LOG, "STRU"), "Neither a STRU file nor a running log"),
    "log without structure": (
        all_of(remove("STRU"), replace(LOG, "DIRECT COORDINATES", "")), "no STRU file",
    ),
    "positions of a step unknown": (
        all_of(replace(S, "STEP: 0", "STEP: 3"), replace(H, "STEP: 0", "STEP: 3")),
        "positions of ionic step 3 are not known",
    ),
    "both generations of files": (rewrite("OUT.ABACUS/hrs1_nao.csr", NAO), "hold the same matrix"),
    "step twice": (rewrite(H, SPARSE + SPARSE), "Ionic step 0 occurs twice"),
    "no matrices": (remove(H, S), "out_mat_hs2 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED_UP)
def test_files_that_do_not_belong_together_are_refused(tmp_path: Path, name: str) -> None:
    change, message = MIXED_UP[name]
    run = write_case(tmp_path / "run", CASE)
    change(run)
    with pytest.raises(FileFormatError, match=message) as error:
        read(run)
    assert str(run) in str(error.value)


def test_header_of_another_structure_is_refused(tmp_path: Path) -> None:
    run = write_case(tmp_path / "run", CASE, "nao")
    replace("OUT.ABACUS/srs1_nao.csr", " 2 1\n", " 1 2\n")(run)
    with pytest.raises(FileFormatError, match="header's atoms are not those of STRU"):
        read(run)
    replace("OUT.ABACUS/srs1_nao.csr", " 1 2\n", " 1 1\n")(run)
    with pytest.raises(FileFormatError, match="counts 2 atoms and lists 3"):
        read(run)


def test_complex_spinor_overlap_with_spin_coupling_is_refused(tmp_path: Path) -> None:
    case = Case(4)
    run = write_case(tmp_path / "run", case)
    coupled = {r: m.copy() for r, m in case.overlap.items()}
    coupled[0, 0, 0][0, 1] = coupled[0, 0, 0][1, 0] = 0.1
    (run / S).write_text(sparse_text("S", coupled, case.size, force_complex=True))
    with pytest.raises(FileFormatError, match="not the spatial overlap times"):
        read(run)


def test_complex_matrix_with_second_spin_is_refused(tmp_path: Path) -> None:
    run = write_case(tmp_path / "run", Case(4))
    (run / H.replace("SPIN0", "SPIN1")).write_bytes((run / H).read_bytes())
    with pytest.raises(FileFormatError, match="cannot go together"):
        read(run)


def test_folder_with_several_outputs_asks_for_one(tmp_path: Path) -> None:
    run = write_case(tmp_path / "run", CASE)
    (run / "OUT.two").mkdir()
    (run / "OUT.two" / "running_scf.log").write_text(log_text())
    with pytest.raises(FileFormatError, match=re.escape("found OUT.ABACUS, OUT.two")):
        read(run)
    with pytest.raises(FileFormatError, match="found none"):
        read(tmp_path)
    with pytest.raises(FileFormatError, match="no such file or folder"):
        read(tmp_path / "absent")
    with pytest.raises(FileFormatError, match="not one of ABACUS's"):
        read(run / "STRU")


def test_gamma_run_with_a_missing_or_wrong_matrix_is_refused(tmp_path: Path) -> None:
    run = write_case(tmp_path / "run", CASE)
    remove(H, S)(run)
    (run / "OUT.ABACUS" / "kpoints").write_text(kpoints_text(np.zeros((1, 3))))
    (run / "OUT.ABACUS" / "data-0-H").write_text("1 0.5\n")
    with pytest.raises(FileFormatError, match="Not all files"):
        read(run)
    (run / "OUT.ABACUS" / "data-0-S").write_text("1 1.0\n")
    with pytest.raises(FileFormatError, match="dimension 1; STRU and orbitals give 14"):
        read(run)


EIG = " spin={} k-point={}/2 Cartesian=0 0 0 (9 plane wave)\n"

DAMAGED_FILES = {
    "dense matrix": (read_dense, "3 1 2 3 4 5\n", "has 6 numbers .* got 5"),
    "dense matrix without numbers": (read_dense, "data\n", "matrix dimension"),
    "orbital header": (read_orb, "Element C\n", "not an ABACUS orbital file"),
    "orbital table": (read_orb, orb_text("C")[:-80], "must have 51 values; got 4"),
    "orbital missing": (read_orb, orb_text("C").rsplit("Type", 1)[0], "announces 3 orbitals; 2 tables"),
    "orbital order": (read_orb, orb_text("C", [1, 0, 0]), "out of order"),
    "orbital counts": (read_orb, orb_text("C").replace("Sorbital-->       2", "Sorbital-->       1")
                       .replace("Porbital-->       1", "Porbital-->       2"), "announces 1s2p; the tables hold 2s1p"),
    "orbital head of table": (read_orb, orb_text("C").replace("0                   1    ", "x  1  "), "three integers"),
    "pseudopotential": (read_z_valence, "<UPF>\n", "z_valence"),
    "STRU without species": (read_stru, stru_text().replace("ATOMIC_SPECIES", ""), "ATOMIC_SPECIES is missing"),
    "STRU without vectors": (read_stru, stru_text().replace("LATTICE_VECTORS", "LATTICE_PARAMETERS"), "latname"),
    "STRU with unknown positions": (read_stru, stru_text().replace("Direct", "Cartesian_angstrom_center_yx"), "kind"),
    "STRU with a word": (read_stru, stru_text().replace("0.400000000000", "left"), "Expected numbers"),
    "STRU with a short line": (read_stru, stru_text().replace("0.100000000000 0.600000000000 1 1 1", ""), "3 numbers"),
    "STRU with too few atoms": (read_stru, stru_text().replace("\n1\n", "\n4\n"), "H has 4 atoms; 1 follow"),
    "STRU with a missing species": (read_stru, stru_text().split("\nH\n0.00")[0], "no atoms of H"),
    "STRU with an unknown species": (read_stru, stru_text().replace("\nH\n0.00", "\nHe\n0.00"), "Expected a species"),
    "k-points": (read_kpoints, "no table\n", "K-POINTS DIRECT"),
    "eigenvalue line": (read_istate, "BAND Kpoint = 1 (0 0 0)\n 1 2\n", "Expected 'band energy"),
    "eigenvalue word": (read_istate, "BAND Kpoint = 1 (0 0 0)\n 1 a 2\n", "not a number"),
    "eigenvalues truncated": (
        read_istate, "BAND Kpoint = 1 (0 0 0)\n 1 2.5 2\n 2 3.5 0\nBAND Kpoint = 2 (0 0 0)\n 1 2.5 2\n", "different",
    ),
    "eigenvalues of mixed spin": (
        read_istate, "BAND Kpoint = 1 (0 0 0)\n 1 2.5 2\n 2 3.5 0 4.5 0\n", "one spin, others two",
    ),
    "bands and k-points": (lambda p: read_bands([p], KPOINTS), "1 0.0 1.5\n 2 0.1 1.5\n", "3 k-points; got 2"),
    "newer eigenvalue line": (lambda p: read_eig(p, np.eye(3)), EIG.format(1, 1) + " 1 2\n", "Expected 'band"),
    "newer eigenvalues of a step": (lambda p: read_eig(p, np.eye(3), 4), EIG.format(1, 1) + " 1 2 1\n", "step 5"),
    "newer eigenvalues without a spin": (
        lambda p: read_eig(p, np.eye(3)),
        "".join(EIG.format(s, k) + " 1 2 1\n" for s, k in ((1, 1), (1, 2), (2, 1))), "lack a spin",
    ),
    "MD dump constant": (
        read_md_dump, "MDSTEP:  0\nLATTICE_CONSTANT: x Angstrom\nV\n1 0 0\n0 1 0\n0 0 1\nINDEX\n 0 C 0 0 0\n",
        "lattice constant",
    ),
    "orbital spacing": (read_orb, orb_text("C").replace("dr                     0.1", "dr  x"), "mesh spacing"),
    "MD dump": (read_md_dump, "MDSTEP:  0\nLATTICE_CONSTANT: 1 Angstrom\n", "Expected a lattice constant"),
    "log": (read_log, "\n", "not a running log"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_damaged_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    reader, text, message = DAMAGED_FILES[name]
    path = tmp_path / "damaged"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message) as error:
        reader(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("label", ["carbon", "Qq1"])
def test_species_label_that_is_no_element_is_refused(tmp_path: Path, label: str) -> None:
    (tmp_path / "STRU").write_text(stru_text().replace("\nC\n", f"\n{label}\n").replace("C 12", f"{label} 12"))
    with pytest.raises(FileFormatError, match="does not start with an element symbol"):
        _ = read_stru(tmp_path / "STRU").numbers


def test_two_species_of_one_element_with_different_orbitals_are_refused(tmp_path: Path) -> None:
    run = write_case(tmp_path / "run", CASE)
    text = stru_text(orbitals=("C_2s1p.orb", "C2_1s1p.orb"))
    (run / "STRU").write_text(text.replace("\nH\n", "\nC2\n").replace("H 1.008", "C2 12.011"))
    (run / "C2_1s1p.orb").write_text(orb_text("H").replace("Element                     H", "Element  C"))
    (run / LOG).write_text(log_text().replace("atom label = H", "atom label = C2"))
    with pytest.raises(FileFormatError, match="Two species of C have different orbitals"):
        read(run)

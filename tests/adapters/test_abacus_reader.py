"""ABACUS reader on invented calculations: layouts, order and sign of orbitals, spin, folding, steps, logs."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from harmose_dft.adapters.abacus import read, recognise, write_hr
from harmose_dft.adapters.abacus.constants import EV_IN_HARTREE
from harmose_dft.adapters.abacus.dense import read_dense
from harmose_dft.adapters.abacus.eigenvalues import printed_precision, read_bands, read_eig, read_kpoints, snap
from harmose_dft.adapters.abacus.orbitals import read_orb, read_z_valence
from harmose_dft.adapters.abacus.stru import read_stru
from harmose_dft.core.basis import NumericalRadial
from harmose_dft.core.errors import FileFormatError
from harmose_dft.core.record import Record
from harmose_dft.testing.abacus import (
    ATOMS,
    CONSTANT,
    FOLDED,
    FRACTIONAL,
    KPOINTS,
    RYDBERG_EV,
    SHELLS,
    SHIFTS,
    VECTORS,
    Case,
    istate_text,
    kpoints_text,
    log_text,
    nao_text,
    orb_text,
    sparse_text,
    stru_text,
    write_case,
)

OURS_FROM_ABACUS = {"C": [(0, 1), (1, 1), (4, -1), (2, 1), (3, -1)], "H": [(0, 1), (3, -1), (1, 1), (2, -1)]}
"""Our orbital (s, then p = y, z, x) -> (ABACUS's local index, sign), as its p is (z, -x, -y)."""


def in_our_order(dense: np.ndarray, nspin: int) -> np.ndarray:
    """A dense matrix of ABACUS in our order, spin blocks [[uu, ud], [du, dd]] for spinors; written as plain loops."""
    index, sign, offset = [], [], 0
    for atom in ATOMS:
        for local, s in OURS_FROM_ABACUS[atom]:
            index.append(offset + local)
            sign.append(s)
        offset += len(OURS_FROM_ABACUS[atom])
    if nspin == 4:
        index = [2 * i + spin for spin in (0, 1) for i in index]
        sign = sign * 2
    return dense[np.ix_(index, index)] * np.outer(sign, sign)


def assert_is_case(record: Record, case: Case) -> None:
    """All matrices of the record at k-points, and the structure, against the invented numbers."""
    assert len(record.hamiltonian) == len(case.hamiltonians)
    for k in KPOINTS:
        for ours, theirs in zip(record.hamiltonian, case.hamiltonians, strict=True):
            expected = in_our_order(case.at(theirs, k), case.nspin) / 2
            np.testing.assert_allclose(ours.at(k), expected, atol=1e-14)
        overlap = record.overlap.with_spin() if record.spinor else record.overlap
        np.testing.assert_allclose(overlap.at(k), in_our_order(case.at(case.overlap, k), case.nspin), atol=1e-14)
    np.testing.assert_allclose(record.structure.cell, CONSTANT * VECTORS, rtol=1e-12)
    np.testing.assert_allclose(record.structure.positions, FOLDED @ (CONSTANT * VECTORS), atol=1e-9)
    assert record.structure.symbols == ATOMS


@pytest.mark.parametrize("layout", ["2.x", "sparse", "nao"])
@pytest.mark.parametrize("nspin", [1, 2, 4])
def test_every_layout_and_spin_gives_the_matrices_in_our_order(tmp_path: Path, layout: str, nspin: int) -> None:
    case = Case(nspin)
    (record,) = read(write_case(tmp_path / "run", case, layout))
    assert_is_case(record, case)
    assert record.nspin == nspin
    assert record.provenance["nspin"] == str(nspin)


def test_eigenvalues_of_the_file_are_those_of_the_record(tmp_path: Path) -> None:
    (record,) = read(write_case(tmp_path / "run", Case(2)))
    (listed,) = record.eigenvalues
    np.testing.assert_allclose(listed.kpoints, KPOINTS, atol=1e-15)
    for spin, h in enumerate(record.hamiltonian):
        for k, energies in zip(listed.kpoints, listed.energies[spin], strict=True):
            ours = scipy.linalg.eigh(h.at(k), record.overlap.at(k), eigvals_only=True)
            np.testing.assert_allclose(ours, energies, atol=1.01 * listed.precision)


def test_log_states_version_electrons_fermi_level_and_energy(tmp_path: Path) -> None:
    (record,) = read(write_case(tmp_path / "run", Case()))
    assert record.provenance["code"] == "ABACUS"
    assert record.provenance["version"] == "3.8.1"
    assert record.provenance["functional"] == "PBE"
    assert record.n_electrons == 9
    assert record.structure.charge == 0
    assert record.fermi == pytest.approx(2.5 / RYDBERG_EV / 2, rel=1e-12)
    assert record.energy == pytest.approx(-321.25 / RYDBERG_EV / 2, rel=1e-12)


def test_record_says_what_was_found(tmp_path: Path) -> None:
    (record,) = read(write_case(tmp_path / "run", Case()))
    found = record.provenance["found"]
    assert "ABACUS 3.8.1, PBE, nspin 1" in found
    assert "eigenvalues at 3 k-points (istate.info)" in found
    assert "data-HR-sparse_SPIN0.csr" in record.provenance["source"]


def test_pairs_that_only_one_matrix_has_are_kept_in_both(tmp_path: Path) -> None:
    """S of the case has no blocks at (+-1, 0, 0); H has."""
    (record,) = read(write_case(tmp_path / "run", Case()))
    (h,) = record.hamiltonian
    np.testing.assert_array_equal(h.pairs, record.overlap.pairs)
    np.testing.assert_array_equal(h.shifts, record.overlap.shifts)
    assert [1, 0, 0] in h.shifts.tolist()
    assert record.provenance["pair_support"] == "union of 45 pairs: H has 45, S has 27"


def test_compressed_files_are_read_as_they_are(tmp_path: Path) -> None:
    case = Case()
    folder = write_case(tmp_path / "run", case)
    for name in ("data-HR-sparse_SPIN0.csr", "data-SR-sparse_SPIN0.csr", "istate.info", "running_scf.log"):
        path = folder / "OUT.ABACUS" / name
        path.with_name(name + ".xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()
    (record,) = read(folder)
    assert_is_case(record, case)
    assert record.eigenvalues[0].source == "istate.info"


def test_calculation_is_found_from_its_folder_its_output_or_its_matrix(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "run", Case())
    out = folder / "OUT.ABACUS"
    for path in (folder, out, out / "data-HR-sparse_SPIN0.csr"):
        assert recognise(path)
        assert len(read(path)[0].hamiltonian) == 1
    for path in (tmp_path, out / "istate.info", folder / "STRU", tmp_path / "nothing"):
        assert not recognise(path)


def test_overlap_file_alone_is_an_overlap_only_record(tmp_path: Path) -> None:
    folder = write_case(tmp_path / "run", Case(4))
    (record,) = read(folder / "OUT.ABACUS" / "data-SR-sparse_SPIN0.csr")
    assert record.hamiltonian == ()
    assert record.overlap.values.dtype == np.float64


@pytest.mark.parametrize("name", ["SR.csr", "sr_nao.csr", "srs1_nao.csr"])
def test_names_of_overlap_only_runs_are_known(tmp_path: Path, name: str) -> None:
    case = Case()
    folder = write_case(tmp_path / "run", case)
    out = folder / "OUT.ABACUS"
    for old in out.glob("data-*"):
        old.unlink()
    text = sparse_text if name == "SR.csr" else nao_text
    (out / name).write_text(text("S", case.overlap, case.size))
    (record,) = read(folder)
    assert record.hamiltonian == ()
    np.testing.assert_allclose(record.overlap.at(KPOINTS[1]), in_our_order(case.at(case.overlap, KPOINTS[1]), 1))


def md_dump(steps: int) -> str:
    """MD_dump in Angstrom; in step n every atom is moved by n/100 along the first lattice vector, across the border."""
    text = ""
    for n in range(steps):
        text += f"MDSTEP:  {n}\nLATTICE_CONSTANT: {CONSTANT * 0.5291770:.12f} Angstrom\nLATTICE_VECTORS\n"
        text += "".join(" ".join(f"{x:.12f}" for x in v) + "\n" for v in VECTORS)
        text += "INDEX    LABEL    POSITION (Angstrom)    FORCE (eV/Angstrom)\n"
        moved = (np.add(FRACTIONAL, [n / 100, 0, 0])) @ VECTORS * CONSTANT * 0.5291770
        for i, (atom, p) in enumerate(zip(ATOMS, moved, strict=True)):
            text += f"  {i}  {atom}  {p[0]:.12f}  {p[1]:.12f}  {p[2]:.12f}  0.0  0.0  0.0\n"
        text += "\n\n"
    return text


@pytest.mark.parametrize("kind", ["appended", "matrix folder", "nao appended", "nao files"])
def test_steps_of_molecular_dynamics_become_records(tmp_path: Path, kind: str) -> None:
    cases = [Case(seed=n) for n in range(3)]
    layout = "nao" if kind.startswith("nao") else "sparse"
    folder = write_case(tmp_path / "run", cases[0], layout)
    out = folder / "OUT.ABACUS"
    for old in (*out.glob("*.csr"), out / "running_scf.log"):
        old.unlink()
    (out / "MD_dump").write_text(md_dump(3))
    (out / "running_md.log").write_text(log_text(steps=3))
    (out / "istate.info").write_text(istate_text(cases[2]))
    write = nao_text if layout == "nao" else sparse_text
    moved = [np.mod(np.add(FRACTIONAL, [n / 100, 0, 0]), 1) for n in range(3)]
    for label in "HS":
        matrices = [c.hamiltonians[0] if label == "H" else c.overlap for c in cases]
        more = [{"fractional": p} if layout == "nao" else {} for p in moved]
        texts = [write(label, m, cases[0].size, n, **more[n]) for n, m in enumerate(matrices)]
        if kind == "matrix folder":
            (out / "matrix").mkdir(exist_ok=True)
            for n, text in enumerate(texts):
                (out / "matrix" / f"{n}_data-{label}R-sparse_SPIN0.csr").write_text(text)
        elif kind == "nao files":
            for n, text in enumerate(texts):
                (out / f"{label.lower()}rs1g{n + 1}_nao.csr").write_text(text)
        else:
            name = f"{label.lower()}rs1_nao.csr" if layout == "nao" else f"data-{label}R-sparse_SPIN0.csr"
            (out / name).write_text("".join(texts))
    records = read(folder)
    assert [r.provenance["step"] for r in records] == ["0", "1", "2"]
    for n, (record, case) in enumerate(zip(records, cases, strict=True)):
        expected = in_our_order(case.at(case.hamiltonians[0], KPOINTS[2]), 1) / 2
        np.testing.assert_allclose(record.hamiltonian[0].at(KPOINTS[2]), expected, atol=1e-14)
        np.testing.assert_allclose(record.structure.positions, moved[n] @ (CONSTANT * VECTORS), atol=1e-8)
        assert record.fermi == pytest.approx((1.0 + n) * EV_IN_HARTREE)
        assert len(record.eigenvalues) == (1 if n == 2 else 0)
    if kind == "matrix folder":
        (one,) = read(out / "matrix" / "1_data-HR-sparse_SPIN0.csr")
        np.testing.assert_array_equal(one.hamiltonian[0].values, records[1].hamiltonian[0].values)


def test_steps_of_a_cell_relaxation_whose_cells_no_file_states_are_refused(tmp_path: Path) -> None:
    """The log repeats the positions of each step in a cell that moves; CSR headers of newer versions state both."""
    case = Case()
    folder = write_case(tmp_path / "run", case)
    out = folder / "OUT.ABACUS"
    log = (out / "running_scf.log").read_text()
    table = log[log.index("DIRECT COORDINATES") : log.index(" Lattice vectors")]
    (out / "running_scf.log").unlink()
    (out / "running_cell-relax.log").write_text(log + "\n" + table)
    assert len(read(folder)) == 1
    for label, matrix in (("H", case.hamiltonians[0]), ("S", case.overlap)):
        text = "".join(sparse_text(label, matrix, case.size, n) for n in range(2))
        (out / f"data-{label}R-sparse_SPIN0.csr").write_text(text)
    with pytest.raises(FileFormatError, match="cell of ionic step 1 of this cell relaxation is not known"):
        read(folder)


def test_run_without_stru_takes_the_structure_from_the_log(tmp_path: Path) -> None:
    case = Case()
    folder = write_case(tmp_path / "run", case)
    (folder / "STRU").unlink()
    for orb in folder.glob("*.orb"):
        orb.unlink()
    (record,) = read(folder)
    assert_is_case(record, case)
    assert all(shell.radial is None for z in record.basis.elements for shell in record.basis.shells[z])


def test_run_without_log_counts_electrons_from_pseudopotentials(tmp_path: Path) -> None:
    case = Case()
    folder = write_case(tmp_path / "run", case)
    (folder / "OUT.ABACUS" / "running_scf.log").unlink()
    (folder / "C.upf").write_text('<UPF version="2.0.1">\n<PP_HEADER element="C" z_valence="    4.00"/>\n')
    (folder / "H.upf").write_text("    1.00000000000      Z valence\n")
    (record,) = read(folder)
    assert_is_case(record, case)
    assert record.n_electrons == 9
    for keyword, electrons in (("nelec_delta -0.5", 8.5), ("nelec 7", 7)):
        (folder / "INPUT").write_text(f"INPUT_PARAMETERS\n{keyword}\n")
        assert read(folder)[0].n_electrons == electrons
    assert read_z_valence(folder / "H.upf") == 1


def test_orbital_file_becomes_shells_with_their_tables(tmp_path: Path) -> None:
    path = tmp_path / "C.orb"
    path.write_text(orb_text("C"))
    element, shells = read_orb(path)
    assert element == "C"
    assert [s.l for s in shells] == SHELLS["C"]
    radial = shells[2].radial
    assert isinstance(radial, NumericalRadial)
    assert radial.cutoff == pytest.approx(5.0)
    np.testing.assert_allclose(radial.values, radial.r * np.exp(-3 * radial.r), rtol=1e-13)


@pytest.mark.parametrize(("kind", "factor"), [("Cartesian", CONSTANT), ("Cartesian_au", 1.0),
                                              ("Cartesian_angstrom", 1 / 0.5291770)])  # fmt: skip
def test_stru_positions_of_every_kind_are_one_structure(tmp_path: Path, kind: str, factor: float) -> None:
    cartesian = FRACTIONAL @ VECTORS * CONSTANT / factor
    (tmp_path / "STRU").write_text(stru_text(cartesian).replace("Direct", kind))
    stru = read_stru(tmp_path / "STRU")
    np.testing.assert_allclose(stru.fractional, FRACTIONAL, atol=1e-11)
    assert (stru.labels, stru.counts) == (("C", "H"), (2, 1))
    assert stru.pseudopotentials == ("C.upf", "H.upf")


def test_atom_on_the_cell_border_is_folded_as_the_code_did(tmp_path: Path) -> None:
    """-1e-13 rounds to 0.0000000000 or to 1.0000000000 in the log; the log decides which image was meant."""
    folder = write_case(tmp_path / "run", Case())
    on_border = FRACTIONAL.copy()
    on_border[2, 0] = 0.0
    (folder / "STRU").write_text(stru_text(on_border))
    log = folder / "OUT.ABACUS" / "running_scf.log"
    original = log.read_text()
    for printed in (0.0, 1.0):
        log.write_text(original.replace("0.7000000000", f"{printed:.10f}"))
        (record,) = read(folder)
        fractional = record.structure.positions[2] @ np.linalg.inv(CONSTANT * VECTORS)
        assert fractional[0] == pytest.approx(printed, abs=1e-12)


def test_dense_matrix_of_a_k_point_is_unpacked_from_its_upper_triangle(tmp_path: Path) -> None:
    (tmp_path / "data-0-H").write_text("2 1.5 -0.25\n 3.0\n")
    np.testing.assert_array_equal(read_dense(tmp_path / "data-0-H"), [[1.5, -0.25], [-0.25, 3.0]])
    (tmp_path / "data-1-H").write_text("2 (1.5,0) (0.5,-0.25)\n (3.0,0)\n")
    np.testing.assert_array_equal(read_dense(tmp_path / "data-1-H"), [[1.5, 0.5 - 0.25j], [0.5 + 0.25j, 3.0]])


def packed(dense: np.ndarray) -> str:
    """Upper triangle as ``out_mat_hs 1`` writes it."""
    size = len(dense)
    lines = [" ".join(f"{x:.12g}" if not isinstance(x, complex) else f"({x.real:.12g},{x.imag:.12g})"
                      for x in dense[i, i:].tolist()) for i in range(size)]  # fmt: skip
    return f"{size} " + "\n ".join(lines) + "\n"


@pytest.mark.parametrize("nspin", [1, 2, 4])
def test_gamma_run_without_lattice_resolution_is_read_from_dense_matrices(tmp_path: Path, nspin: int) -> None:
    case = Case(nspin)
    folder = write_case(tmp_path / "run", case)
    out = folder / "OUT.ABACUS"
    for old in (*out.glob("*.csr"), out / "istate.info"):
        old.unlink()
    (out / "kpoints").write_text(kpoints_text(np.zeros((1, 3))))
    gamma = np.zeros(3)
    for spin, h in enumerate(case.hamiltonians):
        dense = case.at(h, gamma)
        (out / f"data-{spin}-H").write_text(packed(dense if nspin == 4 else dense.real))
    (out / "data-0-S").write_text(packed(case.at(case.overlap, gamma).real))
    (record,) = read(folder)
    for ours, theirs in zip(record.hamiltonian, case.hamiltonians, strict=True):
        np.testing.assert_allclose(ours.at(gamma), in_our_order(case.at(theirs, gamma), nspin) / 2, atol=1e-11)
    pair = record.overlap.find(np.array([[0, 1]]), np.array([[1, 0, 0]]))
    assert pair[0] >= 0, "C1 lies at x = 0.97, C2 at 0.4: the nearest image of C2 is that in the next cell"


def test_gamma_only_note_of_the_newer_header_moves_blocks_to_the_nearest_image(tmp_path: Path) -> None:
    """Newest ABACUS sums all R into (0, 0, 0) with gamma_only 1 and says so in the header."""
    case = Case()
    gamma = np.zeros(3)
    folder = write_case(tmp_path / "run", case, "nao")
    note = "# representation: gamma-only folded matrix; stored R-space contributions are summed into R = (0, 0, 0)\n"
    sums = {"H": {(0, 0, 0): case.at(case.hamiltonians[0], gamma).real}, "S": {(0, 0, 0): np.eye(case.size)}}
    sums["S"][0, 0, 0][0, 7] = sums["S"][0, 0, 0][7, 0] = 0.125
    for label, matrix in sums.items():
        text = nao_text(label, matrix, case.size).replace("\n #----", f"\n{note}\n #----", 1)
        (folder / "OUT.ABACUS" / f"{label.lower()}rs1_nao.csr").write_text(text)
    (record,) = read(folder)
    expected = in_our_order(sums["H"][0, 0, 0], 1) / 2
    np.testing.assert_allclose(record.hamiltonian[0].at(gamma), expected, atol=1e-8)
    assert record.overlap.find(np.array([[0, 1]]), np.array([[1, 0, 0]]))[0] >= 0
    assert "nearest image" in record.provenance["found"]


def test_k_points_that_were_rounded_become_the_fractions_they_were() -> None:
    words = [["0.333333", "-0.166667", "0.123457"]]
    np.testing.assert_array_equal(snap(words), [[1 / 3, -1 / 6, 0.123457]])


def test_precision_is_half_a_unit_of_the_last_digit_of_the_largest_number() -> None:
    assert printed_precision(["-69.4631", "5", "0"]) == pytest.approx(0.5e-4)
    assert printed_precision(["-66.96147973", "9.72821875"]) == pytest.approx(0.5e-8)


def test_band_file_and_its_k_points_are_eigenvalues(tmp_path: Path) -> None:
    (tmp_path / "kpoints").write_text(kpoints_text(KPOINTS[:2]))
    (tmp_path / "BANDS_1.dat").write_text("   1 0.00000000 -1.25000000 2.5\n   2 0.10000000 -1.0 2.75000000\n")
    bands = read_bands([tmp_path / "BANDS_1.dat"], read_kpoints(tmp_path / "kpoints"))
    np.testing.assert_allclose(bands.energies / EV_IN_HARTREE, [[[-1.25, 2.5], [-1.0, 2.75]]])
    np.testing.assert_array_equal(bands.kpoints, KPOINTS[:2])


def test_newer_eigenvalue_file_gives_fractional_k_points_and_the_step(tmp_path: Path) -> None:
    """Layout of ``eig_occ.txt`` after the code's documentation; k-points are Cartesian in 2 pi / lattice constant."""
    text = ""
    for step in (1, 2):
        text += f"{step}     # ionic step\n Electronic state energy (eV) and occupations\n Spin number 2\n"
        for spin in (1, 2):
            for n, k in enumerate(KPOINTS @ np.linalg.inv(VECTORS).T, start=1):
                cartesian = " ".join(f"{x:.8f}" for x in k)
                text += f" spin={spin} k-point={n}/3 Cartesian={cartesian} (99 plane wave)\n"
                text += f" 1 {-10.0 * step + spin:.10f} 1.0\n 2 {n + 0.5:.10f} 0.0\n\n"
    (tmp_path / "eig_occ.txt").write_text(text)
    for step in (0, 1):
        listed = read_eig(tmp_path / "eig_occ.txt", VECTORS, step)
        np.testing.assert_allclose(listed.kpoints, KPOINTS, atol=1e-7)
        np.testing.assert_allclose(listed.energies[:, 0, 0] / EV_IN_HARTREE, np.array([1, 2]) - 10.0 * (step + 1))


def test_shifts_of_the_case_are_closed_under_inversion() -> None:
    assert {tuple(-x for x in s) for s in SHIFTS} == set(SHIFTS)


def test_start_file_beside_the_out_folder_does_not_hide_the_calculation(tmp_path: Path) -> None:
    """``harmose-dft seed`` writes hrs1_nao.csr where ABACUS is started; the results are in OUT.ABACUS all the same."""
    folder = write_case(tmp_path / "run", Case(1))
    (record,) = read(folder)
    write_hr(record, folder)
    (again,) = read(folder)
    assert again.provenance["source"] == record.provenance["source"]
    np.testing.assert_array_equal(again.hamiltonian[0].values, record.hamiltonian[0].values)

"""A small invented ABACUS calculation, written by plain loops after the formats' documentation.

Nothing here is output of ABACUS, and nothing is shared with the reader under test. Two C (2s1p) and one H (1s1p) in a
skew cell, one C outside the cell; H(R) and S(R) are random with the symmetry H(R) = H(-R)^+.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg

from ..core.basis import NumericalRadial, Shell
from ..core.record import Record

BOHR_ANGSTROM = 0.5291770
"""As ABACUS prints it."""

RYDBERG_EV = 13.605698
"""ABACUS's own constant, typed here independently of the package."""

SHELLS = {"C": [0, 0, 1], "H": [0, 1]}
"""Angular momenta: C 2s1p, H 1s1p."""

ATOMS = ["C", "C", "H"]
FRACTIONAL = np.array([[-0.03, 0.2, 0.3], [0.4, 0.55, 1.1], [0.7, 0.1, 0.6]])
"""As written in STRU; the first two are folded by (1, 0, 0) and (0, 0, -1)."""

FOLDED = np.array([[0.97, 0.2, 0.3], [0.4, 0.55, 0.1], [0.7, 0.1, 0.6]])
CONSTANT = 2.0
VECTORS = np.array([[4.0, 0.0, 0.0], [0.5, 4.5, 0.0], [0.2, 0.3, 5.0]])
SHIFTS = [(-1, 0, 0), (0, -1, 1), (0, 0, 0), (0, 1, -1), (1, 0, 0)]
KPOINTS = np.array([[0.0, 0.0, 0.0], [0.25, 0.0, 0.5], [1 / 3, 1 / 3, 0.0]])


@dataclass
class Case:
    """Matrices in ABACUS's order and units: shift -> dense, rounded to the printed digits.

    Args:
        nspin: 1, 2 or 4.
        seed: Of the random numbers.
    """

    nspin: int = 1
    seed: int = 0
    size: int = field(init=False)
    hamiltonians: list[dict[tuple[int, ...], np.ndarray]] = field(init=False)
    overlap: dict[tuple[int, ...], np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        spatial = sum(2 * l + 1 for a in ATOMS for l in SHELLS[a])
        self.size = spatial * (2 if self.nspin == 4 else 1)
        self.hamiltonians = [self._hermitian(rng, self.size, 1.0) for _ in range(2 if self.nspin == 2 else 1)]
        overlap = {r: m.real for r, m in self._hermitian(rng, spatial, 0.02, real=True).items()}
        overlap[0, 0, 0][np.diag_indices(spatial)] = 1.0
        del overlap[-1, 0, 0], overlap[1, 0, 0]
        self.overlap = {r: np.kron(m, np.eye(2)) if self.nspin == 4 else m for r, m in overlap.items()}

    def _hermitian(
        self, rng: np.random.Generator, size: int, scale: float, real: bool = False
    ) -> dict[tuple[int, ...], np.ndarray]:
        complex_values = self.nspin == 4 and not real
        out: dict[tuple[int, ...], np.ndarray] = {}
        for shift in SHIFTS:
            block = scale * rng.normal(size=(size, size))
            if complex_values:
                block = block + 1j * scale * rng.normal(size=(size, size))
            block = np.where(rng.random((size, size)) < 0.3, 0.0, block)
            out[shift] = np.vectorize(lambda v: complex(f"{v:.8e}") if complex_values else float(f"{v:.8e}"))(block)
        for shift in SHIFTS:
            minus = tuple(-x for x in shift)
            out[minus] = out[shift].conj().T.copy()
        half = out[0, 0, 0]
        out[0, 0, 0] = np.triu(half, 1) + np.triu(half, 1).conj().T + np.diag(np.diag(half).real)
        return out

    def at(self, matrix: dict[tuple[int, ...], np.ndarray], k: np.ndarray) -> np.ndarray:
        """sum_R exp(2 pi i k.R) A(R)."""
        return np.asarray(sum(np.exp(2j * np.pi * np.dot(k, r)) * m for r, m in matrix.items()))

    def energies(self, spin: int, k: np.ndarray) -> np.ndarray:
        """Eigenvalues in eV."""
        h, s = self.at(self.hamiltonians[spin], k), self.at(self.overlap, k)
        return np.asarray(scipy.linalg.eigh(h, s, eigvals_only=True) * RYDBERG_EV)


def number(value: complex) -> str:
    """A matrix element as printed."""
    if isinstance(value, complex):
        return f"({value.real:.8e},{value.imag:.8e})"
    return f"{value:.8e}"


def blocks(
    matrix: dict[tuple[int, ...], np.ndarray], size: int, *, marked: bool = False, wrap: bool = False,
    empty: tuple[tuple[int, ...], ...] = (), force_complex: bool = False,
) -> tuple[int, list[str]]:  # fmt: skip
    """Number of lattice vectors and the lines of their blocks; ``empty`` lattice vectors hold no element."""
    lines: list[str] = []
    for shift in sorted({*matrix, *empty}):
        dense = matrix.get(shift)
        if dense is None:
            dense = np.zeros((size, size))
        stored = [(i, j) for i in range(size) for j in range(size) if dense[i, j] != 0]
        lines.append(f"{' ' if marked else ''}{shift[0]} {shift[1]} {shift[2]} {len(stored)}")
        values = [number(complex(dense[i, j]) if force_complex else dense[i, j].item()) for i, j in stored]
        pointers = [str(sum(1 for i, _ in stored if i < row)) for row in range(size + 1)]
        if not stored and not marked:
            continue
        for name, words, per_line in (
            ("values", values, 6), ("column indices", [str(j) for _, j in stored], 16), ("row pointers", pointers, 16),
        ):  # fmt: skip
            if marked:
                lines.append(f" # CSR {name}")
            step = per_line if wrap else max(len(words), 1)
            lines += [" " + " ".join(words[n : n + step]) for n in range(0, len(words), step)] or [""]
        if marked:
            lines.append("")
    return len({*matrix, *empty}), lines


def sparse_text(
    label: str, matrix: dict[tuple[int, ...], np.ndarray], size: int, step: int | None = 0, **more: Any
) -> str:
    """CSR text of 3.x (``step=None``: 2.x)."""
    count, lines = blocks(matrix, size, **more)
    head = [] if step is None else [f"STEP: {step}"]
    head += [f"Matrix Dimension of {label}(R): {size}", f"Matrix number of {label}(R): {count}"]
    return "\n".join(head + lines) + "\n"


def nao_text(
    label: str, matrix: dict[tuple[int, ...], np.ndarray], size: int, step: int = 0, spin: int = 0, spins: int = 1,
    fractional: np.ndarray = FOLDED, **more: Any,
) -> str:  # fmt: skip
    """CSR text of 3.9.0.25 and newer, after the code's migration guide."""
    count, lines = blocks(matrix, size, marked=True, wrap=True, **more)
    cell = [" user_defined_lattice", f" {CONSTANT * BOHR_ANGSTROM:.6g}"]
    cell += [" " + " ".join(f"{x:g}" for x in v) for v in VECTORS]
    cell += [" C H", " 2 1", " Direct"] + [" " + " ".join(f"{x:.15g}" for x in p) for p in fractional]
    head = [
        f" --- Ionic Step {step + 1} ---", f" # print {label} matrix in real space {label}(R)",
        f" {spins} # number of spin directions", f" {spin + 1} # spin index", f" {size} # number of localized basis",
        f" {count} # number of Bravais lattice vector R", "", *cell, "",
        " #" + 70 * "-" + "#", " #" + "CSR Format".center(70) + "#", " #" + 70 * "-" + "#", "",
    ]  # fmt: skip
    return "\n".join(head + lines) + "\n"


def stru_text(fractional: np.ndarray = FRACTIONAL, orbitals: tuple[str, str] = ("C_2s1p.orb", "H_1s1p.orb")) -> str:
    """A STRU file."""
    rows = [" ".join(f"{x:.12f}" for x in p) + " 1 1 1" for p in fractional]
    vectors = "\n".join(" ".join(f"{x:.12f}" for x in v) for v in VECTORS)
    return f"""ATOMIC_SPECIES
C 12.011 C.upf  # carbon
H 1.008 H.upf

NUMERICAL_ORBITAL
{orbitals[0]}
{orbitals[1]}

LATTICE_CONSTANT
{CONSTANT}  // Bohr

LATTICE_VECTORS
{vectors}

ATOMIC_POSITIONS
Direct

C
0.00
2
{rows[0]}
{rows[1]}

H
0.00
1
{rows[2]}
"""


def log_text(nspin: int = 1, version: str = "v3.8.1", steps: int = 0) -> str:
    """The lines of a running log that the reader looks at, in the form of 3.8.1."""
    atoms = "\n".join(
        f"taud_{a}{n}" + "".join(f"{x:20.10f}" for x in p) + "  0.0000"
        for n, (a, p) in enumerate(zip(ATOMS, FOLDED, strict=True), start=1)
    )
    vectors = "\n".join(" ".join(f"{x:+20.6g}" for x in v) for v in VECTORS)
    fermi = " EFERMI = {} eV\n !FINAL_ETOT_IS {} eV\n"
    runs = "".join(f" STEP OF MOLECULAR DYNAMICS : {n}\n" + fermi.format(1.0 + n, -100.0 - n) for n in range(steps))
    return f"""
                              ABACUS {version}

                  lattice constant (Bohr) = {CONSTANT}
 READING ATOM TYPE 1
                               atom label = C
                      L=0, number of zeta = 2
                      L=1, number of zeta = 1
             number of atom for this type = 2
 READING ATOM TYPE 2
                               atom label = H
                      L=0, number of zeta = 1
                      L=1, number of zeta = 1
             number of atom for this type = 1
DIRECT COORDINATES
    atom                   x                   y                   z     mag
{atoms}

 Lattice vectors: (Cartesian coordinate: in unit of a_0)
{vectors}
          exchange-correlation functional = PBE
       total electron number of element C = 8
       total electron number of element H = 1
            AUTOSET number of electrons:  = 9
                                    nspin = {nspin}
K-POINTS DIRECT COORDINATES
{runs or fermi.format(2.5, -321.25)}"""


def istate_text(case: Case) -> str:
    """istate.info as 3.8.1 prints it: k-points and two-spin energies with 6 significant digits."""
    lines = []
    for n, k in enumerate(KPOINTS, start=1):
        spins = [case.energies(s, k) for s in range(len(case.hamiltonians))]
        head = "Energy(ev)               Occupation" if len(spins) == 1 else "Spin up Energy(ev)  Occupation  Spin down"
        lines.append(f"BAND  {head}   Kpoint = {n}       ({' '.join(f'{x:.6g}' for x in k)})")
        for band in range(len(spins[0])):
            words = [f"{e[band]:.{16 if len(spins) == 1 else 6}g} 0.5" for e in spins]
            lines.append(f"  {band + 1}   " + "  ".join(words))
        lines += ["", ""]
    return "\n".join(lines)


def kpoints_text(kpoints: np.ndarray = KPOINTS) -> str:
    """A kpoints file."""
    rows = [f"{n:8d}" + "".join(f"{x:12.8f}" for x in k) + "  0.3333" for n, k in enumerate(kpoints, start=1)]
    return "K-POINTS DIRECT COORDINATES\n KPOINTS DIRECT_X DIRECT_Y DIRECT_Z WEIGHT\n" + "\n".join(rows) + "\n"


def orb_text(element: str, functions: list[int] | None = None, mesh: int = 51, step: float = 0.1) -> str:
    """An orbital file: invented functions r^l exp(-(1 + n) r), not normalised."""
    functions = SHELLS[element] if functions is None else functions
    r = step * np.arange(mesh)
    lines = [
        75 * "-", f"Element                     {element}", "Energy Cutoff(Ry)           100",
        "Radius Cutoff(a.u.)         5", f"Lmax                        {max(functions)}",
    ]  # fmt: skip
    lines += [f"Number of {'SPDF'[l]}orbital-->       {functions.count(l)}" for l in range(max(functions) + 1)]
    lines += [75 * "-", "SUMMARY  END", "", f"Mesh                   {mesh}", f"dr                     {step}"]
    for n, l in enumerate(functions):
        lines += ["                Type                   L                   N"]
        lines += [f"                   0                   {l}                   {functions[:n].count(l)}"]
        words = [f"{v:.14e}" for v in r**l * np.exp(-(1 + n) * r)]
        lines += ["  ".join(words[i : i + 4]) for i in range(0, mesh, 4)]
    return "\n".join(lines) + "\n"


def write_case(folder: Path, case: Case, layout: str = "sparse") -> Path:
    """A calculation's folder; layout: "2.x", "sparse" (3.x) or "nao"."""
    out = folder / "OUT.ABACUS"
    out.mkdir(parents=True)
    (folder / "STRU").write_text(stru_text())
    (folder / "INPUT").write_text("INPUT_PARAMETERS\nsuffix ABACUS # comment\norbital_dir ./\n")
    for element in SHELLS:
        name = f"{element}_{'2s1p' if element == 'C' else '1s1p'}.orb"
        (folder / name).write_text(orb_text(element))
    (out / "running_scf.log").write_text(log_text(case.nspin))
    (out / "istate.info").write_text(istate_text(case))
    (out / "kpoints").write_text(kpoints_text())
    spins = len(case.hamiltonians)
    spinor = case.nspin == 4
    for spin, h in enumerate(case.hamiltonians):
        if layout == "nao":
            text = nao_text("H", h, case.size, spin=spin, spins=spins, force_complex=spinor)
            (out / f"hrs{spin + 1}_nao.csr").write_text(text)
        else:
            text = sparse_text("H", h, case.size, None if layout == "2.x" else 0, force_complex=spinor)
            (out / f"data-HR-sparse_SPIN{spin}.csr").write_text(text)
    empty = tuple(SHIFTS)
    if layout == "nao":
        text = nao_text("S", case.overlap, case.size, force_complex=spinor, empty=empty)
        (out / "srs1_nao.csr").write_text(text)
    else:
        step = None if layout == "2.x" else 0
        text = sparse_text("S", case.overlap, case.size, step, force_complex=spinor, empty=empty)
        (out / "data-SR-sparse_SPIN0.csr").write_text(text)
    return folder


def write_record(folder: Path, record: Record) -> Path:
    """A calculation's folder with the matrices of a closed-shell record; k-points and eigenvalues are left out.

    Unlike the rest of this module, H(R) and S(R) are written by the package's own writer.
    """
    from ..adapters.abacus.writer import Layout, write_hr, write_sr

    out, structure = folder / "OUT.ABACUS", record.structure
    out.mkdir(parents=True)
    assert structure.cell is not None
    elements = list(dict.fromkeys(structure.symbols))
    species = {e: record.basis.shells[structure.numbers[structure.symbols.index(e)]] for e in elements}
    fractional = structure.positions @ np.linalg.inv(structure.cell) % 1.0
    vectors = [" ".join(f"{x:.12f}" for x in v) for v in structure.cell]
    rows = {e: [fractional[a] for a, s in enumerate(structure.symbols) if s == e] for e in elements}
    positions = [
        line for e in elements
        for line in (e, "0.00", str(len(rows[e])), *(" ".join(f"{x:.12f}" for x in p) + " 1 1 1" for p in rows[e]))
    ]  # fmt: skip
    (folder / "STRU").write_text("\n".join([
        "ATOMIC_SPECIES", *(f"{e} 1.0 {e}.upf" for e in elements), "", "NUMERICAL_ORBITAL",
        *(f"{e}.orb" for e in elements), "", "LATTICE_CONSTANT", "1.0", "", "LATTICE_VECTORS", *vectors, "",
        "ATOMIC_POSITIONS", "Direct", *positions, "",
    ]))
    (folder / "INPUT").write_text("INPUT_PARAMETERS\nsuffix ABACUS\norbital_dir ./\n")
    for element, shells in species.items():
        (folder / f"{element}.orb").write_text(_orb_of(element, shells))
    kinds = [
        line for n, (e, shells) in enumerate(species.items(), start=1)
        for line in (
            f" READING ATOM TYPE {n}", f"                               atom label = {e}",
            *(f"                      L={l}, number of zeta = {sum(s.l == l for s in shells)}"
              for l in range(max(s.l for s in shells) + 1)),
            f"             number of atom for this type = {len(rows[e])}",
        )
    ]  # fmt: skip
    atoms = [
        f"taud_{e}{n}" + "".join(f"{x:20.10f}" for x in p) + "  0.0000"
        for e in elements for n, p in enumerate(rows[e], start=1)
    ]  # fmt: skip
    (out / "running_scf.log").write_text("\n".join([
        "                              ABACUS v3.8.1", "", "                  lattice constant (Bohr) = 1.0", *kinds,
        "DIRECT COORDINATES", "    atom                   x                   y                   z     mag", *atoms,
        "", " Lattice vectors: (Cartesian coordinate: in unit of a_0)",
        *("".join(f"{x:+20.10g}" for x in v) for v in structure.cell),
        "          exchange-correlation functional = PBE",
        f"            AUTOSET number of electrons:  = {record.n_electrons:g}",
        "                                    nspin = 1", " EFERMI = 0.0 eV", " !FINAL_ETOT_IS -1.0 eV", "",
    ]))
    write_hr(record, out, layout=Layout.SPARSE)
    write_sr(record, out, layout=Layout.SPARSE)
    return folder


def _orb_of(element: str, shells: Sequence[Shell]) -> str:
    """An orbital file with the radial functions of shells."""
    radials = [s.radial for s in shells if isinstance(s.radial, NumericalRadial)]
    grids = [radial.r for radial in radials]
    counts = [sum(s.l == l for s in shells) for l in range(max(s.l for s in shells) + 1)]
    lines = [
        75 * "-", f"Element                     {element}", "Energy Cutoff(Ry)           100",
        f"Radius Cutoff(a.u.)         {grids[0][-1]:g}", f"Lmax                        {len(counts) - 1}",
        *(f"Number of {'SPDF'[l]}orbital-->       {n}" for l, n in enumerate(counts)), 75 * "-", "SUMMARY  END", "",
        f"Mesh                   {len(grids[0])}", f"dr                     {grids[0][1]:.12g}",
    ]  # fmt: skip
    for n, (shell, radial) in enumerate(zip(shells, radials, strict=True)):
        before = sum(s.l == shell.l for s in shells[:n])
        lines += ["                Type                   L                   N", f"  0  {shell.l}  {before}"]
        words = [f"{v:.14e}" for v in radial.values]
        lines += ["  ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    return "\n".join(lines) + "\n"

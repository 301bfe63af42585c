"""Small OpenMX calculations made up for tests: files in the code's layout, and the matrices they hold.

The layouts follow the documentation of OpenMX (read_scfout.h of 3.9; the one without order_max and momentum matrices
of 3.7 and 3.8) and, for 3.9, were verified on real files; the numbers are random but Hermitian, S is the overlap of
made-up orbitals.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.openmx.pao import read_pao
from ..core.basis import OrbitalBasis
from ..core.conventions import OPENMX
from ..core.matrix import BlockMatrix
from ..core.spin import spin_block, spinor_matrix
from ..core.structure import Structure
from ..physics.integrals import overlap
from ..solver import bands

NAME = "demo"
CELL = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.0, 0.5, 8.0]])
POSITIONS = np.array([[-0.4, 0.3, 0.1], [2.0, 1.5, 0.7], [3.9, 5.0, 7.5]])
NUMBERS = np.array([6, 1, 6])
MOMENTA = {6: (0, 0, 1, 2, 3), 1: (0, 1)}
FERMI, ELECTRONS = -0.125, 9.0
MESH = (2, 2, 3)

INPUT = """System.Name demo
DATA.PATH ./data   # a comment
HS.fileout on
Species.Number 2
<Definition.of.Atomic.Species
 Cx  C4.0-s2p1d1f1  C_PBE19
 H   H3.0-s1p1  H_PBE19
Definition.of.Atomic.Species>
Atoms.Number 3
Atoms.SpeciesAndCoordinates.Unit AU
<Atoms.SpeciesAndCoordinates
 1 Cx  -0.4  0.3  0.1  2.0 2.0
 2 H    2.0  1.5  0.7  0.5 0.5
 3 Cx   3.9  5.0  7.5  2.0 2.0
Atoms.SpeciesAndCoordinates>
Atoms.UnitVectors.Unit AU
<Atoms.UnitVectors
 6.0 0.0 0.0
 1.0 7.0 0.0
 0.0 0.5 8.0
Atoms.UnitVectors>
scf.XcType GGA-PBE
scf.Kgrid 2 2 3
"""


@dataclass(frozen=True, eq=False)
class Demo:
    """A calculation on disk and what is in it, in our conventions."""

    folder: Path
    structure: Structure
    basis: OrbitalBasis
    hamiltonian: tuple[BlockMatrix, ...]
    overlap: BlockMatrix

    @property
    def scfout(self) -> Path:
        return self.folder / f"{NAME}.scfout"


def write_pao(path: Path, cutoff: float, functions: dict[int, int], *, seed: int = 0) -> None:
    """Write a .pao file with smooth functions r^l exp(-a r^2) (1 - r^2/rc^2)^3, normalised, on a logarithmic mesh."""
    x = np.linspace(-7.0, np.log(1.2 * cutoff), 400)
    r = np.exp(x)
    lines = [f"number.vps {len(functions)}", f"PAO.Lmax {max(functions)}"]
    for l, count in functions.items():
        columns = [x, r]
        for n in range(count):
            f = r**l * np.exp(-(0.3 + 0.2 * n + 0.05 * seed) * r**2) * np.clip(1 - (r / cutoff) ** 2, 0, None) ** 3
            f *= (1 - 0.4 * r**2) ** n
            columns.append(f / np.sqrt(np.trapezoid(f**2 * r**3, x)))
        rows = [" ".join(f"{v:.15f}" for v in row) for row in np.array(columns).T]
        lines += [f"<pseudo.atomic.orbitals.L={l}", *rows, f"pseudo.atomic.orbitals.L={l}>"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def make_demo(folder: Path, *, spin: int = 0, version: int = 3, seed: int = 1) -> Demo:
    """Write demo.scfout, demo.dat, demo.out, demo.Band and data/PAO/*.pao into a folder.

    Args:
        folder: Where.
        spin: 0 off, 1 collinear, 3 non-collinear.
        version: Format version of the .scfout file, 3 or 0.
        seed: Of the random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_pao(folder / "data/PAO/C4.0.pao", 4.0, {0: 3, 1: 2, 2: 1, 3: 1})
    write_pao(folder / "data/PAO/H3.0.pao", 3.0, {0: 2, 1: 1}, seed=1)
    files = {6: "C4.0.pao", 1: "H3.0.pao"}
    basis = OrbitalBasis("demo", {z: read_pao(folder / "data/PAO" / files[z], MOMENTA[z]) for z in files})
    structure = Structure(NUMBERS, POSITIONS, CELL)
    s = overlap(structure, basis).symmetrize()
    rng = np.random.default_rng(seed)

    def hermitian(complex_values: bool) -> BlockMatrix:
        noise = rng.normal(size=len(s.values)) + (1j * rng.normal(size=len(s.values)) if complex_values else 0.0)
        return s.with_values(0.02 * noise - 0.4 * s.values).symmetrize()

    if spin == 3:
        noise = 0.02 * (rng.normal(size=len(s.values)) + 1j * rng.normal(size=len(s.values)))
        ud = s.with_values(noise)
        h: tuple[BlockMatrix, ...] = (
            spinor_matrix(hermitian(True), ud, ud.adjoint().on_pairs_of(ud), hermitian(True)).symmetrize(),
        )
    else:
        h = tuple(hermitian(False) for _ in range(spin + 1))
    demo = Demo(folder, structure, basis, h, s)
    demo.scfout.write_bytes(scfout_bytes(demo, spin, version, rng))
    (folder / f"{NAME}.dat").write_text(INPUT)
    _write_text_results(demo, spin)
    return demo


def scfout_bytes(demo: Demo, spin: int, version: int, rng: np.random.Generator, text: str = INPUT) -> bytes:
    """The content of a .scfout file."""
    index, sign = OPENMX.from_ours(demo.basis.shell_sequence(demo.structure.numbers.tolist()))
    s = demo.overlap.reorder(index, sign)
    shifts = np.unique(s.shifts, axis=0)
    shifts = np.concatenate([[[0, 0, 0]], shifts[shifts.any(axis=1)]])
    cell_of = {tuple(r): i for i, r in enumerate(shifts.tolist())}
    home = (s.pairs[:, 0] == s.pairs[:, 1]) & ~s.shifts.any(axis=1)
    order = np.lexsort((~home, s.pairs[:, 0]))
    sizes = np.diff(s.pointers)

    def body(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([values[s.pointers[e] : s.pointers[e + 1]] for e in order])

    def pad(vectors: NDArray[Any], kind: str) -> bytes:
        four = np.full((len(vectors), 4), 7)  # the first place is unused
        out = four.astype(kind)
        out[:, 1:] = vectors
        return out.tobytes()

    atoms = len(demo.structure)
    counts = np.bincount(s.pairs[:, 0], minlength=atoms)
    parts = [np.array([atoms, spin + 4 * version, 0, 0, 0, len(shifts) - 1], "<i4").tobytes()]
    if version == 3:
        parts.append(np.array([1], "<i4").tobytes())
    parts += [pad(shifts @ CELL, "<f8"), pad(shifts, "<i4")]
    parts += [s.orbitals.astype("<i4").tobytes(), (counts - 1).astype("<i4").tobytes()]
    parts.append((s.pairs[order, 1] + 1).astype("<i4").tobytes())
    parts.append(np.array([cell_of[tuple(r)] for r in s.shifts[order].tolist()], "<i4").tobytes())
    parts += [pad(CELL, "<f8"), pad(2 * np.pi * np.linalg.inv(CELL).T, "<f8"), pad(POSITIONS, "<f8")]
    matrices = [*_hamiltonian_parts(demo, spin, rng, index, sign), s.values]
    unread = 3 + (3 if version == 3 else 0) + (spin + 1) + (2 if version == 3 else 0)
    matrices += [rng.normal(size=sizes.sum()) for _ in range(unread)]
    parts += [body(m).astype("<f8").tobytes() for m in matrices]
    numbers = [FERMI, 300.0, *range(6), ELECTRONS, 0.5 if spin == 1 else 0.0]
    lines = text.splitlines(keepends=True)
    for value, kind in (([3], "<i4"), (numbers, "<f8"), ([len(lines)], "<i4")):
        parts.append(np.array(value, kind).tobytes())
    parts += [(line.encode() + b"\0left over from a longer line\n").ljust(256, b"x")[:256] for line in lines]
    return b"".join(parts)


def _hamiltonian_parts(
    demo: Demo, spin: int, rng: np.random.Generator, index: NDArray[np.int64], sign: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """H[0], H[1], ... and iH[0], iH[1], iH[2] in OpenMX's order."""
    in_code_order = [h.reorder(index, sign) for h in demo.hamiltonian]
    if spin != 3:
        return [h.values for h in in_code_order]
    uu, ud, dd = (spin_block(in_code_order[0], *rc).values for rc in ((0, 0), (0, 1), (1, 1)))
    i2 = rng.normal(size=len(ud))
    return [uu.real, dd.real, ud.real, ud.imag - i2, uu.imag, dd.imag, i2]


def _write_text_results(demo: Demo, spin: int) -> None:
    """The .out and .Band files, from the eigenvalues of the matrices."""
    path_k = np.array([[0.0, 0.0, 0.0], [0.25, 0.0, 0.0], [0.5, 0.0, 0.0]])
    energies = bands(demo.hamiltonian, demo.overlap, path_k)
    n = energies.shape[-1]
    band = [f" {n} {spin} {FERMI:.15f}", " ".join(["1.0"] * 9), "1", "3 0 0 0 0.5 0 0 G X"]
    for k, q in enumerate(path_k):
        for levels in energies[:, k]:
            band += [f"{n} " + " ".join(f"{x:.15f}" for x in q), " ".join(f"{e:.15f}" for e in levels)]
    (demo.folder / f"{NAME}.Band").write_text("\n".join(band) + "\n")
    axes = [-0.5 + (2 * np.arange(m) + 1) / (2 * m) + d for m, d in zip(MESH, (1e-6, -1e-6, 2e-6), strict=True)]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)[: np.prod(MESH) // 2]
    energies = bands(demo.hamiltonian, demo.overlap, mesh)
    out = ["  This calculation was performed by OpenMX Ver. 3.9.2", "   SCF=  10  NormRD=  0.000000000001  Uele= -1.0"]
    out += ["  Utot.        -12.345678900000", "           Eigenvalues (Hartree) of SCF KS-eq.", "   Eigenvalues"]
    for k, q in enumerate(mesh):
        out += [f"   kloop={k}", f"   k1={q[0]:10.5f} k2={q[1]:10.5f} k3={q[2]:10.5f}", ""]
        columns = energies[:, k] if spin == 1 else (energies[[0, 0], k] if spin == 0 else energies[:1, k])
        out += [f"{i + 1:5d}  " + " ".join(f"{e:18.14f}" for e in level) for i, level in enumerate(columns.T)]
    out += ["", "                   Mulliken populations", "    1    3.0  4.0"]
    (demo.folder / f"{NAME}.out").write_text("\n".join(out) + "\n")

"""Calculations of a boron nitride layer that no DFT code made, in the files of ABACUS: something to practise on.

    python made_up_layer.py RUNS [COUNT]

writes COUNT (by default 6) folders RUNS/snap0, RUNS/snap1, ... with displaced atoms, and RUNS/flat.cif, the layer at
rest. Each atom has an s and a p orbital, and the Hamiltonian is a rule: H_ij = T_ij / 2 + (v_i + v_j) S_ij / 2, where T
is the kinetic energy, S the overlap, and v_i a level that depends on the neighbours of atom i. The files are read,
checked, trained on and predicted like those of a real calculation; the bands mean nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmose_dft.adapters.abacus.writer import Layout, write_hr, write_sr
from harmose_dft.core.basis import NumericalRadial, OrbitalBasis, Shell
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.physics.integrals import kinetic, overlap
from harmose_dft.solver import monkhorst_pack, solve_kpoints

CUTOFF = 4.0
"""Bohr; where the orbitals end."""

WIDTHS = {5: (1.6, 1.9), 7: (1.3, 1.5)}
"""Atomic number -> widths of its s and p orbital, Bohr."""

LEVELS = {5: -0.15, 7: -0.75}
"""Hartree."""

ELECTRONS = {5: 3, 7: 5}
"""Valence electrons."""

HARTREE_IN_EV = 2 * 13.605698
"""As compiled into ABACUS."""


def orbital(l: int, width: float) -> NumericalRadial:
    """r^l exp(-(r / width)^2) times a factor that vanishes smoothly at the cutoff, normalised."""
    r = np.linspace(0.0, CUTOFF, 401)
    values = r**l * np.exp(-((r / width) ** 2)) * (1 - (r / CUTOFF) ** 2) ** 4
    return NumericalRadial(r, values / np.sqrt(np.trapezoid((values * r) ** 2, r)))


BASIS = OrbitalBasis(
    "made-up", {z: tuple(Shell(l, orbital(l, w)) for l, w in enumerate(widths)) for z, widths in WIDTHS.items()}
)


def layer(displacement: float = 0.0, seed: int = 0) -> Structure:
    """A boron nitride layer in vacuum.

    Args:
        displacement: Standard deviation of each atom's coordinates, Bohr.
        seed: Seed of the displacements.
    """
    cell = np.array([[4.7, 0.0, 0.0], [-2.35, 2.35 * np.sqrt(3.0), 0.0], [0.0, 0.0, 20.0]])
    positions = np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]) @ cell
    moves = np.random.default_rng(seed).normal(scale=displacement, size=positions.shape)
    return Structure(np.array([5, 7]), positions + moves, cell)


def calculate(structure: Structure) -> Record:
    """The made-up calculation: H and S of a crystal of boron and nitrogen."""
    s, t = overlap(structure, BASIS), kinetic(structure, BASIS)
    assert structure.cell is not None
    vectors = structure.positions[s.pairs[:, 1]] - structure.positions[s.pairs[:, 0]] + s.shifts @ structure.cell
    distance = np.linalg.norm(vectors, axis=1)
    near = np.where(distance > 0, np.exp(-((distance / 2.5) ** 2)), 0.0)
    levels = np.array([LEVELS[z] for z in structure.numbers.tolist()])
    levels -= 0.2 * np.bincount(s.pairs[:, 0], near, minlength=len(structure))
    mean = np.repeat(levels[s.pairs].mean(axis=1), np.diff(s.pointers))
    hamiltonian = s.with_values(0.5 * t.values + mean * s.values)
    electrons = float(sum(ELECTRONS[z] for z in structure.numbers.tolist()))
    return Record(structure, BASIS, (hamiltonian,), s, electrons)


def write_run(folder: Path, record: Record) -> None:
    """Write the folder of a calculation as ABACUS 3.8.1 leaves it behind."""
    out, structure = folder / "OUT.ABACUS", record.structure
    out.mkdir(parents=True)
    symbols = structure.symbols
    (folder / "INPUT").write_text("INPUT_PARAMETERS\nsuffix ABACUS\norbital_dir ./\n")
    assert structure.cell is not None
    fractional = structure.positions @ np.linalg.inv(structure.cell) % 1.0
    (folder / "STRU").write_text(stru_text(symbols, structure.cell, fractional))
    for symbol, z in zip(symbols, structure.numbers.tolist(), strict=True):
        (folder / f"{symbol}.orb").write_text(orbital_text(symbol, record.basis.shells[z]))
    write_hr(record, out, layout=Layout.SPARSE)
    write_sr(record, out, layout=Layout.SPARSE)
    kpoints, weights = monkhorst_pack((9, 9, 1))
    (hamiltonian,) = record.hamiltonian
    spectrum = solve_kpoints(hamiltonian, record.overlap, kpoints, record.n_electrons, weights=weights)
    assert spectrum.fermi is not None
    (out / "istate.info").write_text(eigenvalue_text(kpoints, spectrum.energies * HARTREE_IN_EV))
    (out / "running_scf.log").write_text(
        log_text(symbols, structure.cell, fractional, record.n_electrons, spectrum.fermi * HARTREE_IN_EV)
    )


def numbers(values: NDArray[np.float64], digits: int = 12) -> str:
    """Numbers in a line."""
    return " ".join(f"{x:.{digits}f}" for x in values)


def stru_text(symbols: tuple[str, ...], cell: NDArray[np.float64], fractional: NDArray[np.float64]) -> str:
    """STRU: one atom of each element."""
    lines = ["ATOMIC_SPECIES", *(f"{s} 1.0 {s}.upf" for s in symbols), "", "NUMERICAL_ORBITAL"]
    lines += [*(f"{s}.orb" for s in symbols), "", "LATTICE_CONSTANT", "1.0", "", "LATTICE_VECTORS"]
    lines += [*map(numbers, cell), "", "ATOMIC_POSITIONS", "Direct"]
    for symbol, position in zip(symbols, fractional, strict=True):
        lines += [symbol, "0.00", "1", numbers(position) + " 1 1 1"]
    return "\n".join(lines) + "\n"


def orbital_text(symbol: str, shells: tuple[Shell, ...]) -> str:
    """A .orb file: the radial function of an s and a p orbital on a mesh."""
    mesh = shells[0].radial.r
    lines = [
        75 * "-", f"Element                     {symbol}", "Energy Cutoff(Ry)           100",
        f"Radius Cutoff(a.u.)         {CUTOFF:g}", "Lmax                        1",
        "Number of Sorbital-->       1", "Number of Porbital-->       1", 75 * "-", "SUMMARY  END", "",
        f"Mesh                   {len(mesh)}", f"dr                     {mesh[1]:.12g}",
    ]  # fmt: skip
    for shell in shells:
        lines += ["                Type                   L                   N", f"  0  {shell.l}  0"]
        words = [f"{v:.14e}" for v in shell.radial.values]
        lines += ["  ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    return "\n".join(lines) + "\n"


def log_text(
    symbols: tuple[str, ...], cell: NDArray[np.float64], fractional: NDArray[np.float64], electrons: float, fermi: float
) -> str:
    """The lines of a running log that say what was calculated."""
    lines = [
        "                              ABACUS v3.8.1 (made up, not calculated)", "",
        "                  lattice constant (Bohr) = 1.0",
    ]
    for n, symbol in enumerate(symbols, start=1):
        lines += [
            f" READING ATOM TYPE {n}", f"                               atom label = {symbol}",
            "                      L=0, number of zeta = 1", "                      L=1, number of zeta = 1",
            "             number of atom for this type = 1",
        ]  # fmt: skip
    lines += ["DIRECT COORDINATES", "    atom                   x                   y                   z     mag"]
    for symbol, position in zip(symbols, fractional, strict=True):
        lines.append(f"taud_{symbol}1" + "".join(f"{x:20.10f}" for x in position) + "  0.0000")
    lines += ["", " Lattice vectors: (Cartesian coordinate: in unit of a_0)"]
    lines += ["".join(f"{x:+20.10g}" for x in v) for v in cell]
    lines += [
        "          exchange-correlation functional = PBE", f"            AUTOSET number of electrons:  = {electrons:g}",
        "                                    nspin = 1", f" EFERMI = {fermi:.10f} eV", " !FINAL_ETOT_IS 0.0 eV", "",
    ]  # fmt: skip
    return "\n".join(lines)


def eigenvalue_text(kpoints: NDArray[np.float64], energies: NDArray[np.float64]) -> str:
    """istate.info: energies in eV, (k, band), and fractional k-points."""
    lines = []
    for n, (k, levels) in enumerate(zip(kpoints, energies, strict=True), start=1):
        lines.append(f"BAND  Energy(ev)               Occupation   Kpoint = {n}       ({numbers(k, 10)})")
        lines += [f"  {band}   {energy:.12f} 0.0" for band, energy in enumerate(levels, start=1)] + ["", ""]
    return "\n".join(lines)


def write_runs(runs: Path, count: int = 6) -> None:
    """Write folders of calculations and the layer at rest.

    Args:
        runs: Where; must not exist.
        count: Number of calculations.
    """
    from ase import Atoms
    from ase.io import write

    for seed in range(count):
        write_run(runs / f"snap{seed}", calculate(layer(displacement=0.1, seed=seed)))
    flat = layer()
    assert flat.cell is not None
    cell, positions = flat.cell * BOHR_IN_ANGSTROM, flat.positions * BOHR_IN_ANGSTROM
    write(runs / "flat.cif", Atoms(flat.symbols, positions=positions, cell=cell, pbc=True))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python made_up_layer.py RUNS [COUNT]")
    write_runs(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    print(f"calculations that no code made are in {sys.argv[1]}")

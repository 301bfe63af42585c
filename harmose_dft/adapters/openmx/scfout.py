"""OpenMX's binary file ``System.Name.scfout``: geometry, H(R), S(R) and the input text (written with HS.fileout on).

Little-endian int32 and float64 without record marks. In this order: a header of six integers (atoms, spin + 4 *
format version, three sizes of leads, cells), in format 3 the order of the position matrices, cell vectors and their
integers, orbitals per atom, neighbour counts, neighbour atoms (from 1), neighbour cells, lattice, reciprocal lattice,
positions, then matrices (H, imaginary part of H for spinors, S, position, in format 3 momentum, density, in format 3
its imaginary part), solver, ten numbers, and the input in lines of 256 bytes. Three-vectors occupy four places, of
which the first is unused. A matrix runs over atoms, their neighbours, rows (orbitals of the atom), columns
(orbitals of the neighbour).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import running_sum
from ...core.errors import FileFormatError
from ..text import read_bytes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COLLINEAR, SPINOR = 1, 3
"""Values of the spin switch; 0 is a calculation without spin polarisation."""

CLUSTER_SOLVER = 2
"""Value of the solver for ``scf.EigenvalueSolver cluster``: no periodic images."""

LINE_BYTES = 256
"""Size of one line of the input text."""


@dataclass(frozen=True)
class Layout:
    """What a format version holds besides the common parts."""

    codes: str
    order_of_position: bool
    momentum: bool
    imaginary_density: bool


LAYOUTS = {
    0: Layout("3.7 or 3.8", False, False, False),
    3: Layout("3.9", True, True, True),
}
"""Format version -> layout; 1 and 2 belonged to development versions of OpenMX 3.7."""


@dataclass(frozen=True, eq=False)
class ScfOut:
    """Content of a ``.scfout`` file, in OpenMX's orbital order, Hartree and Bohr.

    Args:
        version: Format version.
        spin: 0 off, 1 collinear, 3 non-collinear.
        orbitals: Orbitals of each atom, (atom,).
        pairs: Atoms of each stored pair, (edge, 2).
        shifts: Cell of the second atom, (edge, 3).
        cell: Lattice vectors as rows, Bohr, (3, 3).
        positions: As given in the input (not folded), Bohr, (atom, 3).
        hamiltonian: H[0], H[1], ... as the file has them, each (value,).
        imaginary: iH[0], iH[1], iH[2] of spinors, else empty.
        overlap: S, (value,).
        solver: OpenMX's number of the eigenvalue solver.
        fermi: Chemical potential, Hartree.
        temperature: Electronic temperature, Kelvin.
        n_electrons: Number of electrons.
        moment: Total spin moment in Bohr magnetons.
        input_text: The input file.
        appended: Text after the end, such as an ``.out`` file appended for DeepH-pack.
    """

    version: int
    spin: int
    orbitals: Ints
    pairs: Ints
    shifts: Ints
    cell: Floats
    positions: Floats
    hamiltonian: tuple[Floats, ...]
    imaginary: tuple[Floats, ...]
    overlap: Floats
    solver: int
    fermi: float
    temperature: float
    n_electrons: float
    moment: float
    input_text: str
    appended: str

    @property
    def codes(self) -> str:
        """Versions of OpenMX that write this format."""
        return LAYOUTS[self.version].codes


class _Cursor:
    """A place in the file that moves on with every read."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.offset = path, read_bytes(path), 0

    def take(self, count: int, dtype: str, quantity: str) -> NDArray[Any]:
        """The next ``count`` numbers, copied."""
        begin = self.skip(count * np.dtype(dtype).itemsize, quantity)
        return np.frombuffer(self.data[begin : self.offset].tobytes(), dtype=dtype)

    def ints(self, count: int, quantity: str) -> Ints:
        return self.take(count, "<i4", quantity).astype(np.int64)

    def floats(self, count: int, quantity: str) -> Floats:
        """The next numbers, all of them finite."""
        begin = self.offset
        values = self.take(count, "<f8", quantity).astype(np.float64)
        if not np.isfinite(values).all():
            bad_offset = begin + 8 * int(np.flatnonzero(~np.isfinite(values))[0])
            raise FileFormatError(
                f"The {quantity} holds a number that is not finite.", path=self.path, offset=bad_offset
            )
        return values

    def vectors(self, count: int, quantity: str) -> Floats:
        """Three-vectors, (count, 3); the first of their four places is unused and may hold anything."""
        return self.take(4 * count, "<f8", quantity).reshape(count, 4)[:, 1:].astype(np.float64)

    def skip(self, size: int, quantity: str) -> int:
        """Move on by ``size`` bytes; returns where they began."""
        begin, missing = self.offset, self.offset + size - len(self.data)
        if missing > 0:
            raise FileFormatError(
                f"The file ends inside the {quantity}: {missing} bytes of {size} are missing. It is truncated (the "
                "calculation was stopped, or the copy is incomplete); copy it again or run OpenMX again.",
                path=self.path, offset=len(self.data),
            )  # fmt: skip
        self.offset += size
        return begin


def read_scfout(path: Path) -> ScfOut:
    """Content of a ``.scfout`` file (``.xz`` as well) of format 3 (OpenMX 3.9) or 0 (OpenMX 3.7, 3.8).

    Raises:
        FileFormatError: The file is truncated, byte-swapped, of another format version, or no ``.scfout`` at all.
    """
    f = _Cursor(path)
    atoms, version, spin, cells = _header(f)
    layout = LAYOUTS[version]
    orders = int(f.ints(1, "order of the position matrices")[0]) if layout.order_of_position else 1
    if not 0 <= orders <= 10:
        raise FileFormatError(f"The order of the position matrices is {orders}.", path=path, offset=f.offset - 4)
    f.skip(32 * (cells + 1), "cell vectors")
    cell_shifts = f.ints(4 * (cells + 1), "cell indices").reshape(-1, 4)[:, 1:]
    orbitals, pairs, shifts = _pairs(f, atoms, cell_shifts)
    cell = f.vectors(3, "lattice vectors")
    f.vectors(3, "reciprocal lattice vectors")
    positions = f.vectors(atoms, "positions")
    size = int((orbitals[pairs[:, 0]] * orbitals[pairs[:, 1]]).sum())
    hamiltonian = tuple(f.floats(size, "Hamiltonian") for _ in range(spin + 1))
    imaginary = tuple(f.floats(size, "imaginary Hamiltonian") for _ in range(3 if spin == SPINOR else 0))
    overlap = f.floats(size, "overlap")
    f.skip(8 * size * 3 * orders, "position matrices")
    f.skip(8 * size * (3 if layout.momentum else 0), "momentum matrices")
    f.skip(8 * size * (spin + 1 + (2 if layout.imaginary_density else 0)), "density matrices")
    solver = int(f.ints(1, "solver")[0])
    numbers = f.floats(10, "chemical potential and electron count")
    input_text, appended = _texts(f)
    return ScfOut(
        version, spin, orbitals, pairs, shifts, cell, positions, hamiltonian, imaginary, overlap, solver,
        fermi=float(numbers[0]), temperature=float(numbers[1]), n_electrons=float(numbers[8]),
        moment=2 * float(numbers[9]), input_text=input_text, appended=appended,
    )  # fmt: skip


def _header(f: _Cursor) -> tuple[int, int, int, int]:
    """Atoms, format version, spin switch, cells besides the home cell."""
    header = f.take(6, "<i4", "header")

    def plausible(numbers: NDArray[np.int32]) -> bool:
        return bool(numbers[0] > 0 and 0 <= numbers[1] < 16 and numbers[1] % 4 != 2 and (numbers[2:] >= 0).all())

    if not plausible(header):
        if plausible(header.byteswap()):
            raise FileFormatError(
                "The file is byte-swapped: it was written on a big-endian machine. Read it there, or write it again "
                "on a little-endian one (x86, ARM).", path=f.path, offset=0,
            )  # fmt: skip
        raise FileFormatError(
            f"This is no .scfout file: its header reads {header.tolist()}, expected the number of atoms and a spin "
            "switch with version.", path=f.path, offset=0,
        )  # fmt: skip
    version, spin = divmod(int(header[1]), 4)
    if version not in LAYOUTS:
        raise FileFormatError(
            f"The file has format version {version}; known are "
            f"{', '.join(f'{v} (OpenMX {layout.codes})' for v, layout in LAYOUTS.items())}. Run the calculation with "
            "OpenMX 3.9.", path=f.path, offset=4,
        )  # fmt: skip
    return int(header[0]), version, spin, int(header[5])


def _pairs(f: _Cursor, atoms: int, cell_shifts: Ints) -> tuple[Ints, Ints, Ints]:
    """Orbitals per atom, pairs and shifts."""
    start = f.offset
    orbitals, neighbours = f.ints(atoms, "orbital counts"), f.ints(atoms, "neighbour counts")
    if orbitals.min() < 1 or neighbours.min() < 0:
        raise FileFormatError(
            "An atom has no orbitals or a negative number of neighbours: the file is damaged. Copy it again.",
            path=f.path, offset=start,
        )  # fmt: skip
    counts = neighbours + 1
    start = f.offset
    target = f.ints(int(counts.sum()), "neighbour atoms") - 1
    cells = f.ints(int(counts.sum()), "neighbour cells")
    source = np.repeat(np.arange(atoms), counts)
    self_index = running_sum(counts)[:-1]
    if target.min() < 0 or target.max() >= atoms or cells.min() < 0 or cells.max() >= len(cell_shifts):
        raise FileFormatError(
            f"The neighbour list names atoms or cells outside 1..{atoms} and 0..{len(cell_shifts) - 1}: the file is "
            "damaged. Copy it again.", path=f.path, offset=start,
        )  # fmt: skip
    if not np.array_equal(target[self_index], np.arange(atoms)) or cells[self_index].any():
        raise FileFormatError(
            "The neighbour list of an atom does not begin with the atom itself: the file is damaged.",
            path=f.path, offset=start,
        )  # fmt: skip
    return orbitals, np.stack([source, target], axis=1), cell_shifts[cells]


def _texts(f: _Cursor) -> tuple[str, str]:
    """The input file, and text that was appended to the binary file."""
    lines = int(f.ints(1, "number of input lines")[0])
    if lines < 1:
        raise FileFormatError(
            f"Expected the number of lines of the input file, got {lines}: the file is damaged, or of a layout that is "
            "not known.", path=f.path, offset=f.offset - 4,
        )  # fmt: skip
    begin = f.skip(LINE_BYTES * lines, "input text")
    raw = f.data[begin : f.offset].tobytes()
    records = (raw[i : i + LINE_BYTES] for i in range(0, len(raw), LINE_BYTES))
    text = b"".join(r.split(b"\0")[0].split(b"\n")[0] + b"\n" for r in records).decode("utf-8", errors="replace")
    tail = f.data[f.offset :].tobytes()
    if tail and b"OpenMX" not in tail[:4096]:
        raise FileFormatError(
            f"{len(tail)} bytes follow the end of the data: the file is damaged, or of a layout that is not known.",
            path=f.path, offset=f.offset,
        )  # fmt: skip
    return text, tail.decode("utf-8", errors="replace")

"""A molecule or crystal: atomic numbers, positions, cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import StructureError

SYMBOLS = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt "
    "Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv "
    "Ts Og"
).split()
"""Element symbols by atomic number; index 0 is a placeholder."""

FARTHEST = 1e7
"""Bohr; no coordinate and no lattice vector is larger."""

ABOUT_ORIGIN = "about the origin of the coordinates"
"""What the dipole moment of an ion is given about, as the screen and pages say: it depends on the point."""


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms, and a cell where the structure is periodic.

    Args:
        numbers: Atomic numbers, (atom,).
        positions: Cartesian positions in Bohr, (atom, 3).
        cell: Lattice vectors as rows in Bohr, (3, 3), or None for a molecule.
        charge: Total charge in units of e.
        spin: Number of unpaired electrons (2S).
        name: For messages and file names; no part of the structure.
        smiles: SMILES where the source gives it, which data sets are split by; no part of the structure.
        unused_cell: Whether the source gives a cell, but no periodic direction; for messages.

    Raises:
        StructureError: Shapes disagree, a value is not finite, an element is unknown, or the cell is singular.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64] | None = None
    charge: int = 0
    spin: int = 0
    name: str = field(default="", compare=False)
    smiles: str = field(default="", compare=False)
    unused_cell: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        numbers = _freeze(self.numbers, np.int64)
        positions = _freeze(self.positions, np.float64)
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "positions", positions)
        if numbers.ndim != 1 or len(numbers) == 0:
            raise StructureError(f"A structure needs at least one atom; got atomic numbers of shape {numbers.shape}.")
        if positions.shape != (len(numbers), 3):
            raise StructureError(
                f"Positions must have shape ({len(numbers)}, 3) for {len(numbers)} atoms; got {positions.shape}."
            )
        if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise StructureError(f"Atomic numbers must lie in 1..{len(SYMBOLS) - 1}; got {numbers.tolist()}.")
        if not np.isfinite(positions).all():
            bad_atom = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            symbol = SYMBOLS[numbers[bad_atom]]
            raise StructureError(f"Atom {bad_atom + 1} ({symbol}) has a position that is not a finite number.")
        if (np.abs(positions) > FARTHEST).any():
            raise StructureError(f"A position lies more than {FARTHEST:g} Bohr from the origin; check the coordinates.")
        if self.cell is not None:
            cell = _freeze(self.cell, np.float64)
            object.__setattr__(self, "cell", cell)
            if cell.shape != (3, 3) or not (np.isfinite(cell) & (np.abs(cell) <= FARTHEST)).all():
                raise StructureError(f"The cell must be three finite lattice vectors, shape (3, 3); got {cell.shape}.")
            if abs(np.linalg.det(cell)) < 1e-6:
                raise StructureError(
                    "The lattice vectors are linearly dependent: the cell has no volume. Check the cell; a direction "
                    "that is not periodic needs a vector, too, across vacuum."
                )

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        kind = "crystal" if self.periodic else "molecule"
        return f"Structure({self.formula}, {len(self)} atoms, {kind}, charge={self.charge})"

    @property
    def periodic(self) -> bool:
        """Whether the structure has a cell."""
        return self.cell is not None

    @property
    def lack_of_cell(self) -> str:
        """What messages say of a molecule where a crystal is expected: "has no cell", or why its cell is none."""
        if self.unused_cell:
            return 'has a cell, but no periodic direction (pbc="F F F"; a crystal has pbc="T T T")'
        return "has no cell"

    @property
    def symbols(self) -> list[str]:
        """Element symbols, (atom,)."""
        return [SYMBOLS[z] for z in self.numbers]

    @property
    def formula(self) -> str:
        """Hill formula: C, H, then alphabetical (alphabetical throughout where there is no carbon)."""
        counts: dict[str, int] = {}
        for symbol in self.symbols:
            counts[symbol] = counts.get(symbol, 0) + 1
        leading = [s for s in ("C", "H") if s in counts] if "C" in counts else []
        order = leading + sorted(s for s in counts if s not in leading)
        return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)

    @property
    def n_electrons(self) -> int:
        """Number of electrons of the all-electron structure: sum of atomic numbers minus the charge."""
        return int(self.numbers.sum()) - self.charge

    def shortest_distance(self) -> tuple[float, int, int]:
        """Shortest interatomic distance (Bohr) within the cell as given, with the two atoms; inf for one atom."""
        if len(self) < 2:
            return float("inf"), 0, 0
        from scipy.spatial import cKDTree

        distance, nearest = cKDTree(self.positions).query(self.positions, k=2)
        i = int(distance[:, 1].argmin())
        j = int(nearest[i, 1] if nearest[i, 1] != i else nearest[i, 0])
        return float(distance[i, 1]), min(i, j), max(i, j)

    def pair_vectors(self, pairs: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.float64]:
        """r_j + R - r_i of pairs of atoms in Bohr, (pair, 3).

        Args:
            pairs: i and j, (pair, 2).
            shifts: Cell of the second atom in lattice vectors, (pair, 3); zero for a molecule.
        """
        vectors = self.positions[pairs[:, 1]] - self.positions[pairs[:, 0]]
        return vectors if self.cell is None else vectors + shifts @ self.cell

    def with_charge(self, charge: int) -> Structure:
        """The structure with a total charge; unpaired electrons only as far as their number must be odd or even.

        Raises:
            StructureError: It has another charge already.
        """
        if self.charge not in (0, charge):
            raise StructureError(
                f"{self.formula} has the charge {format_charge(self.charge)} already; got {format_charge(charge)}. "
                "Leave the charge out, or correct the structure."
            )
        electrons = int(self.numbers.sum()) - charge
        spin = self.spin if (electrons - self.spin) % 2 == 0 else electrons % 2
        return replace(self, charge=charge, spin=spin)

    def rotate(self, rotation: ArrayLike) -> Structure:
        """The structure with every position (and lattice vector) multiplied by an orthogonal matrix (3, 3)."""
        q = np.asarray(rotation, dtype=np.float64)
        cell = None if self.cell is None else self.cell @ q.T
        return Structure(self.numbers, self.positions @ q.T, cell, self.charge, self.spin, self.name, self.smiles)


def format_charge(charge: int) -> str:
    """A net charge with its sign; zero has none."""
    return f"{charge:+d}" if charge else "0"


def _freeze(array: ArrayLike, dtype: type) -> NDArray[Any]:
    out: NDArray[Any] = np.array(array, dtype=dtype)
    out.setflags(write=False)
    return out

"""Directions in which the atoms of ASE repeat; crystals here repeat in all three, across vacuum where they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import StructureError
from ..core.structure import SYMBOLS
from ..core.units import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from ase import Atoms

SMALLEST_VACUUM = 12.0 * BOHR_IN_ANGSTROM
"""Angstrom (6.35); orbitals with a radius of 6 Bohr, as bases of numerical orbitals have for light elements, then just
reach those of an atom's image in a direction that is not periodic."""

ZERO = 1e-6
"""Angstrom; shorter lattice vectors are none."""

NAMES = "abc"


def require_periodicity(atoms: Atoms) -> None:
    """Refuse cells that lack a vector, and images in directions that are not periodic within the reach of orbitals.

    Args:
        atoms: Periodic in one direction at least.

    Raises:
        StructureError: With the direction, the width of the vacuum in Angstrom, and what to call in ASE.
    """
    cell = atoms.cell.array
    if len(atoms) == 0 or not np.isfinite(cell).all() or not np.isfinite(atoms.positions).all():
        return  # Structure says what is wrong
    if atoms.numbers.min() < 0 or atoms.numbers.max() >= len(SYMBOLS):
        return
    formula = atoms.get_chemical_formula()
    missing = [axis for axis in range(3) if np.linalg.norm(cell[axis]) < ZERO]
    if len(missing) == 3:
        raise StructureError(
            f"{formula} is said to be periodic (pbc={_flags(atoms)}), but has no cell. For a molecule set "
            "atoms.pbc = False; for a crystal set its lattice vectors, atoms.cell."
        )
    if missing:
        raise StructureError(
            f"The lattice vector {_names(missing)} of {formula} is zero; expected three, with vacuum in directions "
            f"that are not periodic. Call atoms.center(vacuum=10, axis={_axes(missing)}) in ASE, or set "
            "atoms.pbc = False for a molecule."
        )
    if abs(np.linalg.det(cell)) < ZERO:
        return
    inverse = np.linalg.inv(cell)
    gaps = (1.0 - np.ptp(atoms.positions @ inverse, axis=0)) / np.linalg.norm(inverse, axis=0)
    narrow = [axis for axis in range(3) if not atoms.pbc[axis] and gaps[axis] < SMALLEST_VACUUM]
    if narrow:
        widths = " and ".join(f"{max(gaps[axis], 0.0):.2f}" for axis in narrow)
        raise StructureError(
            f"{formula} is not periodic along {_names(narrow)} (pbc={_flags(atoms)}), but its cell leaves a vacuum of "
            f"{widths} Angstrom there, across which orbitals reach those of images; expected {SMALLEST_VACUUM:.2f} or "
            f"more. Call atoms.center(vacuum=10, axis={_axes(narrow)}) in ASE, or set pbc=True if images are meant."
        )


def _names(axes: list[int]) -> str:
    return " and ".join(NAMES[axis] for axis in axes)


def _axes(axes: list[int]) -> str:
    return str(axes[0]) if len(axes) == 1 else str(tuple(axes))


def _flags(atoms: Atoms) -> str:
    return '"' + " ".join("T" if flag else "F" for flag in atoms.pbc) + '"'

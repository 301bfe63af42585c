"""Structures that the bundled model ``graphene`` is trained and tested on: strained layers with displaced atoms.

    python benchmarks/graphene/snapshots.py snapshots.xyz 21
    harmose-dft label snapshots.xyz --xc pbe --basis gth-szv-molopt-sr --ke-cutoff 60 -o graphene.h5 --jobs 1

Three of four are primitive cells, every fourth is a rectangular one of four atoms. The cell is strained in its plane,
each component of the strain drawn from a normal distribution of 1.5 %, and every atom is displaced by 0.05 Angstrom in
each direction of the plane and 0.03 Angstrom across it.
"""

from __future__ import annotations

import sys

import numpy as np
from ase import Atoms
from ase.build import graphene
from ase.io import write

LATTICE = 2.4633
"""Lattice constant by PBE, Angstrom."""

VACUUM = 5.0
"""On either side of the layer, Angstrom."""

STRAIN = 0.015
IN_PLANE, ACROSS = 0.05, 0.03
"""Standard deviations of the displacements, Angstrom."""


def rectangular() -> Atoms:
    """The cell of four atoms."""
    primitive = graphene(a=LATTICE, vacuum=VACUUM)
    doubled = primitive * (1, 2, 1)
    cell = np.array(doubled.cell)
    cell[1] = cell[1] + primitive.cell[0]
    doubled.set_cell(cell)
    doubled.wrap()
    return doubled


def snapshot(index: int) -> Atoms:
    """A strained layer with displaced atoms; the same for the same index."""
    rng = np.random.default_rng(1000 + index)
    atoms = rectangular() if index % 4 == 3 else graphene(a=LATTICE, vacuum=VACUUM)
    strain = rng.normal(scale=STRAIN, size=(2, 2))
    deformation = np.eye(3)
    deformation[:2, :2] += 0.5 * (strain + strain.T)
    atoms.set_cell(np.array(atoms.cell) @ deformation, scale_atoms=True)
    atoms.positions += rng.normal(size=(len(atoms), 3)) * [IN_PLANE, IN_PLANE, ACROSS]
    atoms.pbc = True
    return atoms


if __name__ == "__main__":
    write(sys.argv[1], [snapshot(index) for index in range(int(sys.argv[2]))], format="extxyz")

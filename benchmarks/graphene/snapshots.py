"""Structures that the bundled model ``graphene`` is trained, tested and calibrated on: strained, displaced layers.

    python benchmarks/graphene/snapshots.py snapshots.xyz 61
    harmose-dft label snapshots.xyz --xc pbe --basis gth-szv-molopt-sr --ke-cutoff 60 -o graphene.h5 --jobs 1
    python benchmarks/graphene/snapshots.py odd.xyz 48 --odd
    harmose-dft label odd.xyz --xc pbe --basis gth-szv-molopt-sr --ke-cutoff 60 -o odd.h5 --jobs 1

Three of four are primitive cells, every fourth is a rectangular one of four atoms. The cell is strained in its plane,
each component of the strain drawn from a normal distribution of 1.5 %, and every atom is displaced by 0.05 Angstrom in
each direction of the plane and 0.03 Angstrom across it. Odd ones, on which error bars are calibrated and judged, have
strains and displacements of 0.2, 0.7, 1.2, ... 2.7 times as much in turn.
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

ODD_FACTORS = (0.2, 0.7, 1.2, 1.7, 2.2, 2.7)
ODD_SEED = 5000


def rectangular() -> Atoms:
    """The cell of four atoms."""
    primitive = graphene(a=LATTICE, vacuum=VACUUM)
    doubled = primitive * (1, 2, 1)
    cell = np.array(doubled.cell)
    cell[1] = cell[1] + primitive.cell[0]
    doubled.set_cell(cell)
    doubled.wrap()
    return doubled


def snapshot(index: int, seed: int = 1000, factor: float = 1.0) -> Atoms:
    """A strained layer with displaced atoms; the same for the same arguments.

    Args:
        index: Number of the snapshot.
        seed: Of number 0.
        factor: Multiplies strains and displacements.
    """
    rng = np.random.default_rng(seed + index)
    atoms = rectangular() if index % 4 == 3 else graphene(a=LATTICE, vacuum=VACUUM)
    strain = rng.normal(scale=STRAIN * factor, size=(2, 2))
    deformation = np.eye(3)
    deformation[:2, :2] += 0.5 * (strain + strain.T)
    atoms.set_cell(np.array(atoms.cell) @ deformation, scale_atoms=True)
    atoms.positions += factor * rng.normal(size=(len(atoms), 3)) * [IN_PLANE, IN_PLANE, ACROSS]
    atoms.pbc = True
    return atoms


def odd_snapshot(index: int) -> Atoms:
    """One with smaller or larger strains and displacements."""
    return snapshot(index, ODD_SEED, ODD_FACTORS[index % len(ODD_FACTORS)])


if __name__ == "__main__":
    make = odd_snapshot if "--odd" in sys.argv[3:] else snapshot
    write(sys.argv[1], [make(index) for index in range(int(sys.argv[2]))], format="extxyz")

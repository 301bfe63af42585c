"""How the orbitals of a structure are filled: k-points, smearing, and the solution that follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.connectivity import dispersive_axes
from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from .kpoints import monkhorst_pack, reciprocal_vectors
from .molecule import solve
from .occupations import Smearing
from .periodic import solve_kpoints

MESH_SPACING = 0.15
"""Spacing in 1/Bohr (2 pi included) of the k-points at which crystals are solved."""

SMALLEST_SPACING = 0.005
"""Smallest spacing of k-points in 1/Bohr: 250 along a vector of 5 Bohr."""

SMEARING = 1e-3
"""Width in Hartree of the Fermi-Dirac smearing of crystals' occupations."""

SIXFOLD = 6
"""Divisions that hold the points M and K of hexagonal lattices are multiples of this number."""

MOST_DIVISIONS = 64
"""Divisions up to which k-points are recognised as those of a mesh."""

SAME_POINT = 2e-4
"""Fractional coordinates that are printed with few digits agree to this."""

MOST_EQUIVALENT = 48
"""k-points that symmetry may make equal."""

ROUNDING = 1e-6

WHOLE = 1e-3
"""Electrons by which a molecule's number of them, from a file or an integration, may be off a whole one."""


@dataclass(frozen=True)
class Filling:
    """k-points and smearing of crystals.

    Args:
        spacing: Largest spacing of k-points in 1/Bohr, 2 pi included.
        smearing: Smearing function.
        width: Its width in Hartree.
    """

    spacing: float = MESH_SPACING
    smearing: Smearing = Smearing.FERMI_DIRAC
    width: float = SMEARING

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable description."""
        return {**asdict(self), "smearing": self.smearing.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Filling:
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: The spacing is none, or so small that a mesh of it is no help to anyone.
        """
        if not SMALLEST_SPACING <= float(data["spacing"]) < math.inf:
            raise ValueError(f"k-points have a spacing of {data['spacing']}; expected at least {SMALLEST_SPACING}")
        return cls(float(data["spacing"]), Smearing(data["smearing"]), float(data["width"]))


DEFAULT_FILLING = Filling()
"""Spacing of k-points and smearing, unless told."""


def mesh(
    structure: Structure, matrix: BlockMatrix, spacing: float = MESH_SPACING, *, multiple: int = SIXFOLD
) -> tuple[int, int, int]:
    """Divisions of a Gamma-centred mesh of a given spacing (1/Bohr, 2 pi included).

    One division along lattice vectors that no chain of pairs follows, such as the vacuum above a layer. More than two
    are rounded up to multiples of a number; of six by default, so that the mesh holds M and K of hexagonal lattices.

    Raises:
        SolverError: The spacing is not a number of at least :data:`SMALLEST_SPACING`.
    """
    if not SMALLEST_SPACING <= spacing < math.inf:
        raise SolverError(
            f"k-points that are {spacing:g} per Bohr apart make no mesh; expected a spacing of at least "
            f"{SMALLEST_SPACING:g}. The default is {MESH_SPACING:g}."
        )
    least = np.maximum(np.ceil(_reciprocal_lengths(structure, matrix) / spacing - ROUNDING), 1).astype(int)
    a, b, c = np.where(least > 2, -(-least // multiple) * multiple, least).tolist()
    return a, b, c


def spacing_of(structure: Structure, matrix: BlockMatrix, kpoints: NDArray[np.float64]) -> float | None:
    """Spacing (1/Bohr, 2 pi included) of the mesh that k-points are of, along vectors that a chain of pairs follows.

    Args:
        structure: A crystal.
        matrix: Its H or S.
        kpoints: Fractional, (k, 3), perhaps without those that follow by symmetry.

    Returns:
        None where they are not of a mesh of up to 64 divisions, or no chain of pairs leads on.
    """
    periodic_axes = np.flatnonzero(dispersive_axes(matrix.pairs, matrix.shifts))
    divisions = [_divisions(kpoints[:, axis]) for axis in periodic_axes]
    n_divisions = [n for n in divisions if n is not None]
    if not n_divisions or len(n_divisions) < len(divisions) or np.prod(n_divisions) > MOST_EQUIVALENT * len(kpoints):
        return None
    return float(np.max(_reciprocal_lengths(structure, matrix)[periodic_axes] / np.array(n_divisions)))


def solve_structure(
    structure: Structure,
    hamiltonian: Sequence[BlockMatrix],
    overlap: BlockMatrix,
    n_electrons: float,
    filling: Filling = DEFAULT_FILLING,
    *,
    multiple: int = SIXFOLD,
    time_reversal: bool = False,
) -> Spectrum:
    """Orbitals of a closed-shell molecule, or of a crystal on a mesh of k-points with smearing.

    Args:
        structure: The atoms.
        hamiltonian: One matrix; of crystals also one per spin direction, Hartree.
        overlap: S.
        n_electrons: Electrons.
        filling: Of a crystal.
        multiple: See :func:`mesh`.
        time_reversal: Keep one of k and -k for spinors, too. Of the density blocks of such a spectrum only what time
            reversal leaves as it is has a meaning.

    Raises:
        SolverError: The electrons do not fit into the orbitals, the matrices do not fit together, or the filling makes
            no sense.
    """
    if not math.isfinite(n_electrons):
        raise SolverError(f"The number of electrons is {n_electrons}; expected a finite number.")
    if not hamiltonian:
        raise SolverError(f"There is no Hamiltonian of {structure.formula}; expected one, or one per spin direction.")
    if not structure.periodic:
        if len(hamiltonian) > 1:
            raise SolverError(
                f"{structure.formula} is a molecule with {len(hamiltonian)} Hamiltonians, one per spin direction; "
                "molecules are solved as closed shells, of one. Open shells are supported for crystals only."
            )
        if abs(n_electrons - round(n_electrons)) > WHOLE:
            raise SolverError(f"A molecule of {n_electrons:g} electrons was given; expected a whole number of them.")
        return solve(hamiltonian[0], overlap, round(n_electrons))
    divisions = mesh(structure, overlap, filling.spacing, multiple=multiple)
    kpoints, weights = monkhorst_pack(divisions, time_reversal=time_reversal or not hamiltonian[0].spinor)
    return solve_kpoints(
        tuple(hamiltonian), overlap, kpoints, n_electrons,
        weights=weights, smearing=filling.smearing, width=filling.width,
    )


def _reciprocal_lengths(structure: Structure, matrix: BlockMatrix) -> NDArray[np.float64]:
    """Lengths of the reciprocal vectors of the lattice along which bands disperse, (3,), 1/Bohr; 0 for others."""
    assert structure.cell is not None
    vectors = reciprocal_vectors(structure.cell, dispersive_axes(matrix.pairs, matrix.shifts))
    return np.asarray(np.linalg.norm(vectors, axis=1))


def _divisions(coordinates: NDArray[np.float64]) -> int | None:
    """Least number n for which all coordinates are i / n, or all (i + 1/2) / n."""
    for n in range(1, MOST_DIVISIONS + 1):
        for shift in (0.0, 0.5):
            steps = coordinates * n - shift
            if np.abs(steps - np.round(steps)).max() < n * SAME_POINT:
                return n
    return None

"""One diagonalisation: orbitals of a molecule, or of a crystal on a mesh of k-points."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..solver import Filling, solve_structure
from ..solver.filling import DEFAULT_FILLING


def solve(
    structure: Structure,
    hamiltonian: BlockMatrix | Sequence[BlockMatrix],
    overlap: BlockMatrix,
    n_electrons: float,
    *,
    filling: Filling = DEFAULT_FILLING,
) -> Spectrum:
    """Solve H C = S C eps of a closed-shell molecule, or H(k) C = S(k) C eps of a crystal on a mesh of k-points.

    Args:
        structure: The atoms.
        hamiltonian: H, Hartree: one matrix, or two of a collinear crystal (up, down).
        overlap: S, spatial.
        n_electrons: Electrons that the basis describes, per cell.
        filling: Spacing of a crystal's k-points and smearing of its occupations.

    Raises:
        SolverError: Shapes disagree, a value is not finite, or there are too few orbitals for the electrons.
    """
    matrices = (hamiltonian,) if isinstance(hamiltonian, BlockMatrix) else tuple(hamiltonian)
    return solve_structure(structure, matrices, overlap, n_electrons, filling)
